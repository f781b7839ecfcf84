import json
import zipfile

import keras
import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness_command import subject
from tf_bdecay.storage.files import write_json


@pytest.mark.parametrize("channels, narrow", [(8, True), (16, False)])
def test_onednn_is_left_out_only_where_it_would_corrupt_memory(tmp_path, channels, narrow):
    inputs = keras.Input((8, 8, channels))
    inner = keras.Sequential(
        [keras.Input((8, 8, channels)), keras.layers.Conv2D(4, 1, strides=2, name="shortcut")]
    )
    keras.Model(inputs, inner(inputs)).save(tmp_path / "net.keras")
    assert subject.onednn_overruns(subject.find(tmp_path / "net.keras")) == narrow


@pytest.mark.parametrize("width, narrow", [(8, True), (16, False), (64, False)])
def test_onednn_by_the_width_of_a_run(runs, tmp_path, width, narrow):
    config = json.loads((runs / "finished" / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, "model.width": width})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "update_00000001.npz").write_bytes(b"")
    assert subject.onednn_overruns(subject.find(tmp_path)) == narrow


def test_a_run_without_weights_yet(tmp_path):
    config = {key: 0 for key in subject._NEEDED}
    write_json(tmp_path / "config.json", config)
    with pytest.raises(BadInput, match="neither a finished model nor a checkpoint yet"):
        subject.find(tmp_path)
    write_json(tmp_path / "config.json", {"a": 1})
    with pytest.raises(BadInput, match="not of a run of tf_bdecay"):
        subject.find(tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(BadInput, match="config.json is .*: name another --model"):
            subject.find(tmp_path)


@pytest.mark.parametrize(
    "key, value",
    [("data.name", 3), ("data.name", "digit"), ("seed", "0"), ("label_smoothing", [0.1])],
)
def test_a_config_of_other_types(runs, tmp_path, key, value):
    config = json.loads((runs / "finished" / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, key: value})
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "update_00000001.npz").write_bytes(b"")
    with pytest.raises(BadInput, match=f"not of a run of tf_bdecay: .*Received: {key}="):
        subject.find(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 100_000, "{"])
def test_a_saved_model_whose_config_is_something_else(tmp_path, text):
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        file.writestr("config.json", text)
    with pytest.raises(BadInput, match="is not a model that Keras saved as .keras"):
        subject.find(tmp_path / "net.keras")
