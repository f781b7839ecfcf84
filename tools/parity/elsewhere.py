"""What the comparisons share: another package in its own environment, and the verdict.

A comparison's exit codes: 0 all agree, 1 some differ, 2 it cannot run.
"""

import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from tf_bdecay.terminal.plain_text import plain_console

HERE = pathlib.Path(__file__).resolve().parent


def add_python(parser, flag, folder, what):
    """Adds a flag for the interpreter of another environment.

    Args:
        parser: the `argparse.ArgumentParser`.
        flag: str, such as "--torch_python".
        folder: the environment that make creates, in the project's root.
        what: the package that is in it.
    """
    parser.add_argument(
        flag,
        default=str(HERE.parents[1] / folder / "bin/python"),
        help=f"Python of the environment with {what} (default: the one that make creates)",
    )


def arrays_of(script, python, what, target, *arguments, given=None):
    """Runs a program in another environment; returns the arrays that it writes.

    Args:
        script: name of the program in this folder. It is called with the file of what is given, if
            anything is, then the file to write, then `arguments`.
        python: the interpreter of its environment.
        what: the packages that it runs.
        target: the target of make that creates the environment.
        *arguments: further arguments, as strings.
        given: dict of name to array, or None.

    Returns:
        Dict of name to NumPy array.

    Raises:
        SystemExit: it does not run; with a sentence and exit code 2.
    """
    if not pathlib.Path(python).exists():
        _stop(
            f"{what} needs an environment of its own (tools/parity/requirements*.txt): run "
            f"`make {target}`. Received: {python}, which does not exist."
        )
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = pathlib.Path(folder, "given.npz"), pathlib.Path(folder, "found.npz")
        if given is not None:
            np.savez(theirs, **given)
            arguments = (str(ours), *arguments)
        command = [python, str(HERE / script), str(ours if given is None else theirs), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            _stop(f"{what} failed in {python}:\n{done.stderr[-2000:]}")
        return dict(np.load(ours))


def verdict(heading, table, agree):
    """Prints a comparison; returns its exit code.

    Args:
        heading: str, what was compared.
        table: the `rich.table.Table`.
        agree: bool, whether everything agrees.
    """
    console = plain_console(width=110)
    console.print(heading)
    console.print(table)
    console.print("All agree." if agree else "Some differ.")
    return 0 if agree else 1


def _stop(sentence):
    print(sentence, file=sys.stderr)
    raise SystemExit(2)
