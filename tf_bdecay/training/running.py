"""A run: an experiment's way from its newest checkpoint through `fit` to its result."""

from typing import NamedTuple

from rich.console import Console

import tf_bdecay
from tf_bdecay import data
from tf_bdecay.callbacks import (
    AveragedWeights,
    GradientNoiseScale,
    PreciseStatistics,
    ProbeDecision,
)
from tf_bdecay.distribution import sharding, strategies
from tf_bdecay.distribution.strategies import is_multi_worker
from tf_bdecay.optim.base import unwrapped
from tf_bdecay.storage.files import json_ready, write_json
from tf_bdecay.storage.saver import Saver
from tf_bdecay.storage.tables import frame
from tf_bdecay.terminal import signals
from tf_bdecay.training import evaluation
from tf_bdecay.training.building import datasets, finetuning, initial, metrics
from tf_bdecay.training.fitting import loop, resume
from tf_bdecay.training.fitting.diverged import StopDiverged
from tf_bdecay.training.fitting.progress import ProgressLine
from tf_bdecay.training.records import predictions, report
from tf_bdecay.training.records.epoch_rows import EpochRows
from tf_bdecay.training.records.names import shown_names
from tf_bdecay.training.records.update_summaries import UpdateSummaries
from tf_bdecay.training.records.variable_rows import VariableRows

_REMOVE = "put a complete one back, or remove it to finish without it"


class Measuring(NamedTuple):
    """The callbacks that a result asks again; None for what there is not."""

    evaluates: PreciseStatistics | None
    averages: AveragedWeights | None
    noise: GradientNoiseScale | None


def train(experiment, workdir, console=None, deterministic=False, source=None):
    """Fits, from the newest checkpoint on where there is one, and reports.

    Args:
        experiment: from `build`.
        workdir: its `Workdir`.
        console: the `rich.console.Console` to talk to; stdout by default.
        deterministic: whether TensorFlow's op determinism is on, for the record.
        source: a `weights.Source` of the weights that a run starts from; None for new ones.

    Returns:
        The result, as written to result.json.

    Raises:
        BadInput: a checkpoint that cannot be used, or weights that do not fit.
        Diverged: too many updates in a row were not finite.
        Stopped: a signal came; there is a checkpoint of the update then done.
        OSError: a file could not be written.
    """
    if not sharding.is_leader(experiment.strategy):  # who alone writes and talks
        return _train(experiment, workdir, Console(quiet=True), deterministic, source)
    console = console or Console()
    with workdir.lock(lambda sentence: console.print(sentence, highlight=False, markup=False)):
        return _train(experiment, workdir, console, deterministic, source)


def _train(experiment, workdir, console, deterministic, source):
    """`train`, in a workdir that nobody else is in; other workers than the leader write nothing."""
    strategy = experiment.strategy
    leads, shared = sharding.is_leader(strategy), is_multi_worker(strategy)

    def say(line):
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    start = resume.restore(
        workdir.checkpoints,
        experiment.trainer,
        say,
        experiment.size.updates_per_epoch,
        experiment.config.epochs,
    )
    if not start.update and (workdir.path / "metrics.csv").exists():
        say(f"There is no checkpoint in {workdir.checkpoints}: the run starts from the beginning.")
    begins = {}
    if source and not start.update:
        loaded = initial.load(source, experiment.model, classes=experiment.images.classes)
        say(f"Starting from {loaded}.")
        begins["init_from"] = source.record()
    elif not start.update and finetuning.frozen(experiment.model):
        say("Warning: without --init_from the layers that are frozen have new, random weights.")
    if leads:
        begin = {"epoch": start.epoch, "update": start.update}
        if start.update:
            workdir.starts.check_deterministic(deterministic, say)
        record = {"strategy": strategies.name(strategy), "deterministic": deterministic}
        record |= datasets.strong_augmentation(experiment.config).versions()
        of_files = experiment.config.data.name == "pictures"
        if of_files:
            workdir.check_pictures(experiment.images.record(), bool(start.update))
        workdir.open({**record, **begins, "from": begin})
        if of_files and not start.update:
            predictions.draw_training(experiment, workdir.path, report.run_name(experiment.config))
            say(f"The first pictures, as the network sees them: {workdir.path / 'training.png'}")
    evaluates = loop.precise_statistics(experiment)
    averages = loop.averaged_weights(experiment, evaluates)
    measures_noise = experiment.config.log.gradient_noise_scale
    noise = GradientNoiseScale(log_dir=None, show=False) if measures_noise else None
    with signals.deferred() as request:
        if shared:
            request = experiment.trainer.agreement = sharding.Agreement(request)
        own = Measuring(evaluates, averages, noise)
        callbacks = _callbacks(experiment, workdir, start, request, own, console, say)
        for callback in callbacks:
            lost = hasattr(callback, "lost") and callback.lost(experiment.trainer)
            if lost:
                say(f"Warning: {lost}")
        try:
            with data.named_failures(experiment.images):
                loop.fit(experiment, start, callbacks)
        except BaseException:
            _close(callbacks, say)
            raise
        _close(callbacks)
        request.check()
    with data.named_failures(experiment.images):
        result = _result(experiment, own, workdir.path if leads else None)
    if leads:
        _report(experiment, workdir, result)
    wait_for_leader(strategy)
    console.print(report.render(result))
    return result


def wait_for_leader(strategy):
    """Waits, of many workers, until the leader has written: one that ends would stop it."""
    if is_multi_worker(strategy):
        sharding.from_leader(strategy, b"written")


def _close(callbacks, say=None):
    """Flushes and closes what has files; with `say`, an error is printed and hides no other."""
    for callback in callbacks:
        for name in ("flush", "close"):
            try:
                getattr(callback, name, lambda: None)()
            except OSError as error:
                if say is None:
                    raise
                say(f"Warning: not saved: {error}.")


def _callbacks(experiment, workdir, start, request, own, console, say):
    """The callbacks, in the order in which they must act: the checkpoint comes last.

    A worker that does not lead writes nothing, but takes part in what needs all workers, at the
    same updates.
    """
    config, size, schedule = experiment.config, experiment.size, experiment.schedule
    per_epoch, after, log = size.updates_per_epoch, start.update, config.log
    leads = sharding.is_leader(experiment.strategy)
    callbacks = []
    if leads and unwrapped(experiment.trainer.optimizer).weight_decay.source == "probe":
        batches = data.evaluation_batches(experiment.images, "train", config.decay.probe_examples)
        callbacks.append(ProbeDecision(next(iter(batches)), config.decay.probe_every))
    precise = own.evaluates is not None and config.evaluation_statistics == "precise"
    averages = own.averages is not None
    callbacks += [own.evaluates] * precise
    callbacks += [own.averages] * averages
    names = metrics.names_of(config, experiment.images)
    shown = shown_names(size.split, precise, averages, names)
    callbacks += [own.noise] * (own.noise is not None)
    callbacks.append(StopDiverged(config.max_skipped_updates, per_epoch, after))
    if leads:
        pages = {
            "config": _page(f"{key} = {value}" for key, value in workdir.config.items()),
            "roles": _page(str(tf_bdecay.describe(experiment.trainer)).splitlines()),
        }
        callbacks += [
            UpdateSummaries(
                workdir,
                schedule,
                every=log.summaries_every,
                updates_per_epoch=per_epoch,
                start=start,
                pages=pages,
                shown=shown,
                say=say,
                noise=own.noise,
            ),
            EpochRows(workdir, schedule, shown, per_epoch, config.batch_size, start, own.noise),
            *([VariableRows(workdir, per_epoch, start)] if log.variables else []),
            ProgressLine(per_epoch, config.epochs, config.batch_size, console, after),
        ]
    folder = workdir.checkpoints if leads else None
    last = resume.Checkpoints(
        Saver(folder, log.checkpoints_kept, log.on_save_error, say),
        per_epoch,
        config.epochs,
        every_epochs=log.checkpoint_every,
        every_updates=log.checkpoint_updates,
        every_minutes=log.checkpoint_minutes,
        callbacks=callbacks,
        start=start,
        request=request,
    )
    return [*callbacks, last]


def _page(lines):
    """Lines as preformatted Markdown."""
    return "\n".join(f"    {line}" for line in lines)


def _result(experiment, own, folder):
    """What was measured, and the mechanism behind it; saves the averaged model in a folder."""
    config, trainer = experiment.config, experiment.trainer

    def averaged():
        if own.averages is None:
            return {}
        own.averages.set_model(trainer)
        with own.averages.averaged():
            if folder is not None:
                experiment.model.save(folder / "model_average.keras")
            return evaluation.measured(experiment, "test", end="_average")

    result = {
        "experiment": config.experiment,
        "variant": config.variant,
        "seed": config.seed,
        "epochs": config.epochs,
        **evaluation.both(experiment, "test", own.evaluates),
        **averaged(),
        **report.mechanism(unwrapped(trainer.optimizer)),
        **(own.noise.estimate().result() if own.noise else {}),
    }
    adaptive = unwrapped(trainer.optimizer).weight_decay.adaptive
    return {**result, "warnings": report.warnings_of(result, adaptive)}


def _report(experiment, workdir, result):
    """Writes model, pictures and result; the result last, as it says that the run is finished."""
    experiment.model.save(workdir.path / "model.keras")
    predictions.draw(experiment, workdir.path, report.run_name(result))
    report.draw(
        workdir.path / "curves.png",
        frame(workdir.path / "metrics.csv", _REMOVE),
        frame(workdir.path / "layers.csv", _REMOVE),
        result,
        experiment.config.decay.get("threshold"),
    )
    write_json(workdir.path / "result.json", json_ready(result))
