"""Whole updates of ResNet18 in `fit`, compared with plain Keras (BatchNormalization and Lamb).

A call is 10 updates, for which ours writes one summary. The first call is one update, or one host
call where that is 10 updates. Every case runs in a process of its own, on one batch that stays in
memory. Under JAX the batches are sized for an accelerator, and ours writes no summaries, because
these need TensorFlow.
"""

import functools
import itertools
import pathlib
import tempfile
import threading

import keras

from tools.benchmarks.processes import Case
from tools.benchmarks.timing import Goal, interleave

_JAX = keras.backend.backend() == "jax"
# (width, batch size, dtype policy, number of timed calls at most)
PROBLEMS = {"width16": (16, 256, "float32", 4), "width64": (64, 128, "float32", 2)}
if _JAX:
    PROBLEMS = {
        "width16": (16, 8192, "float32", 20),
        "width64": (64, 1024, "float32", 20),
        "width64_bfloat16": (64, 4096, "mixed_bfloat16", 20),
    }
UPDATES = 10

_PLAIN, _OURS = "Keras: BatchNormalization, Lamb", "tf_bdecay: ghost, adaptive, summaries, progress"
_SILENT = "tf_bdecay, no summaries, no progress"
CASES = {
    _PLAIN: {"ours": False},
    _OURS: {"ours": True},
    _SILENT: {"ours": True, "silent": True},
    f"{_SILENT}, {UPDATES} updates a host call": {"ours": True, "silent": True, "steps": UPDATES},
    "Keras, jit_compile": {"ours": False, "jit": True},
    f"{_SILENT}, jit_compile": {"ours": True, "silent": True, "jit": True},
}


def _name(problem):
    width, batch, policy, _ = PROBLEMS[problem]
    precision = "" if policy == "float32" else f", {policy}"
    return f"{UPDATES} updates of ResNet18, width {width}, batch {batch}{precision}"


GOALS = (
    Goal("train step, width 16", _name("width16"), _OURS, _PLAIN, 0.82),
    Goal("train step, width 64", _name("width64"), _OURS, _PLAIN, 0.9),
    Goal("summaries and progress", _name("width16"), _OURS, _SILENT, 1.01),
)


def run(problems, repeats):
    """Rows for each problem; the reference is plain Keras."""
    rows = []
    for problem in problems:
        width, batch, policy, most = PROBLEMS[problem]
        names = CASES
        if _JAX or width > 16:
            names = [_PLAIN, _SILENT if _JAX else _OURS]
        shared = {"width": width, "batch": batch, "policy": policy}
        cases = {name: Case("train_step", {**shared, **CASES[name]}) for name in names}
        rows += interleave(_name(problem), cases, min(repeats, most))
        for case in cases.values():
            case.close()
    return rows


def serve_case(width, batch, policy, ours, silent=False, jit=False, steps=1):
    """A function that lets a `fit`, which runs in a thread, do its next updates."""
    keras.config.set_dtype_policy(policy)
    gate = _Gate(steps)
    compiled = {
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "metrics": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        "jit_compile": jit or _JAX,
        "steps_per_execution": steps,
    }
    model, watchers = (_ours if ours else _plain)(width, batch, compiled, silent)
    fit = functools.partial(
        model.fit,
        _endless(batch),
        steps_per_epoch=10**6,
        callbacks=[*watchers, gate.callback()],
        shuffle=False,
        verbose=0,
    )
    threading.Thread(target=fit, daemon=True).start()
    return gate.let_through


def _endless(batch):
    """One batch over and over, in a form that `fit` takes without copying it."""
    images = keras.random.uniform((batch, 32, 32, 3), seed=0)
    labels = keras.random.randint((batch,), 0, 10, seed=1)
    if _JAX:
        return (pair for pair in itertools.repeat((images, labels)))
    import tensorflow as tf

    return tf.data.Dataset.from_tensors((images, labels)).repeat()


def _plain(width, batch, compiled, silent):
    from tools.benchmarks import plain_keras

    model = plain_keras.resnet18((32, 32, 3), 10, width)
    model.compile(keras.optimizers.Lamb(1e-3, weight_decay=0.01), **compiled)
    return model, []


def _ours(width, batch, compiled, silent):
    import tf_bdecay

    model = tf_bdecay.models.resnet18(width=width)
    if not _JAX:
        model = tf_bdecay.Trainer.of(model)
    model.compile(tf_bdecay.Lamb(1e-3), **compiled)
    if silent:
        return model, []
    from rich.console import Console

    from tf_bdecay.training.fitting.diverged import StopDiverged
    from tf_bdecay.training.fitting.progress import ProgressLine
    from tf_bdecay.training.records.update_summaries import UpdateSummaries
    from tf_bdecay.training.run_folder.workdir import Workdir

    model.optimizer.build(model)
    workdir = Workdir(pathlib.Path(tempfile.mkdtemp()) / "run", {})
    workdir.open({})
    nowhere = pathlib.Path("/dev/null").open("w")  # noqa: SIM115 - open as long as the process
    terminal = Console(file=nowhere, force_terminal=True)
    per_epoch = 10**6
    return model, [
        StopDiverged(10, per_epoch),
        UpdateSummaries(workdir, lambda updates: 1e-3, UPDATES, per_epoch),
        ProgressLine(per_epoch, 1, batch, terminal),
    ]


class _Gate:
    """Lets updates of `fit` through: one execution in the first turn, `UPDATES` updates later."""

    def __init__(self, steps):
        self._steps = steps
        self._allowed, self._done = threading.Semaphore(0), threading.Semaphore(0)
        self._turns = 0

    def let_through(self):
        executions = 1 if not self._turns else UPDATES // self._steps
        self._turns += 1
        for _ in range(executions):
            self._allowed.release()
        for _ in range(executions):
            self._done.acquire()

    def callback(self):
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_begin=lambda batch, logs=None: self._allowed.acquire(),
            on_train_batch_end=lambda batch, logs=None: self._done.release(),
        )
        # Under JAX, `fit` then calls it without waiting for the update to end.
        callback.async_safe = _JAX
        return callback
