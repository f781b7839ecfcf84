"""ghostify: the copy equals the model at inference and with one ghost batch, and shares nothing."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import tf_bdecay
from tests.layers.converted import away_from_start, pictures, same_bits
from tf_bdecay.frameworks import keras_private
from tf_bdecay.layers import GhostBatchNormalization

pytestmark = pytest.mark.any_backend
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of TensorFlow's"
)
Normalization = layers.BatchNormalization


def tower(name):
    """A functional model inside another one: a branch, an operation, a name that comes twice."""
    inputs = keras.Input((6, 6, 4), name="picture")
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = Normalization(name="norm", momentum=0.9, epsilon=1e-4)(x)
    x = ops.relu(x + inputs)
    return keras.Model(inputs, x, name=name)


def everything():
    """Models in models, shared layers and models, two inputs by name, dropout, frozen parts."""
    picture = keras.Input((6, 6, 4), name="picture")
    number = keras.Input((3,), name="number")
    with keras.name_scope("scope"):  # part of paths, and of no configuration
        shared = tower("tower")
    norm = Normalization(name="norm", scale=False)
    head = keras.Sequential(
        [layers.Dense(5, name="dense"), Normalization(name="norm", trainable=False)], name="head"
    )
    x = tower("fixed")(shared(shared(picture)), training=False)
    x = layers.GlobalAveragePooling2D(name="pool")(norm(x))
    x = layers.Dropout(0.5, name="dropout")(head(layers.Concatenate(name="both")([x, number])))
    again = layers.GlobalAveragePooling2D(name="pool_again")(norm(picture))
    model = keras.Model({"picture": picture, "number": number}, [x, again], name="everything")
    model.get_layer("fixed").trainable = False
    model.get_layer("tower").get_layer("norm").gamma.trainable = False
    return away_from_start(model)


def of_everything(batch):
    return {"picture": pictures(batch, 6, 6, 4), "number": pictures(batch, 3, seed=1)}


def kinds(model):
    """Layers by name and class, as they lie in the model."""
    return [
        (layer.name, type(layer).__name__.replace("Ghost", ""), layer.trainable)
        for layer in keras_private.layers_of(model)
    ]


def names_and_flags(variables):
    return [(v.path, tuple(v.shape), v.dtype, v.trainable) for v in variables]


def test_everything_is_kept():
    model = everything()
    copy = tf_bdecay.ghostify(model, 4)
    assert kinds(copy) == kinds(model)
    assert names_and_flags(copy.weights) == names_and_flags(model.weights)
    mine, theirs = copy.trainable_variables, model.trainable_variables
    assert [v.path for v in mine] == [v.path for v in theirs]
    for a, b in zip(copy.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    found = [layer for layer in keras_private.layers_of(copy) if isinstance(layer, Normalization)]
    assert len(found) == 4
    assert all(type(layer) is GhostBatchNormalization for layer in found)
    assert {layer.ghost_batch_size for layer in found} == {4}
    assert copy.get_layer("tower").get_layer("norm").momentum == 0.9
    assert same_bits(model, copy, of_everything(5))
    assert not {id(v) for v in model.variables} & {id(v) for v in copy.variables}
    assert {*copy.input} == {"picture", "number"} and copy.name == "everything"


def test_one_ghost_batch_trains_as_batch_normalization_does():
    """Weights, moving statistics and dropout's masks after updates by `fit`."""
    model = everything()
    copy, x = tf_bdecay.ghostify(model, 8), of_everything(8)
    target = [pictures(8, 5, seed=2), pictures(8, 4, seed=3)]
    before = model.get_weights()
    for one in (model, copy):
        eager = keras.backend.backend() == "tensorflow"  # tracing takes longer than three steps
        one.compile(keras.optimizers.SGD(0.05), "mse", run_eagerly=eager)
        one.fit(x, target, batch_size=8, epochs=3, shuffle=False, verbose=0)
    for was, a, b in zip(before, model.get_weights(), copy.get_weights(), strict=True):
        np.testing.assert_allclose(b - was, a - was, rtol=1e-3, atol=1e-5)
    moved = [not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)]
    names = [v.path for v, m in zip(model.weights, moved, strict=True) if not m]
    assert sorted(names) == sorted(
        [v.path for v in model.get_layer("fixed").weights]
        + [v.path for v in model.get_layer("head").get_layer("norm").weights]
        + ["scope/norm/gamma"]
    )


def test_smaller_ghost_batches_are_those_of_each_group():
    """In training mode the copy on 8 examples is the model on each 4."""
    inputs = keras.Input((6, 6, 4))
    model = away_from_start(keras.Model(inputs, Normalization()(inputs)))
    copy, x = tf_bdecay.ghostify(model, 4), pictures(8, 6, 6, 4)
    y = ops.convert_to_numpy(copy(x, training=True))
    halves = [ops.convert_to_numpy(model(half, training=True)) for half in (x[:4], x[4:])]
    np.testing.assert_allclose(y, np.concatenate(halves), rtol=1e-4, atol=1e-4)


def test_the_copy_shares_nothing_and_is_not_compiled():
    model = everything()

    def own_loss(y, predicted):  # of no registry: Keras could not compile a copy with it
        return ops.mean(ops.square(y - predicted), axis=-1)

    model.compile("sgd", own_loss)
    model.get_layer("tower").compile("sgd", own_loss)
    before, copy = model.get_weights(), tf_bdecay.ghostify(model, 4)
    assert not copy.compiled and model.compiled
    copy.set_weights([np.zeros_like(w) for w in before])
    for was, is_now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(was, is_now)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_precision(policy):
    keras.config.set_dtype_policy(policy)
    inner = keras.Sequential([layers.Dense(3), Normalization()], name="inner")
    model = keras.Sequential([keras.Input((3,)), inner, layers.Dense(2, dtype="float32")])
    away_from_start(model)
    keras.config.set_dtype_policy("float32")
    copy = tf_bdecay.ghostify(model)
    policies = [
        [layer.dtype_policy.name for layer in keras_private.layers_of(m)] for m in (model, copy)
    ]
    assert policies[0] == policies[1] and policy in policies[1]
    assert keras.config.dtype_policy().name == "float32"
    assert same_bits(model, copy, pictures(4, 3))


class Scaled(layers.Layer):
    """A layer of one's own with a layer inside, in the policy in force, and functions."""

    def __init__(self, factor, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor
        self.dense = layers.Dense(4)

    def build(self, shape):
        self.dense.build(shape)

    def call(self, x):
        return self.factor * self.dense(x)

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


OFFSET = 0.25


def test_layers_of_ones_own_lambdas_and_adapted_ones():
    adapted = layers.Normalization()
    adapted.adapt(pictures(20, 4))
    low_rank = layers.Dense(4)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            adapted,
            Scaled(3.0, dtype="mixed_bfloat16"),  # inside it float32, as nothing else was said
            layers.Lambda(lambda x: x + OFFSET),
            low_rank,
            Normalization(),
            tf_bdecay.layers.GhostBatchNormalization(2),
        ]
    )
    low_rank.enable_lora(2)
    rng = np.random.default_rng(0)
    for variable in low_rank.variables:
        variable.assign(rng.normal(size=variable.shape))
    copy = tf_bdecay.ghostify(model, 4)
    assert same_bits(model, copy, pictures(4, 4))
    sizes = [layer.ghost_batch_size for layer in copy.layers[-2:]]
    assert sizes == [4, 2]
    assert [v.trainable for v in copy.weights] == [v.trainable for v in model.weights]


@needs_tensorflow
def test_vocabularies():
    """What a layer keeps beside its variables."""
    lookup = layers.StringLookup()
    lookup.adapt([["here"], ["there"], ["here"]])
    inputs = keras.Input((1,), dtype="string")
    x = layers.Flatten()(layers.Embedding(3, 4)(lookup(inputs)))
    model = away_from_start(keras.Model(inputs, Normalization()(x)))
    import tensorflow as tf

    assert same_bits(model, tf_bdecay.ghostify(model), tf.constant([["there"], ["here"], ["?"]]))


@needs_tensorflow
def test_a_strategy():
    """The copy is made where the model was made, from outside of its scope."""
    import tensorflow as tf

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = keras.Sequential([keras.Input((3,)), layers.Dense(4), Normalization()])
    copy = tf_bdecay.ghostify(away_from_start(model), 4)
    assert copy.distribute_strategy is strategy
    assert same_bits(model, copy, pictures(4, 3))


def test_the_copy_is_saved_and_described_as_any_model(tmp_path):
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), Normalization()])
    copy = tf_bdecay.ghostify(away_from_start(model), 4)
    assert "1 gamma-beta pairs" in str(tf_bdecay.describe(copy))
    copy.save(tmp_path / "copy.keras")
    again = keras.saving.load_model(tmp_path / "copy.keras")
    assert again.layers[-1].ghost_batch_size == 4
    assert same_bits(copy, again, pictures(4, 3))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, size",
    [
        ("DenseNet121", 32),
        ("EfficientNetB0", 32),
        ("EfficientNetV2B0", 32),
        ("InceptionV3", 75),
        ("MobileNetV2", 32),
        ("MobileNetV3Small", 32),
        ("NASNetMobile", 32),
        ("ResNet50V2", 32),
        ("Xception", 71),
    ],
)
@needs_tensorflow  # under JAX operations of that many shapes are compiled for minutes
def test_keras_applications(name, size):
    model = getattr(keras.applications, name)(
        weights=None, input_shape=(size, size, 3), include_top=False, pooling="avg"
    )
    rng = np.random.default_rng(0)
    for variable in model.weights:  # variances above 0
        variable.assign(rng.uniform(0.02, 0.1, variable.shape))
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # what normalizes inputs has looked at its weights
            layer.finalize_state()
    copy = tf_bdecay.ghostify(model, 4)
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    assert [v.path for v in copy.variables] == [v.path for v in model.variables]
    assert same_bits(model, copy, pictures(2, size, size, 3))
    left = [layer for layer in keras_private.layers_of(copy) if type(layer) is Normalization]
    assert left == []
