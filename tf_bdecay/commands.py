"""`tf-bdecay NAME`: the commands by name, each loaded when it is called.

A command that lacks a package names the extra that provides it and ends with code 2. Nothing here
loads Keras or TensorFlow.
"""

import sys

from tf_bdecay.errors import unknown
from tf_bdecay.frameworks import extras
from tf_bdecay.terminal import outcome, signals, streams

PROGRAM = "tf-bdecay"
_NAMES = ("train", "sharpness", "compare", "launch", "--help", "--version")

_PAGE = """\
Large-batch training for Keras: LAMB with adaptive beta decay, and the sharpness of networks.

  tf-bdecay train --help      trains a network and reports what was measured
  tf-bdecay sharpness --help  measures the sharpness of a trained network
  tf-bdecay compare --help    shows runs in one picture and one table
  tf-bdecay launch --help     trains by many worker processes on this machine
  tf-bdecay --version"""


def main(arguments=None):
    """Runs the command line, and ends the process.

    Args:
        arguments: list of strings, without the program's name; those of the process if None.
    """
    name, *rest = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    if name == "train":
        end(*train(rest, f"{PROGRAM} train"))
    elif name == "sharpness":
        end(sharpness(rest, f"{PROGRAM} sharpness"))
    elif name == "compare":
        end(compare(rest, f"{PROGRAM} compare"))
    elif name == "launch":
        end(launch(rest, f"{PROGRAM} launch"))
    ending = outcome.Ending(PROGRAM)
    with streams.steady(ending) as lost:
        code = ending.call(_about, name)
    end(ending.unless_unread(code, lost))


def _about(name):
    """Prints the help page or the version; refuses an unknown command."""
    from tf_bdecay import __version__

    if name in ("--help", "-h", "-help", "help"):
        print(_PAGE)
    elif name == "--version":
        print(f"tf_bdecay {__version__}")
    else:
        raise unknown("command", name, _NAMES)
    return outcome.DONE


def train(arguments, program):
    """Runs the training command.

    Args:
        arguments: list of strings, without the program's name.
        program: that name, with which its sentences begin.

    Returns:
        The exit code, and the `Cluster` that this process is a worker of, or None.
    """

    code = _lacks(program, "Training", "ml_collections", "absl")
    if code is not None:
        return code, None
    from tf_bdecay.training_command import run

    return run.run_command(arguments, program)


def sharpness(arguments, program):
    """Runs the sharpness command. Arguments as for `train`; returns the exit code."""
    with signals.deferred("ends after this step") as stop:  # before TensorFlow, which takes seconds
        code = _lacks(program, "Measuring", "absl", "matplotlib", "pandas", "rich")
        if code is not None:
            return code
        from tf_bdecay.sharpness_command import run

        return run.main(arguments, stop=stop, program=program)


def compare(arguments, program):
    """Runs the comparing command. Arguments as for `train`; returns the exit code."""
    needed = ("absl", "matplotlib", "ml_collections", "pandas", "rich")
    code = _lacks(program, "Comparing", *needed)
    if code is not None:
        return code
    from tf_bdecay.comparing import run

    return run.main(arguments, program)


def launch(arguments, program, *command):
    """Starts workers. Arguments as for `train`, and the command to start; returns the exit code."""
    code = _lacks(program, "Starting workers", "absl")
    if code is not None:
        return code
    from tf_bdecay.launching import run

    return run.main(arguments, program, *command)


def _lacks(program, what, *modules):
    """Says which module is not installed and returns the exit code; None if all are there."""
    try:
        extras.check(what, *modules)
    except extras.MissingPackage as error:
        return outcome.Ending(program).of(error)
    return None


def end(code, cluster=None):
    """Ends the process; at once if it is a worker of a cluster."""
    if cluster:
        from tf_bdecay.distribution import workers

        workers.end(code)
    sys.exit(code)
