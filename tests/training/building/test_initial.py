"""Initial weights from every kind of file, with another head, and all that does not fit."""

import json
import shutil

import keras
import numpy as np
import pytest

from configs import digits_resnet18
from tests.training.small import network, values
from tf_bdecay.errors import BadInput
from tf_bdecay.storage import checkpoint_file, checkpoints
from tf_bdecay.training.building import initial, parts
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training.run_folder import weights


@pytest.fixture
def small(monkeypatch):
    """The network of the run, for checkpoints, which have no names."""
    monkeypatch.setattr(parts, "make_model", lambda *_: network())


def unfinished(finished, tmp_path):
    """A copy of the run as it was before its end."""
    path = tmp_path / "unfinished"
    shutil.copytree(finished[1], path)
    (path / "result.json").unlink()
    (path / "model.keras").unlink()
    return path


def newest(path):
    return checkpoints.newest(path / "checkpoints")


@pytest.mark.parametrize(
    "place",
    [
        lambda finished, tmp_path: finished[1] / "model.keras",
        lambda finished, tmp_path: finished[1],
        lambda finished, tmp_path: newest(finished[1]),
        unfinished,
    ],
    ids=["file", "workdir", "checkpoint", "unfinished"],
)
def test_every_kind_of_file_gives_all_weights_and_statistics(finished, tmp_path, small, place):
    model = network()
    before = model.get_weights()
    loaded = initial.load(weights.find(place(finished, tmp_path)), model)
    expected = finished[0].model.get_weights()
    for a, b in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(not np.array_equal(a, b) for a, b in zip(before, expected, strict=True))
    moving = model.get_layer("norm_1").moving_mean.numpy()
    assert np.abs(moving).max() > 0
    assert loaded.variables == len(expected) == 12 and loaded.head == ""
    assert str(loaded) == f"12 variables of {loaded.source.file}"


def test_the_head_starts_anew_for_other_classes(finished):
    model = network(classes=7)
    head = values(model.get_layer("head").weights)
    loaded = initial.load(weights.find(finished[1]), model)
    assert "; head starts anew (10 classes there, 7 here)" in str(loaded)
    for a, b in zip(values(model.get_layer("head").weights), head, strict=True):
        np.testing.assert_array_equal(a, b)
    expected = finished[0].model.get_weights()[:-2]
    for a, b in zip(model.get_weights()[:-2], expected, strict=True):
        np.testing.assert_array_equal(a, b)


def refused(finished, model, *parts_of_sentence, **arguments):
    before = model.get_weights()
    with pytest.raises(BadInput) as caught:
        initial.load(weights.find(finished[1]), model, **arguments)
    for part in parts_of_sentence:
        assert part in str(caught.value), str(caught.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_another_head_is_of_no_use_to_an_evaluation(finished):
    sentence = "head/kernel is [8, 10] there and [8, 7] here; head/bias is [10] there and [7] here"
    refused(finished, network(classes=7), sentence, new_head=False)


def test_the_head_starts_anew_for_as_many_classes_of_other_names(finished):
    """The run was of the digits."""
    source, names = weights.find(finished[1]), tuple("0123456789")
    for classes in (None, names):
        assert initial.load(source, network(), classes=classes).head == ""
    model = network()
    head = values(model.get_layer("head").weights)
    loaded = initial.load(source, model, classes=(*names[:9], "10"))
    assert str(loaded).endswith("; head starts anew (class 9 is '9' there and '10' here)")
    for a, b in zip(values(model.get_layer("head").weights), head, strict=True):
        np.testing.assert_array_equal(a, b)
    said = (
        "were trained on other classes (class 0 is '0' there and '1' here): give data of the same"
    )
    refused(finished, model, said, new_head=False, classes=tuple("1023456789"))


def test_a_head_is_kept_where_one_side_has_only_numbers_and_that_is_said(finished):
    loaded = initial.load(weights.find(finished[1]), network(), False, tuple("abcdefghij"))
    assert str(loaded).endswith(
        "; class 0 is '0' there and 'a' here: taken to be the same classes in the same order"
    )


def test_other_shapes_are_named(finished):
    refused(
        finished,
        network(width=4),
        "conv_1/kernel is [3, 3, 1, 8] there and [3, 3, 1, 4] here",
        "(and 8 more)",
    )


def test_variables_that_are_too_many_or_not_there_are_named(finished):
    refused(finished, network(center=False), "norm_1/beta, norm_2/beta are unknown here")
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(inputs)
    other = keras.Model(inputs, keras.layers.Dense(10, name="logits")(x))
    refused(finished, other, "logits/kernel, logits/bias are not among them", "conv_1/kernel")


def test_weights_that_are_not_finite_are_refused(tmp_path):
    model = network()
    model.get_layer("norm_2").beta.assign(np.full(8, np.nan))
    model.save(tmp_path / "nan.keras")
    with pytest.raises(BadInput, match=r"not all finite: norm_2/beta has others"):
        initial.load(weights.find(tmp_path / "nan.keras"), network())


def test_a_file_that_keras_cannot_load_is_one_sentence(tmp_path):
    np.savez(tmp_path / "m.npz", a=np.zeros(1))
    shutil.move(tmp_path / "m.npz", tmp_path / "m.keras")  # a zip file of something else
    with pytest.raises(BadInput, match="cannot be loaded") as caught:
        initial.load(weights.find(tmp_path / "m.keras"), network())
    assert "\n" not in str(caught.value)


def test_a_checkpoint_is_of_the_network_in_its_config(finished, tmp_path, monkeypatch):
    path = unfinished(finished, tmp_path)
    monkeypatch.setattr(parts, "make_model", lambda *_: network(center=False))
    with pytest.raises(BadInput, match="is of another model or optimizer"):
        initial.load(weights.find(path), network())


def test_a_damaged_checkpoint_is_named_and_an_older_one_taken_unless_it_was_asked_for(
    finished, tmp_path, small
):
    path, said = unfinished(finished, tmp_path), []
    sound = newest(path)
    later = sound.with_name("update_00000099.npz")
    later.write_bytes(sound.read_bytes()[:-100])
    source = weights.find(path, warn=said.append)
    assert source.file == sound
    assert len(said) == 1 and "update_00000099.npz is damaged" in said[0]
    assert initial.load(source, network()).variables == 12
    with pytest.raises(BadInput, match="99.npz is damaged .*: name another one, or its workdir.$"):
        initial.load(weights.find(later), network())


def test_a_network_of_a_checkpoint_is_made_of_its_config(tmp_path):
    """Number of classes and channels come from the weights, the rest from config.json."""
    config = digits_resnet18.get_config()
    config.model.width = 4
    model = parts.make_model(config, 7, (8, 8, 1))
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.json").write_text(json.dumps(flatten(config)))
    arrays = checkpoint_file.snapshot(checkpoint_file.state_of(model, keras.optimizers.SGD()))
    arrays = {label: a for label, a in arrays.items() if label.startswith("model/")}
    checkpoint_file.write(run / "checkpoints" / "update_00000003.npz", arrays, {"update": 3})
    source = weights.find(run)
    network = initial.network_of(source, (5, 6, 3))
    assert network.input_shape == (None, 5, 6, 1) and network.output_shape == (None, 7)
    for a, b in zip(model.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(BadInput, match=r"takes images of .*Received: examples of shape \[64\]"):
        initial.network_of(source, (64,))
    here = parts.make_model(config, 10, (16, 16, 1))
    loaded = initial.load(source, here)
    assert (loaded.head, loaded.variables) == ("logits", len(model.weights) - 2)
    for a, b in zip(model.get_weights()[:-2], here.get_weights()[:-2], strict=True):
        np.testing.assert_array_equal(a, b)
