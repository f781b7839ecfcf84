"""tools/mutation.py on mutants whose results are known."""

import json
import pathlib

import pytest

from tests.processes import ended

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODULE = "tf_bdecay/sensitivity.py"


def mutants(**changes):
    """A file's content: one mutant of the sensitivities for each (old, new) text."""
    source = (ROOT / MODULE).read_text()
    made = []
    for i, (name, (old, new)) in enumerate(changes.items()):
        assert old in source
        line = 1 + source[: source.index(old)].count("\n")
        where = {"target": "sensitivity", "module": MODULE, "line": line}
        changed = source.replace(old, new, 1)
        made.append({**where, "operator": name, "occurrence": i, "source": changed})
    return {"of": 10, "mutants": made}


def tried(*arguments):
    return ended(["tools/mutation.py", *map(str, arguments)])


def test_what_is_no_file_of_mutants_is_one_sentence(tmp_path):
    path = tmp_path / "mutants.json"
    path.write_text("[]")
    done = tried(path)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        f"mutation.py: {path} is no file of mutants: tools/mutating/draw.py makes one."
    )


@pytest.mark.slow
def test_mutants_are_killed_survive_or_cannot_be_imported(tmp_path):
    path = tmp_path / "mutants.json"
    drawn = mutants(
        wrong=("ops.equal(c_gamma, 0)", "ops.equal(c_gamma, 1)"),
        equal=("ops.sum(ops.abs(s))", "ops.sum(ops.abs(-s))"),
        broken=("def bias_ratio(", "def bias_ratio(c_beta, "),
    )
    path.write_text(json.dumps(drawn))
    done = tried(path, f"--out={tmp_path}")
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "1 of 2 mutants are killed, 50.0%."
    kept = json.loads((tmp_path / "mutation.json").read_text())["mutants"].values()
    assert [m["result"] for m in kept] == ["killed", "survived", "cannot be imported"]
    page = (tmp_path / "mutation.md").read_text()
    assert "**1 of 2 are killed, 50.0%.**" in page and "| sensitivity | 1 | 2 |" in page
    survivors = page.partition("## Survivors")[2]
    assert "`return [ops.sum(ops.abs(-s)) for s in sensitivities]`" in survivors
    assert "c_gamma, 1" not in survivors
    again = tried(path, f"--out={tmp_path}")  # tries the survivor alone
    assert "1/1 survived" in again.stdout
