"""Roles and pairs, from layer objects and from variables alone."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers

from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import keras_private
from tf_bdecay.roles import roles_of, unique_labels

pytestmark = pytest.mark.any_backend


def pairs_by_identity(model):
    """Every gamma and beta that one layer object owns, by walking the objects."""
    variables = model.trainable_variables
    position = {id(v): i for i, v in enumerate(variables)}
    found = set()
    for layer in keras_private.layers_of(model):
        gamma, beta = getattr(layer, "gamma", None), getattr(layer, "beta", None)
        if gamma is not None and beta is not None and gamma.trainable and beta.trainable:
            found.add((position[id(gamma)], position[id(beta)]))
    return found


def normalizations():
    return keras.Sequential(
        [
            keras.Input((4, 4, 8)),
            layers.Conv2D(8, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.GroupNormalization(4),
            layers.LayerNormalization(),
            layers.DepthwiseConv2D(3),
            layers.BatchNormalization(scale=False),
            layers.BatchNormalization(center=False),
            layers.RMSNormalization(),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )


class Equal(keras.Model):
    """Two blocks whose layers have the same names: equal paths."""

    def __init__(self):
        super().__init__()
        self.blocks = [
            (layers.Dense(6, name="dense"), layers.BatchNormalization(name="norm")) for _ in "ab"
        ]
        self.flat = [layer for block in self.blocks for layer in block]

    def call(self, x, training=False):
        for dense, norm in self.blocks:
            x = norm(dense(x), training=training)
        return x


class Reversed(layers.Layer):
    """A layer that makes its beta before its gamma, and another variable between."""

    def build(self, shape):
        self.beta = self.add_weight(shape=(shape[-1],), name="beta", initializer="zeros")
        self.temperature = self.add_weight(shape=(), name="temperature", initializer="ones")
        self.gamma = self.add_weight(shape=(shape[-1],), name="gamma", initializer="ones")

    def call(self, x):
        return x * self.gamma / self.temperature + self.beta


def test_roles_of_every_normalization():
    roles = roles_of(normalizations())
    assert [v.role for v in roles.variables] == [
        "kernel",
        *["gamma", "beta"] * 3,
        "kernel",
        "bias",
        "beta",
        "gamma",
        "gamma",
        "kernel",
        "bias",
    ]
    assert len(roles.pairs) == 3
    (alone,) = roles.unpaired
    assert roles.variables[alone].partner is None


def adversarial():
    model = Equal()
    model(np.zeros((2, 6), "float32"))
    return model


def nested():
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(4), layers.LayerNormalization()])
    outer = keras.Input((4,))
    return keras.Model(outer, layers.BatchNormalization()(inner(inner(outer))))


def own_order():
    return keras.Sequential([keras.Input((4,)), layers.Dense(4), Reversed(), Reversed()])


def resnet50():
    return keras.applications.ResNet50(weights=None, input_shape=(32, 32, 3))


@pytest.mark.parametrize("make", [normalizations, adversarial, nested, own_order, resnet50])
@pytest.mark.quick_rows(2)
def test_pairs_are_those_of_the_layer_objects(make):
    model = make()
    expected = pairs_by_identity(model)
    assert expected
    for source in (model, model.trainable_variables):
        roles = roles_of(source)
        assert {(p.gamma, p.beta) for p in roles.pairs} == expected
        assert len({v.label for v in roles.variables}) == len(roles)
        assert len({p.layer for p in roles.pairs}) == len(roles.pairs)
        for pair in roles.pairs:
            assert roles.variables[pair.gamma].partner == pair.beta
            assert roles.variables[pair.beta].partner == pair.gamma


def test_equal_paths_get_labels_of_their_own():
    roles = roles_of(adversarial())
    assert len({v.path for v in roles.variables}) == len(roles) / 2
    assert [v.label.rsplit("/", 1)[1] for v in roles.variables if v.role == "gamma"] == [
        "gamma",
        "gamma_2",
    ]


def test_embeddings_and_unknown_variables_go_with_kernels():
    class Token(layers.Layer):
        def build(self, shape):
            self.token = self.add_weight(shape=(1, shape[-1]), name="class_token")

        def call(self, x):
            return x + self.token

    model = keras.Sequential([keras.Input((5,), dtype="int32"), layers.Embedding(7, 4), Token()])
    assert [v.role for v in roles_of(model).variables] == ["kernel", "other"]


def test_a_scale_is_a_gamma_of_rms_normalization_only():
    query = keras.Input((3, 4))
    x = layers.RMSNormalization()(layers.AdditiveAttention()([query, query]))
    model = keras.Model(query, layers.Attention(use_scale=True)([x, x]))
    for source in (model, model.trainable_variables):
        roles = [v.role for v in roles_of(source).variables]
        assert sorted(roles) == ["gamma", "other", "other"]


def test_neighbours_of_other_shapes_are_no_pair():
    with keras.name_scope("norm"):
        gamma = keras.Variable(np.ones(5, "float32"), name="gamma")
        beta = keras.Variable(np.ones((3, 5), "float32"), name="beta")
    assert not roles_of([gamma, beta]).pairs


def loose(*paths):
    """Variables that no layer owns."""
    made = []
    for path in paths:
        *scopes, leaf = path.split("/")
        with contextlib.ExitStack() as within:
            for scope in scopes:
                within.enter_context(keras.name_scope(scope))
            made.append(keras.Variable(np.ones(3, "float32"), name=leaf))
    return made


def test_variables_of_no_layer_pair_with_their_neighbours_alone():
    gamma, beta = loose("deep/norm/gamma", "deep/norm/beta")
    (pair,) = roles_of([gamma, beta]).pairs
    assert (pair.layer, pair.gamma, pair.beta) == ("deep/norm", 0, 1)
    dense = layers.Dense(2)
    dense.build((None, 3))
    apart = roles_of([gamma, dense.kernel, beta])
    assert not apart.pairs and apart.unpaired == [2]
    (other,) = loose("deep/other/beta")
    assert not roles_of([gamma, other]).pairs


def test_several_pairs_of_one_layer_are_numbered_from_1():
    variables = loose("two/g", "two/b", "two/h", "two/c", "two/kernel")
    roles = roles_of(variables, {"two/[gh]": "gamma", "two/[bc]": "beta"})
    pairs = [(p.layer, p.gamma, p.beta) for p in roles.pairs]
    assert pairs == [("two/1", 0, 1), ("two/2", 2, 3)]
    assert [v.layer for v in roles.variables] == ["two"] * 5
    assert not any(v.overwritten for v in roles.variables)


def test_a_scale_deep_in_a_layer_of_other_kernels_is_no_gamma():
    class Tempered(layers.Dense):
        def build(self, shape):
            super().build(shape)
            self.scale = self.add_weight(shape=(self.units,), name="scale", initializer="ones")

        def call(self, x):
            return super().call(x) * self.scale

    model = keras.Sequential([keras.Input((4,)), Tempered(3, name="tempered")])
    assert [v.role for v in roles_of(model).variables] == ["kernel", "bias", "other"]


def test_a_frozen_gamma_leaves_beta_unpaired():
    model = keras.Sequential([keras.Input((4,)), layers.LayerNormalization()])
    model.layers[0].gamma.trainable = False
    roles = roles_of(model)
    assert [v.role for v in roles.variables] == ["beta"]
    assert not roles.pairs
    assert roles.unpaired == [0]


def custom():
    class Bounded(layers.Layer):
        def build(self, shape):
            self.slope = self.add_weight(shape=(shape[-1],), name="slope", initializer="ones")
            self.offset = self.add_weight(shape=(shape[-1],), name="offset", initializer="zeros")

        def call(self, x):
            return keras.ops.tanh(x * self.slope) + self.offset  # no affine map

    return keras.Sequential([keras.Input((4,)), Bounded(name="one"), Bounded(name="two")])


@pytest.mark.parametrize("from_model", [True, False])
def test_overrides_make_pairs(from_model):
    model = custom()
    source = model if from_model else model.trainable_variables
    assert not roles_of(source).pairs
    roles = roles_of(source, {"(one|two)/slope": "gamma", ".*/offset": "beta"})
    assert [(p.gamma, p.beta) for p in roles.pairs] == [(0, 1), (2, 3)]


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"one/nothing": "beta"}, "matches no trainable variable"),
        ({".*slope": "gama"}, "did you mean 'gamma'"),
    ],
)
def test_bad_overrides(overrides, words):
    with pytest.raises(BadInput, match=words):
        roles_of(custom(), overrides)


def test_a_pattern_for_a_shared_path_is_an_error():
    with pytest.raises(BadInput, match="2 variables share"):
        roles_of(adversarial(), {".*dense/bias": "beta"})


def test_a_model_that_is_not_built_is_an_error():
    with pytest.raises(BadInput, match="not built"):
        roles_of(keras.Sequential([layers.Dense(3)]))


def test_labels_never_collide():
    names = ["a", "a", "a_2", "a", "b"]
    labels = unique_labels(names)
    assert labels[0] == "a"
    assert labels[2] == "a_2"
    assert len(set(labels)) == len(names)


@pytest.mark.parametrize("given", ["x", 3, ["kernel"], None])
def test_what_is_no_model_and_no_variables_has_no_roles(given):
    with pytest.raises(BadInput, match="Roles are of a built Keras model, or .*Received: "):
        roles_of(given)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="graphs of TensorFlow")
def test_a_function_that_is_traced_may_ask_for_them():
    import tensorflow as tf

    model, found = normalizations(), []

    @tf.function
    def traced(x):
        found.append(roles_of(model))
        return x

    traced(tf.constant(1))
    assert found[-1] == roles_of(model)
