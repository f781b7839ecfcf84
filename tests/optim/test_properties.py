"""What holds for every optimizer whatever its rule: one table, one test per property."""

import functools
import math

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem, table
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

ROWS = [
    name if name in table.ALWAYS else pytest.param(name, marks=pytest.mark.slow)
    for name in table.OPTIMIZERS
]
pytestmark = [pytest.mark.any_backend, pytest.mark.parametrize("name", ROWS)]


def run(optimizer, steps=3, thetas=None, change=lambda g: g, dtype="float32"):
    """The variables after some updates of the problem's gradients."""
    variables = problem.make_variables(thetas or problem.initial(), dtype)
    for gradient in problem.gradients(steps):
        problem.apply(optimizer, variables, change(gradient))
    return variables


def bits(variables):
    return [np.array(v.numpy()) for v in variables]


@functools.cache
def plain(name):
    """The values after `run` without more arguments, which several properties compare with."""
    return bits(run(table.make(name)))


def assert_same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.quick_rows(2)
def test_a_nonfinite_gradient_changes_nothing_but_the_count(name, poison):
    optimizer, other = (table.make(name, use_ema=True) for _ in "ab")
    first, second = problem.gradients(2)
    variables = problem.make_variables(problem.initial())
    problem.apply(optimizer, variables, first)
    everything = [*optimizer.variables, *variables]
    before = bits(everything)
    bad = {k: g.copy() for k, g in second.items()}
    bad["norm/beta"][2] = poison
    for n in (1, 2):
        problem.apply(optimizer, variables, bad)
        totals = optimizer.totals()
        assert (totals["skipped_updates"], totals["skipped_in_a_row"]) == (n, n)
    counts = {id(optimizer.skipped_updates), id(optimizer.skipped_in_a_row)}
    kept = [
        (v.numpy(), old) for v, old in zip(everything, before, strict=True) if id(v) not in counts
    ]
    assert_same(*zip(*kept, strict=True))
    problem.apply(optimizer, variables, second)  # and then goes on as if nothing had been
    assert optimizer.totals()["skipped_in_a_row"] == 0
    assert_same(bits(variables), bits(run(other, 2)))


def test_a_threshold_of_0_is_fixed_decay_and_one_of_infinity_is_none(name):
    def policy(**arguments):
        return decay.AdaptiveBetaDecay(kernel=0.05, **arguments)

    fixed = decay.BetaDecay(kernel=0.05)
    always = bits(run(table.make(name, weight_decay=policy(threshold=0.0))))
    assert_same(always, bits(run(table.make(name, weight_decay=fixed))))
    never = bits(run(table.make(name, weight_decay=policy(threshold=math.inf))))
    assert_same(never, bits(run(table.make(name, weight_decay=policy(beta=0.0)))))
    assert any(not np.array_equal(a, b) for a, b in zip(always, never, strict=True))


def test_the_order_of_the_variables_does_not_matter(name):
    """Pairs stay together, everything else moves: packs are other packs then."""
    thetas = problem.initial()
    order = [k for k in thetas if "norm" in k] + [k for k in reversed(thetas) if "norm" not in k]
    moved = run(
        table.make(name),
        thetas={k: thetas[k] for k in order},
        change=lambda g: {k: g[k] for k in order},
    )
    in_order = dict(zip(thetas, plain(name), strict=True))
    for key, variable in zip(order, moved, strict=True):
        change = variable.numpy() - thetas[key]
        expected = in_order[key] - thetas[key]
        assert problem.relative_error([change], [expected]) < 1e-5, key


def test_no_gradient_and_no_decay_move_nothing(name):
    optimizer = table.make(name, weight_decay=decay.NoDecay())
    variables = run(optimizer, change=lambda g: {k: np.zeros_like(v) for k, v in g.items()})
    expected = problem.make_variables(problem.initial())
    assert_same(bits(variables), bits(expected))


def test_a_variable_without_gradient_stays_and_the_others_do_not_notice(name):
    optimizer, other = table.make(name), table.make(name)
    first, second = problem.gradients(2)
    variables, all_moved = (problem.make_variables(problem.initial()) for _ in "ab")
    for o, v in ((optimizer, variables), (other, all_moved)):
        problem.apply(o, v, first)
    before = bits(variables)
    absent = ("wide/kernel", "conv/bias")  # alone in a block, and packed
    tensors = [
        None if k in absent else keras.ops.convert_to_tensor(g.astype("float32"))
        for k, g in second.items()
    ]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply(tensors, variables)
    problem.apply(other, all_moved, second)
    for key, found, old, moved in zip(
        problem.SHAPES, bits(variables), before, bits(all_moved), strict=True
    ):
        if key in absent:
            np.testing.assert_array_equal(found, old)
        else:  # compiled with other operations, so rounded otherwise
            np.testing.assert_allclose(found, moved, rtol=1e-5, atol=1e-7)


def test_the_scale_of_the_loss_is_taken_out(name):
    scaled = run(
        table.make(name, loss_scale_factor=64.0),
        change=lambda g: {k: 64 * v for k, v in g.items()},
    )
    assert_same(bits(scaled), plain(name))  # a power of two has no rounding


def test_a_config_makes_the_same_optimizer_again(name):
    optimizer = table.make(name, global_clipnorm=0.5, use_ema=True, ema_momentum=0.9)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert type(again) is type(optimizer) and again.get_config() == optimizer.get_config()
    assert_same(bits(run(again)), bits(run(optimizer)))


def test_its_saved_state_goes_on(name):
    gradients = problem.gradients(4)
    whole, first, second = (table.make(name, use_ema=True) for _ in "abc")
    variables, expected = (problem.make_variables(problem.initial()) for _ in "ab")
    for gradient in gradients:
        problem.apply(whole, expected, gradient)
    for gradient in gradients[:2]:
        problem.apply(first, variables, gradient)
    second.build(variables)
    store = {}
    first.save_own_variables(store)
    second.load_own_variables(store)
    for gradient in gradients[2:]:
        problem.apply(second, variables, gradient)
    assert_same(bits([*variables, *second.variables]), bits([*expected, *whole.variables]))


def test_small_floats_keep_moments_of_32_bits(name):
    optimizer = table.make(name)
    variables = run(optimizer, steps=1, dtype="bfloat16")
    assert {v.dtype for v in variables} == {"bfloat16"}
    moments = [v for v in optimizer.variables if "momentum" in v.path or "velocity" in v.path]
    assert moments and {v.dtype for v in moments} == {"float32"}
    assert all(np.isfinite(v).all() for v in problem.values(variables))


def test_a_limit_of_the_gradients_norm_is_a_smaller_gradient(name):
    def clipped(gradient, limit=0.5):
        norm = math.sqrt(sum((g**2).sum() for g in gradient.values()))
        return {k: g * limit / norm for k, g in gradient.items()}

    found = run(table.make(name, global_clipnorm=0.5))
    expected = run(table.make(name), change=clipped)
    before = problem.initial().values()
    changes = [
        [v.numpy() - old for v, old in zip(vs, before, strict=True)] for vs in (found, expected)
    ]
    flat = [np.concatenate([c.ravel() for c in change]) for change in changes]
    assert problem.relative_error([flat[0]], [flat[1]]) < 1e-4


def frozen_run(name, frozen, **arguments):
    """Five updates, of which the last two leave out some variables; and those variables before."""
    optimizer = table.make(name, **arguments)
    variables = problem.make_variables(problem.initial())
    keys = list(problem.SHAPES)
    for t, gradient in enumerate(problem.gradients(5)):
        if t == 3:
            before = bits(variables)
        if t >= 3:
            kept = [i for i, key in enumerate(keys) if key not in frozen]
            tensors = [keras.ops.convert_to_tensor(gradient[keys[i]], "float32") for i in kept]
            optimizer.apply(tensors, [variables[i] for i in kept])
        else:
            problem.apply(optimizer, variables, gradient)
    return optimizer, variables, before


@pytest.mark.parametrize(
    "frozen", [("conv/kernel",), ("norm/gamma", "norm/beta"), ("wide/kernel",)]
)
@pytest.mark.quick_rows(2)
def test_averages_go_back_to_their_own_variables_after_freezing(name, frozen):
    optimizer, variables, before = frozen_run(name, frozen, use_ema=True, ema_momentum=0.5)
    keys = list(problem.SHAPES)
    averages = {keys[i]: np.array(average.numpy()) for i, average in optimizer.averages}
    trained = [v for key, v in zip(keys, variables, strict=True) if key not in frozen]
    optimizer.finalize_variable_values(trained[::-1])  # in whatever order they are listed
    for key, variable, old in zip(keys, variables, before, strict=True):
        expected = old if key in frozen else averages[key]
        np.testing.assert_array_equal(variable.numpy(), expected, err_msg=key)


def test_a_frozen_variable_is_not_overwritten_by_its_average(name):
    frozen = ("conv/bias", "wide/kernel")  # packed, and alone in a block
    _, variables, before = frozen_run(
        name, frozen, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=5
    )
    for key, variable, old in zip(problem.SHAPES, variables, before, strict=True):
        assert np.array_equal(variable.numpy(), old) == (key in frozen), key


def test_a_variable_listed_twice_is_refused(name):
    variables = problem.make_variables(problem.initial())
    with pytest.raises(BadInput, match="'conv/kernel' is listed twice among 10"):
        table.make(name).build([*variables, variables[0]])
    optimizer = table.make(name)
    optimizer.build(variables)
    gradient = keras.ops.ones(variables[0].shape)
    with pytest.raises(BadInput, match="Received twice: conv/kernel"):
        optimizer.apply([gradient, gradient], [variables[0], variables[0]])
    assert optimizer.totals()["updates"] == 0


FLOAT8 = ("conv/kernel_scale", "conv/history")  # packed, and alone in a block


def with_float8_scales():
    thetas = {**problem.initial(), "conv/kernel_scale": np.ones(3), "conv/history": np.ones(5000)}
    variables = problem.make_variables(thetas)
    for variable in variables[-2:]:
        variable.overwrite_with_gradient = True
    gradients = [
        {**g, "conv/kernel_scale": np.full(3, t + 2.0), "conv/history": np.full(5000, t + 3.0)}
        for t, g in enumerate(problem.gradients(3))
    ]
    return variables, gradients


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.quick_rows(2)
def test_the_scales_of_float8_are_replaced_and_skipped_with_the_update(name, scaled):
    optimizer = table.make(name, weight_decay=decay.FullDecay(0.1))
    without = run(table.make(name, weight_decay=decay.FullDecay(0.1)), 1)
    factor = 1.0
    if scaled:
        optimizer, factor = tf_bdecay.LossScaleOptimizer(optimizer, initial_scale=8.0), 8.0
    variables, (first, second, third) = with_float8_scales()

    def grown(gradient):
        return {k: v if k in FLOAT8 else factor * v for k, v in gradient.items()}

    problem.apply(optimizer, variables, grown(first))
    for found, expected in zip(variables, without, strict=False):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(variables[-2].numpy(), np.full(3, 2.0))
    np.testing.assert_array_equal(variables[-1].numpy(), np.full(5000, 3.0))
    before = bits(variables)
    for spoilt in ("conv/kernel", "conv/kernel_scale"):
        bad = grown({**second, spoilt: np.full_like(second[spoilt], np.nan)})
        problem.apply(optimizer, variables, bad)
        assert_same(bits(variables), before)
    factor /= 4 if scaled else 1  # halved by both
    problem.apply(optimizer, variables, grown(third))
    np.testing.assert_array_equal(variables[-2].numpy(), np.full(3, 4.0))
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    assert (inner.totals()["updates"], inner.totals()["skipped_updates"]) == (2, 2)


def test_sparse_gradients_are_dense_ones(name):
    rows = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
    dense = np.zeros((9, 4), "float32")
    np.add.at(dense, [2, 7, 2], rows)  # a row twice: its gradients add up
    expected = None
    for gradient in (keras.ops.convert_to_tensor(dense), *sparse(rows, [2, 7, 2], dense)):
        for scaled in (False, True):
            optimizer = table.make(name, weight_decay=decay.FullDecay(0.1))
            if scaled:
                optimizer = tf_bdecay.LossScaleOptimizer(optimizer, initial_scale=1.0)
            (variable,) = problem.make_variables({"a/embeddings": np.full((9, 4), 0.3)})
            optimizer.apply([gradient], [variable])
            expected = variable.numpy() if expected is None else expected
            np.testing.assert_array_equal(variable.numpy(), expected)
    assert (expected != np.float32(0.3)).any()


def sparse(rows, indices, dense):
    """The gradient in every sparse form of the backend."""
    if keras.backend.backend() == "jax":
        from jax.experimental import sparse as jax_sparse

        return [jax_sparse.BCOO((rows, np.array(indices)[:, None]), shape=dense.shape)]
    import tensorflow as tf

    return [
        tf.IndexedSlices(tf.constant(rows), tf.constant(indices), tf.constant(dense.shape)),
        tf.sparse.from_dense(dense),
    ]


def test_two_optimizers_have_two_names(name):
    first, second = (type(table.make(name))(0.1) for _ in "ab")
    assert first.name != second.name
    assert first.name.replace("_", "").startswith(type(first).__name__.lower())
    assert type(first)(0.1, name="mine").name == "mine"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a variable of TensorFlow's")
def test_raw_variables_are_trained_as_keras_variables_are(name):
    import tensorflow as tf

    thetas = problem.initial()
    raw = [tf.Variable(v.astype("float32"), name=k) for k, v in thetas.items()]
    optimizer = table.make(name, use_ema=True)
    for gradient in problem.gradients(3):
        pairs = [
            (tf.constant(g, "float32"), v) for g, v in zip(gradient.values(), raw, strict=True)
        ]
        optimizer.apply_gradients(pairs)
    assert_same([v.numpy() for v in raw], plain(name))
    optimizer.finalize_variable_values(raw)
