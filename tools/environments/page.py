"""Writes docs/matrix.md, the page of what ran where, from docs/matrix.json."""

import json

from tf_bdecay.storage.files import write_json

PACKAGES = ("keras", "tensorflow", "numpy", "jax", "pandas", "scipy", "scikit-learn", "matplotlib")
STEPS = ("pip check", "tests", "tests, JAX", "tf-bdecay train", "tf-bdecay sharpness")
_PAGE = """\
# What ran where

`make test-matrix` (`tools/matrix.py`) makes this page. Each row is an environment with the
package's wheel and either the oldest or the newest version of each dependency that `setup.py`
allows; of Keras, the versions between are tried too. "Oldest" means the last release of the oldest
series.

In each environment run:

* `pip check`
* under TensorFlow, a part of the tests: {tests}
* under Keras' JAX backend, those of them that need no TensorFlow
* with the wheel, outside the repository, `tf-bdecay train` (ResNet18 of width 4 on the digits, one
  epoch) and `tf-bdecay sharpness` (C)

| row | Python | {packages} | {steps} | date |
|---|---|{columns}---|
{rows}

{notes}Untried: every other combination, macOS, Windows, processors other than x86-64, and
TensorFlow on GPUs and TPUs (extras `gpu` and `tpu`).
"""


def page(results, order, tests):
    """The page.

    Args:
        results: dict of a row's name to its result, in the form that `tools/matrix.py` keeps.
        order: names of all rows.
        tests: the tests that run, as text for the page.
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
    """Adds a row's result to matrix.json, and writes the page.

    Args:
        folder: the folder of matrix.json and matrix.md.
        name, result: the row's name and result.
        order: names of all rows, in the page's order; results of other rows are removed.
        tests: as for `page`.
    """
    path = folder / "matrix.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results[name] = result
    results = {name: results[name] for name in order if name in results}
    write_json(path, results)
    (folder / "matrix.md").write_text(page(results, order, tests))
