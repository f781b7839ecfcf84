"""Compares the updates of tf_bdecay.Lamb with those of TensorFlow Addons, timm and optax.

    make parity

Addons needs TensorFlow 2.15 and timm needs PyTorch, so each runs in an environment of its own
(requirements.txt and requirements-torch.txt); optax runs in this one if it is installed.
Exit codes: 0 all agree, 1 some differ, 2 the comparison cannot run.
"""

import argparse
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from rich.table import Table

from tools.parity import elsewhere, lamb_cases, lamb_here

# optax computes 1 - 0.999^t naively, which alone is off by 1e-5 in float32.
TOLERANCE = {"float64": 1e-10, "float32": 2e-5}


def results_of(script, python, what):
    """The changes of theta by another LAMB, as a function of case and dtype."""
    found = elsewhere.arrays_of(script, python, what, "parity")
    return lambda case, dtype: {k: found[f"{dtype}|{case}|{k}"] for k in lamb_cases.SHAPES}


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
    elsewhere.add_python(parser, "--addons_python", ".venv-parity", "TensorFlow Addons")
    elsewhere.add_python(parser, "--torch_python", ".venv-torch", "timm")
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
    heading = (
        f"LAMB: change of theta after {lamb_cases.UPDATES} updates at rate {lamb_cases.RATE:.4g}.\n"
        "Each figure is the largest difference over the largest change, of the worst variable."
    )
    return elsewhere.verdict(heading, table, agree)


if __name__ == "__main__":
    sys.exit(main())
