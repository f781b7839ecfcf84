"""Compares tf_bdecay.Lamb with TensorFlow Addons' and optax' LAMB: the change of theta.

    make parity

Addons needs TensorFlow 2.15, hence an environment of its own (requirements.txt); optax runs in this
one, where it is installed. Exit code 0: all agree; 1: some differ; 2: the comparison cannot run.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

import numpy as np
from rich.console import Console
from rich.table import Table

from tools.parity import lamb_cases, lamb_here

# optax takes 1 - 0.999^t naively, which alone is off by 1e-5 in float32.
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


def addons_results(python):
    """Changes of theta by Addons' LAMB: a function of case and dtype.

    Args:
        python: the interpreter of its environment.

    Raises:
        SystemExit: with a sentence and exit code 2, where it does not run.
    """
    if not pathlib.Path(python).exists():
        _stop(
            "TensorFlow Addons needs an environment of its own, with Python 3.11 and the packages "
            f"of tools/parity/requirements.txt: run `make parity`. Received: {python}, not there."
        )
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "addons.npz"
        done = subprocess.run(
            [python, str(HERE / "lamb_addons.py"), str(out)], capture_output=True, text=True
        )
        if done.returncode:
            _stop(f"TensorFlow Addons' LAMB did not run in {python}:\n{done.stderr[-2000:]}")
        results = dict(np.load(out))
    return lambda case, dtype: {k: results[f"{dtype}|{case}|{k}"] for k in lamb_cases.SHAPES}


def compare(others):
    """Compares every case in both precisions.

    Args:
        others: dict of name to a function (case, dtype) -> changes of theta by path, or None where
            it does not have the case.

    Returns:
        The table, and whether all agree.
    """
    table, agree = Table("case", "precision", *others, "limit"), True
    for case in lamb_cases.CASES:
        for dtype, limit in TOLERANCE.items():
            ours, row = lamb_here.our_changes(case, dtype), []
            for run in others.values():
                theirs = run(case, dtype)
                if theirs is None:
                    row.append("adapts all")
                    continue
                difference = lamb_cases.largest_difference(ours, theirs)
                agree &= bool(difference < limit)
                row.append(f"{difference:.1e}" + ("" if difference < limit else " DIFFERS"))
            table.add_row(case, dtype, *row, f"{limit:g}")
    return table, agree


def main():
    """Prints the table and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--addons_python",
        default=str(HERE.parents[1] / ".venv-parity/bin/python"),
        help="interpreter of the environment with TensorFlow Addons (default: what make makes)",
    )
    others = {"tensorflow-addons": addons_results(parser.parse_args().addons_python)}
    if lamb_here.has_optax():
        others["optax"] = lamb_here.optax_changes
    table, agree = compare(others)
    console = Console(width=110)
    console.print(
        f"LAMB: change of theta after {lamb_cases.UPDATES} updates at rate {lamb_cases.RATE:.4g}.\n"
        "Largest difference over largest change, of the worst variable."
    )
    console.print(table)
    console.print("All agree." if agree else "Some differ.")
    return 0 if agree else 1


def _stop(sentence):
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
