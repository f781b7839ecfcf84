"""Where definitions coincide, `fit` ends as with Keras' own optimizers, which are the oracle.

Networks are smooth, and no bias stands before a normalization: its gradient is rounding alone, and
LAMB makes large steps of it.
"""

import keras
import numpy as np
import pytest
from keras import layers

import tf_bdecay
from tf_bdecay import decay

NO_DECAY = {"weight_decay": decay.NoDecay()}
RATE = keras.optimizers.schedules.CosineDecay(0.05, 12)

# Name -> (ours, Keras' own), of the arguments that both take.
OPTIMIZERS = {
    "sgd": (
        lambda **a: tf_bdecay.SGD(RATE, momentum=0.0, **NO_DECAY, **a),
        lambda **a: keras.optimizers.SGD(RATE, **a),
    ),
    "momentum": (
        lambda **a: tf_bdecay.SGD(0.05, **NO_DECAY, **a),
        lambda **a: keras.optimizers.SGD(0.05, momentum=0.9, **a),
    ),
    "nesterov": (
        lambda **a: tf_bdecay.SGD(0.05, nesterov=True, **NO_DECAY, **a),
        lambda **a: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, **a),
    ),
    "lamb": (
        lambda **a: tf_bdecay.Lamb(RATE, layer_adaptation="all", epsilon=1e-4, **NO_DECAY, **a),
        lambda **a: keras.optimizers.Lamb(RATE, epsilon=1e-4, **a),
    ),
    "adamw": (
        lambda **a: tf_bdecay.AdamW(RATE, decay.NoBiasDecay(0.3), **a),
        lambda **a: kernels_only(keras.optimizers.AdamW(RATE, 0.3, epsilon=1e-8, **a)),
    ),
}


def kernels_only(optimizer):
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def dense():
    inputs = x = keras.Input((6,))
    for n in range(2):
        x = layers.Dense(8, use_bias=False, name=f"dense{n}")(x)
        x = keras.ops.tanh(layers.LayerNormalization(name=f"norm{n}")(x))
    return keras.Model(inputs, layers.Dense(3, name="head", dtype="float32")(x))


def dictionaries():
    """Two inputs by name, three outputs by name, one of which no loss is asked for."""
    a, b = keras.Input((6,), name="a"), keras.Input((6,), name="b")
    x = layers.Dense(8, activation="tanh", name="both")(layers.concatenate([a, b]))
    outputs = {name: layers.Dense(3, name=name)(x) for name in ("p", "q", "idle")}
    return keras.Model({"a": a, "b": b}, outputs)


def recurrent():
    inputs = keras.Input((6,))
    x = layers.LSTM(4, return_sequences=True)(layers.Reshape((6, 1))(inputs))
    return keras.Model(inputs, layers.Dense(3)(layers.GRU(4)(x)))


def tokens():
    inputs = keras.Input((6,), dtype="int32")
    x = layers.Embedding(9, 5, mask_zero=True)(inputs)
    return keras.Model(inputs, layers.Dense(3)(layers.SimpleRNN(4)(x)))


def data(make, n=32):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 6)).astype("float32"), rng.normal(size=(n, 3)).astype("float32")
    if make is tokens:
        return rng.integers(0, 9, (n, 6)), y
    if make is dictionaries:
        return {"a": x, "b": x[::-1].copy()}, {"p": y, "q": 2 * y}
    return x, y


def trained(optimizer, make=dense, frozen=(), epochs=2):
    """The change of the weights and the losses of a `fit`, or of one and another with less."""
    keras.utils.set_random_seed(3)
    model = make()
    before = [np.array(w.numpy(), "float64") for w in model.trainable_variables]
    variables = model.trainable_variables
    x, y = data(make)
    loss = {"p": "mse", "q": "mae"} if make is dictionaries else "mse"
    eager = keras.backend.backend() == "tensorflow"  # quicker than to trace
    losses = []
    for layers_off in ((), *([frozen] if frozen else [])):
        for name in layers_off:
            model.get_layer(name).trainable = False
        model.compile(optimizer, loss, run_eagerly=eager, jit_compile=False)
        fitted = model.fit(x, y, batch_size=8, epochs=epochs, shuffle=False, verbose=0)
        losses += fitted.history["loss"]
    return [v.numpy() - old for v, old in zip(variables, before, strict=True)], losses


def assert_like_keras(name, *, tolerance=1e-3, arguments=None, **how):
    ours, theirs = (made(**(arguments or {})) for made in OPTIMIZERS[name])
    found, losses = trained(ours, **how)
    expected, expected_losses = trained(theirs, **how)
    np.testing.assert_allclose(losses, expected_losses, rtol=tolerance)
    for a, b in zip(found, expected, strict=True):
        assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b)
    assert np.isfinite(losses).all() and any(np.abs(b).max() > 1e-3 for b in expected)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n in ("sgd", "adamw") else n for n in OPTIMIZERS],
)
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"use_ema": True, "ema_momentum": 0.7},
        {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3},
        {"loss_scale_factor": 64.0},
        {"global_clipnorm": 0.1},
    ],
    ids=lambda a: "+".join(a) or "plain",
)
@pytest.mark.quick_rows(3)
def test_arguments(name, arguments):
    assert_like_keras(name, arguments=arguments)


@pytest.mark.parametrize("name", ["momentum", "lamb"])
@pytest.mark.parametrize("frozen", [("dense0", "norm0"), ("norm1",), ("head",)], ids=str)
@pytest.mark.quick_rows(1)
def test_layers_frozen_between_fits(name, frozen):
    assert_like_keras(name, frozen=frozen)


@pytest.mark.parametrize("name", ["momentum", "lamb"])
@pytest.mark.filterwarnings("ignore:Gradients do not exist")
def test_dictionaries_of_inputs_and_outputs(name):
    assert_like_keras(name, make=dictionaries)


@pytest.mark.parametrize("name", ["momentum", "lamb"])
@pytest.mark.quick_rows(1)
def test_recurrent_layers(name):
    assert_like_keras(name, make=recurrent)


def test_an_embedding_of_repeated_tokens():
    """Not Keras' LAMB: of a row that comes twice it squares each part, and not their sum."""
    assert_like_keras("momentum", make=tokens)


@pytest.mark.parametrize("name", ["momentum", "lamb"])
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
@pytest.mark.quick_rows(1)
def test_mixed_precision(name, policy):
    """Half precision rounds either way at a last bit: more updates, more of it."""
    keras.config.set_dtype_policy(policy)
    assert_like_keras(name, epochs=1, tolerance=3e-2)
