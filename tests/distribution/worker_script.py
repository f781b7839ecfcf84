"""A program: one process of a run on many devices, with arguments and result as JSON.

20 updates and evaluations, whose arrays go to the file `out`; then, if `endless`, training until
another worker is lost. With `mixed`, 20 updates in mixed_float16 alone.
"""

import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf

import tf_bdecay
from tests.training import small
from tests.training.step.test_accumulation import trained
from tf_bdecay.distribution import cluster, sharding, strategies, workers
from tf_bdecay.storage import checkpoint_file

EVALUATED = (65, 130, 250)  # 65: the last batch is of one example, so one part of it is empty


def evaluations():
    """Loss and accuracy of untrained weights on sets that batches do not divide.

    The last are those of an update with weights of the classes.
    """
    trainer = small.trainer()
    x, y = small.digits(max(EVALUATED))
    found = []
    for count in EVALUATED:
        data = tf.data.Dataset.from_tensor_slices((x[:count], y[:count])).batch(64)
        data = sharding.cut_for_workers(trainer.distribute_strategy, data)
        result = trainer.evaluate(data, steps=-(-count // 64), verbose=0, return_dict=True)
        found.append([result["loss"], result["accuracy"]])
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(64)
    weights = {label: 1.0 + label for label in range(10)}
    logs = trainer.fit(data, steps_per_epoch=1, class_weight=weights, verbose=0).history
    found.append([logs["loss"][0], logs["accuracy"][0]])
    return np.array(found)


def train(micro_batch_size, dtype):
    """Everything to compare, by name."""
    result = trained(micro_batch_size, dtype)
    arrays = {}
    for name, value in result.items():
        for i, array in enumerate(value if isinstance(value, list) else [value]):
            arrays[f"{name}/{i:04d}"] = np.asarray(array)
    return arrays


def train_mixed():
    """20 updates in mixed_float16, of which one in four overflows in the last replica's part."""
    keras.config.set_dtype_policy("mixed_float16")
    optimizer = tf_bdecay.LossScaleOptimizer(tf_bdecay.Lamb(0.01))
    trainer = small.trainer(optimizer)
    start = small.values(trainer.trainable_variables)
    x, y = small.digits(256)
    weight = np.ones(256, "float32")
    weight[63] = 1e6  # finite in float32; its gradient times the scale is not in float16
    data = tf.data.Dataset.from_tensor_slices((x, y, weight)).batch(64, drop_remainder=True)
    trainer.fit(data.repeat(), steps_per_epoch=4, epochs=5, verbose=0)
    changes = [a - b for a, b in zip(small.values(trainer.trainable_variables), start, strict=True)]
    state = checkpoint_file.snapshot(checkpoint_file.state_of(trainer, optimizer))
    totals = optimizer.inner_optimizer.totals()
    return {
        **state,
        **{f"change/{i}": change for i, change in enumerate(changes)},
        "updates": totals["updates"],
        "skipped": totals["skipped_updates"],
        "scale": optimizer.dynamic_scale.numpy(),
        "computed in": trainer.get_layer("conv_1").compute_dtype,
    }


def train_on():
    """Trains for ever."""
    trainer = small.trainer()
    x, y = small.digits(64)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(64).repeat()

    class Tells(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 5:
                print("training", flush=True)

    trainer.fit(data, steps_per_epoch=10**9, callbacks=[Tells()], verbose=0)


def main(
    strategy, out, micro_batch_size=None, dtype="float32", devices=2, endless=False, mixed=False
):
    """Runs under a strategy."""
    of = cluster.from_environment(os.environ["TF_CONFIG"]) if strategy == "multi_worker" else None
    if of:
        workers.rendezvous(of, of.bind(), {"dtype": dtype}, 60)
    made = strategies.make(strategy, logical_devices=devices if strategy == "mirrored" else 0)
    with workers.peer_errors(of), strategies.scope(made):
        if mixed:
            np.savez(out, **train_mixed())
            return
        # Evaluated first: it builds the variables of metrics, which the other network has too.
        found = {"evaluated": evaluations()} if strategy != "mirrored" else {}
        np.savez(out, **train(micro_batch_size, dtype), **found)
        if endless:
            train_on()


if __name__ == "__main__":
    code = 0
    try:
        main(**json.loads(sys.argv[1]))
    except workers.WorkerLost as error:
        print(error, flush=True)
        code = workers.LOST
    except BaseException:
        import traceback

        traceback.print_exc()
        code = 1
    workers.end(code)
