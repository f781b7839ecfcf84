"""The command: flags -> one config -> an experiment, trained, evaluated, exported or planned."""

import contextlib

from tf_bdecay.distribution import cluster as clusters
from tf_bdecay.distribution import workers
from tf_bdecay.frameworks import extras, quirks
from tf_bdecay.planning import machine, worth
from tf_bdecay.storage import paths
from tf_bdecay.terminal import flag_reading, outcome, streams
from tf_bdecay.terminal.plain_text import plain_console
from tf_bdecay.training.building import initial
from tf_bdecay.training.config import checks, config_file, keys
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.run_folder import pictures_record, weights
from tf_bdecay.training.run_folder.workdir import ANOTHER, Workdir, not_finite
from tf_bdecay.training_command import command_line, help_page, together

FITS = (
    "Less is needed with a smaller config.micro_batch_size (a multiple of "
    "config.model.ghost_batch_size, such as that itself), config.evaluation_batch_size or "
    "config.model.width."
)


def run_command(arguments, program):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name.
        program: that name, with which its sentences begin.

    Returns:
        The exit code, as --help lists it, and the `Cluster` that this process is a worker of, or
        None.
    """
    command = _Command(arguments, program)
    ending = command.ending
    with (
        streams.steady(ending, lambda: command.trains) as lost,
        outcome.ends_at_signals(ending),
    ):
        code = ending.call(command.run)
    if not command.trains:
        code = ending.unless_unread(code, lost)
    return code, command.cluster


class _Command:
    """One call of the command line.

    Attributes:
        program: the command's name.
        ending: how the command ends, an `outcome.Ending`.
        options: `command_line.Options`, once they are read; None for a plan.
        cluster: the `Cluster` that this process is a worker of, or None.
        trains: whether a run has begun; it goes on even without a terminal.
    """

    def __init__(self, arguments, program):
        self.arguments, self.program = arguments, program
        self.ending = outcome.Ending(program, flag_reading.asks_for_traceback(arguments))
        self.ending.kept, self.ending.fits = (lambda: "Nothing was begun."), FITS
        self.options, self.cluster, self.trains = None, None, False

    @property
    def leads(self):
        """Whether this process is the one that prints and writes."""
        return self.cluster is None or self.cluster.leads

    def run(self):
        """Does what the arguments say, and returns the exit code."""
        if flag_reading.asks_for_help(self.arguments):
            print(help_page.help_page(self.arguments, config_file.ROOT, self.program))
            return outcome.DONE
        options = command_line.parse(self.arguments, config_file.ROOT, self.program)
        checks.check(options.config)
        quirks.settle_onednn(quirks.onednn_overruns(options.config.model.width))
        if options.plan:
            return plan(options)
        self.options = options
        self.cluster = clusters.find(options.strategy, options.workers, options.worker_index)
        try:
            return self._run_experiment()
        except workers.WorkerLost as error:
            self.ending.say(f"{error} {_kept(options.workdir)}" if self.trains else str(error))
            return workers.LOST

    def _run_experiment(self):
        """Describes, evaluates or trains, unless that is done already; returns the exit code."""
        listener = self.cluster.bind() if self.cluster else None
        workdir, source = self._prepared()
        if workdir and not self.options.eval_only and not self.options.dry_run:
            if workdir.result:
                return self._already_finished(workdir)
            self.ending.folder, self.ending.kept = workdir.path, lambda: _kept(workdir.path)
        experiment = self._built(listener, source)
        if self.options.eval_only:
            return self._evaluated(experiment, source, workdir)
        if self.leads:
            self._describe(experiment, workdir, source)
        return outcome.DONE if self.options.dry_run else self._trained(experiment, workdir, source)

    def _prepared(self):
        """The `Workdir` and the `weights.Source` of the weights to start from; each may be None.

        What is wrong with them is said here, before TensorFlow takes seconds to import.
        """
        options, workdir, source = self.options, None, None
        if options.export is not None:
            paths.check_new_folder("--export", options.export)
        asks_no_run = options.dry_run and not options.names_workdir
        if not asks_no_run and not (options.eval_only and options.init_from is not None):
            flat = flatten(options.config)
            workdir = Workdir(options.workdir, flat, keys.defaults_of(flat))
            if options.export is not None:
                workdir.check_export(options.export)
            if options.resume == "never":
                workdir.check_new()
            if options.eval_only:
                source = weights.find(workdir.path, "--workdir", self._print)
            elif options.init_from is not None and workdir.begun:  # it goes on with its own weights
                workdir.starts.check_initial(options.init_from)
        if options.init_from is not None and not (workdir and workdir.begun):
            source = weights.find(options.init_from, warn=self._print)
        return workdir, source

    def _already_finished(self, workdir):
        """Says that the run is finished, and exports it if asked; returns the exit code."""
        wrong = not_finite(workdir.result)
        accuracy = float(workdir.result["test_accuracy"])
        self._print(
            f"{workdir.path} is finished: test accuracy {accuracy:.2%}. Nothing was changed."
        )
        if self.options.export is not None and self.leads and not wrong:
            export(self.options, workdir)
        return outcome.DIVERGED if wrong else outcome.DONE

    def _built(self, listener, source):
        """The `Experiment`, on the strategy of all workers; loads TensorFlow."""
        extras.check("Training", "tensorflow", "tensorboard", "matplotlib", "pandas", "rich")
        with quirks.silent_stderr():
            import tensorflow as tf

            from tf_bdecay.training.building.experiment import build

            if self.options.deterministic:
                tf.config.experimental.enable_op_determinism()
        strategy = self._strategy(listener, source)
        images = None
        if self.cluster:
            images = together.same_images(self.options, self.cluster, strategy)
        data = self.options.data_dir, self.options.download, images
        with workers.peer_errors(self.cluster):
            return build(self.options.config, strategy, *data)

    def _strategy(self, listener, source):
        """The strategy, once all workers are there and agree."""
        from tf_bdecay.distribution import strategies

        options, name = self.options, self.options.strategy
        if name == "auto":
            name, why = strategies.choose(options.tpu)
            self._print(f"--strategy=auto is {name}: {why}.")
        waits = contextlib.nullcontext()
        if self.cluster:
            waits = together.wait(options, self.cluster, listener, source, self.program)
        with waits, quirks.silent_stderr():
            return strategies.make(name, options.devices, options.logical_devices, options.tpu)

    def _evaluated(self, experiment, source, workdir):
        """Evaluates the weights; returns the exit code."""
        with quirks.silent_stderr():
            from tf_bdecay.training import evaluation
        with workers.peer_errors(self.cluster):
            found = evaluation.evaluate(experiment, source, workdir and workdir.path)
        return outcome.DIVERGED if not_finite(found) else outcome.DONE

    def _describe(self, experiment, workdir, source):
        """Prints what is trained, or would be."""
        from tf_bdecay.training.building.experiment import describe

        begun = self.options.dry_run and workdir and workdir.begun
        if begun and not workdir.result and experiment.config.data.name == "pictures":
            pictures_record.check_same(workdir.path, experiment.images.record(), ANOTHER)
        print(describe(experiment), flush=True)
        if begun:
            done = f"do nothing: {workdir.path} is finished"
            goes_on = f"go on from the newest checkpoint in {workdir.checkpoints}"
            print(f"It would {done if workdir.result else goes_on}.")
        elif self.options.dry_run and source:
            loaded = initial.load(source, experiment.model, classes=experiment.images.classes)
            print(f"It would start from {loaded}.")

    def _trained(self, experiment, workdir, source):
        """Trains, prints where the result is, and exports it if asked; returns the exit code."""
        with quirks.silent_stderr():
            from tf_bdecay.training import running
            from tf_bdecay.training.fitting import diverged, loop
        self._print(f"workdir        {workdir.path}")
        self.trains, deterministic = True, self.options.deterministic
        try:
            with workers.peer_errors(self.cluster):
                result = running.train(
                    experiment, workdir, deterministic=deterministic, source=source
                )
        except diverged.Diverged as stop:
            self.ending.say(f"{stop} {_kept(workdir.path)}")
            return outcome.DIVERGED
        except loop.EndedEarly as error:
            self.ending.say(f"The run stops: {error}. {_kept(workdir.path)}")
            return outcome.FAILED
        except KeyboardInterrupt as stop:
            again = "To go on, run the same command again."
            kept = (
                f"{_kept(workdir.path)} {again}" if self.leads else "The leader saved a checkpoint."
            )
            stop.args = (kept,)
            raise
        self._print(
            f"Result, curves, metrics and TensorBoard events are in {workdir.path}\n"
            "  confusion.png: which classes it confuses; mistakes.png: the most confident ones\n"
            f"  tensorboard --logdir={workdir.tensorboard}"
        )
        wrong = not_finite(result)
        if wrong:
            self.ending.say(
                f"The result is not finite ({wrong}): the run is no success. It is kept."
            )
            return outcome.DIVERGED
        if self.options.export is not None:
            with workers.peer_errors(self.cluster):
                if self.leads:
                    export(self.options, workdir, experiment.images)
                running.wait_for_leader(experiment.strategy)
        return outcome.DONE

    def _print(self, text):
        """Prints, on the leader only."""
        if self.leads:
            print(text, flush=True)


def export(options, workdir, images=None):
    """Exports the model of a finished run.

    Args:
        options: `command_line.Options`.
        workdir: the run's `Workdir`.
        images: its `ImageSet`; loaded if None.
    """
    with quirks.silent_stderr():
        from tf_bdecay.training import export as exports
        from tf_bdecay.training.building import datasets

        flat = flatten(options.config)
        images = images or datasets.load(flat, options.data_dir, options.download)
        apart = exports.export(workdir.path / "model.keras", images, options.export)
    print(
        f"Exported to {options.export}: its endpoint `serve` takes uint8 pictures and gives "
        f"probabilities. Loaded again, it gives those of the model to {apart:.1g}."
    )


def plan(options):
    """Prints what the experiment would need on each number of devices, on paper.

    Args:
        options: `command_line.Options`.

    Returns:
        The exit code.
    """
    counts = machine.parse_devices(options.devices or machine.DEFAULT_DEVICES)
    hardware = machine.check_hardware(options.memory_gb, options.bandwidth_gbps, options.flops)
    noise = None if options.noise_scale is None else worth.read(options.noise_scale)
    with quirks.silent_stderr():
        from tf_bdecay.planning import page

        content, _ = page.plan(options.config, counts, hardware, noise)
    plain_console(width=160, highlight=False).print(content)  # as wide as its table
    return outcome.DONE


def _kept(path):
    """A sentence on what is kept of a run now, since its folder may be gone."""
    from tf_bdecay.storage import checkpoints

    if not (path / "config.json").exists():
        return f"Nothing is kept: {path} holds no run."
    newest = checkpoints.newest(path / "checkpoints")
    since = f"the newest checkpoint is {newest}" if newest else "there is no checkpoint yet"
    return f"Everything so far is kept in {path}; {since}."
