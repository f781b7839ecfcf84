"""Small networks for rescaling: one for every way from a unit to the next kernel."""

import keras
import numpy as np
from keras import layers, ops

from tf_bdecay.layers import GhostBatchNormalization

CLASSES = 3
IMAGE = (6, 6, 2)


def randomized(model, seed=0):
    """Every weight random; moving statistics too, so that normalizations shift and scale."""
    rng = np.random.default_rng(seed)
    for v in model.weights:
        positive = v.path.endswith(("gamma", "scale", "moving_variance"))
        v.assign(rng.uniform(0.5, 1.5, v.shape) if positive else rng.normal(0, 0.5, v.shape))
    return model


def inputs_of(model, n=16):
    return np.random.default_rng(1).normal(size=(n, *model.input_shape[1:]))


def outputs_of(model):
    return ops.convert_to_numpy(model(inputs_of(model), training=False))


# Random networks, of steps drawn by the test.


def normalization(kind):
    if kind == "ghost":
        return GhostBatchNormalization(ghost_batch_size=2)
    if kind == "group":
        return layers.GroupNormalization(groups=-1)
    return {"batch": layers.BatchNormalization, "layer": layers.LayerNormalization}[kind]()


def step(x, kind, *arguments):
    if kind == "conv":
        filters, size, activation = arguments
        return layers.Conv2D(filters, size, padding="same", activation=activation)(x)
    if kind == "norm":
        filters, name = arguments
        x = layers.Conv2D(filters, 2, padding="same", use_bias=False)(x)
        return layers.ReLU()(normalization(name)(x))
    if kind == "residual":
        y = layers.Conv2D(3, 3, padding="same", use_bias=False)(x)
        y = layers.ReLU()(normalization(arguments[0])(y))
        y = normalization(arguments[0])(layers.Conv2D(x.shape[-1], 3, padding="same")(y))
        return layers.ReLU()(layers.Add()([x, y]))
    return {
        "max": lambda: layers.MaxPooling2D(2, 1, padding="same"),
        "average": lambda: layers.AveragePooling2D(2, 1, padding="same"),
        "dropout": lambda: layers.Dropout(0.5),
    }[kind]()(x)


def network(steps, flat):
    x = inputs = keras.Input(IMAGE)
    for arguments in steps:
        x = step(x, *arguments)
    x = layers.Flatten()(x) if flat else layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(5, activation="relu", name="hidden")(x)
    return randomized(keras.Model(inputs, layers.Dense(CLASSES)(x)))


# Networks with one thing each on the way from unit to kernel, and the layers that can be rescaled.


def sequential(*steps, shape=IMAGE):
    return keras.Sequential([keras.Input(shape), *steps])


def between(*steps, shape=IMAGE):
    """A convolution `a`, some steps, a dense layer."""
    conv = layers.Conv2D if len(shape) == 3 else layers.Conv1D
    first = conv(4, 3, padding="same", name="a")
    return sequential(first, *steps, layers.Dense(CLASSES), shape=shape)


def branches():
    x = inputs = keras.Input(IMAGE)
    x = layers.Conv2D(4, 3, name="a")(x)
    x = layers.LeakyReLU()(x)
    one = layers.Conv2D(3, 1, activation="relu", name="b")(x)
    two = layers.MaxPooling2D(2, 1, padding="same")(layers.ReLU()(x))
    joined = layers.Concatenate()([one, two, x, two])
    x = layers.Conv2D(2, 2, name="c", activation="leaky_relu")(joined)
    pooled = ops.concatenate([layers.GlobalMaxPooling2D()(x), layers.Flatten()(x)], axis=-1)
    return keras.Model(inputs, layers.Dense(CLASSES, name="d")(pooled))


def plain_operations():
    x = inputs = keras.Input((5,))
    x = ops.relu(layers.Dense(4, name="a")(x))
    x = keras.activations.relu(layers.Dense(4, name="b")(x), negative_slope=0.3)
    x = ops.leaky_relu(layers.Dense(4, name="c")(x), negative_slope=0.1)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def nested():
    """Models within the model; `twice` has no weights, and its two calls must be distinguished."""
    twice = keras.Sequential([keras.Input((4, 4, 4)), layers.ReLU(), layers.AveragePooling2D(2)])
    inside = keras.Input((2, 2, 4))
    block = layers.ReLU()(layers.Conv2D(3, 1, name="inner")(inside))
    block = keras.Model(inside, [block, layers.ReLU()(inside)], name="block")
    x = inputs = keras.Input(IMAGE)
    one = layers.Conv2D(4, 3, name="one")(x)
    two = layers.Conv2D(4, 3, name="two")(x)
    two = layers.Conv2D(2, 1, name="three")(twice(two))
    inner, same = block(twice(one))
    x = layers.Concatenate()([layers.Flatten()(part) for part in (inner, same, two)])
    head = [keras.Input((36,)), layers.Dense(3, name="hidden"), layers.ReLU()]
    x = keras.Sequential(head, name="head")(x)
    return keras.Model(inputs, layers.Dense(CLASSES)(x))


def shared_with_another_model():
    """A model whose layers two other models use too, as a trainer's may be."""
    model = between(layers.ReLU(), layers.Flatten())
    first, inputs = model.layers[0], model.inputs[0]
    keras.Model(inputs, first.output)
    keras.Model(inputs, layers.Activation("tanh")(first.output))
    return keras.Model(inputs, model.outputs[0])


def norm(kind, **kwargs):
    return lambda: between(kind(name="n", **kwargs), layers.ReLU(), layers.Flatten())


NETWORKS = {
    "flatten": (lambda: between(layers.Flatten()), "a"),
    "flatten, transposing": (lambda: between(layers.Flatten(data_format="channels_first")), "a"),
    "permute, reshape": (
        lambda: between(layers.Permute((3, 1, 2)), layers.Reshape((4, 36)), layers.Flatten()),
        "a",
    ),
    "reshape to several": (lambda: between(layers.Reshape((12, 12)), layers.Flatten()), "a"),
    "reshape to channels": (
        lambda: between(layers.GlobalMaxPooling2D(), layers.Reshape((1, 1, 4)), layers.Flatten()),
        "a",
    ),
    "one channel": (
        lambda: sequential(
            layers.Conv2D(1, 3, name="a"), layers.Reshape((16,)), layers.Dense(CLASSES)
        ),
        "a",
    ),
    "global pool": (lambda: between(layers.GlobalAveragePooling2D()), "a"),
    "global pool, kept": (
        lambda: between(layers.GlobalMaxPooling2D(keepdims=True), layers.Flatten()),
        "a",
    ),
    "over positions": (
        lambda: between(
            layers.ZeroPadding2D(2),
            layers.Cropping2D(1),
            layers.UpSampling2D(2),
            layers.AveragePooling2D(2, padding="same"),
            layers.SpatialDropout2D(0.5),
            layers.Flatten(),
        ),
        "a",
    ),
    "elementwise": (
        lambda: between(
            layers.LeakyReLU(),
            layers.Activation("leaky_relu"),
            layers.Activation(layers.ReLU(negative_slope=0.1)),
            layers.Identity(),
            layers.GaussianDropout(0.5),
            layers.GlobalAveragePooling2D(),
        ),
        "a",
    ),
    "one dimension": (
        lambda: between(
            layers.MaxPooling1D(2),
            layers.UpSampling1D(2),
            layers.Conv1D(3, 2, padding="causal", name="b"),
            layers.GlobalAveragePooling1D(),
            shape=(6, 2),
        ),
        "ab",
    ),
    "dense on positions": (
        lambda: between(layers.Dense(3, "relu", name="b"), layers.Flatten()),
        "ab",
    ),
    "batch norm": (norm(layers.BatchNormalization), "n"),
    "ghost norm": (norm(GhostBatchNormalization, ghost_batch_size=2), "n"),
    "no beta": (norm(layers.BatchNormalization, center=False), "n"),
    "layer norm": (norm(layers.LayerNormalization), "n"),
    "group norm": (norm(layers.GroupNormalization, groups=2), "n"),
    "rms norm": (norm(layers.RMSNormalization), "n"),
    "branches": (branches, "abc"),
    "plain operations": (plain_operations, "abc"),
    "nested": (nested, ["one", "block/inner", "three", "two", "head/hidden"]),
    "shared with another model": (shared_with_another_model, "a"),
}
