"""Type checkers accept README's own lines with the package as it is installed."""

import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
SNIPPETS = "\n".join(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL))

# Keras and TensorFlow have no types of their own, which mypy says of any program with them.
MYPY = [sys.executable, "-m", "mypy", "--disable-error-code=import-untyped", "--cache-dir=.cache"]
PYRIGHT = shutil.which("pyright") or shutil.which("basedpyright")

# A line, and what both checkers say to it.
WRONG = {
    "tf_bdecay.Lambs(0.1)": "Lambs",
    "tf_bdecay.data.laod": "laod",
    "tf_bdecay.sharpness.hessian_trac": "hessian_trac",
    "tf_bdecay.describe(model).row": "row",
    "tf_bdecay.Lamb(weight_decay=0.1)": "DecayPolicy",
    "tf_bdecay.for_batch": "for_batch",
    "tf_bdecay.sharpness.connectivity(model, 'mse', ()).totals": "totals",
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The interpreter of an environment with the package installed beside what is there."""
    path = tmp_path_factory.mktemp("environment")
    venv.create(path, with_pip=False)
    (site,) = path.glob("lib/python*/site-packages")
    shutil.copytree(ROOT / "tf_bdecay", site / "tf_bdecay")
    (site / "others.pth").write_text(sysconfig.get_path("purelib"))
    return path / "bin" / "python"


def mypy(environment, folder):
    pytest.importorskip("mypy", reason="the extra dev has it")
    return [*MYPY, f"--python-executable={environment}", "lines.py"]


def pyright(environment, folder):
    if PYRIGHT is None:
        pytest.skip("`make types` has pyright")
    return [PYRIGHT, "--level=error", f"--pythonpath={environment}", "lines.py"]


def check(checker, environment, folder, lines):
    """Exit code, and what the checker says of each line that it objects to, by its number."""
    (folder / "lines.py").write_text(lines)
    command = checker(environment, folder)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    said = {}
    for number, words in re.findall(r"lines\.py:(\d+):(.*(?:\n    .*)*)", done.stdout):
        said[int(number)] = said.get(int(number), "") + words
    return done.returncode, said


@pytest.mark.slow  # a minute: TensorFlow is read
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_readmes_lines_are_clean(checker, environment, tmp_path):
    assert len(SNIPPETS.splitlines()) > 20
    assert check(checker, environment, tmp_path, SNIPPETS) == (0, {})


@pytest.mark.slow
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_what_is_wrong_is_seen_through_the_lazy_names(checker, environment, tmp_path):
    head = "import keras\nimport tf_bdecay\nmodel = keras.Sequential()\n"
    code, said = check(checker, environment, tmp_path, head + "\n".join(WRONG))
    assert code == 1
    for number, (line, words) in enumerate(WRONG.items(), start=4):
        assert words in said.get(number, ""), (line, said)
