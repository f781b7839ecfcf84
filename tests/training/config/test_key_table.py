"""The table of keys has the package's names and refuses wrong values by its own checks."""

import pytest

from tf_bdecay import decay, models, optim
from tf_bdecay.errors import BadInput
from tf_bdecay.training.config import key_table


@pytest.mark.parametrize(
    "keys_by_name, names",
    [
        (key_table.MODELS, models.names()),
        (key_table.OPTIMIZERS, optim.OPTIMIZERS),
        (key_table.POLICIES, decay.POLICIES),
    ],
)
def test_names_are_those_of_the_package(keys_by_name, names):
    assert list(keys_by_name) == list(names)


@pytest.mark.parametrize("text", ["gamma=0.5,head/.*=2", None])
def test_rates_by_role_or_path_are_right(text):
    key_table.ANY_OPTIMIZER["optimizer.rate_multipliers"].check("here", text)


@pytest.mark.parametrize("text", ["", "gamma", "gamma=-1", "norm[=1", 0.5])
def test_rates_of_another_form_are_a_sentence(text):
    key = key_table.ANY_OPTIMIZER["optimizer.rate_multipliers"]
    with pytest.raises(BadInput, match="config.here must be numbers >= 0 by role"):
        key.check("here", text)


@pytest.mark.parametrize("source", ["", "  ", "a\0b", 3])
def test_a_source_that_is_no_path_is_a_sentence(source):
    key = key_table.DATA["pictures"]["data.source"]
    with pytest.raises(BadInput, match="config.here must be the path of a folder or file"):
        key.check("here", source)
