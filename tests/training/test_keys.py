"""The table of keys: its defaults are right by its own checks."""

import itertools

import pytest

from tf_bdecay.errors import BadInput
from tf_bdecay.training import config as checks
from tf_bdecay.training import keys

NAMES = [*itertools.product(keys.MODELS, keys.OPTIMIZERS, keys.SCHEDULES, keys.POLICIES)]


@pytest.mark.parametrize("model, optimizer, schedule, policy", NAMES)
def test_defaults_are_the_keys_of_the_choices_and_right(model, optimizer, schedule, policy):
    config = keys.defaults(model=model, optimizer=optimizer, schedule=schedule, policy=policy)
    flat = checks.flatten(config)
    table = keys.table(flat)
    assert set(flat) == set(table)
    for path, key in table.items():
        key.check(path, flat[path])
        assert key.doc
    assert (flat["model.name"], flat["decay.policy"]) == (model, policy)


def test_an_unknown_choice_names_the_nearest():
    with pytest.raises(BadInput, match="did you mean 'resnet18'"):
        keys.defaults(model="resnet")


def test_an_unset_number_has_its_type():
    config = keys.defaults()
    config.optimizer.trust_clip = 3.0
    with pytest.raises(TypeError):
        config.micro_batch_size = "many"
