"""docs/matrix.md: what ran where, from docs/matrix.json."""

import json

PACKAGES = ("keras", "tensorflow", "numpy", "jax", "pandas", "scipy", "scikit-learn", "matplotlib")
STEPS = ("pip check", "tests", "tests, JAX", "tf-bdecay train", "tf-bdecay sharpness")
_PAGE = """\
# What ran where

Made by `make test-matrix` (`tools/matrix.py`): the package's wheel in environments of other
versions, the oldest and newest of each package's range in `setup.py` and what lies between for
Keras. "Oldest" is the last release of the oldest series.

In each: `pip check`; a part of the tests under TensorFlow and under Keras' JAX backend ({tests});
and outside of the repository `tf-bdecay train` (ResNet18 of width 4 on the digits, one epoch) and
`tf-bdecay sharpness` (C) from the wheel.

| row | Python | {packages} | {steps} | date |
|---|---|{columns}---|
{rows}

{notes}Untried: every other combination, macOS, Windows, processors other than x86-64, and
TensorFlow on GPUs and TPUs (extras `gpu` and `tpu`).
"""


def page(results, order, tests):
    """The page.

    Args:
        results: dict of a row's name to its result, as `tools/matrix.py` keeps them.
        order: names of all rows.
        tests: what runs of the tests, in words.
    """
    rows, notes = [], []
    for name, result in results.items():
        versions = [result["versions"].get(package, "") for package in PACKAGES]
        steps = []
        for step in STEPS:
            said = result["steps"].get(step, "")
            if said.startswith("failed"):
                notes.append(f"* {name}, {step}: {said}")
                said = "failed"
            steps.append(said)
        python = result["versions"].get("python", "")
        rows.append(f"| {' | '.join([name, python, *versions, *steps, result['date']])} |")
        if result["error"]:
            notes.append(f"* {name} could not be installed: {result['error']}")
    notes += [f"* {name}: not tried yet" for name in order if name not in results]
    return _PAGE.format(
        tests=tests,
        packages=" | ".join(PACKAGES),
        steps=" | ".join(STEPS),
        columns="---|" * (len(PACKAGES) + len(STEPS)),
        rows="\n".join(rows),
        notes="\n".join([*notes, "", ""]) if notes else "",
    )


def keep(folder, name, result, order, tests):
    """Writes a row's result among those that are there, and the page.

    Args:
        folder: of matrix.json and matrix.md.
        name, result: of the row.
        order: names of all rows, in the page's order; what is not among them goes.
        tests: as of `page`.
    """
    path = folder / "matrix.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = result
    results = {name: results[name] for name in order if name in results}
    path.write_text(json.dumps(results, indent=1) + "\n")
    (folder / "matrix.md").write_text(page(results, order, tests))
