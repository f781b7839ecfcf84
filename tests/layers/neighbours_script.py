"""A program of its own, because a process can have only one strategy.

Ghost batches on as many replicas as its argument says; prints what came of it as JSON.
"""

import functools
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tf_bdecay
from tf_bdecay.callbacks import GradientNoiseScale, precise_statistics
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization

REPLICAS = 4
GAMMA, BETA = [0.5, 2.0], [0.1, -0.3]
# name: ghost batch, axis, layer's arguments, data's dtype, batch
CASES = {
    "a ghost batch of two replicas": (8, -1, {}, "float64", 16),
    "a ghost batch of all replicas": (16, -1, {}, "float64", 16),
    "channels in between": (8, 1, {}, "float64", 16),
    "the smaller are whole ones here": (8, -1, {"partial": "smaller"}, "float64", 16),
    "no gamma, no beta": (8, -1, {"center": False, "scale": False}, "float64", 16),
    "one example a replica": (2, -1, {}, "float64", 4),
    "float32": (8, -1, {}, "float32", 16),
    "bfloat16": (8, -1, {"dtype": "mixed_bfloat16"}, "bfloat16", 16),
}
REFUSED = {"no whole number of replicas": (10, 16), "replicas left over": (12, 16)}


@functools.cache  # two of them would collide
def strategy_of(replicas):
    if replicas == 1:
        return tf.distribute.get_strategy()
    return tf.distribute.MirroredStrategy([f"CPU:{i}" for i in range(replicas)])


def inputs(axis, batch):
    shape = [batch, 3, 3, 3]
    shape[axis] = 2
    return np.random.default_rng(0).normal(1.0, 2.0, shape) + np.arange(batch).reshape(-1, 1, 1, 1)


def shares(strategy, x):
    """x, cut for the replicas."""
    size = len(x) // strategy.num_replicas_in_sync

    def part(context):
        begin = context.replica_id_in_sync_group * size
        return tf.constant(x[begin : begin + size])

    return strategy.experimental_distribute_values_from_function(part)


def passed(ghost, axis, arguments, dtype, batch):
    """Outputs, gradients, products with the Hessian, moving statistics; all of all replicas."""
    strategy = strategy_of(REPLICAS)
    x = inputs(axis, batch)
    with strategy.scope():
        arguments = {"dtype": dtype, "momentum": 0.0, "epsilon": 1e-5, "axis": axis, **arguments}
        layer = GhostBatchNormalization(ghost, **arguments)
        layer.build((None, *x.shape[1:]))
        for variable, value in ((layer.gamma, GAMMA), (layer.beta, BETA)):
            if variable is not None:
                variable.assign(value)

    def step(x):
        x = tf.cast(x, dtype)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = layer(x, training=True)
                loss = tf.reduce_sum(tf.sin(y))
            found = tape.gradient(loss, [x, *[v.value for v in layer.trainable_variables]])
            along = tf.reduce_sum(tf.square(found[0]))
        return y, found[0], outer.gradient(along, x), found[1:]

    y, dx, second, parameters = tf.function(lambda v: strategy.run(step, (v,)))(shares(strategy, x))
    local = strategy.experimental_local_results

    def joined(values):
        return np.concatenate([np.asarray(v, "float64") for v in local(values)]).tolist()

    return {
        "y": joined(y),
        "dx": joined(dx),
        "second": joined(second),
        "parameters": [
            sum(np.asarray(v, "float64") for v in local(p)).tolist() for p in parameters
        ],
        "moving": [[c.numpy().tolist() for c in local(v.value)] for v in layer.variables[-2:]],
    }


def trained(replicas):
    """Weights of a network with two such layers before and after a `fit`, and its statistics."""
    model, (x, y) = network(replicas)
    start = [w.tolist() for w in model.get_weights()]
    model.fit(x, y, batch_size=16, epochs=2, shuffle=False, verbose=0)
    found = precise_statistics(model, x, batch_size=16).values
    return {
        "start": start,
        "end": [w.tolist() for w in model.get_weights()],
        "precise": [value.tolist() for _, value in found],
    }


def network(replicas):
    """A compiled network, and data for it."""
    strategy = strategy_of(replicas)
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, (48, 4, 4, 3)) + np.arange(48)[:, None, None, None]
    y = rng.normal(size=(48, 2))
    with strategy.scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.layers.Conv2D(5, 3, use_bias=False),
                GhostBatchNormalization(8, momentum=0.5),
                keras.layers.Activation("tanh"),
                keras.layers.Conv2D(5, 2, use_bias=False),
                GhostBatchNormalization(4),
                keras.layers.Flatten(),
                keras.layers.Dense(2),
            ]
        )
        model.build((None, 4, 4, 3))
        model.compile(optimizer=keras.optimizers.SGD(0.1), loss="mse")
    return model, (x, y)


def noise():
    """The sentence that GradientNoiseScale has for it."""
    model, data = network(REPLICAS)
    with strategy_of(REPLICAS).scope():
        model = tf_bdecay.Trainer.of(model)
        model.compile(tf_bdecay.Lamb(0.01, gradient_norms=True), "mse")
    try:
        model.fit(*data, batch_size=16, verbose=0, callbacks=[GradientNoiseScale()])
    except BadInput as error:
        return str(error)
    return None


def refusal(ghost, batch):
    """The sentence that a batch gets."""
    strategy = strategy_of(REPLICAS)
    x = inputs(-1, batch)
    with strategy.scope():
        layer = GhostBatchNormalization(ghost)
        layer.build((None, 3, 3, 2))
    call = tf.function(
        lambda v: strategy.run(lambda t: layer(t, training=True), (v,)), autograph=False
    )
    try:
        call(shares(strategy, x))
    except BadInput as error:
        return str(error)
    return None


def outside():
    """The sentence that a batch gets outside of the replicas."""
    with strategy_of(REPLICAS).scope():
        try:
            GhostBatchNormalization(8)(inputs(-1, 4), training=True)
        except BadInput as error:
            return str(error)
    return None


def main():
    cpu, one = tf.config.list_physical_devices("CPU")[0], tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * REPLICAS)
    found = {name: passed(*case) for name, case in CASES.items()}
    found |= {name: refusal(*case) for name, case in REFUSED.items()}
    found |= {"one device": trained(1), "four replicas": trained(REPLICAS), "outside": outside()}
    found["noise"] = noise()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
