"""The order of an update, and each of its decisions on corner cases worked out by hand."""

import math

import keras
import numpy as np
import pytest
from keras import ops, tree

import tf_bdecay
from tests.optim import problem
from tf_bdecay import decay
from tf_bdecay.errors import BadInput
from tf_bdecay.optim import step
from tf_bdecay.optim.blocks import Layout
from tf_bdecay.optim.whole_tensors import WholeTensors
from tf_bdecay.roles import roles_of

pytestmark = pytest.mark.any_backend

NAMES = list(problem.SHAPES)
INF, NAN = math.inf, math.nan


class Recording:
    """Between `step.update` and a real engine: notes what is asked for, and the answer."""

    def __init__(self, engine):
        self.engine, self.calls = engine, []

    def __getattr__(self, name):
        found = getattr(self.engine, name)
        if name not in ("reduce", "norms", "judge", "scalars", "move", "write", "average"):
            return found

        def noted(*arguments):
            result = found(*arguments)
            self.calls.append((name, arguments, result))
            return result

        return noted

    def arguments(self, name):
        return [arguments for called, arguments, _ in self.calls if called == name]

    @property
    def decision(self):
        (decision,) = [result for called, _, result in self.calls if called == "judge"]
        return decision


def tensor(values, dtype="float32"):
    return ops.convert_to_tensor(np.asarray(values, dtype))


def array(values):
    return np.asarray(ops.convert_to_numpy(values))


def recorded(gradients, **options):
    """What one update asked of its engine; the optimizer's variables stay as they were."""
    optimizer = tf_bdecay.Lamb(0.01, **{"skip_nonfinite": False, **options})
    optimizer.build(problem.make_variables(problem.initial()))
    state = tree.map_structure(lambda v: v.value, optimizer.state())
    engine = Recording(WholeTensors(optimizer, state, tuple(range(len(NAMES)))))
    step.update(engine, [tensor(g) for g in gradients.values()], tensor(0.01))
    return engine


# The order.


def test_the_order_is_that_of_algorithm_1():
    engine = recorded(problem.gradients(1)[0], use_ema=True)
    called = [name for name, *_ in engine.calls]
    phases = [name for i, name in enumerate(called) if i == 0 or called[i - 1] != name]
    assert phases == ["reduce", "norms", "judge", "scalars", "move", "write", "average"]
    blocks = list(range(len(engine.layout.blocks)))
    assert len(blocks) > 1
    assert [n for n, *_ in engine.arguments("norms")] == blocks
    assert [n for n, *_ in engine.arguments("move")] == blocks
    assert [n for n, *_ in engine.arguments("average")] == list(range(len(NAMES)))
    written = {key for (values,) in engine.arguments("write") for key in values}
    assert written >= {"iterations", "decay_on", "bias_ratio", "sensitivity", "trust_ratio"}


def test_every_block_moves_by_the_one_decision():
    engine = recorded(problem.gradients(1)[0])
    on = array(engine.decision["decay_on"])
    assert sorted(on) == [False, True]  # a layer of each kind
    coefficients = {}
    for n, _, of_block, decision, _ in engine.arguments("move"):
        assert decision is engine.decision
        indices = engine.layout.blocks[n].indices
        coefficients.update(zip(indices, array(of_block), strict=True))
    expected = {"kernel": 0.01, "bias": 0.01, "gamma": 0.0}
    for i, name in enumerate(NAMES):
        layer, role = name.split("/")
        value = float(on[problem.PAIRS.index(layer)]) if role == "beta" else expected[role]
        assert coefficients[i] == pytest.approx(value), name


def test_it_is_decided_before_clipping_and_moved_after():
    (gradients,) = problem.gradients(1)
    thetas = problem.initial()
    free, clipped = recorded(gradients), recorded(gradients, global_clipnorm=1e-2)
    for engine in (free, clipped):
        expected = [np.abs(gradients[name] * thetas[name]).sum() for name in NAMES]
        np.testing.assert_allclose(engine.decision["sensitivity"], expected, rtol=1e-5)
    for name in ("bias_ratio", "decay_on"):
        np.testing.assert_array_equal(free.decision[name], clipped.decision[name])
    norm = math.sqrt(sum((g**2).sum() for g in gradients.values()))
    assert free.decision["clip"] is None
    assert float(clipped.decision["clip"]) == pytest.approx(1e-2 / norm, rel=1e-5)
    i = NAMES.index("wide/kernel")
    (n,) = [n for n, block in enumerate(free.layout.blocks) if block.indices == (i,)]
    for engine, scale in ((free, 1.0), (clipped, 1e-2 / norm)):
        momentum = array(engine.state["slots"][n][0])
        np.testing.assert_allclose(momentum, 0.1 * scale * gradients[NAMES[i]], rtol=1e-4)


def test_counts_of_updates_that_move():
    optimizer = tf_bdecay.Lamb(0.25)
    variables = problem.make_variables(problem.initial())
    decisions = []
    for gradient in problem.gradients(4):
        problem.apply(optimizer, variables, gradient)
        decisions.append(optimizer.decision().decay_on)
    switched = np.abs(np.diff(np.array(decisions, int), axis=0)).sum(0)
    assert switched.any()
    totals = optimizer.totals()
    np.testing.assert_array_equal(totals["switches"], switched)  # the first is no switch
    np.testing.assert_array_equal(totals["decay_on_updates"], np.sum(decisions, axis=0))
    assert (totals["updates"], totals["skipped_updates"]) == (4, 0)
    assert totals["learning_rate_sum"] == 1.0


# The decision.


def layout(policy, pairs):
    """The layout of so many normalization layers; gammas first, to put indices to the test."""
    thetas = {f"norm{n}/{leaf}": np.ones(2) for n in range(pairs) for leaf in ("gamma", "beta")}
    return Layout(roles_of(problem.make_variables(thetas)), ["float32"] * 2 * pairs, policy)


def decided(policy, c_gamma, c_beta, absent=()):
    """r and the decision, of layers with these C(gamma) and C(beta)."""
    pairs = len(c_gamma)
    sensitivity = np.stack([c_gamma, c_beta], axis=1).ravel()
    present = set(range(2 * pairs)) - set(absent)
    ratio, on = step.decide(layout(policy, pairs), tensor(sensitivity), present)
    return array(ratio).tolist(), array(on).tolist()


CORNERS = dict(c_gamma=[2.0, 2.0, 0.0, 0.0, 4.0], c_beta=[0.2, 0.1, 0.0, 3.0, 8.0])
RATIOS = [0.1, 0.05, 0.0, INF, 2.0]  # 0/0 is 0: a beta without sensitivity needs no decay


@pytest.mark.parametrize(
    "threshold, on",
    [
        (0.0, [True, True, True, True, True]),  # fixed beta decay, at 0/0 too
        (0.1, [True, False, False, True, True]),  # r = R is on
        (2.0, [False, False, False, True, True]),
        (2.5, [False, False, False, True, False]),
        (INF, [False, False, False, False, False]),  # never, even where r is infinite
    ],
)
def test_decisions_at_the_corners(threshold, on):
    ratio, found = decided(decay.AdaptiveBetaDecay(threshold=threshold), **CORNERS)
    np.testing.assert_allclose(ratio, RATIOS, rtol=1e-6)
    assert found == on


def test_a_pair_without_a_gradient_has_no_ratio_and_does_not_decay():
    policy = decay.AdaptiveBetaDecay(threshold=0.0)
    ratio, on = decided(policy, [1.0, 1.0, 1.0], [5.0, 5.0, 5.0], absent=(0, 3))
    assert ratio == [0.0, 0.0, 5.0]  # without gamma's, without beta's, with both
    assert on == [False, False, True]


def test_a_fixed_policy_decays_whatever_r_is():
    absent = (0,)
    assert decided(decay.BetaDecay(), [1.0, 2.0], [0.0, 1.0], absent) == ([0.0, 0.5], [True, True])
    assert decided(decay.NoDecay(), [1.0, 2.0], [0.0, 1.0])[1] == [False, False]
    assert decided(decay.AdaptiveBetaDecay(beta=0.0, threshold=0.0), [1.0], [9.0])[1] == [False]


@pytest.mark.parametrize(
    ("answer", "received"),
    [
        (lambda ratio: ratio, r"float32 of shape \(2,\)"),
        (lambda ratio: ratio[:1] > 0, r"bool of shape \(1,\)"),
        (lambda ratio: [1, 0], r"int\d+ of shape \(2,\)"),
    ],
)
def test_what_is_no_decision_of_ones_own_policy_is_refused(answer, received):
    class Own(decay.BetaDecay):
        def decide(self, ratio):
            return answer(ratio)

    with pytest.raises(BadInput, match=f"`decide` of .* Own .*each of the 2 .*: {received}"):
        decided(Own(), [1.0, 2.0], [0.0, 1.0])


@pytest.mark.parametrize("answer", [True, [True, True]])
def test_ones_own_policy_may_decide_in_python(answer):
    class Own(decay.BetaDecay):
        def decide(self, ratio):
            return answer

    assert decided(Own(), [1.0, 2.0], [0.0, 1.0])[1] == [True, True]


def test_no_pair_no_decision():
    assert decided(decay.BetaDecay(), np.ones(0), np.ones(0)) == ([], [])


# What is judged of a gradient.


def judged(sums, in_force=(0.0, False), **options):
    """The decision of an optimizer of one gamma and one beta, from C_m and ||g||^2 of each."""
    optimizer = tf_bdecay.Lamb(0.01, **options)
    optimizer.build(problem.make_variables({"norm/gamma": np.ones(2), "norm/beta": np.ones(2)}))
    ratio, on = tensor([in_force[0]]), tensor([in_force[1]], "bool")
    return step.judge(optimizer, [[tensor(s) for s in sums]], ratio, on, (0, 1))


@pytest.mark.parametrize(
    "sums, finite",
    [([1.0, 2.0], True), ([0.0, 0.0], True), ([1.0, NAN], False), ([INF, 2.0], False)],
)
def test_finite_is_asked_of_the_sensitivities(sums, finite):
    assert bool(judged([sums])["finite"]) is finite


def test_a_gradient_that_is_not_finite_shows_at_a_parameter_of_0():
    block = layout(decay.NoDecay(), 1).blocks[0]
    theta, gradient = tensor([0.0, 0.0, 1.0, 1.0]), tensor([INF, 1.0, 1.0, 1.0])
    (sums,) = step.norms(block, gradient, theta, with_squares=False)
    assert not bool(judged([array(sums)])["finite"])


def test_the_sums_of_a_block():
    block = layout(decay.NoDecay(), 1).blocks[0]
    theta, gradient = tensor([1.0, -2.0, 0.0, 3.0]), tensor([-1.0, 2.0, 5.0, -1.0])
    sums, squares = step.norms(block, gradient, theta, with_squares=True)
    np.testing.assert_allclose(sums, [5.0, 3.0])
    np.testing.assert_allclose(squares, [5.0, 26.0])


@pytest.mark.parametrize("limit, clip", [(1.0, 0.2), (5.0, 1.0), (7.0, 1.0)])
def test_the_factor_that_clips(limit, clip):
    found = judged([[1.0, 1.0], [9.0, 16.0]], global_clipnorm=limit)["clip"]
    assert float(found) == pytest.approx(clip)


@pytest.mark.parametrize("on", [True, False])
def test_a_probe_keeps_the_decision_in_force(on):
    policy = decay.AdaptiveBetaDecay(threshold=0.1, source="probe")
    found = judged([[1.0, 9.0]], in_force=(0.75, on), weight_decay=policy)
    assert array(found["bias_ratio"]).tolist() == [0.75]
    assert array(found["decay_on"]).tolist() == [on]
    np.testing.assert_allclose(found["sensitivity"], [1.0, 9.0])  # which is measured all the same


# What moves.


def moved(present, clip=None, decay_of=None):
    """theta, buffer and trust ratios of SGD with momentum, a packed block of gamma and beta."""
    optimizer = tf_bdecay.SGD(0.5, momentum=0.5, weight_decay=decay.NoDecay())
    thetas = {"norm/gamma": np.ones(2), "norm/beta": np.full(2, 3.0)}
    optimizer.build(problem.make_variables(thetas))
    (block,) = optimizer.layout.blocks
    return step.moved(
        optimizer,
        block,
        present,
        parameter=tensor([1.0, 1.0, 3.0, 3.0]),
        gradient=tensor([2.0, 4.0, 2.0, 4.0]),
        slots=(tensor([8.0, 8.0, 8.0, 8.0]),),
        decay=None if decay_of is None else tensor(decay_of),
        clip=None if clip is None else tensor(clip),
        scalars=(tensor(0.5),),
    )


@pytest.mark.parametrize(
    "options, theta, buffer",
    [
        ({}, [-2.0, -3.0, 0.0, -1.0], [6.0, 8.0, 6.0, 8.0]),  # buffer = 8/2 + g
        ({"clip": 0.5}, [-1.5, -2.0, 0.5, 0.0], [5.0, 6.0, 5.0, 6.0]),
        ({"decay_of": [0.0, 2.0]}, [-2.0, -3.0, -3.0, -4.0], [6.0, 8.0, 12.0, 14.0]),
        # Decay is not clipped: 8/2 + g/2 + 2 theta.
        ({"clip": 0.5, "decay_of": [0.0, 2.0]}, [-1.5, -2.0, -2.5, -3.0], [5.0, 6.0, 11.0, 12.0]),
    ],
)
def test_clip_then_decay_then_write(options, theta, buffer):
    new, (slot,), ratios = moved((0, 1), **options)
    np.testing.assert_allclose(new, theta)
    np.testing.assert_allclose(slot, buffer)
    assert array(ratios).tolist() == [1.0, 1.0]


def test_what_has_no_gradient_keeps_its_bits():
    new, (slot,), _ = moved((1,), decay_of=[2.0, 0.0])
    assert array(new).tolist() == [1.0, 1.0, 0.0, -1.0]
    assert array(slot).tolist() == [8.0, 8.0, 6.0, 8.0]


@pytest.mark.parametrize(
    "done, every, weight, kept",
    [
        (0, None, 4.0, 4.0),  # the first average is the weight itself
        (1, None, 4.0, 2.5),  # 3/4 of 2, 1/4 of 4
        (1, 2, 2.5, 2.5),  # the second update: overwritten
        (2, 2, 4.0, 2.5),
        (1, 3, 4.0, 2.5),
        (2, 3, 2.5, 2.5),
    ],
)
def test_moving_averages(done, every, weight, kept):
    optimizer = tf_bdecay.SGD(0.1, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=every)
    found = step.averaged(optimizer, tensor(4.0), tensor(2.0), tensor(done, "int32"))
    assert [float(value) for value in found] == [weight, kept]


# A whole step under JAX, lowered for accelerators that are not here.


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.skipif(keras.backend.backend() != "jax", reason="JAX lowers for other machines")
def test_a_step_has_static_shapes_and_sums_in_a_fixed_order(platform):
    """A scatter adds by atomic operations on a GPU, in another order in every run."""
    import jax
    from jax import export

    model = tf_bdecay.models.resnet18(width=4)
    optimizer = tf_bdecay.Lamb(0.01, global_clipnorm=1.0)
    optimizer.build(model)

    def step(weights, statistics, state, images):
        def loss(weights):
            logits, after = model.stateless_call(weights, statistics, images, training=True)
            return keras.ops.sum(logits**2), after

        gradients, statistics_after = jax.grad(loss, has_aux=True)(weights)
        return *optimizer.stateless_apply(state, gradients, weights), statistics_after

    shapes = [
        [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            optimizer.variables,
        )
    ]
    images = jax.ShapeDtypeStruct((64, 32, 32, 3), "float32")
    text = export.export(jax.jit(step), platforms=[platform])(*shapes, images).mlir_module()
    assert "stablehlo.convolution" in text
    assert "stablehlo.scatter" not in text
    assert "tensor<?" not in text
