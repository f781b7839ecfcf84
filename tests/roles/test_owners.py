"""A variable's layer is found through live objects, whatever the paths say."""

import gc

import keras
import pytest
from keras import layers

from tf_bdecay.frameworks import keras_private
from tf_bdecay.roles.owners import living_layers, owners_of, places_of

pytestmark = pytest.mark.any_backend


def model():
    return keras.Sequential(
        [keras.Input((4,)), layers.Dense(4, name="same"), layers.LayerNormalization(name="same_2")]
    )


def test_every_variable_of_a_model_has_its_layer():
    models = [model(), model()]
    for each in models:
        found = owners_of(each.trainable_variables)
        assert [layer.name for layer in found] == ["same", "same", "same_2", "same_2"]
        inside = {id(layer) for layer in keras_private.layers_of(each)}
        assert {id(layer) for layer in found} <= inside


def test_a_shared_layer_is_one_owner_in_both_models():
    shared = layers.LayerNormalization()
    models = [keras.Sequential([keras.Input((4,)), layers.Dense(4), shared]) for _ in "ab"]
    for each in models:
        assert owners_of(each.trainable_variables)[2:] == [shared, shared]


def test_the_layer_that_made_a_variable_goes_before_one_that_holds_it():
    class Holder(layers.Layer):
        def __init__(self, other):
            super().__init__()
            self.scale, self.shift = other.gamma, other.beta
            self.more = self.add_weight(shape=(4,), name="more")

    norm = layers.LayerNormalization()
    norm.build((None, 4))
    holder = Holder(norm)
    variables = [norm.gamma, norm.beta, holder.more]
    for given in ((), (holder, norm), (norm, holder)):
        assert owners_of(variables, given) == [norm, norm, holder]


def test_a_place_is_the_same_where_loading_changes_the_path(tmp_path):
    inputs = keras.Input((4,))
    stem = layers.Dense(4, use_bias=False, name="stem")
    block = keras.Sequential([layers.LayerNormalization(name="norm")], name="block")
    branch = keras.Sequential([keras.Input((4,)), stem, block], name="branch")
    head = layers.Dense(2, use_bias=False, name="head")
    saved = keras.Model(inputs, head(branch(inputs)))
    saved.save(tmp_path / "saved.keras")
    loaded = keras.models.load_model(tmp_path / "saved.keras")
    expected = ["branch/stem/kernel", "branch/block/norm/gamma", "branch/block/norm/beta"]
    for each in (saved, loaded):
        found = places_of(each.trainable_variables)
        assert found == [(place,) for place in [*expected, "head/kernel"]]
    paths = [[v.path for v in each.trainable_variables] for each in (saved, loaded)]
    assert paths[0] != paths[1]  # else there is nothing to mend


def test_every_model_that_holds_a_variable_has_a_place_for_it():
    shared = layers.Dense(4, use_bias=False, name="shared")
    models = [keras.Sequential([keras.Input((4,)), shared], name=name) for name in "ab"]
    (found,) = places_of(models[0].trainable_variables)
    assert set(found) == {"a/shared/kernel", "b/shared/kernel"}


def test_a_variable_of_its_own_has_none():
    assert places_of([keras.Variable([1.0], name="kernel")]) == [()]
    assert owners_of([keras.Variable([1.0], name="kernel")]) == [None]


def test_a_frozen_collector_hides_layers_that_a_model_still_shows():
    each = model()
    gc.freeze()
    try:
        assert not any(layer is each for layer in living_layers())
        found = owners_of(each.trainable_variables, keras_private.layers_of(each))
    finally:
        gc.unfreeze()
    assert None not in found
