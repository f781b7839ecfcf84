"""A program that trains by stock `fit` with Resume, and is killed where its arguments say.

    python resume_script.py FOLDER KIND WHERE

KIND is of the data: arrays, dataset, function, PyDataset, or replicas. WHERE is "end" for no kill;
"update N" for os._exit after N updates of this start; "write N BYTES" for SIGKILL in the middle of
the N-th checkpoint, after so many bytes; "rename N" just before it is given its name; "evaluation"
in the middle of the first evaluation; "any" for none, where somebody else kills it. At the end it
writes the digest of all variables and History to FOLDER/done.
"""

import hashlib
import json
import os
import pathlib
import signal
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

from tests.callbacks.resuming import resumed
from tf_bdecay.callbacks import Resume
from tf_bdecay.callbacks.resuming import run_state
from tf_bdecay.storage import checkpoint_file, files

SEED = 3


class Pairs(keras.utils.PyDataset):
    """The examples in batches of their own order."""

    def __len__(self):
        return resumed.BATCHES

    def __getitem__(self, i):
        return tuple(a[i * resumed.BATCH : (i + 1) * resumed.BATCH] for a in resumed.arrays())


def data_of(resume, kind):
    """What the program gives `fit`."""
    x, y = resumed.arrays()
    if kind == "PyDataset":
        return resume.data(Pairs(), seed=SEED)
    if kind in ("arrays", "replicas"):
        return resume.data(x, y, batch_size=resumed.BATCH, seed=SEED)
    import tensorflow as tf

    single = tf.data.Dataset.from_tensor_slices((x, y))
    if kind == "dataset":
        return resume.data(single.batch(resumed.BATCH).prefetch(2))
    return resume.data(
        lambda epoch: single.shuffle(len(x), seed=epoch).batch(resumed.BATCH).prefetch(2)
    )


def kill():
    """As the system does it: nothing is flushed, nobody is asked."""
    os.kill(os.getpid(), signal.SIGKILL)


class KilledFile:
    """A file whose process is killed after so many bytes."""

    def __init__(self, file, left):
        self._file, self._left = file, left

    def write(self, content):
        content = bytes(content)
        if len(content) >= self._left:
            self._file.write(content[: self._left])
            self._file.flush()
            kill()
        self._left -= len(content)
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)


def killed_writes(number, change):
    """Replaces the writing of checkpoints; the one of this number is changed."""
    atomic, seen = files.atomic_write, []

    def write(path, fill):
        if path.name.startswith("update_"):
            seen.append(path)
            if len(seen) == number:
                return change(path, fill)
        return atomic(path, fill)

    checkpoint_file.atomic_write = write


class Kills(keras.callbacks.Callback):
    """Kills at an update, or inside an evaluation."""

    def __init__(self, update=None, evaluation=False):
        super().__init__()
        self.left, self.evaluation = update, evaluation

    def on_train_batch_end(self, batch, logs=None):
        if self.left is not None:
            self.left -= 1
            if not self.left:
                os._exit(9)

    def on_test_batch_end(self, batch, logs=None):
        if self.evaluation:
            kill()


def armed(where):
    """Prepares the kill; the callbacks for it."""
    what, *numbers = where.split()
    numbers = [int(n) for n in numbers]
    if what == "update":
        return [Kills(*numbers)]
    if what == "evaluation":
        return [Kills(evaluation=True)]
    if what == "write":
        number, size = numbers

        def half(path, fill):
            with open(path.with_name(f".{path.name}.part"), "w+b") as file:
                fill(KilledFile(file, size))

        killed_writes(number, half)
    if what == "rename":

        def unnamed(path, fill):
            with open(path.with_name(f".{path.name}.part"), "w+b") as file:
                fill(file)
            kill()

        killed_writes(numbers[0], unnamed)
    return []


def made(kind):
    """The model, on two replicas where it is asked for: with moving statistics that drift apart."""
    if kind != "replicas":
        return resumed.compiled("lamb")
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    devices = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, devices)
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(8),
                keras.layers.BatchNormalization(),
                keras.layers.Dropout(0.3),
                keras.layers.Dense(3),
            ]
        )
        return resumed.compiled("momentum", model)


def main(folder, kind, where):
    folder = pathlib.Path(folder)
    callbacks, model = armed(where), made(kind)
    stops = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=0.5)
    resume = Resume(folder, every_updates=2, callbacks=[stops])
    history = model.fit(
        data_of(resume, kind), epochs=resumed.EPOCHS, verbose=0, shuffle=False,
        validation_data=resumed.arrays(), callbacks=[*callbacks, stops, resume],
    ).history  # fmt: skip
    found = hashlib.sha256()
    for label, array in sorted(run_state.snapshot(model, metrics=False).items()):
        found.update(label.encode() + np.ascontiguousarray(array).tobytes())
    done = json.dumps({"digest": found.hexdigest(), "history": history})
    (folder / "done").write_text(done)


if __name__ == "__main__":
    main(*sys.argv[1:])
