"""The table of keys: its defaults are right by its own checks."""

import itertools

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training.config import keys
from tf_bdecay.training.config.dotted import flatten


@pytest.mark.parametrize("optimizer", keys.OPTIMIZERS)
@pytest.mark.parametrize("model", keys.MODELS)
def test_defaults_are_the_keys_of_the_choices_and_right(model, optimizer):
    for schedule, policy in itertools.product(keys.SCHEDULES, keys.POLICIES):
        config = keys.defaults(model=model, optimizer=optimizer, schedule=schedule, policy=policy)
        flat = flatten(config)
        table = keys.table(flat)
        assert set(flat) == set(table)
        for path, key in table.items():
            key.check(path, flat[path])
            assert key.doc
        assert (flat["model.name"], flat["decay.policy"]) == (model, policy)
        assert flat["optimizer.name"] == optimizer


@pytest.mark.parametrize("text", ["gamma=0.5,head/.*=2", None])
def test_rates_by_role_or_path_are_right(text):
    keys.table(flatten(keys.defaults()))["optimizer.rate_multipliers"].check("here", text)


@pytest.mark.parametrize("text", ["", "gamma", "gamma=-1", "norm[=1", 0.5])
def test_rates_of_another_form_are_a_sentence(text):
    key = keys.table(flatten(keys.defaults()))["optimizer.rate_multipliers"]
    with pytest.raises(BadInput, match="config.here must be numbers >= 0 by role"):
        key.check("here", text)


@pytest.mark.parametrize("data", keys.DATA)
def test_defaults_are_the_keys_of_the_data(data):
    flat = flatten(keys.defaults(data=data))
    table = keys.table(flat)
    assert set(flat) == set(table) and flat["data.name"] == data
    for path, key in table.items():
        key.check(path, flat[path])
    assert ("data.source" in flat) == (data == "pictures") != ("data.downsample" in flat)


@pytest.mark.parametrize("source", ["", "  ", "a\0b", 3])
def test_a_source_that_is_no_path_is_a_sentence(source):
    key = keys.table(flatten(keys.defaults(data="pictures")))["data.source"]
    with pytest.raises(BadInput, match="config.here must be the path of a folder or file"):
        key.check("here", source)


def test_an_unknown_choice_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'resnet18'"):
        keys.defaults(model="resnt18")


def test_an_unset_number_has_its_type():
    config = keys.defaults()
    config.optimizer.trust_clip = 3.0
    with pytest.raises(TypeError):
        config.micro_batch_size = "many"
