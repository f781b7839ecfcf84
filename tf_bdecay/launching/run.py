"""The command: flags -> many worker processes that train -> the first failure's exit code."""

import os
import sys

from tf_bdecay.distribution import cluster
from tf_bdecay.errors import require
from tf_bdecay.launching import processes
from tf_bdecay.terminal import flag_reading, outcome, streams
from tf_bdecay.terminal.flag_reading import TRACEBACK, Flag

PROGRAM = "tf-bdecay launch"
TRAIN = (sys.executable, "-P", "-m", "tf_bdecay", "train")
_MOST_WORKERS = 1024  # on one machine; each has a port and a pipe
_OURS = ("strategy", "workers", "worker_index", "logical_devices")
_FLAGS = (
    Flag(int, "workers", 2, "how many processes (2)"),
    Flag(int, "restarts", 0, "how often to start again after a loss (0)"),
    Flag(float, "grace", 60.0, "seconds for the others to end by themselves (60)"),
    TRACEBACK,
)

_PAGE = """\
Starts the training command as many worker processes on this machine, and shows their logs apart.

  {program} --workers=2 -- --config.model.width=16 --config.epochs=2
  {program} --workers=2 --restarts=3 -- --config=cifar10_resnet18:adaptive

Flags, with their defaults at the end
{flags}

What stands behind `--` goes to every worker, with --strategy=multi_worker and a TF_CONFIG of free
ports. The first worker that fails gives its exit code: the others are ended, by SIGKILL where they
do not go within --grace seconds. Where a worker was killed or lost (not where the input was bad, or
the run was told to stop) all start again, at most --restarts times, and go on from the newest
checkpoint. SIGINT, SIGTERM and SIGHUP are handed on once to every worker, which then saves and
ends. Exit codes: 0 all done, 128 + n a worker ended by signal n, else those of the workers. Workers
get SIGTERM where the launcher itself is killed."""


def main(arguments=None, program=PROGRAM, train=TRAIN):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name; those of the process if None.
        program: that name, with which its sentences begin.
        train: the training command, a list of strings.

    Returns:
        The exit code: that of the first worker that failed, 2 for input that cannot be used.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    before, behind = _split(arguments)
    ending = outcome.Ending(program, flag_reading.asks_for_traceback(before))

    def body():
        if flag_reading.asks_for_help(before):
            print(_PAGE.format(program=program, flags=flag_reading.lines(_FLAGS)))
            return outcome.DONE
        values = _parsed(before, program)
        _check(values, behind, program)
        command = [*train, "--strategy=multi_worker", *behind]
        return processes.run(command, values.workers, values.grace, values.restarts)

    with streams.steady(ending):
        return ending.call(body)


def _split(arguments):
    """The arguments before and after `--`."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:end], arguments[end + 1 :]


def _parsed(arguments, program):
    """The values of the flags before `--`: absl's FlagValues."""
    values, rest = flag_reading.read(_FLAGS, arguments, program)
    require(
        not rest,
        f"{program} takes the training command's flags behind `--`. Received: {' '.join(rest)}",
    )
    return values


def _check(values, behind, program):
    """Raises `BadInput` for what cannot be run."""
    require(
        1 <= values.workers <= _MOST_WORKERS,
        f"--workers must be a whole number from 1 to {_MOST_WORKERS}. Received: {values.workers}",
    )
    require(values.restarts >= 0, f"--restarts must be >= 0. Received: {values.restarts}")
    require(
        0 < values.grace < 1e7,
        f"--grace must be a number of seconds > 0 and < 1e7. Received: {values.grace}",
    )
    require(
        cluster.VARIABLE not in os.environ,
        f"{program} writes {cluster.VARIABLE} for its workers, and it is set already: unset it, or "
        "start the training command with --strategy=multi_worker itself.",
    )
    for argument in behind:
        name = argument.lstrip("-").partition("=")[0]
        require(
            name not in _OURS,
            f"--{name} is {program}'s to say to the workers: leave it out behind `--`.",
        )
