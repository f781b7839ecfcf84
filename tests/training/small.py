"""A small network with ghost batch normalization and dropout, and digits, for these tests."""

import keras
from sklearn.datasets import load_digits

import tf_bdecay
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.training.building.losses import SmoothedCrossentropy
from tf_bdecay.training.step.trainer import Trainer


def digits(count=256):
    """Standardised images [count, 8, 8, 1] and labels [count]."""
    bunch = load_digits()
    x = (bunch.images[:count, ..., None] / 16 - 0.3).astype("float32")
    return x, bunch.target[:count].astype("int64")


def network(dropout=0.0, classes=10, width=8, **normalization):
    """Two convolutions, each with ghost batch normalization, and a dense layer."""
    inputs = x = keras.Input((8, 8, 1))
    for i in (1, 2):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv_{i}")(x)
        x = GhostBatchNormalization(16, momentum=0.9, name=f"norm_{i}", **normalization)(x)
        x = keras.layers.Activation("tanh")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    if dropout:
        x = keras.layers.Dropout(dropout, seed=1)(x)
    return keras.Model(inputs, keras.layers.Dense(classes, name="head")(x))


def trainer(optimizer=None, dropout=0.0, seed=0, **compile_arguments):
    """The network as a compiled `Trainer`, its optimizer built."""
    keras.utils.set_random_seed(seed)
    model = network(dropout)
    made = Trainer(model.input, model.output)
    made.compile(
        optimizer=optimizer or tf_bdecay.Lamb(0.01),
        loss=SmoothedCrossentropy(),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        jit_compile=False,
        **compile_arguments,
    )
    made.optimizer.build(made)
    return made


def values(variables):
    """NumPy copies of variables."""
    return [v.numpy() for v in variables]


def fit(made, callbacks, epochs=3, x=None, **arguments):
    """Keras' `fit` on the digits, in order and without a word."""
    images, y = digits()
    images = images if x is None else x
    return made.fit(
        images, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0, callbacks=callbacks,
        **arguments,
    )  # fmt: skip
