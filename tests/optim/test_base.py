"""What the optimizers' base class does around their rules; test_properties has the shared rest."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.optim import problem, table
from tf_bdecay import decay

pytestmark = pytest.mark.any_backend


def made(cls=tf_bdecay.Lamb, **options):
    variables = problem.make_variables(problem.initial())
    return cls(0.01, compile_update=False, **options), variables


def test_without_skipping_a_nan_reaches_the_weights():
    optimizer, variables = made(skip_nonfinite=False)
    bad = problem.gradients(1)[0]
    bad["conv/kernel"][:] = np.nan
    problem.apply(optimizer, variables, bad)
    assert np.isnan(variables[0].numpy()).all()


@pytest.mark.parametrize("name", ["wide/kernel", "conv/bias"])  # alone in a block, and packed
def test_a_variable_without_gradient_stays(name):
    optimizer, variables = made()
    first, second = problem.gradients(2)
    problem.apply(optimizer, variables, first)
    before = dict(zip(problem.SHAPES, (v.numpy() for v in variables), strict=True))
    moments = [np.array(v.numpy()) for v in optimizer.variables if "momentum" in v.path]
    gradients = [
        None if k == name else keras.ops.convert_to_tensor(g.astype("float32"))
        for k, g in second.items()
    ]
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply(gradients, variables)
    for key, variable in zip(problem.SHAPES, variables, strict=True):
        assert np.array_equal(variable.numpy(), before[key]) == (key == name)
    i = list(problem.SHAPES).index(name)
    block = next(b for b in optimizer.layout.blocks if i in b.indices)
    n = optimizer.layout.blocks.index(block)
    old = block.split(keras.ops.convert_to_tensor(moments[n]))[block.indices.index(i)]
    new = [v for v in optimizer.variables if "momentum" in v.path][n]
    kept = block.split(keras.ops.convert_to_tensor(new))[block.indices.index(i)]
    np.testing.assert_array_equal(kept, old)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
@pytest.mark.parametrize("name", ["wide/kernel", "head/kernel"])  # alone in a block, and packed
def test_what_a_variable_without_gradient_holds_skips_no_update(name, value):
    optimizer, variables = made()
    i = list(problem.SHAPES).index(name)
    variables[i].assign(np.full(variables[i].shape, value))
    others = made()
    for one, thetas in ((optimizer, variables), others):
        gradients = [keras.ops.convert_to_tensor(g, "float32") for g in _first().values()]
        gradients[i] = None
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            one.apply(gradients, thetas)
    for n, (here, there) in enumerate(zip(variables, others[1], strict=True)):
        assert np.array_equal(here.numpy(), there.numpy()) == (n != i)
    assert optimizer.totals()["updates"] == 1
    decision = optimizer.decision()
    assert decision.sensitivity[i] == 0 and decision.trust_ratio[i] == 1
    for here, there in zip(decision[1:], others[0].decision()[1:], strict=True):
        np.testing.assert_array_equal(here, there)


def test_an_update_of_a_variable_that_is_not_finite_is_skipped_even_by_a_gradient_of_0():
    optimizer, variables = made()
    variables[0].assign(np.full(variables[0].shape, -np.inf))
    gradients = _first()
    gradients["conv/kernel"][:] = 0
    problem.apply(optimizer, variables, gradients)
    totals = optimizer.totals()
    assert (totals["updates"], totals["skipped_updates"]) == (0, 1)


def _first():
    return problem.gradients(1)[0]


def test_moving_average_of_the_weights():
    optimizer, variables = made(use_ema=True, ema_momentum=0.8)
    average = None
    for gradient in problem.gradients(3):
        problem.apply(optimizer, variables, gradient)
        theta = problem.values(variables)
        if average is None:
            average = theta
        average = [0.8 * a + 0.2 * t for a, t in zip(average, theta, strict=True)]
    for (_, kept), expected in zip(optimizer.averages, average, strict=True):
        np.testing.assert_allclose(kept.numpy(), expected, rtol=1e-4, atol=1e-6)
    optimizer.finalize_variable_values(variables)  # as `fit` does at its end
    for variable, expected in zip(variables, average, strict=True):
        np.testing.assert_allclose(variable.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_weights_are_overwritten_by_their_average_when_it_is_time():
    optimizer, variables = made(use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=2)
    for t, gradient in enumerate(problem.gradients(4), start=1):
        problem.apply(optimizer, variables, gradient)
        same = all(
            np.array_equal(average.numpy(), variables[i].numpy())
            for i, average in optimizer.averages
        )
        assert same == (t == 1 or t % 2 == 0)  # the first average is theta


def test_weights_survive_a_fit_that_only_skipped():
    optimizer, variables = made(use_ema=True)
    before = problem.values(variables)
    problem.apply(optimizer, variables, {k: np.nan * np.ones(s) for k, s in problem.SHAPES.items()})
    optimizer.finalize_variable_values(variables)
    for value, old in zip(problem.values(variables), before, strict=True):
        np.testing.assert_array_equal(value, old)


def test_saved_state_of_other_variables_is_skipped_with_a_warning():
    optimizer, _ = made()
    optimizer.build(problem.make_variables(problem.initial()))
    other, _ = made()
    thetas = {**problem.initial(), "head/bias": np.ones(7)}
    other.build(problem.make_variables(thetas))
    store = {}
    other.save_own_variables(store)
    with pytest.warns(UserWarning, match="other trainable variables"):
        optimizer.load_own_variables(store)


def test_scalar_and_empty_variables():
    thetas = {"a/kernel": np.ones(()), "b/kernel": np.ones((0, 3)), "c/kernel": np.ones((2, 2))}
    variables = problem.make_variables(thetas)
    optimizer = tf_bdecay.Lamb(0.1, decay.NoDecay(), "all", compile_update=False)
    problem.apply(optimizer, variables, {k: np.ones_like(v) for k, v in thetas.items()})
    assert float(variables[0].numpy()) == pytest.approx(0.9, rel=1e-5)
    assert variables[1].numpy().shape == (0, 3)


def run(optimizer, steps=3):
    variables = problem.make_variables(problem.initial())
    for gradient in problem.gradients(steps):
        problem.apply(optimizer, variables, gradient)
    return dict(zip(problem.SHAPES, (np.array(v.numpy()) for v in variables), strict=True))


@pytest.mark.parametrize(
    "name", ["lars", *(pytest.param(n, marks=pytest.mark.slow) for n in table.CLASSES[1:])]
)
def test_a_multiplier_of_a_half_halves_the_rate_of_these_variables_alone(name):
    """Alone in a block and packed, by role and by path, beside one that is held."""
    given = {"gamma": 0.5, "wide/kernel": 0.5, "conv/kernel": 0.0}
    fixed = decay.FullDecay(0.1)
    found = run(table.make(name, weight_decay=fixed, rate_multipliers=given))
    plain = run(table.make(name, weight_decay=fixed))
    halved = run(table.make(name, learning_rate=0.005, weight_decay=fixed))
    for path, value in found.items():
        if path == "conv/kernel":
            expected = problem.initial()[path].astype("float32")
        else:
            half = path == "wide/kernel" or path.endswith("gamma")
            expected = (halved if half else plain)[path]
        np.testing.assert_array_equal(value, expected, err_msg=path)


def test_multipliers_of_1_change_no_bit():
    ones = {"kernel": 1.0, "norm/.*": 1}
    plain, found = run(made()[0]), run(made(rate_multipliers=ones)[0])
    for path, value in found.items():
        np.testing.assert_array_equal(value, plain[path])


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="one backend is enough")
@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
def test_a_model_that_was_saved_as_hdf5_is_loaded_and_trains_on(tmp_path):
    """Keras' loader of these files builds the optimizer for no variables."""
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(3), layers.BatchNormalization(), layers.Dense(2)]
    )
    optimizer = tf_bdecay.Lamb(
        0.1, tf_bdecay.decay.AdaptiveBetaDecay(), rate_multipliers={".*kernel": 0.5}
    )
    model.compile(optimizer, keras.losses.MeanSquaredError())
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.h5")
    loaded = keras.models.load_model(tmp_path / "model.h5")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    loaded.fit(x, y, verbose=0)
    assert len(loaded.optimizer.roles.pairs) == 1
