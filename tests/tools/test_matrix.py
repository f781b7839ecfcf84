"""tools/matrix.py: the requirements of a row, and the page of what ran."""

import json
import zipfile

import pytest

from tests.processes import ended
from tools.environments import making, page

METADATA = """\
Metadata-Version: 2.4
Name: x
Requires-Dist: keras<3.16,>=3.12
Requires-Dist: numpy<3,>=2.1
Requires-Dist: pandas<4,>=2.2; extra == "cpu"
Requires-Dist: optax<0.3,>=0.2; extra == "dev"

Requires-Dist: no part of it
"""


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "x.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x-1.dist-info/METADATA", METADATA)
    return path


@pytest.mark.parametrize(
    "ends, pins, wanted",
    [
        ("oldest", (), ["keras==3.12.*", "numpy==2.1.*", "pandas==2.2.*"]),
        ("newest", (), ["keras<3.16,>=3.12", "numpy<3,>=2.1", "pandas<4,>=2.2"]),
        ("oldest", ("keras==3.13.*",), ["keras==3.13.*", "numpy==2.1.*", "pandas==2.2.*"]),
    ],
)
def test_what_is_installed_are_the_ends_of_the_ranges(wheel, ends, pins, wanted):
    row = making.Row("r", "3.12", ends, pins)
    assert making.wanted(row, wheel, ["cpu"]) == wanted


def test_the_page_says_what_ran_failed_and_was_not_there(tmp_path):
    passed = {"pip check": "passed", "tests": "7 passed", "tf-bdecay train": "passed"}
    ran = dict(date="2026-01-02", versions={"python": "3.12.1", "keras": "3.12.4"}, error="")
    ran["steps"] = {**passed, "tests, JAX": "failed: a sentence"}
    absent = dict(date="2026-01-03", versions={}, steps={}, error="no Python 3.14 here")
    order = ["ran", "absent"]
    page.keep(tmp_path, "absent", absent, order, "`tests/x.py`")
    assert "* ran: not tried yet" in (tmp_path / "matrix.md").read_text()
    page.keep(tmp_path, "ran", ran, order, "`tests/x.py`")
    text = (tmp_path / "matrix.md").read_text()
    lines = text.splitlines()
    (head,) = [i for i, line in enumerate(lines) if line.startswith("| row |")]
    cells = [cell.strip() for cell in lines[head].split("|")[1:-1]]
    first = dict(zip(cells, (c.strip() for c in lines[head + 2].split("|")[1:-1]), strict=True))
    assert (first["row"], first["keras"], first["numpy"]) == ("ran", "3.12.4", "")
    assert (first["tests"], first["tests, JAX"]) == ("7 passed", "failed")
    assert "* ran, tests, JAX: failed: a sentence" in lines
    assert "* absent could not be installed: no Python 3.14 here" in lines
    assert list(json.loads((tmp_path / "matrix.json").read_text())) == order
    page.keep(tmp_path, "ran", ran, ["ran"], "`tests/x.py`")  # a row that is tried no more goes
    assert "absent" not in (tmp_path / "matrix.md").read_text()


def test_last_words_are_one_line():
    assert making.last_words("a\n\n\x1b[31merror:\x1b[0m no\n  way\n") == "error: no way"


@pytest.mark.parametrize(
    "flag, said",
    [("--rows=3.12-odlest", "did you mean '3.12-oldest'"), ("--folder=docs", "must be new or emp")],
)
def test_wrong_flags_are_one_sentence(flag, said):
    command = ["tools/matrix.py", flag]
    done = ended(command)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith("matrix.py: ") and said in line
