"""Runs TensorFlow Addons' LAMB on the cases, in an environment that has Addons.

    python lamb_addons.py OUT.npz

This writes the change of every parameter in every case, in float64 and float32.
"""

import functools
import sys
import warnings

import lamb_cases

warnings.filterwarnings("ignore")  # Addons' notice that its development has ended

import tensorflow as tf
import tensorflow_addons as tfa


def changes(case, dtype):
    """The change of every parameter after all updates of a case."""
    parameters, gradients = lamb_cases.arrays()
    variables = {k: tf.Variable(v.astype(dtype), name=k) for k, v in parameters.items()}
    without_decay, not_adapted = lamb_cases.excluded(case)
    optimizer = tfa.optimizers.LAMB(
        lamb_cases.RATE,
        weight_decay=lamb_cases.weight(case),
        exclude_from_weight_decay=list(without_decay),
        # An empty list would mean "the same as those excluded from decay".
        exclude_from_layer_adaptation=list(not_adapted) or ["nothing at all"],
    )
    # Addons would keep a plain number in float32, which alone makes a difference of 5e-8.
    for name, value in {
        "beta_1": 0.9,
        "beta_2": 0.999,
        "weight_decay": lamb_cases.weight(case),
    }.items():
        optimizer._set_hyper(name, functools.partial(tf.constant, value, dtype))
    for t in range(lamb_cases.UPDATES):
        optimizer.apply_gradients(
            (tf.constant(gradients[k][t].astype(dtype)), v) for k, v in variables.items()
        )
    return {k: v.numpy() - parameters[k] for k, v in variables.items()}


if __name__ == "__main__":
    lamb_cases.write(sys.argv[1], changes)
