"""Trains a network with adaptive beta decay and reports what was measured: `main.py --help`."""

import contextlib
import pathlib
import signal
import sys
import traceback

from tf_bdecay import quirks
from tf_bdecay.distribution import cluster as clusters
from tf_bdecay.distribution import workers
from tf_bdecay.errors import BadInput
from tf_bdecay.planning import formulas
from tf_bdecay.training import command_line
from tf_bdecay.training import config as checks
from tf_bdecay.training.workdir import Workdir

ROOT = pathlib.Path(__file__).resolve().parent
FAILED, BAD_INPUT, DIVERGED, INTERRUPTED = 1, 2, 3, 130


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name; those of the process if None.

    Returns:
        The exit code: 0 for success, 1 where a file could not be written, 2 for input that cannot
        be used, 3 for a run that stopped because loss or gradients were not finite, 4 where another
        worker was lost or did not come, 130 for a run that was interrupted by SIGINT and 143 by
        SIGTERM, both after a checkpoint.
    """
    return outcome(sys.argv[1:] if arguments is None else list(arguments))[0]


def outcome(arguments):
    """What `main` does, for who must know where it ran.

    Args:
        arguments: list of strings.

    Returns:
        The exit code, and the `Cluster` that this process is a worker of, or None.
    """
    cluster = None
    try:
        if command_line.asks_for_help(arguments):
            print(command_line.help_page(arguments, ROOT))
            return 0, None
        options = command_line.parse(arguments, ROOT)
        checks.check(options.config)
        if quirks.onednn_overruns(options.config.model.width):
            quirks.avoid_onednn()
        if options.plan:
            return plan(options), None
        cluster = clusters.find(options.strategy, options.workers, options.worker_index)
        return run(options, cluster), cluster
    except BadInput as error:
        print(f"main.py: {error}", file=sys.stderr)
        return BAD_INPUT, cluster
    except workers.WorkerLost as error:
        print(f"main.py: {error}", file=sys.stderr)
        return workers.LOST, cluster
    except KeyboardInterrupt:
        print("\nmain.py: Interrupted before the first update.", file=sys.stderr)
        return INTERRUPTED, cluster
    except Exception:
        if cluster is None:
            raise
        traceback.print_exc()
        return FAILED, cluster


def run(options, cluster=None):
    """Describes the experiment or trains it.

    Args:
        options: `command_line.Options`, their config checked.
        cluster: the `Cluster` that this process is a worker of, or None.

    Returns:
        The exit code.
    """
    workdir = None
    listener = cluster.bind() if cluster else None
    leads = cluster is None or cluster.leads
    if not options.dry_run:
        workdir = Workdir(options.workdir, checks.flatten(options.config))
        if options.resume == "never":
            workdir.check_new()
        if workdir.result:
            accuracy = workdir.result.get("test_accuracy", float("nan"))
            if leads:
                end = f"test accuracy {accuracy:.2%}. Nothing was changed."
                print(f"{workdir.path} is finished: {end}")
            return 0

    # TensorFlow takes seconds to import, so what can be refused before it is.
    with quirks.silent_stderr():
        import tensorflow as tf

        from tf_bdecay.distribution import signals
        from tf_bdecay.training import experiment, logs, loop

        if options.deterministic:
            tf.config.experimental.enable_op_determinism()
    strategy, images = _started(options, cluster, listener)
    data = (options.data_dir, options.download, images)
    with workers.peer_errors(cluster):
        made = experiment.build(options.config, strategy, *data)
    if leads:
        print(experiment.describe(made), flush=True)
    if options.dry_run:
        return 0
    if leads:
        print(f"workdir        {workdir.path}", flush=True)
    try:
        with workers.peer_errors(cluster):
            experiment.train(made, workdir, deterministic=options.deterministic)
    except workers.WorkerLost as error:
        raise workers.WorkerLost(f"{error} {_kept(workdir)}") from error
    except logs.Diverged as stop:
        print(f"main.py: {stop} {_kept(workdir)}", file=sys.stderr)
        return DIVERGED
    except (OSError, loop.EndedEarly) as error:
        print(f"main.py: The run stops: {error}. {_kept(workdir)}", file=sys.stderr)
        return FAILED
    except (signals.Stopped, KeyboardInterrupt) as stop:
        number = getattr(stop, "number", signal.SIGINT)
        what = "Interrupted" if number == signal.SIGINT else "Terminated"
        again = "To go on, run the same command again."
        kept = f"{_kept(workdir)} {again}" if leads else "The leader saved a checkpoint."
        print(f"\nmain.py: {what}. {kept}", file=sys.stderr)
        return 128 + number
    if leads:
        print(f"Result, curves, metrics and TensorBoard events are in {workdir.path}")
        print(f"  tensorboard --logdir={workdir.tensorboard}")
    return 0


def _started(options, cluster, listener):
    """The strategy, and the images where many workers had to compare them first."""
    from tf_bdecay.distribution import strategies
    from tf_bdecay.training import experiment

    name, images = options.strategy, None
    if name == "auto":
        name, why = strategies.choose(options.tpu)
        if cluster is None or cluster.leads:
            print(f"--strategy=auto is {name}: {why}.", flush=True)
    waits = contextlib.nullcontext()
    if cluster:
        images = experiment.load_images(options.config, options.data_dir, options.download)
        flat = checks.flatten(options.config)
        mine = workers.facts(flat, images, deterministic=options.deterministic)
        workers.rendezvous(cluster, listener, mine, options.start_timeout)
        sentence = f"TensorFlow did not connect the workers in {options.start_timeout:g} s."
        waits = workers.time_limit(options.start_timeout, sentence)
    with waits, quirks.silent_stderr():
        made = strategies.make(name, options.devices, options.logical_devices, options.tpu)
    return made, images


def plan(options):
    """Prints what the experiment would need by number of devices, on paper.

    Args:
        options: `command_line.Options`.

    Returns:
        The exit code.
    """
    counts = formulas.parse_devices(options.devices or formulas.DEFAULT_DEVICES)
    hardware = formulas.check_hardware(options.memory_gb, options.bandwidth_gbps, options.flops)
    with quirks.silent_stderr():
        from rich.console import Console

        from tf_bdecay.planning import page

        page, _ = page.run(options.config, counts, hardware)
    Console(width=160, highlight=False).print(page)  # as wide as its table
    return 0


def _kept(workdir):
    from tf_bdecay.storage import checkpoints

    newest = checkpoints.newest(workdir.checkpoints)
    since = f"the newest checkpoint is {newest}" if newest else "there is no checkpoint yet"
    return f"Everything so far is kept in {workdir.path}; {since}."


if __name__ == "__main__":
    code, cluster = outcome(sys.argv[1:])
    if cluster:
        workers.end(code)
    sys.exit(code)
