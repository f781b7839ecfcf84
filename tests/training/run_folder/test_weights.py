"""Which file of weights a path stands for, and the sentence if it stands for none."""

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoints
from tf_bdecay.training.run_folder import weights


def test_what_is_no_weights_is_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("words")
    (tmp_path / "alone.npz").write_bytes(b"")
    (tmp_path / "young").mkdir()
    (tmp_path / "young" / "config.json").write_text("{}")
    for given, said in {
        "": "--init_from= is not there: name a workdir",
        tmp_path / "nowhere": "is not there",
        "x" * 5000: "is not there",
        tmp_path / "empty": "a folder without config.json, so no workdir",
        tmp_path / "text": "neither a model that Keras saved nor a checkpoint",
        tmp_path / "alone.npz": "a checkpoint outside of its run",
        tmp_path / "young": "neither a finished model nor a checkpoint yet",
    }.items():
        with pytest.raises(BadInput) as caught:
            weights.find(given)
        assert said in str(caught.value)
        assert len(str(caught.value)) < 1000


def test_which_run_weights_are_of(finished):
    run = finished[1]
    newest = checkpoints.newest(run / "checkpoints")
    for given, file, of in (
        (run, run / "model.keras", run),
        (newest, newest, run),
        (run / "model.keras", run / "model.keras", None),
    ):
        source = weights.find(given)
        assert (source.given, source.file, source.run) == (str(given), file, of)
        assert source.is_checkpoint == (given == newest)
        name = source.config and source.config["data.name"]
        assert name == (None if of is None else "digits")


def test_a_config_that_is_damaged_is_named_with_its_flag(tmp_path):
    checkpoints.save(tmp_path / "checkpoints", {}, {"update": 3}, keep=1)
    (tmp_path / "config.json").write_text("{")
    for flag in ("--init_from", "--workdir"):
        for given in (tmp_path, checkpoints.newest(tmp_path / "checkpoints")):
            with pytest.raises(BadInput, match=f"config.json is damaged .*another {flag}.$"):
                weights.find(given, flag)
    for name in ("result.json", "model.keras"):  # it is finished
        (tmp_path / name).write_text("{}")
    with pytest.raises(BadInput, match="config.json is damaged"):
        weights.find(tmp_path)
