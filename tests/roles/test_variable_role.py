"""The table of roles answers for its variables, some of them, and in another order."""

import types

import keras
import pytest
from keras import layers

from tf_bdecay.errors import BadInput
from tf_bdecay.roles import roles_of
from tf_bdecay.roles.variable_role import VariableRole, path_of

pytestmark = pytest.mark.any_backend


def test_among_some_variables_in_another_order_roles_follow_the_variables():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2), layers.BatchNormalization(), layers.RMSNormalization()]
    )
    gamma, beta = model.trainable_variables[2:4]
    scale = model.trainable_variables[4]
    roles = roles_of(model)
    found = roles.among([scale, beta, gamma])
    assert [(v.index, v.path, v.role) for v in found.variables] == [
        (0, scale.path, "gamma"),
        (1, beta.path, "beta"),
        (2, gamma.path, "gamma"),
    ]
    assert [v.partner for v in found.variables] == [None, 2, 1]
    assert [(pair.gamma, pair.beta) for pair in found.pairs] == [(2, 1)]
    alone = roles.among([beta])
    assert alone.pairs == () and alone.unpaired == [0]
    assert roles.among(model.trainable_variables) == roles
    with pytest.raises(BadInput, match="of this model's 1 .* Received: roles of 1, without .*kern"):
        alone.among(model.trainable_variables[:1])


def test_variables_are_found_by_role():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.BatchNormalization()])
    roles = roles_of(model)
    assert len(roles) == 4
    found = {role: roles.indices(role) for role in ("kernel", "bias", "gamma", "beta", "other")}
    assert found == {"kernel": [0], "bias": [1], "gamma": [2], "beta": [3], "other": []}


def test_a_pattern_matches_the_path_or_a_place():
    variable = VariableRole(0, "a", "norm/beta", (2,), "beta", "norm", places=("net/norm/beta",))
    assert variable.matches("norm/beta") and variable.matches("beta")
    assert variable.matches("net/.*") and variable.matches(".*/beta")
    assert not variable.matches("norm") and not variable.matches("net")


def test_the_path_of_a_variable_that_has_only_a_name():
    assert path_of(types.SimpleNamespace(name="scale:0")) == "scale"  # as TensorFlow's
