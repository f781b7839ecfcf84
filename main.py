"""Trains a network with adaptive beta decay and reports what was measured: `main.py --help`."""

import contextlib
import os
import pathlib
import signal
import sys

os.environ["TF_BDECAY_LAZY_IMPORT"] = "1"  # the command line is checked before TensorFlow loads

from tf_bdecay.errors import BadInput
from tf_bdecay.training import command_line
from tf_bdecay.training import config as checks
from tf_bdecay.training.workdir import Workdir

os.environ.pop("TF_BDECAY_LAZY_IMPORT", None)

ROOT = pathlib.Path(__file__).resolve().parent
FAILED, BAD_INPUT, DIVERGED, INTERRUPTED = 1, 2, 3, 130


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name; those of the process if None.

    Returns:
        The exit code: 0 for success, 1 where a file could not be written, 2 for input that cannot
        be used, 3 for a run that stopped because loss or gradients were not finite, 130 for one
        that was interrupted by SIGINT and 143 by SIGTERM, both after a checkpoint.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if command_line.asks_for_help(arguments):
            print(command_line.help_page(arguments, ROOT))
            return 0
        return run(command_line.parse(arguments, ROOT))
    except BadInput as error:
        print(f"main.py: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("\nmain.py: Interrupted before the first update.", file=sys.stderr)
        return INTERRUPTED


def run(options):
    """Checks the experiment, then describes it or trains it.

    Args:
        options: `command_line.Options`.

    Returns:
        The exit code.
    """
    checks.check(options.config)
    if options.plan:
        return plan(options)
    workdir = None
    if not options.dry_run:
        workdir = Workdir(options.workdir, checks.flatten(options.config))
        if options.resume == "never":
            workdir.check_new()
        if workdir.result:
            accuracy = workdir.result.get("test_accuracy", float("nan"))
            print(f"{workdir.path} is finished: test accuracy {accuracy:.2%}. Nothing was changed.")
            return 0

    _avoid_narrow_kernels(options.config)
    with _quiet():  # TensorFlow takes seconds to import, so what can be refused before it is
        import tensorflow as tf

        from tf_bdecay.training import experiment, record, signals, strategies

        if options.deterministic:
            tf.config.experimental.enable_op_determinism()
        strategy = strategies.make(options.strategy, options.devices, options.logical_devices)
    made = experiment.build(options.config, strategy, options.data_dir, options.download)
    print(experiment.describe(made), flush=True)
    if options.dry_run:
        return 0
    print(f"workdir        {workdir.path}", flush=True)
    try:
        experiment.train(made, workdir)
    except record.Diverged as stop:
        print(f"main.py: {stop} {_kept(workdir)}", file=sys.stderr)
        return DIVERGED
    except OSError as error:
        print(f"main.py: The run stops: {error}. {_kept(workdir)}", file=sys.stderr)
        return FAILED
    except (signals.Stopped, KeyboardInterrupt) as stop:
        number = getattr(stop, "number", signal.SIGINT)
        what = "Interrupted" if number == signal.SIGINT else "Terminated"
        again = "To go on, run the same command again."
        print(f"\nmain.py: {what}. {_kept(workdir)} {again}", file=sys.stderr)
        return 128 + number
    print(f"Result, curves, metrics and TensorBoard events are in {workdir.path}")
    print(f"  tensorboard --logdir={workdir.tensorboard}")
    return 0


def plan(options):
    """Prints what the experiment would need by number of devices, on paper.

    Args:
        options: `command_line.Options`.

    Returns:
        The exit code.
    """
    _avoid_narrow_kernels(options.config)
    with _quiet():
        from rich.console import Console

        from tf_bdecay.training import plan_mode

        hardware = options.memory_gb, options.bandwidth_gbps, options.flops
        page, _ = plan_mode.run(options.config, options.devices, *hardware)
    Console(width=160, highlight=False).print(page)  # as wide as its table
    return 0


def _avoid_narrow_kernels(config):
    """TensorFlow 2.21's oneDNN kernels write out of bounds in the gradient of a strided 1x1
    convolution of few channels (seen on x86 with 4, 8 and 12)."""
    if config.model.width % 16:
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")


def _kept(workdir):
    from tf_bdecay.training import shelf

    newest = shelf.newest(workdir.checkpoints)
    since = f"the newest checkpoint is {newest}" if newest else "there is no checkpoint yet"
    return f"Everything so far is kept in {workdir.path}; {since}."


@contextlib.contextmanager
def _quiet():
    """Silences the notices that TensorFlow's C++ prints to stderr whatever its log level is."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


if __name__ == "__main__":
    sys.exit(main())
