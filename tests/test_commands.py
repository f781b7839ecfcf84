"""`tf-bdecay` as a wheel installs it: configs inside the package, and no repository around it."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
MAIN = "from tf_bdecay.commands import main; main()"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the package as it is installed: `setup.py` maps configs/ into it."""
    path = tmp_path_factory.mktemp("site")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tf_bdecay", path / "tf_bdecay", ignore=ignored)
    shutil.copytree(ROOT / "configs", path / "tf_bdecay" / "configs", ignore=ignored)
    return path


def call(site, cwd, *arguments, code=MAIN):
    """Runs the command away from the repository."""
    return subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(site), "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_it_lists_its_commands_and_says_its_version(site, tmp_path):
    from tf_bdecay import __version__

    for arguments in ([], ["--help"]):
        done = call(site, tmp_path, *arguments)
        assert done.returncode == 0 and "tf-bdecay sharpness --help" in done.stdout
    assert call(site, tmp_path, "--version").stdout == f"tf_bdecay {__version__}\n"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["trian"], "tf-bdecay: Unknown command 'trian': did you mean 'train'?"),
        (["train", "--confg=x"], "tf-bdecay train: Unknown flag '--confg'"),
        (["train", "--config=cifar10"], "tf-bdecay train: Unknown config file 'cifar10': did you"),
        (["sharpness"], "tf-bdecay sharpness: Say what to measure"),
        (["compare", "run"], "tf-bdecay compare: Name two runs or more. Received: 1"),
        (["launch", "--workers=0"], "tf-bdecay launch: --workers must be a whole number from 1"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_code_2(site, tmp_path, arguments, said):
    done = call(site, tmp_path, *arguments)
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2 and line.startswith(said) and done.stdout == ""


@pytest.mark.parametrize("name", ["train", "sharpness", "compare", "launch"])
def test_help_needs_no_tensorflow(site, tmp_path, name):
    code = "import atexit, sys\natexit.register(lambda: print('tensorflow' in sys.modules))\n"
    done = call(site, tmp_path, name, "--help", code=code + MAIN)
    assert done.returncode == 0 and f"tf-bdecay {name}" in done.stdout
    assert done.stdout.endswith("\nFalse\n") and "main.py" not in done.stdout


def test_a_missing_package_is_a_sentence_that_names_the_extra(site, tmp_path):
    code = "import sys; sys.modules['ml_collections'] = None\n"
    done = call(site, tmp_path, "train", code=code + MAIN)
    assert done.returncode == 2
    assert done.stderr == (
        "tf-bdecay train: Training needs ml_collections, which is not installed: pip install "
        "'tf_bdecay[train]'.\n"
    )


@pytest.mark.slow
def test_a_config_is_found_by_name_and_by_path(site, tmp_path):
    """A file of one's own uses what the experiments share, too."""
    own = tmp_path / "mine.py"
    own.write_text(
        "from configs import common\n"
        "def get_config(variant='beta'):\n"
        "    return common.vary(common.lamb('mine'), variant)\n"
    )
    plan = ["--plan", "--devices=1", "--config.model.width=8"]
    for config in ("cifar10_resnet18:beta", "configs/cifar10_resnet18.py", "mine.py:adaptive"):
        done = call(site, tmp_path, "train", f"--config={config}", *plan)
        assert done.returncode == 0, done.stderr
        assert "1,200 updates of 8,192 images" in done.stdout
    assert [p.name for p in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.slow
def test_an_experiment_is_ours_where_another_configs_is_importable(site, tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "__init__.py").write_text("raise RuntimeError")
    code = "import sys; sys.path.insert(0, '.')\n"
    plan = ["--config=cifar10_resnet18", "--plan", "--devices=1"]
    done = call(site, tmp_path, "train", *plan, code=code + MAIN)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_it_trains_and_measures_away_from_the_repository(site, tmp_path):
    small = ["--config.model.width=4", "--config.epochs=1", "--workdir=run"]
    done = call(site, tmp_path, "train", *small)
    assert done.returncode == 0, done.stderr
    measure = ["--model=run", "--measures=C", "--examples=64", "--out=out"]
    done = call(site, tmp_path, "sharpness", *measure)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "result.json").exists()
    assert (tmp_path / "out" / "result.json").exists()


@pytest.mark.slow
def test_workers_are_started_away_from_the_repository(site, tmp_path):
    small = ["--config.model.width=4", "--config.epochs=1", "--dry_run"]
    done = call(site, tmp_path, "launch", "--workers=2", "--", *small)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert any(line.startswith("[0] ") and "digits: 1,438 images" in line for line in lines)
    assert any("images on 2 replicas" in line for line in lines)
    assert not any(line.startswith("[1] ") for line in lines)  # the first speaks for both
