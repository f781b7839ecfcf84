"""Writes docs/coverage.md: which share of each folder's statements the quick tests run.

    make test-coverage

Exit codes: 0 written, 2 nothing was recorded.
"""

import collections
import pathlib
import sys

import coverage

ROOT = pathlib.Path(__file__).resolve().parents[1]
PATH = ROOT / "docs" / "coverage.md"
_LOW = 0.9
_TEXT = """\
# What the tests run

The share of the package's statements that the tests of `make test` run at least once, under
TensorFlow and JAX together, in their own process or in one that they start. Two kinds of code are
run and not counted: functions that AutoGraph rewrites, as in input pipelines and exchanges between
workers, and what runs only in processes that a test kills. What needs several workers is mostly
left to the slow tests, and what needs a TPU was never run. A statement that is run is not yet
checked: [mutation.md](mutation.md) says how many small mistakes the tests notice. Made by
`make test-coverage`.

| folder | files | statements | run |
|---|---|---|---|
{folders}

## Files below {low:.0%}

| file | statements | run |
|---|---|---|
{files}
"""


def page(found):
    """The page.

    Args:
        found: dict of a file's path, relative to the project, to its numbers of statements and of
            statements that were not run. Files without statements, or of others than the package,
            are left out.
    """
    found = {
        path: counts
        for path, counts in sorted(found.items())
        if counts[0] and path.startswith("tf_bdecay/") and "/configs/" not in path
    }
    folders = collections.defaultdict(list)
    for path, counts in found.items():
        folders[str(pathlib.PurePosixPath(path).parent)].append(counts)
    rows = [_row(f"`{name}` | {len(counts)}", counts) for name, counts in folders.items()]
    rows.append(_row(f"all | {len(found)}", found.values()))
    low = [
        _row(f"`{path}`", [(statements, missed)])
        for path, (statements, missed) in found.items()
        if 1 - missed / statements < _LOW
    ]
    return _TEXT.format(folders="\n".join(rows), files="\n".join(low), low=_LOW)


def _row(name, counts):
    statements, missed = (sum(each) for each in zip(*counts, strict=True))
    return f"| {name} | {statements:,} | {1 - missed / statements:.1%} |"


def main():
    """Reads what `make test-coverage` recorded; returns the exit code."""
    record = coverage.Coverage(data_file=ROOT / ".coverage", config_file=ROOT / "pyproject.toml")
    record.load()
    files = record.get_data().measured_files()
    if not files:
        print(f"{ROOT / '.coverage'} has no record: run `make test-coverage`.", file=sys.stderr)
        return 2
    found = {}
    for path in files:
        _, statements, _, missed, _ = record.analysis2(str(ROOT / path))
        found[path] = (len(statements), len(missed))
    PATH.write_text(page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
