"""Which keys a config has, and the config that their defaults make."""

import itertools

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training.config import key_table, keys
from tf_bdecay.training.config.dotted import flatten


@pytest.mark.parametrize("optimizer", key_table.OPTIMIZERS)
@pytest.mark.parametrize("model", key_table.MODELS)
def test_defaults_are_the_keys_of_the_choices_and_right(model, optimizer):
    for schedule, policy in itertools.product(key_table.SCHEDULES, key_table.POLICIES):
        config = keys.defaults(model=model, optimizer=optimizer, schedule=schedule, policy=policy)
        flat = flatten(config)
        table = keys.table(flat)
        assert set(flat) == set(table)
        for path, key in table.items():
            key.check(path, flat[path])
            assert key.doc
        assert (flat["model.name"], flat["decay.policy"]) == (model, policy)
        assert flat["optimizer.name"] == optimizer


@pytest.mark.parametrize("data", key_table.DATA)
def test_defaults_are_the_keys_of_the_data(data):
    flat = flatten(keys.defaults(data=data))
    table = keys.table(flat)
    assert set(flat) == set(table) and flat["data.name"] == data
    for path, key in table.items():
        key.check(path, flat[path])
    assert keys.defaults_of(flat) | {"data.name": data} == flat
    assert ("data.source" in flat) == (data == "pictures") != ("data.downsample" in flat)


def test_an_unknown_choice_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'resnet18'"):
        keys.defaults(model="resnt18")


def test_what_is_no_choice_is_not_passed_over():
    with pytest.raises(KeyError, match="modle"):
        keys.defaults(modle="resnet18")


def test_an_unset_number_has_its_type():
    config = keys.defaults()
    config.optimizer.trust_clip = 3.0
    with pytest.raises(TypeError):
        config.micro_batch_size = "many"
