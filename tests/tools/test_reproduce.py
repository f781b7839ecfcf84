"""tools/reproduce.py: the command, and runs that are stopped and continue."""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from tests.processes import ended
from tests.tools.made_results import SMOKE
from tf_bdecay import data
from tf_bdecay.storage.files import locked
from tools import make_pictures
from tools.reproducing import runner, runs, scales, store, wanted

ROOT = pathlib.Path(__file__).resolve().parents[2]


def reproduce(*arguments, backend="tensorflow"):
    return ended(["tools/reproduce.py", *arguments], timeout=3600, KERAS_BACKEND=backend)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Name what to make"),
        (["tabel4"], "did you mean 'table4'?"),
        (["table4", "--scale=cpus"], "did you mean 'cpu'?"),
        (["table4", "--dataset=cifar10"], "Unknown dataset at scale smoke"),
        (["table4", "--seeds=0"], "--seeds must be more than 0"),
        (["table4", "--seeds=65"], "--seeds must be at most 64"),
        (["table4", "--seed=1"], "did you mean '--seeds'?"),
        (["table4", "--precision=bf16"], "Unknown precision 'bf16'"),
        (["table4", "--precision=tf32"], "--precision=tf32 needs KERAS_BACKEND=jax"),
        (["table5", "--dataset=imagenet"], "Where is ImageNet? Set --source=DIR"),
        (["table5", "--scale=cpu", "--source=x"], "of which there are none at this --scale"),
    ],
)
@pytest.mark.quick_rows(2)
def test_what_cannot_be_used_is_one_sentence(arguments, said, backend="tensorflow"):
    done = reproduce(*arguments, backend=backend)
    assert done.returncode == 2, done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("reproduce.py: ") and said in sentence


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["tabel4"], "did you mean 'table4'?"),
        (["table3", "table2", "all"], "table2, all needs measures of sharpness"),
        (["table5", "--source=x"], "Runs on imagenet need KERAS_BACKEND=tensorflow"),
    ],
)
def test_under_jax_what_needs_tensorflow_is_one_sentence(arguments, said):
    test_what_cannot_be_used_is_one_sentence(arguments, said, "jax")


def test_a_run_that_is_refused_is_no_success(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = ["table5", "--scale=smoke", f"--source={tmp_path}/none", f"--out={tmp_path}"]
    done = reproduce(*command, "--row=small batch")
    assert done.returncode == 2, done.stdout + done.stderr
    assert f"{tmp_path}/none" in done.stdout and "refused" in done.stdout


def test_results_of_another_precision_are_in_a_folder_of_their_own():
    made = [scales.get("smoke", precision) for precision in scales.PRECISIONS]
    assert [scale.folder for scale in made] == ["smoke", "smoke-tf32", "smoke-mixed_bfloat16"]
    of_jax = scales.get("smoke", "tf32", "jax")
    assert of_jax.folder == "smoke-jax-tf32" != scales.get("smoke", "float32", "jax").folder
    command = "KERAS_BACKEND=jax python tools/reproduce.py pages --scale=smoke --precision=tf32"
    assert of_jax.command("pages") == command
    keys = [runs.resolve(wanted.Arm("digits"), scale, 0).key for scale in made]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.slow
def test_table4_and_figure1_are_trained_once(tmp_path):
    command = ["table4", "figure1", "--scale=smoke", f"--out={tmp_path}", "--jobs=2"]
    done = reproduce(*command)
    assert done.returncode == 0, done.stderr + done.stdout
    assert "14 runs are needed, 14 are missing." in done.stdout
    for name in ("table4.md", "table4.csv", "figure1.png", "figure1.svg", "claims.md"):
        assert (tmp_path / "smoke" / "pages" / name).stat().st_size > 0
    again = reproduce(*command)
    assert "14 runs are needed, 0 are missing." in again.stdout


@pytest.mark.slow
def test_table5_is_trained_on_pictures_in_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    pictures = tmp_path / "pictures"
    digits = data.load("digits")
    make_pictures.write(digits.train, pictures / "train")
    make_pictures.write(digits.test, pictures / "test", seed=1)
    command = ["table5", "--scale=smoke", f"--source={pictures}", f"--out={tmp_path}"]
    done = reproduce(*command, "--micro_batch_size=64", "--row=small batch", "--row=large batch")
    assert done.returncode == 0, done.stderr + done.stdout
    assert "2 runs are needed, 2 are missing." in done.stdout
    found = store.Store(tmp_path / "smoke").read().results.values()
    assert {r["config"]["batch_size"] for r in found} == {64, 448}
    assert all(r["config"]["data.source"] is None for r in found)  # where they lay is not theirs
    table = (tmp_path / "smoke" / "pages" / "table5.md").read_text()
    assert "| small batch | accuracy | 77.16 | 1 |" in table
    assert "| large batch + adaptive | accuracy | 77.24 | not run" in table, table


def begin(*arguments):
    """The tool, up to its first line of an epoch in a run's log: its process and that log."""
    command = [sys.executable, "-u", "tools/reproduce.py", *arguments]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_run_that_is_stopped_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "aside"))
    (tmp_path / "aside").mkdir()
    command = ["figure4", "--scale=smoke", f"--out={tmp_path}"]
    first = begin(*command)
    configs = tmp_path.glob("aside/reproduce-*/*/run/checkpoints/*.npz")
    while (saved := next(configs, None)) is None and first.poll() is None:
        time.sleep(0.1)
        configs = tmp_path.glob("aside/reproduce-*/*/run/checkpoints/*.npz")
    assert saved is not None, first.communicate()
    first.send_signal(signal.SIGTERM)
    _, error = first.communicate(timeout=1200)
    assert first.returncode == 143 and "run the same command again" in error
    aside = str(tmp_path / "aside").encode()
    for line in pathlib.Path("/proc").glob("[0-9]*/cmdline"):  # its run ended before it did
        with contextlib.suppress(OSError):
            assert aside not in line.read_bytes()
    finished = len(store.Store(tmp_path / "smoke").read().results)
    done = reproduce(*command)
    assert done.returncode == 0 and f"{3 - finished} are missing." in done.stdout, done.stdout
    assert len(store.Store(tmp_path / "smoke").read().results) == 3, done.stdout
    assert not list(tmp_path.glob("aside/reproduce-*/*"))


def test_a_run_that_is_under_way_elsewhere_is_left_to_that(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "aside"))
    run, said = runs.resolve(wanted.Arm("digits"), SMOKE, 0), []
    made = runner.Runner(store.Store(tmp_path), say=said.append)
    folder = tmp_path / "aside" / f"reproduce-{os.getuid()}" / run.key
    folder.mkdir(parents=True)
    with locked(folder, "held by the test"):
        assert made.do([run]) == [run]
    assert len(said) == 1 and "is under way in another process" in said[0]
    assert sorted(path.name for path in folder.iterdir()) == [".lock"]  # nothing was begun


@pytest.mark.slow
def test_under_jax_minutes_stop_a_run_which_goes_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "aside"))
    (tmp_path / "aside").mkdir()
    command = ["figure2", "--scale=smoke", f"--out={tmp_path}", "--minutes=0.001"]
    said = ("Stopped after epoch 1 of 2", "1/6 runs, ")
    for piece, sentence in enumerate(said):
        done = reproduce(*command, backend="jax")
        assert done.returncode == 0, done.stderr + done.stdout
        assert sentence in done.stdout and said[1 - piece] not in done.stdout
        assert f"{6 - piece} runs are still missing" in done.stdout
    (found,) = store.Store(tmp_path / "smoke-jax").read().results.values()
    assert found["backend"] == "jax" and found["measures"] == {} and found["status"] == store.DONE
    assert "TensorFlow" in found["unmeasured"] and "jax" in found["versions"]
    assert found["curves"]["epochs"]["epoch"] == [1, 2]
    assert len(found["curves"]["layers"]) == 20 and len(found["curves"]["variables"]) == 62
    assert not list(tmp_path.glob("aside/reproduce-*/*"))


def test_an_unfinished_run_of_another_config_is_begun_anew(tmp_path):
    run, said = runs.resolve(wanted.Arm("digits"), SMOKE, 0), []
    made = runner.Runner(store.Store(tmp_path), say=said.append)
    workdir = tmp_path / "run"
    for left, stays in ((run.flat, True), (run.flat | {"log.variables": False}, False)):
        workdir.mkdir(exist_ok=True)
        (workdir / "config.json").write_text(json.dumps(left))
        made._drop_what_cannot_go_on(run, workdir)
        assert workdir.exists() == stays
    assert len(said) == 1 and "begun anew" in said[0]
