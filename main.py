"""Trains a network with adaptive beta decay and reports what was measured: `main.py --help`.

The same as `tf-bdecay train`, which is in tf_bdecay/training_command/.
"""

import sys

from tf_bdecay import commands


def main(arguments=None):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name; those of the process if None.

    Returns:
        The exit code: 0 for success, 1 where something failed, such as a file that could not be
        written, 2 for input that cannot be used, 3 for a run that stopped because loss or gradients
        were not finite or whose result is not, 4 where another worker was lost or did not come,
        128 + n for a run that signal n ended (130 SIGINT, 143 SIGTERM, 129 SIGHUP), after a
        checkpoint where training had begun.
    """
    return commands.train(sys.argv[1:] if arguments is None else list(arguments), "main.py")[0]


if __name__ == "__main__":
    commands.end(*commands.train(sys.argv[1:], "main.py"))
