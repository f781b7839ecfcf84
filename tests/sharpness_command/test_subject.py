"""What is measured: runs, checkpoints and saved models, damaged or not."""

import json
import zipfile

import keras
import pytest

from tests.data.pictures.in_memory import write_folders
from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness_command import flags, subject
from tf_bdecay.storage import checkpoints
from tf_bdecay.storage.files import json_ready, write_json
from tf_bdecay.training.config import config_file
from tf_bdecay.training.config.dotted import flatten


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
    checkpoints.save(tmp_path / "checkpoints", {}, {"update": 1}, keep=1)
    assert subject.onednn_overruns(subject.find(tmp_path)) == narrow


def test_a_run_without_weights_yet(tmp_path):
    config = {key: 0 for key in subject._NEEDED}
    write_json(tmp_path / "config.json", config)
    with pytest.raises(BadInput, match="neither a finished model nor a checkpoint yet"):
        subject.find(tmp_path)


def test_a_config_of_something_else(tmp_path):
    checkpoints.save(tmp_path / "checkpoints", {}, {"update": 1}, keep=1)
    write_json(tmp_path / "config.json", {"model.name": "vgg11"})
    with pytest.raises(BadInput, match="not of a run of tf_bdecay .it lacks data.name"):
        subject.find(tmp_path)
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(BadInput, match="config.json is .*: choose another --model"):
            subject.find(tmp_path)


@pytest.mark.parametrize(
    "key, value",
    [("data.name", 3), ("data.name", "digit"), ("seed", "0"), ("label_smoothing", [0.1])],
)
def test_a_config_of_other_types(runs, tmp_path, key, value):
    config = json.loads((runs / "finished" / "config.json").read_text())
    write_json(tmp_path / "config.json", {**config, key: value})
    checkpoints.save(tmp_path / "checkpoints", {}, {"update": 1}, keep=1)
    with pytest.raises(BadInput, match=f"not of a run of tf_bdecay: .*Received: {key}="):
        subject.find(tmp_path)


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 100_000, "{"])
def test_a_saved_model_whose_config_is_something_else(tmp_path, text):
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as file:
        file.writestr("config.json", text)
    with pytest.raises(BadInput, match="is not a model that Keras saved as .keras"):
        subject.find(tmp_path / "net.keras")


def test_a_damaged_newest_checkpoint_is_named_and_an_older_one_measured(runs, tmp_path, capsys):
    config = json.loads((runs / "finished" / "config.json").read_text())
    write_json(tmp_path / "config.json", config)
    for update in (1, 2):
        newest = checkpoints.save(tmp_path / "checkpoints", {}, {"update": update}, keep=2)
    newest.write_bytes(b"")
    assert subject.find(tmp_path).source.file.name == "update_00000001.npz"
    said = "00002.npz is damaged (its checksum is wrong): update_00000001.npz is taken in its place"
    assert said in capsys.readouterr().out


def test_a_run_is_measured_on_the_pictures_that_it_began_with(tmp_path):
    source, run = write_folders(tmp_path / "pictures", "ab", 8), tmp_path / "run"
    config = config_file.load("configs/imagenet_tiny.py", config_file.ROOT)
    config.data.source = str(source)
    run.mkdir()
    write_json(run / "config.json", json_ready(flatten(config)))
    checkpoints.save(run / "checkpoints", {}, {"update": 1}, keep=1)
    found = subject.find(run)
    pictures = subject.images_of(found, "pictures", None)
    assert pictures.classes == ("a", "b")
    write_json(run / "pictures.json", pictures.record())
    options = flags.parse([f"--model={run}"], "sharpness")
    settings = subject.settings_of(options, found, "pictures", pictures)
    again = subject.images_of(found, "pictures", None)
    assert subject.settings_of(options, found, "pictures", again) == settings
    (source / "a").rename(source / "c")
    with pytest.raises(BadInput, match="that the run in .* began with: their classes.*--model"):
        subject.images_of(found, "pictures", None)
    (run / "pictures.json").unlink()  # of a run that does not say which it had
    other = subject.images_of(found, "pictures", None)
    assert subject.settings_of(options, found, "pictures", other) != settings
    assert subject.images_of(found, "digits", None).name == "digits"


def test_a_checkpoint_is_of_its_run_and_named_as_it(runs):
    begun, checkpoint = runs / "begun", runs / "begun" / "checkpoints" / "update_00000007.npz"
    whole, one = (subject.find(path) for path in (begun, checkpoint))
    assert one.run == whole.run == begun and one.config == whole.config
    assert one.name == whole.name == "begun" and one.source.file == checkpoint
    assert subject.find(runs / "finished" / "model.keras").run is None
