"""A program of its own, because a process can have only one MirroredStrategy.

Trains with dropout on two replicas, goes on from a checkpoint, and prints what was seen as JSON.
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import tensorflow as tf

from tests.training import small
from tf_bdecay.distribution import strategies
from tf_bdecay.storage import checkpoint_file

BATCH, UPDATES = 64, 3


def fitted(trainer):
    """The trainer after some more updates on the same batches."""
    x, y = small.digits(BATCH * UPDATES)
    data = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH, drop_remainder=True)
    trainer.fit(data, verbose=0)
    return trainer


def state_of(trainer):
    """Its variables, by label."""
    return checkpoint_file.state_of(trainer, trainer.optimizer)


def observed(strategy, micro_batch_size, path):
    """What two replicas did with their seeds, and how a resumed run ends."""

    def trainer():
        with strategy.scope():
            return small.trainer(dropout=0.5, micro_batch_size=micro_batch_size)

    def copies(variable):
        return strategy.experimental_local_results(variable.value)

    def last(trainer):
        return {
            label: a.tobytes() for label, a in checkpoint_file.snapshot(state_of(trainer)).items()
        }

    whole = fitted(trainer())
    (seed,) = (v for label, v in state_of(whole).items() if "seed" in label)
    found = {"seeds": [copy.numpy().tolist() for copy in copies(seed)]}
    checkpoint_file.write(path, checkpoint_file.snapshot(state_of(whole)), {})
    fitted(whole)
    resumed = trainer()
    checkpoint_file.assign(path, checkpoint_file.read(path)[0], state_of(resumed))
    fitted(resumed)
    found["differ"] = [n for n, value in last(whole).items() if last(resumed)[n] != value]
    found["apart"] = [
        label
        for label, variable in state_of(resumed).items()
        if len({copy.numpy().tobytes() for copy in copies(variable)}) > 1
    ]
    (layer,) = (n for n in resumed.layers if n.name.startswith("dropout"))
    masks = strategy.run(tf.function(lambda: layer(tf.ones([4, 8]), training=True)))
    masks = [mask.numpy() for mask in strategy.experimental_local_results(masks)]
    found["dropped"] = float((masks[0] == 0).mean())
    found["same masks"] = bool((masks[0] == masks[1]).all())
    return found


if __name__ == "__main__":
    made = strategies.make("mirrored", logical_devices=2)
    print(json.dumps([observed(made, size, sys.argv[1]) for size in (None, 16)]))
