"""The command: flags -> one config -> an experiment, trained, evaluated, exported or planned."""

import contextlib
import json

from tf_bdecay import extras, flag_reading, outcome, quirks
from tf_bdecay.distribution import cluster as clusters
from tf_bdecay.distribution import workers
from tf_bdecay.errors import BadInput
from tf_bdecay.planning import formulas, worth
from tf_bdecay.training import command_line, help_page, initial, keys
from tf_bdecay.training import config as checks
from tf_bdecay.training.workdir import Workdir, check_new_folder, not_finite

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
        The exit code, as main.py has it, and the `Cluster` that this process is a worker of, or
        None.
    """
    command = _Command(arguments, program)
    ending = command.ending
    with (
        outcome.steady_streams(ending, lambda: command.trains) as lost,
        outcome.ends_at_signals(ending),
    ):
        code = ending.call(command.run)
    if not command.trains:
        code = ending.unless_unread(code, lost)
    return code, command.cluster


class _Command:
    """One call of the command line.

    Attributes:
        program: its name.
        ending: how it ends, an `outcome.Ending`.
        cluster: the `Cluster` that this process is a worker of, or None.
        trains: whether a run has begun, which goes on without a terminal.
    """

    def __init__(self, arguments, program):
        self.arguments, self.program = arguments, program
        self.ending = outcome.Ending(program, command_line.asks_for_traceback(arguments))
        self.ending.kept, self.ending.fits = (lambda: "Nothing was begun."), FITS
        self.cluster, self.trains = None, False

    def run(self):
        """Does what the arguments say, and returns the exit code."""
        if flag_reading.asks_for_help(self.arguments):
            print(help_page.help_page(self.arguments, checks.ROOT, self.program))
            return outcome.DONE
        options = command_line.parse(self.arguments, checks.ROOT, self.program)
        checks.check(options.config)
        quirks.settle_onednn(quirks.onednn_overruns(options.config.model.width))
        if options.plan:
            return plan(options)
        self.cluster = clusters.find(options.strategy, options.workers, options.worker_index)
        try:
            return run(options, self)
        except workers.WorkerLost as error:
            self.ending.say(f"{error} {_kept(options.workdir)}" if self.trains else str(error))
            return workers.LOST


def run(options, command):
    """Describes the experiment or trains it.

    Args:
        options: `command_line.Options`, their config checked.
        command: the `_Command`.

    Returns:
        The exit code.
    """
    cluster, ending = command.cluster, command.ending
    workdir = source = None
    listener = cluster.bind() if cluster else None
    leads = cluster is None or cluster.leads
    if options.export is not None:
        check_new_folder("--export", options.export)
    if not options.dry_run and not (options.eval_only and options.init_from is not None):
        flat = checks.flatten(options.config)
        defaults = {path: key.default for path, key in keys.table(flat).items()}
        workdir = Workdir(options.workdir, flat, defaults)
        if options.resume == "never":
            workdir.check_new()
        if options.eval_only:
            source = initial.find(workdir.path, "--workdir")
        else:
            workdir.check_initial(options.init_from)
        if workdir.result and not options.eval_only:
            accuracy = float(workdir.result["test_accuracy"])
            wrong = not_finite(workdir.result)
            if leads:
                end = f"test accuracy {accuracy:.2%}. Nothing was changed."
                print(f"{workdir.path} is finished: {end}", flush=True)
                if options.export is not None and not wrong:
                    export(options, workdir)
            return outcome.DIVERGED if wrong else outcome.DONE
        if not options.eval_only:
            ending.folder = workdir.path
            ending.kept = lambda: _kept(workdir.path)
    if options.init_from is not None and not (workdir and workdir.begun):
        source = initial.find(options.init_from)

    # TensorFlow takes seconds to import, so what can be refused before it is.
    extras.check("Training", "tensorflow", "tensorboard", "matplotlib", "pandas", "rich")
    with quirks.silent_stderr():
        import tensorflow as tf

        from tf_bdecay.training import diverged, evaluation, experiment, loop, running

        if options.deterministic:
            tf.config.experimental.enable_op_determinism()
    strategy, images = _started(options, command, listener, source)
    data = (options.data_dir, options.download, images)
    with workers.peer_errors(cluster):
        made = experiment.build(options.config, strategy, *data)
    if options.eval_only:
        with workers.peer_errors(cluster):
            found = evaluation.evaluate(made, source, workdir and workdir.path)
        return outcome.DIVERGED if not_finite(found) else outcome.DONE
    if leads:
        print(experiment.describe(made), flush=True)
    if options.dry_run:
        if source and leads:
            print(f"It would start from {initial.load(source, made.model)}.")
        return outcome.DONE
    if leads:
        print(f"workdir        {workdir.path}", flush=True)
    command.trains = True
    try:
        with workers.peer_errors(cluster):
            result = running.train(
                made, workdir, deterministic=options.deterministic, source=source
            )
    except diverged.Diverged as stop:
        ending.say(f"{stop} {_kept(workdir.path)}")
        return outcome.DIVERGED
    except loop.EndedEarly as error:
        ending.say(f"The run stops: {error}. {_kept(workdir.path)}")
        return outcome.FAILED
    except KeyboardInterrupt as stop:
        again = "To go on, run the same command again."
        kept = f"{_kept(workdir.path)} {again}" if leads else "The leader saved a checkpoint."
        stop.args = (kept,)
        raise
    if leads:
        print(f"Result, curves, metrics and TensorBoard events are in {workdir.path}")
        print("  confusion.png: which classes it confuses; mistakes.png: the most confident ones")
        print(f"  tensorboard --logdir={workdir.tensorboard}", flush=True)
    wrong = not_finite(result)
    if wrong:
        ending.say(f"The result is not finite ({wrong}): the run is no success. It is kept.")
        return outcome.DIVERGED
    if options.export is not None:
        with workers.peer_errors(cluster):
            if leads:
                export(options, workdir, made.images)
            running.wait_for_leader(strategy)
    return outcome.DONE


def export(options, workdir, images=None):
    """Exports the model of a finished run.

    Args:
        options: `command_line.Options`.
        workdir: the run's `Workdir`.
        images: its `ImageSet`; loaded if None.
    """
    with quirks.silent_stderr():
        from tf_bdecay.training import datasets
        from tf_bdecay.training import export as exports

        images = images or datasets.load(options.config, options.data_dir, options.download)
        apart = exports.export(workdir.path / "model.keras", images, options.export)
    print(
        f"Exported to {options.export}: its endpoint `serve` takes uint8 pictures and gives "
        f"probabilities. Loaded again, it gives those of the model to {apart:.1g}."
    )


def _started(options, command, listener, source):
    """The strategy, and the images where many workers have compared them."""
    from tf_bdecay.distribution import strategies
    from tf_bdecay.training import datasets

    name, cluster = options.strategy, command.cluster
    if name == "auto":
        name, why = strategies.choose(options.tpu)
        if cluster is None or cluster.leads:
            print(f"--strategy=auto is {name}: {why}.", flush=True)
    waits = contextlib.nullcontext()
    if cluster:
        flat = checks.flatten(options.config)
        weights = source.digest if source else None
        more = {"deterministic": options.deterministic, "hash of the weights to start": weights}
        of_batches = datasets.strong_augmentation(options.config).versions()
        more |= {f"version of {name}": version for name, version in of_batches.items()}
        mine = workers.facts(flat, **more)
        workers.rendezvous(cluster, listener, mine, options.start_timeout)
        sentence = f"TensorFlow did not connect the workers in {options.start_timeout:g} s."
        waits = workers.time_limit(options.start_timeout, f"{command.program}: {sentence}")
    with waits, quirks.silent_stderr():
        strategy = strategies.make(name, options.devices, options.logical_devices, options.tpu)
    return strategy, _same_images(options, cluster, strategy) if cluster else None


def _same_images(options, cluster, strategy):
    """The images, the same on all workers: loaded only now, as TensorFlow reads them, and a
    strategy of many workers must be made before TensorFlow does anything."""
    from tf_bdecay.distribution import sharding, strategies
    from tf_bdecay.training import datasets

    images, failed = None, None
    try:
        images = datasets.load(options.config, options.data_dir, options.download)
        mine = images.record()
    except BadInput as error:  # the others must hear of it
        failed, mine = error, {"data": str(error)}
    if strategies.is_multi_worker(strategy):
        with workers.peer_errors(cluster):
            content = json.dumps(mine).encode()
            everyone = range(len(cluster.addresses))
            theirs = {i: sharding.from_worker(strategy, content, i) for i in everyone}
        sentence = workers.difference(cluster, {i: json.loads(f) for i, f in theirs.items()})
        if sentence:
            raise failed or BadInput(sentence)
    if failed:
        raise failed
    return images


def plan(options):
    """Prints what the experiment would need by number of devices, on paper.

    Args:
        options: `command_line.Options`.

    Returns:
        The exit code.
    """
    counts = formulas.parse_devices(options.devices or formulas.DEFAULT_DEVICES)
    hardware = formulas.check_hardware(options.memory_gb, options.bandwidth_gbps, options.flops)
    noise = None if options.noise_scale is None else worth.read(options.noise_scale)
    with quirks.silent_stderr():
        from rich.console import Console

        from tf_bdecay.planning import page

        page, _ = page.run(options.config, counts, hardware, noise)
    Console(width=160, highlight=False).print(page)  # as wide as its table
    return 0


def _kept(path):
    """What is there of a run, as it is now: its folder may be gone."""
    from tf_bdecay.storage import checkpoints

    if not (path / "config.json").exists():
        return f"Nothing is kept: {path} holds no run."
    newest = checkpoints.newest(path / "checkpoints")
    since = f"the newest checkpoint is {newest}" if newest else "there is no checkpoint yet"
    return f"Everything so far is kept in {path}; {since}."
