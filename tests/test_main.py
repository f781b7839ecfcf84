"""main.py from the outside: exit codes, sentences, and the files of runs that finish."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from main import main
from tests.processes import ended
from tests.short_run import TINY, contents, start
from tests.training.small import network
from tf_bdecay.training.building import parts


def test_a_run_leaves_what_it_promises(finished):
    names = {p.name for p in finished.iterdir()}
    assert names == {
        "config.json", "versions.json", "metrics.csv", "layers.csv", "result.json", "curves.png",
        "model.keras", "confusion.png", "mistakes.png", "checkpoints", "tensorboard", ".lock",
    }  # fmt: skip
    result = json.loads((finished / "result.json").read_text())
    assert result["updates"] == 12 and result["epochs"] == 4
    assert len(result["layers"]) == 20
    assert 0 < result["decay_on_fraction"] < 1
    metrics = pd.read_csv(finished / "metrics.csv")
    assert metrics["update"].tolist() == [3, 6, 9, 12]
    for name in ("test_accuracy_precise", "test_loss_precise"):
        assert metrics[name].iloc[-1] == pytest.approx(result[name])
    assert {"test_accuracy", "test_loss"} <= {*result} - {*metrics}
    layers = pd.read_csv(finished / "layers.csv")
    assert len(layers) == 12 * 20
    on = layers["decay_on"].mean()
    assert on == pytest.approx(result["decay_on_fraction"])
    kept = {p.name for p in (finished / "checkpoints").iterdir()}
    newest = {f"update_{update:08d}.npz" for update in (6, 9, 12)}
    assert kept == {*newest, "best.npz", "kept.json"}


def test_tensorboard_reads_the_same_numbers_as_the_csv(finished):
    import tensorflow as tf

    events = EventAccumulator(str(finished / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    layers = pd.read_csv(finished / "layers.csv")
    for layer, rows in layers.groupby("layer"):
        read = events.Tensors(f"r/{layer}")
        assert [e.step for e in read] == rows["update"].tolist()
        values = [tf.make_ndarray(e.tensor_proto) for e in read]
        np.testing.assert_allclose(values, rows["r"], rtol=1e-6)
    page = events.Tensors("config")[0].tensor_proto.string_val[0].decode()
    assert "decay.threshold = 0.01" in page
    roles = events.Tensors("roles")[0].tensor_proto.string_val[0].decode()
    assert "stage4_block2_bn2/beta" in roles and "if r >= 0.01" in roles


def test_the_saved_model_is_the_one_that_was_measured(finished):
    import keras

    from tf_bdecay import data

    model = keras.models.load_model(finished / "model.keras", compile=False)
    images = data.load("digits", seed=0)
    right = total = 0
    for x, y in data.evaluation_batches(images, "test", 360):
        right += int((np.argmax(model(x, training=False), -1) == np.asarray(y)).sum())
        total += len(y)
    result = json.loads((finished / "result.json").read_text())
    assert right / total == pytest.approx(result["test_accuracy"])


def test_a_finished_run_says_so_and_touches_nothing(finished, capsys):
    before = contents(finished)
    assert main([f"--workdir={finished}", *TINY]) == 0
    assert "is finished: test accuracy" in capsys.readouterr().out
    assert contents(finished) == before


@pytest.mark.slow
def test_the_weights_of_a_run_are_evaluated_and_exported(finished, tmp_path, capsys):
    assert main([f"--workdir={finished}", *TINY, "--eval_only"]) == 0
    evaluation = json.loads((finished / "evaluation.json").read_text())
    result = json.loads((finished / "result.json").read_text())
    for name in ("test_accuracy", "test_top5_accuracy_precise", "test_loss_precise"):
        assert evaluation[name] == pytest.approx(result[name], rel=1e-5)
    assert "precise" in capsys.readouterr().out
    (finished / "evaluation.json").unlink()

    before = contents(finished)
    assert main([f"--workdir={finished}", *TINY, f"--export={tmp_path / 'served'}"]) == 0
    assert f"Exported to {tmp_path / 'served'}" in capsys.readouterr().out
    assert (tmp_path / "served" / "saved_model.pb").exists()
    assert contents(finished) == before


def test_a_dry_run_says_what_it_would_start_from(finished, tmp_path, capsys):
    frozen = "--config.finetune.frozen=stem,stage[123]"
    taken = [f"--init_from={finished}", f"--workdir={tmp_path / 'tuned'}", frozen]
    assert main([*taken, *TINY, "--dry_run"]) == 0
    said = capsys.readouterr().out
    assert f"It would start from 102 variables of {finished / 'model.keras'}." in said
    assert "frozen         30 layers (stem_conv, stem_bn, ..., stage3_block2_bn2) with" in said
    assert not (tmp_path / "tuned").exists()


def test_a_finished_run_is_neither_exported_into_a_full_folder_nor_begun_from_others(
    finished, tmp_path, capsys
):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("")
    before = contents(finished)
    assert main([f"--workdir={finished}", *TINY, f"--export={tmp_path / 'full'}"]) == 2
    assert "--export" in capsys.readouterr().err
    assert main([f"--workdir={finished}", *TINY, f"--init_from={tmp_path}"]) == 2
    assert "holds a run that began from new weights" in capsys.readouterr().err
    assert contents(finished) == before


def test_a_dry_run_says_what_would_become_of_the_workdir(finished, tmp_path, capsys):
    begun = tmp_path / "begun"
    shutil.copytree(finished, begun)
    (begun / "result.json").unlink()
    before = contents(finished), contents(begun)
    for path, said in (
        (finished, f"It would do nothing: {finished} is finished."),
        (begun, f"It would go on from the newest checkpoint in {begun / 'checkpoints'}."),
    ):
        assert main([f"--workdir={path}", *TINY, "--dry_run"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == said
    for more, said in (
        ("--config.epochs=5", "holds another experiment: epochs is 4 there and 5 here"),
        (f"--init_from={finished}", "holds a run that began from new weights"),
        ("--resume=never", "has checkpoints, from which --resume=never does not go on"),
    ):
        assert main([f"--workdir={begun}", *TINY, "--dry_run", more]) == 2
        captured = capsys.readouterr()
        assert said in captured.err and captured.out == ""
    assert (contents(finished), contents(begun)) == before


def test_another_experiment_is_refused_and_touches_nothing(finished, capsys):
    before = contents(finished)
    assert main([f"--workdir={finished}", *TINY, "--config.decay.threshold=0.2"]) == 2
    error = capsys.readouterr().err
    assert "decay.threshold is 0.01 there and 0.2 here" in error
    assert contents(finished) == before


def test_never_to_resume_refuses_a_workdir_with_checkpoints(finished, tmp_path, capsys):
    path = tmp_path / "copy"
    shutil.copytree(finished, path)
    (path / "result.json").unlink()
    for folder in (path, finished):
        before = contents(folder)
        assert main([f"--workdir={folder}", *TINY, "--resume=never"]) == 2
        assert (
            "has checkpoints, from which --resume=never does not go on" in capsys.readouterr().err
        )
        assert contents(folder) == before


def test_checkpoints_that_are_all_damaged_are_bad_input(finished, tmp_path, capsys):
    path = tmp_path / "copy"
    shutil.copytree(finished, path)
    (path / "result.json").unlink()
    for file in (path / "checkpoints").glob("*.npz"):
        file.write_bytes(file.read_bytes()[:1000])
    assert main([f"--workdir={path}", *TINY]) == 2
    error = capsys.readouterr().err
    assert error.startswith("main.py: None of the 4 checkpoints in") and error.count("\n") == 1


@pytest.mark.slow
def test_deterministic_turns_on_op_determinism_and_is_recorded(finished, tmp_path):
    code = (
        "import sys, main; code = main.main(sys.argv[1:])\n"
        "from tensorflow.python.framework.config import is_op_determinism_enabled\n"
        "sys.exit(code or 10 * (not is_op_determinism_enabled()))"
    )
    flags = ["--deterministic", f"--workdir={tmp_path / 'run'}", *TINY, "--config.epochs=1"]
    command = ["-c", code, *flags]
    run = ended(command)
    assert run.returncode == 0, run.stderr
    for path, deterministic in ((tmp_path / "run", True), (finished, False)):
        (start,) = json.loads((path / "versions.json").read_text())
        assert start["deterministic"] is deterministic


@pytest.mark.slow
def test_pictures_are_mixed_and_it_is_said_and_recorded(tmp_path, capsys, monkeypatch):
    """With micro-batches, in half precision, of a network of two convolutions."""
    monkeypatch.setattr(parts, "make_model", lambda *_: network())
    path = tmp_path / "run"
    changes = ["--config.data.mixup=0.2", "--config.data.cutmix=1", "--config.label_smoothing=0.1"]
    changes += ["--config.precision=mixed_bfloat16", "--config.micro_batch_size=224"]
    command = [f"--workdir={path}", *TINY, *changes, "--config.epochs=2"]
    for arguments in ([*command, "--dry_run"], command):
        assert main(arguments) == 0
        said = capsys.readouterr().out
        assert "augmentation   MixUp (alpha 0.2) or CutMix (alpha 1) of two pictures each" in said
    result = json.loads((path / "result.json").read_text())
    assert result["updates"] == 6 and np.isfinite(result["test_loss"])
    # The loss is of smoothed labels; what can be compared with other runs stands beside it.
    smoothing = result["test_loss_precise"] - result["test_crossentropy_precise"]
    assert smoothing != 0 and "test cross-entropy, labels not smoothed" in said
    header = (path / "metrics.csv").read_text().splitlines()[0].split(",")
    assert {"crossentropy", "test_crossentropy_precise"} <= set(header)
    config = json.loads((path / "config.json").read_text())
    assert (config["data.mixup"], config["data.cutmix"]) == (0.2, 1.0)


@pytest.mark.slow
def test_replicas_share_the_ghost_batches_that_one_device_has(tmp_path):
    found = []
    for name, more in (("one", []), ("four", ["--strategy=mirrored", "--logical_devices=4"])):
        path = tmp_path / name
        run = [f"--workdir={path}", *TINY, "--config.batch_size=32", "--config.epochs=1", *more]
        process = start(*run)  # ghost batches of 32: a replica has 8 of them
        _, error = process.communicate(timeout=600)
        assert process.returncode == 0, error
        found.append(pd.read_csv(path / "layers.csv").query("update <= 5"))
    assert len(found[0]) == 5 * 20  # later, rounding has turned a decision of some layer
    for name in ("C_beta", "C_gamma", "r"):
        np.testing.assert_allclose(found[0][name], found[1][name], rtol=1e-3, err_msg=name)


@pytest.mark.slow
def test_two_replicas_measure_what_one_device_does(finished, tmp_path):
    path = tmp_path / "mirrored"
    arguments = ["--strategy=mirrored", "--logical_devices=2", "--config.epochs=4"]
    process = start(f"--workdir={path}", *TINY, *arguments)
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    ours, one = (pd.read_csv(p / "metrics.csv") for p in (path, finished))
    for name in ("loss", "test_loss_precise", "decay_on_fraction", "learning_rate"):
        # What rounds otherwise grows with every kink of a ReLU: later epochs are alike, not equal.
        np.testing.assert_allclose(ours[name][:1], one[name][:1], rtol=1e-4, err_msg=name)
    np.testing.assert_array_equal(ours["learning_rate"], one["learning_rate"])
    np.testing.assert_allclose(ours["loss"], one["loss"], rtol=0.05)
