"""Shared by the tests of the command: a saved model, its data, and the flags that name them."""

import json
import re
import signal

import keras
import numpy as np

from tests.sharpness.networks import convolutional, examples_for

EXAMPLES = 40
SMALL = ["--probes=6", "--steps=5", "--batch_size=10"]


def loss():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def saved(path, model=None, **compile_arguments):
    model = model or convolutional()
    model.compile("adam", **{"loss": loss(), **compile_arguments})
    model.save(path)
    return model


def named_files(folder):
    """(model, x, y, arguments): a saved model and data in a folder, and the flags for them."""
    model = saved(folder / "net.keras")
    x, y = examples_for(model, EXAMPLES)
    x = x.astype("float32")
    np.savez(folder / "data.npz", x=x, y=y)
    return model, x, y, [f"--model={folder / 'net.keras'}", f"--data={folder / 'data.npz'}", *SMALL]


def numbers(out):
    """result.json without what the clock says."""
    result = json.loads((out / "result.json").read_text())
    for each in result["measures"].values():
        each.pop("seconds")
    return result


def contents(path):
    return {p: p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file()}


def permuted(*arrays):
    order = np.random.default_rng(0).permutation(len(arrays[0]))
    return [a[order] for a in arrays]


class InterruptsAt:
    """A stream that sends this process a signal when a line matches a pattern."""

    def __init__(self, pattern, number=signal.SIGINT):
        self.pattern, self.number, self.text = pattern, number, ""

    def write(self, text):
        self.text += text
        if self.pattern and re.match(self.pattern, self.text.splitlines()[-1]):
            self.pattern = None
            signal.raise_signal(self.number)

    def flush(self):
        pass
