"""A run: takes an experiment from its newest checkpoint through `fit` to its result."""

import contextlib

import tf_bdecay
from tf_bdecay import data
from tf_bdecay.callbacks import GradientNoiseScale, ProbeDecision
from tf_bdecay.data.image_set import fixed_order
from tf_bdecay.data.pipeline import chosen_examples
from tf_bdecay.distribution import sharding, strategies
from tf_bdecay.distribution.strategies import is_multi_worker
from tf_bdecay.optim.base import unwrapped
from tf_bdecay.storage.files import json_ready, write_json
from tf_bdecay.storage.saver import Saver
from tf_bdecay.storage.tables import frame
from tf_bdecay.terminal import signals
from tf_bdecay.terminal.plain_text import plain_console
from tf_bdecay.training import evaluation
from tf_bdecay.training.building import datasets, finetuning, initial, metrics
from tf_bdecay.training.fitting import loop, resume
from tf_bdecay.training.fitting.counts_updates import START
from tf_bdecay.training.fitting.diverged import StopDiverged
from tf_bdecay.training.fitting.progress import ProgressLine
from tf_bdecay.training.records import predictions, report
from tf_bdecay.training.records.epoch_rows import EpochRows
from tf_bdecay.training.records.names import shown_names
from tf_bdecay.training.records.update_summaries import UpdateSummaries
from tf_bdecay.training.records.variable_rows import VariableRows

_REMOVE = "put a complete one back, or remove it to finish without it"


def train(experiment, workdir, console=None, deterministic=False, source=None):
    """Trains, from the newest checkpoint if there is one, and reports.

    Args:
        experiment: from `build`.
        workdir: its `Workdir`.
        console: the `rich.console.Console` to print to; stdout by default.
        deterministic: whether TensorFlow's op determinism is on, for the record.
        source: a `weights.Source` of the initial weights; None for new ones.

    Returns:
        The result, as written to result.json.

    Raises:
        BadInput: a checkpoint that cannot be used, or weights that do not fit.
        Diverged: too many updates in a row were not finite.
        Stopped: a signal came; a checkpoint of the last update was saved.
        OSError: a file could not be written.
    """
    run = _Run(experiment, workdir, console)
    with workdir.lock(run.say) if run.leads else contextlib.nullcontext():
        run.restore(source)
        run.record(deterministic, source)
        run.fit()
        result = run.result()
        run.finish(result)
    return result


def wait_for_leader(strategy):
    """Waits until the leader of many workers has written: a worker that ends earlier stops it."""
    if is_multi_worker(strategy):
        sharding.from_worker(strategy, b"written")


class _Run:
    """An experiment in its workdir; with many workers, only the leader writes and prints.

    Attributes:
        leads: whether this process is the leader.
        start: the `Position` from which the run resumes.
        precise, averages, noise: callbacks that the result uses again: a `PreciseStatistics`, an
            `AveragedWeights` and a `GradientNoiseScale`; None for those that the run lacks.
    """

    def __init__(self, experiment, workdir, console):
        self.experiment, self.workdir = experiment, workdir
        self.config, self.trainer = experiment.config, experiment.trainer
        self.leads = sharding.is_leader(experiment.strategy)
        self.console = (console or plain_console()) if self.leads else plain_console(quiet=True)
        self.start = START
        self.precise = loop.precise_statistics(experiment)
        self.averages = loop.averaged_weights(experiment, self.precise)
        measures_noise = self.config.log.gradient_noise_scale
        self.noise = GradientNoiseScale(log_dir=None, show=False) if measures_noise else None

    def say(self, line):
        """Prints a line as it is."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def restore(self, source):
        """Assigns the newest checkpoint or, without one, the weights to start from."""
        workdir, model = self.workdir, self.experiment.model
        size, epochs = self.experiment.size, self.config.epochs
        self.start = resume.restore(
            workdir.checkpoints, self.trainer, self.say, size.updates_per_epoch, epochs
        )
        if self.start.update:
            return
        if (workdir.path / "metrics.csv").exists():
            where = f"There is no checkpoint in {workdir.checkpoints}"
            self.say(f"{where}: the run starts from the beginning.")
        if source:
            loaded = initial.load(source, model, classes=self.experiment.images.classes)
            self.say(f"Starting from {loaded}.")
        elif finetuning.frozen(model):
            without = "without --init_from the layers that are frozen have new, random weights"
            self.say(f"Warning: {without}.")

    def record(self, deterministic, source):
        """Checks that nothing changed that must not, and records this start in the folder."""
        if not self.leads:
            return
        workdir, images, start = self.workdir, self.experiment.images, self.start
        if start.update:
            workdir.starts.check_deterministic(deterministic, self.say)
        of_files = self.config.data.name == "pictures"
        if of_files:
            workdir.check_pictures(images.record(), bool(start.update))
        workdir.open(
            {
                "strategy": strategies.name(self.experiment.strategy),
                "deterministic": deterministic,
                **datasets.strong_augmentation(self.config).versions(),
                **({"init_from": source.record()} if source and not start.update else {}),
                "from": {"epoch": start.epoch, "update": start.update},
            }
        )
        if of_files and not start.update:
            name = report.run_name(self.config)
            predictions.draw_first_pictures(self.experiment, workdir.path, name)
            drawn = workdir.path / "training.png"
            self.say(f"The first pictures, as the network sees them: {drawn}")

    def fit(self):
        """Trains the rest of the run; a signal stops it once a checkpoint is written."""
        with signals.deferred() as request:
            if is_multi_worker(self.experiment.strategy):
                request = self.trainer.agreement = sharding.Agreement(request)
            callbacks = self._callbacks(request)
            for callback in callbacks:
                lost = hasattr(callback, "lost") and callback.lost(self.trainer)
                if lost:
                    self.say(f"Warning: {lost}")
            try:
                with data.named_failures(self.experiment.images):
                    loop.fit(self.experiment, self.start, callbacks)
            except BaseException:
                _close(callbacks, self.say)
                raise
            _close(callbacks)
            request.check()

    def result(self):
        """The final evaluations and the mechanism behind them; saves the averaged model."""
        config, optimizer = self.config, unwrapped(self.trainer.optimizer)
        with data.named_failures(self.experiment.images):
            result = {
                "experiment": config.experiment,
                "variant": config.variant,
                "seed": config.seed,
                "epochs": config.epochs,
                **evaluation.both(self.experiment, "test", self.precise),
                **self._averaged(),
                **report.mechanism(optimizer),
                **(self.noise.estimate().result() if self.noise else {}),
            }
        warnings = report.warnings_of(result, optimizer.weight_decay.adaptive)
        return {**result, "warnings": warnings}

    def finish(self, result):
        """Writes model, pictures and result, and prints the result."""
        if self.leads:
            self._write(result)
        wait_for_leader(self.experiment.strategy)
        self.console.print(report.render(result))

    def _callbacks(self, request):
        """The callbacks, in the order in which they must act: the checkpoint comes last.

        A worker that is not the leader writes nothing, but takes part, at the same updates, in what
        needs all workers.
        """
        config, log, start = self.config, self.config.log, self.start
        per_epoch = self.experiment.size.updates_per_epoch
        precise = self.precise if config.get("evaluation_statistics") == "precise" else None
        found = [
            self._probe() if self.leads else None,
            precise,
            self.averages,
            self.noise,
            StopDiverged(config.max_skipped_updates, per_epoch, start.update),
            *(self._writers(precise is not None) if self.leads else ()),
        ]
        callbacks = [callback for callback in found if callback is not None]
        folder = self.workdir.checkpoints if self.leads else None
        last = resume.Checkpoints(
            Saver(folder, log.checkpoints_kept, log.on_save_error, self.say),
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

    def _probe(self):
        """The callback that measures for a policy which decides by a fixed batch, or None.

        The batch is drawn at random, the same for all runs: in stored order it could be of one
        class.
        """
        if unwrapped(self.trainer.optimizer).weight_decay.source != "probe":
            return None
        decay, images = self.config.decay, self.experiment.images
        chosen = fixed_order(len(images.train))[: decay.probe_examples]
        with data.named_failures(images):
            batch = chosen_examples(images, "train", chosen)
        return ProbeDecision(batch, decay.probe_every)

    def _writers(self, precise):
        """The callbacks that write tables, TensorBoard and the line on the terminal.

        Args:
            precise: whether the epochs are evaluated with precise statistics.
        """
        experiment, config, start = self.experiment, self.config, self.start
        workdir, schedule, size = self.workdir, experiment.schedule, experiment.size
        per_epoch, batch = size.updates_per_epoch, config.batch_size
        names = metrics.names_of(config, experiment.images)
        shown = shown_names(size.split, precise, self.averages is not None, names)
        pages = {
            "config": _page(f"{key} = {value}" for key, value in workdir.config.items()),
            "roles": _page(str(tf_bdecay.describe(self.trainer)).splitlines()),
        }
        summaries = UpdateSummaries(
            workdir,
            schedule,
            every=config.log.summaries_every,
            updates_per_epoch=per_epoch,
            start=start,
            pages=pages,
            shown=shown,
            say=self.say,
            noise=self.noise,
        )
        return [
            summaries,
            EpochRows(workdir, schedule, shown, per_epoch, batch, start, self.noise),
            VariableRows(workdir, per_epoch, start) if config.log.variables else None,
            ProgressLine(per_epoch, config.epochs, batch, self.console, start.update),
        ]

    def _averaged(self):
        """Tests the averaged weights; the leader saves a model with them."""
        if self.averages is None:
            return {}
        self.averages.set_model(self.trainer)
        with self.averages.averaged():
            if self.leads:
                self.experiment.model.save(self.workdir.path / "model_average.keras")
            return evaluation.measured(self.experiment, "test", end="_average")

    def _write(self, result):
        """Writes the files of a finished run; the result last, because it marks it as finished."""
        folder = self.workdir.path
        self.experiment.model.save(folder / "model.keras")
        predictions.draw(self.experiment, folder, report.run_name(result))
        report.draw(
            folder / "curves.png",
            frame(folder / "metrics.csv", _REMOVE),
            frame(folder / "layers.csv", _REMOVE),
            result,
            self.config.decay.get("threshold"),
        )
        write_json(folder / "result.json", json_ready(result))


def _close(callbacks, say=None):
    """Flushes and closes callbacks; with `say`, an error is printed, so that it hides no other."""
    for callback in callbacks:
        for name in ("flush", "close"):
            try:
                getattr(callback, name, lambda: None)()
            except OSError as error:
                if say is None:
                    raise
                say(f"Warning: not saved: {error}.")


def _page(lines):
    """Lines as preformatted Markdown."""
    return "\n".join(f"    {line}" for line in lines)
