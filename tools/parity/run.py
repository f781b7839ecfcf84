"""Compares the updates of tf_bdecay.Lamb with those of TensorFlow Addons, timm and optax.

    make parity

Addons needs TensorFlow 2.15 and timm needs PyTorch, so each runs in an environment of its own
(requirements.txt and requirements-torch.txt); optax runs in this one if it is installed.
Exit codes: 0 all agree, 1 some differ, 2 the comparison cannot run.
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

# optax computes 1 - 0.999^t naively, which alone is off by 1e-5 in float32.
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


def results_of(script, python, what):
    """Runs another LAMB; returns its changes of theta as a function of case and dtype.

    Args:
        script: name of the program beside this one that runs it.
        python: the interpreter of its environment.
        what: the package whose LAMB it is.

    Raises:
        SystemExit: it does not run; with a sentence and exit code 2.
    """
    if not pathlib.Path(python).exists():
        _stop(
            f"{what} needs an environment of its own (tools/parity/requirements*.txt): run `make "
            f"parity`. Received: {python}, which does not exist."
        )
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "changes.npz"
        command = [python, str(HERE / script), str(out)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            _stop(f"LAMB of {what} failed in {python}:\n{done.stderr[-2000:]}")
        results = dict(np.load(out))
    return lambda case, dtype: {k: results[f"{dtype}|{case}|{k}"] for k in lamb_cases.SHAPES}


def compare(others):
    """Compares every case in both precisions.

    Args:
        others: dict of name to a function (case, dtype) that returns the changes of theta by path,
            or None for a case that it cannot run.

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
        help="Python of the environment with Addons (default: the one that make creates)",
    )
    parser.add_argument(
        "--torch_python",
        default=str(HERE.parents[1] / ".venv-torch/bin/python"),
        help="Python of the environment with timm (default: the one that make creates)",
    )
    arguments = parser.parse_args()
    others = {
        "tensorflow-addons": results_of(
            "lamb_addons.py", arguments.addons_python, "TensorFlow Addons"
        ),
        "timm": results_of("lamb_timm.py", arguments.torch_python, "timm"),
    }
    if lamb_here.has_optax():
        others["optax"] = lamb_here.optax_changes
    table, agree = compare(others)
    console = Console(width=110)
    console.print(
        f"LAMB: change of theta after {lamb_cases.UPDATES} updates at rate {lamb_cases.RATE:.4g}.\n"
        "Each figure is the largest difference over the largest change, of the worst variable."
    )
    console.print(table)
    console.print("All agree." if agree else "Some differ.")
    return 0 if agree else 1


def _stop(sentence):
    print(sentence, file=sys.stderr)
    raise SystemExit(2)


if __name__ == "__main__":
    sys.exit(main())
