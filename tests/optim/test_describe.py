"""The table says what the optimizer then does."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_bdecay
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def network():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, name="dense"),
            layers.LayerNormalization(name="norm"),
            layers.Dense(2, name="head"),
        ],
        name="net",
    )


def test_rows():
    rows = {r.variable: r for r in tf_bdecay.describe(network()).rows}
    beta = rows["net/norm/beta"]
    assert (beta.role, beta.partner, beta.decay) == ("beta", "net/norm/gamma", 1.0)
    assert (beta.rule, beta.on, beta.adapted) == ("if r >= 0.1", None, False)
    assert rows["net/norm/gamma"].rule == "never"
    assert rows["net/dense/kernel"].adapted
    assert rows["net/head/bias"].decay == 0.01


def test_fixed_policy_and_adaptation():
    rows = tf_bdecay.describe(network(), decay.FullDecay(0.2), "all").rows
    assert {(r.decay, r.rule, r.on, r.adapted) for r in rows} == {(0.2, "always", True, True)}


def test_every_variable_stands_in_the_printed_table():
    model = network()
    text = str(tf_bdecay.describe(model))
    for variable in model.trainable_variables:
        assert variable.path in text
    assert "6 variables" in text
    assert "1 gamma-beta pairs" in text


def test_the_compiled_optimizer_is_described_with_its_decision():
    model = network()
    policy = decay.AdaptiveBetaDecay(threshold=0.0)
    model.compile(tf_bdecay.Lamb(0.1, policy, compile_update=False), loss="mse")
    assert [r.on for r in tf_bdecay.describe(model).rows if r.role == "beta"] == [None]
    model.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=2, verbose=0)
    assert [r.on for r in tf_bdecay.describe(model).rows if r.role == "beta"] == [True]
    assert "threshold=0.0" in tf_bdecay.describe(model).policy


def test_a_model_that_is_not_built_is_an_error():
    with pytest.raises(BadInput, match="not built"):
        tf_bdecay.describe(keras.Sequential([layers.Dense(2)]))


def test_describing_leaves_the_compiled_optimizer_unbuilt():
    """Under a strategy it must be built in the strategy's scope, which `fit` enters."""
    model = network()
    model.compile(tf_bdecay.Lamb(0.1), loss="mse")
    tf_bdecay.describe(model)
    assert not model.optimizer.built


def test_what_is_not_given_is_the_compiled_optimizers():
    model = network()
    model.compile(tf_bdecay.Lamb(0.1, decay.FullDecay(0.3), roles={"head/bias": "kernel"}))
    rows = tf_bdecay.describe(model, layer_adaptation="kernels").rows
    assert {r.decay for r in rows} == {0.3}
    assert [r.role for r in rows][-1] == "kernel"
    assert rows[-1].adapted


def test_long_names_are_printed_whole():
    name = "a_long_name_" * 15
    model = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(name=name)])
    assert str(tf_bdecay.describe(model)).count(name) == 4  # variable and partner, of two rows


def test_a_beta_that_never_decays_is_said_to():
    policy = decay.AdaptiveBetaDecay(threshold=float("inf"))
    assert "if r" not in str(tf_bdecay.describe(network(), policy)).split("\n", 1)[1]
