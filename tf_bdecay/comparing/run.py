"""The command: folders of runs -> one picture and one table."""

import sys

from rich import box
from rich.table import Table

from tf_bdecay.comparing import picture, runs
from tf_bdecay.errors import require
from tf_bdecay.storage.files import atomic_write
from tf_bdecay.storage.paths import check_can_write, local
from tf_bdecay.terminal import flag_reading, outcome, streams
from tf_bdecay.terminal.figures import save_picture
from tf_bdecay.terminal.flag_reading import TRACEBACK, Flag
from tf_bdecay.terminal.plain_text import plain_console

PROGRAM = "tf-bdecay compare"
_FLAGS = (
    Flag(str, "out", "comparison.png", "the picture (comparison.png)"),
    TRACEBACK,
)
_PAGE = """\
Compares runs: one picture of their curves and of r, and a table of what they came to.

  {program} runs/digits_resnet18-adaptive-seed0 runs/digits_resnet18-no_bias-seed0
  {program} runs/* --out=all.png

Flags, with their defaults at the end
{flags}

The table has the keys of the config that all runs have and in which they differ. Accuracy is the
last evaluation of the training: of the test images, with precise statistics where the run has them.
The loss is the one trained by; of runs whose label_smoothing differs it is the cross-entropy of
labels that are not smoothed, "-" where a run of an earlier version did not keep it. r is the median
of the normalization layers. Runs that are not finished are compared as far as they are.

Exit codes: 0 done, 1 the picture could not be written, 2 input that cannot be used."""


def main(arguments=None, program=PROGRAM):
    """Runs the command line.

    Args:
        arguments: list of strings, without the program's name; those of the process if None.
        program: that name, with which its sentences begin.

    Returns:
        The exit code.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    ending = outcome.Ending(program, flag_reading.asks_for_traceback(arguments))
    ending.what = "The comparison"

    def body():
        if flag_reading.asks_for_help(arguments):
            print(_PAGE.format(program=program, flags=flag_reading.lines(_FLAGS)))
            return outcome.DONE
        paths, out = _parsed(arguments, program)
        read = runs.read(paths)
        figure = picture.draw(read)
        atomic_write(out, lambda file: save_picture(figure, file, dpi=110))
        _show(*runs.rows(read))
        print(f"The picture is {out}.")
        return outcome.DONE

    with streams.steady(ending) as lost, outcome.ends_at_signals(ending):
        code = ending.call(body)
    return ending.unless_unread(code, lost)


def _parsed(arguments, program):
    """The paths of the runs, and of the picture."""
    values, paths = flag_reading.read(_FLAGS, arguments, program)
    out = local("--out", values.out)
    require(out.lower().endswith(".png"), f"--out must end in .png. Received: {out!r}")
    check_can_write("--out", out)
    return [local("A run", path) for path in paths], out


def _show(columns, rows):
    table = Table(box=box.SIMPLE_HEAD)
    for name in columns:
        table.add_column(name, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    width = 2 + runs.width(columns, rows, apart=3)  # as wide as its table
    plain_console(width=max(width, 80), highlight=False).print(table)
