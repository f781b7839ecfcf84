"""Trains one run under the JAX backend of Keras, without TensorFlow.

The images are in the device's memory, an epoch is one compiled loop, and between epochs the run can
be stopped and goes on. Order, augmentation and initial weights are those of main.py; so are, to
rounding, the results. Sharpness is measured by TensorFlow alone: such results have none.
"""

import time

import jax
import numpy as np

from tf_bdecay.storage.files import json_ready, write_json
from tf_bdecay.terminal import outcome, signals
from tf_bdecay.terminal.plain_text import clock
from tf_bdecay.training.building import parts
from tf_bdecay.training.config import keys
from tf_bdecay.training.config.checks import check
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.fitting.diverged import Diverged
from tf_bdecay.training.records import report
from tf_bdecay.training.run_folder.workdir import Workdir, not_finite
from tf_bdecay.training_command import command_line
from tools.reproducing import runs
from tools.reproducing.on_jax import building, feed, files

UNMEASURED = "Sharpness is measured by TensorFlow alone: this run, under JAX, has no measures."


def main(job):
    """Trains the run of a job, or a piece of it.

    Args:
        job: dict of `arguments` of main.py, `until`: a `time.time()` at which to stop with a
            checkpoint, or None, and `tf32`: whether float32 products are of TensorFloat-32.

    Returns:
        The exit code: those of main.py, and `runs.PAUSED`.
    """
    ending = outcome.Ending("on_jax/loop.py")
    return ending.call(_main, job, ending)


def _main(job, ending):
    options = command_line.parse(job["arguments"], runs.ROOT)
    config = options.config
    check(config)
    flat = flatten(config)
    workdir = Workdir(options.workdir, flat, keys.defaults_of(flat))
    result = workdir.result
    if result is None:
        ending.folder = workdir.path
        if config.precision == "float32":
            exact = "tensorfloat32" if job["tf32"] else "highest"
            jax.config.update("jax_default_matmul_precision", exact)
        run = building.build(config, options.data_dir)
        try:
            with workdir.lock(print):
                result = train(run, workdir, job["until"], job["tf32"])
        except Diverged as stop:
            ending.say(str(stop))
            return outcome.DIVERGED
        if result is None:
            return runs.PAUSED
    wrong = not_finite(result)
    if wrong:
        ending.say(f"The result is not finite ({wrong}): the run is no success.")
    return outcome.DIVERGED if wrong else outcome.DONE


def train(run, workdir, until=None, tf32=False):
    """Trains from the checkpoint on, where there is one, to the end or until the time is up.

    Args:
        run: from `building.build`.
        workdir: its `Workdir`.
        until: the `time.time()` by which to save and stop, between epochs; None for no limit. One
            epoch is always done.
        tf32: for the record.

    Returns:
        The result, as written to result.json; None where the time was up.

    Raises:
        BadInput: a checkpoint that cannot be used.
        Diverged: too many updates in a row were not finite.
        signals.Stopped: a signal came; there is a checkpoint of the epoch then done.
    """
    checkpoint, config, steps = workdir.path / "checkpoint.npz", run.config, run.steps
    state, first = steps.state(), 0
    if checkpoint.exists():
        state, first = files.load(checkpoint, state)
        state = jax.device_put(state)
    device = jax.devices()[0].device_kind
    begin = {"epoch": first, "update": first * run.size.updates_per_epoch}
    workdir.open({"backend": "jax", "device": device, "tf32": tf32, "from": begin})
    rows = files.Rows(workdir.path, run, first)
    evaluation = Evaluation(run)

    def save(epoch):
        rows.flush()
        files.save(checkpoint, state, epoch)

    pixels, choices = feed.pixels(run.images), choices_of(run, first)
    pace = Pace(config.epochs - first)
    with signals.deferred("saving after the running epoch") as request:
        for epoch in range(first, config.epochs):
            start = time.monotonic()
            before = rows.totals(state)
            state, logs = steps.epoch(state, pixels, choices)
            if epoch + 1 < config.epochs:
                choices = choices_of(run, epoch + 1)  # while the device works
            logs = {name: np.asarray(value) for name, value in logs.items()}
            trained = time.monotonic() - start
            evaluated = {}
            if (epoch + 1) % config.log.evaluate_every == 0 or epoch + 1 == config.epochs:
                found = evaluation(state, run.size.split, run.precise)
                evaluated = {run.shown[name]: value for name, value in found.items()}
            rows.add(epoch, before, state, logs, evaluated, trained)
            _check_finite(run, epoch, logs, rows)
            pace.count(time.monotonic() - start)
            _say(run, epoch, logs, evaluated, trained, pace)
            done, ends = epoch + 1, epoch + 1 == config.epochs
            late = until is not None and time.time() + pace.last > until
            if ends or late or request.number or done % config.log.checkpoint_every == 0:
                save(done)
            request.check()
            if late and not ends:
                _print(f"Stopped after epoch {done} of {config.epochs}, {pace.left} left.")
                return None
    steps.give_back(state)
    result = _result(run, state, evaluation)
    result |= {"device": device, "tf32": tf32, "unmeasured": UNMEASURED}
    write_json(workdir.path / "result.json", json_ready(result))
    return result


class Evaluation:
    """Evaluates a state on a split; the splits stay on the device.

    Args:
        run: the `Run`.
    """

    def __init__(self, run):
        self._run, self._examples = run, {}
        self._pixels = self._first = None
        if "evaluation_statistics" not in run.config:
            return
        batches = parts.statistics_batches(run.config, run.size)
        self._pixels = feed.pixels(run.images)
        self._first = jax.tree.map(lambda a: a[:batches], choices_of(run, 0))

    def __call__(self, state, split, precise):
        """Dict of loss and metrics, floats.

        Args:
            state: the `State`.
            split: "test" or "validation".
            precise: whether with statistics re-estimated on the first batches of the first epoch.
        """
        run, kept = self._run, state.kept
        if split not in self._examples:
            size = run.config.evaluation_batch_size
            self._examples[split] = feed.examples(run.images.split(split), size)
        if precise:
            kept = run.steps.statistics(state, self._pixels, self._first)
        found = run.steps.evaluate(state.trainable, kept, self._examples[split])
        return {name: float(value) for name, value in found.items()}


class Pace:
    """How long the epochs that are left will take, by those since the first, which compiles.

    Args:
        epochs: to do.
    """

    def __init__(self, epochs):
        self._epochs, self._seconds = epochs, []

    def count(self, seconds):
        """Counts an epoch."""
        self._seconds.append(seconds)

    @property
    def last(self):
        """Seconds that the next epoch is expected to take."""
        return self._seconds[-1] if len(self._seconds) > 1 else 0.0

    @property
    def left(self):
        """The time until the end, as a clock has it, or in words."""
        counted = self._seconds[1:]
        if not counted:
            return "an unknown time"
        return clock(sum(counted) / len(counted) * (self._epochs - len(self._seconds)))


def choices_of(run, epoch):
    """The `Choices` of an epoch of a run."""
    config = run.config
    return feed.choices(run.images, config.batch_size, config.seed, epoch, config.data.augment)


def _check_finite(run, epoch, logs, rows):
    """Raises `Diverged` where main.py would, if only at the end of the epoch."""
    limit, before = run.config.max_skipped_updates, epoch * run.size.updates_per_epoch
    too_many = np.flatnonzero(logs["skipped_in_a_row"] >= limit)
    lost = np.flatnonzero(~np.isfinite(logs["sensitivity"]).all(1))
    diverged = None
    if len(too_many):
        diverged = Diverged.in_a_row(limit, before + int(too_many[0]) + 1)
    elif len(lost) and not run.config.optimizer.skip_nonfinite:
        diverged = Diverged.unskipped(before + int(lost[0]) + 1)
    if diverged is not None:
        rows.flush()
        raise diverged


def _say(run, epoch, logs, evaluated, seconds, pace):
    """A line an epoch."""
    words = [f"epoch {epoch + 1}/{run.config.epochs}", f"loss {np.mean(logs['loss']):.4f}"]
    words += [f"{name} {value:.4f}" for name, value in evaluated.items()]
    speed = run.size.updates_per_epoch * run.config.batch_size / seconds
    _print(", ".join([*words, f"{speed:,.0f} images/s", f"{pace.left} left"]))


def _print(line):
    print(line, flush=True)


def _result(run, state, evaluation):
    """What was measured, and the mechanism behind it, as main.py's result.json has it."""
    config = run.config
    found = {f"test_{k}": v for k, v in evaluation(state, "test", False).items()}
    if "evaluation_statistics" in config:
        precise = evaluation(state, "test", True)
        found |= {f"test_{name}_precise": value for name, value in precise.items()}
    result = {
        **{name: config[name] for name in ("experiment", "variant", "seed", "epochs")},
        **found,
        **report.mechanism(run.optimizer),
    }
    warnings = report.warnings_of(result, run.optimizer.weight_decay.adaptive)
    return {**result, "warnings": warnings}
