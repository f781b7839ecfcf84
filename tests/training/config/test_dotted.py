"""Nested configs are addressed by dotted paths."""

from ml_collections import ConfigDict

from tf_bdecay.training.config.dotted import flatten, nested

NESTED = {"seed": 0, "model": {"name": "vgg11", "of": {"width": 8}}, "epochs": 2}
FLAT = {"seed": 0, "model.name": "vgg11", "model.of.width": 8, "epochs": 2}


def test_a_dict_and_a_config_are_flattened_in_their_order():
    assert list(flatten(NESTED).items()) == list(FLAT.items())
    assert flatten(ConfigDict(NESTED)) == FLAT


def test_nested_undoes_it():
    assert nested(FLAT) == NESTED and nested({}) == {}
