"""Small networks of every kind, with their data and dense matrices to compare with."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from tf_bdecay.frameworks import quirks
from tf_bdecay.layers import GhostBatchNormalization

CLASSES, EXAMPLES = 3, 11


def crossentropy(y, logits):
    return keras.losses.sparse_categorical_crossentropy(y, logits, from_logits=True)


def randomized(model, seed=0):
    """Every variable away from its initial value: betas from 0, moving statistics too."""
    rng = np.random.default_rng(seed)
    for v in model.weights:
        positive = v.path.endswith(("gamma", "moving_variance"))
        v.assign(rng.uniform(0.5, 1.5, v.shape) if positive else rng.normal(0, 0.5, v.shape))
    return model


def dense():
    return randomized(
        keras.Sequential(
            [
                keras.Input((4,)),
                layers.Dense(5, activation="tanh", name="hidden"),
                layers.Dense(CLASSES, name="fc"),
            ]
        )
    )


def convolutional(normalization=layers.BatchNormalization, regularizer=None, **kwargs):
    return randomized(
        keras.Sequential(
            [
                keras.Input((5, 5, 2)),
                layers.Conv2D(3, 3, use_bias=False, name="conv"),
                normalization(name="norm", **kwargs),
                layers.Activation("tanh"),
                layers.Flatten(),
                layers.Dense(CLASSES, name="fc", kernel_regularizer=regularizer),
            ]
        )
    )


def ghost():
    return convolutional(GhostBatchNormalization, ghost_batch_size=EXAMPLES)


def residual():
    """A sum of two paths, a layer normalization, a ReLU and a pool."""
    inputs = keras.Input((4, 4, 2))
    x = path = layers.Conv2D(3, 3, padding="same", name="conv1")(inputs)
    x = layers.LayerNormalization(name="norm")(x)
    x = layers.Conv2D(3, 3, padding="same", name="conv2")(keras.ops.tanh(x))
    x = layers.ReLU()(x + path)
    x = layers.GlobalAveragePooling2D()(layers.MaxPooling2D()(x))
    return randomized(keras.Model(inputs, layers.Dense(CLASSES, name="fc")(x)))


def transformer():
    x = inputs = keras.Input((4, 6))
    x = layers.LayerNormalization(name="norm1")(x)
    x = x + layers.MultiHeadAttention(2, 3, dropout=0.1)(x, x)
    x = layers.LayerNormalization(name="norm2")(x)
    x = layers.GlobalAveragePooling1D()(x)
    x = layers.Dropout(0.5)(x)
    return randomized(keras.Model(inputs, layers.Dense(CLASSES)(x)))


def examples_for(model, n=EXAMPLES, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *model.input_shape[1:])), rng.integers(0, CLASSES, n)


def parameters(model):
    """All trainable variables, flattened and joined."""
    return np.concatenate([v.numpy().reshape(-1) for v in model.trainable_variables])


def jacobian(model, function):
    """float64 matrix [values, parameters] of a function's derivative, by plain TensorFlow."""
    with tf.GradientTape(persistent=True) as tape:
        values = tf.reshape(function(), [-1])
    rows = tape.jacobian(
        values,
        [v.value for v in model.trainable_variables],
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
        experimental_use_pfor=False,
    )
    return np.concatenate([r.numpy().reshape(r.shape[0], -1) for r in rows], axis=1)


def dense_hessian(model, x, y, training=False):
    """Hessian of the mean loss by a Jacobian of the gradient.

    That its moments are right is shown by finite differences, in curvature/test_operator.py.
    """
    variables = [v.value for v in model.trainable_variables]

    def gradient():
        with tf.GradientTape() as tape, quirks.twice_differentiable_moments():
            mean = tf.reduce_mean(crossentropy(y, model(x, training=training)))
        gradients = tape.gradient(
            mean, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)

    return jacobian(model, gradient)


def bytes_of(*owners):
    return [v.numpy().tobytes() for owner in owners for v in owner.variables]
