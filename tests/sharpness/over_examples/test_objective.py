"""Losses by example, beside Keras' own `evaluate` and the losses written out."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_bdecay.errors import BadInput
from tf_bdecay.sharpness import connectivity
from tf_bdecay.sharpness.over_examples import objective

Y = np.array([0, 2, 1, 2])
LOGITS = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")


def crossentropies(y, logits):
    logits = logits.astype("float64")
    return np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, y[:, None], -1)[:, 0]


def losses(loss, y=Y, outputs=LOGITS):
    resolved = objective.resolve_loss(loss)
    y, outputs = tf.convert_to_tensor(y), tf.convert_to_tensor(outputs)
    return objective.example_losses(resolved, y, outputs, len(y)).numpy()


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean", None])
def test_reduction_over_examples_is_undone(reduction):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    np.testing.assert_allclose(losses(loss), crossentropies(Y, LOGITS), rtol=1e-5)


def test_names_mean_what_they_mean_in_compile():
    probabilities = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
    values = losses("sparse_categorical_crossentropy", outputs=probabilities)
    np.testing.assert_allclose(values, crossentropies(Y, LOGITS), rtol=1e-4)


def test_any_callable_of_targets_and_outputs():
    values = losses(lambda y, logits: tf.gather(logits, y, batch_dims=1))
    np.testing.assert_array_equal(values, np.take_along_axis(LOGITS, Y[:, None], -1)[:, 0])


@pytest.mark.parametrize("reduction, factor", [("sum_over_batch_size", 1), ("sum", 5)])
def test_positions_of_an_example_are_reduced_as_the_loss_does(reduction, factor):
    y, outputs = np.zeros((4, 5, 2), "float32"), np.ones((4, 5, 2), "float32")
    outputs *= np.arange(4).reshape(4, 1, 1)
    values = losses(keras.losses.MeanSquaredError(reduction=reduction), y, outputs)
    np.testing.assert_allclose(values, factor * np.arange(4) ** 2)


def test_double_precision_is_kept():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    values = losses(loss, outputs=LOGITS.astype("float64"))
    np.testing.assert_allclose(values, crossentropies(Y, LOGITS), rtol=1e-12)


def test_half_precision_outputs_give_float32_losses():
    values = losses(lambda y, logits: logits[:, 0], outputs=LOGITS.astype("float16"))
    assert values.dtype == "float32"


@pytest.mark.parametrize(
    "loss",
    [
        lambda y, logits: tf.reduce_mean(logits),
        lambda y, logits: tf.reduce_mean(logits, 0),
        lambda y, logits: tf.reduce_mean(logits, keepdims=True),
    ],
)
def test_a_loss_that_averages_is_refused(loss):
    with pytest.raises(BadInput, match="a value for each example, of shape .4. .*averages"):
        losses(loss)


def test_a_loss_that_leaves_classes_out_is_refused():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=2)
    with pytest.raises(BadInput, match="leaves masked values out"):
        losses(loss)


@pytest.mark.parametrize(
    "loss, sentence",
    [
        ("mean_squarred_error", "did you mean 'mean_squared_error'"),
        (([0.0] * 999, [1] * 999), "must be a callable .y, outputs.*Received: loss=.{1,250}$"),
        (3, "must be a callable .y, outputs.*Received: loss=3"),
        (keras.losses.MeanSquaredError, "must be a callable .y, outputs"),
    ],
)
def test_what_is_no_loss_is_refused(loss, sentence):
    with pytest.raises(BadInput, match=sentence):
        objective.resolve_loss(loss)


def dense_model(outputs=1):
    inputs = keras.Input((2,))
    heads = [keras.layers.Dense(1, name=f"head{i}")(inputs) for i in range(outputs)]
    return keras.Model(inputs, heads if outputs > 1 else heads[0])


def test_compiled_loss_is_found():
    model = dense_model()
    model.compile(loss="mse")
    assert objective.compiled_loss(model) == "mse"


@pytest.mark.parametrize("loss", ["mse", {"o": "mse"}, {"o": keras.losses.mean_squared_error}])
def test_a_model_of_one_output_in_a_dict_is_measured_as_without_the_dict(loss):
    model = dense_model()
    in_dict = keras.Model(model.inputs, {"o": model.outputs[0]})
    x = np.arange(8.0).reshape(4, 2)
    model.compile(loss="mse")
    in_dict.compile(loss=loss)
    plain, found = (
        connectivity(one, None, (x, y), per_example=False)
        for one, y in ((model, x[:, :1]), (in_dict, {"o": x[:, :1]}))
    )
    assert found.total == plain.total


def test_models_without_one_compiled_loss_are_refused():
    with pytest.raises(BadInput, match="compiled without a loss: pass `loss`"):
        objective.compiled_loss(dense_model())
    model = dense_model(outputs=2)
    model.compile(loss=["mse", "mae"])
    with pytest.raises(BadInput, match="a loss for each of several outputs"):
        objective.compiled_loss(model)


def test_keys_tell_losses_apart_by_what_they_compute():
    key, kind = objective.loss_key, keras.losses.SparseCategoricalCrossentropy
    assert key(kind(from_logits=True)) == key(kind(from_logits=True))
    assert key(kind(from_logits=True)) != key(kind(from_logits=False))

    class Mine(keras.losses.MeanSquaredError):
        pass

    first, second = Mine(), Mine()  # whatever they hold is not in their configuration
    assert key(first) != key(second)


# Losses as `compile` takes them.

BINARY = np.random.default_rng(1).random(12) > 0.5


def evaluated(loss, y, outputs=1, activation="sigmoid", loss_given=None):
    """The mean loss that `evaluate` gives, and that a measure does."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(outputs, activation)])
    model.compile("sgd", loss)
    x = np.random.default_rng(2).normal(size=(12, 3)).astype("float32")
    whole = model.evaluate(x, y, batch_size=12, verbose=0)
    measured = [
        connectivity(model, loss_given, (x, y), per_example=per_example).loss
        for per_example in (True, False)
    ]
    return whole, measured


def squares(y, outputs):
    return keras.ops.mean((y - outputs) ** 2, -1)  # [n, n] of y [n] and outputs [n, 1] as they are


@pytest.mark.parametrize(
    "loss, y, outputs, activation",
    [
        ("binary_crossentropy", BINARY, 1, "sigmoid"),
        ("bce", BINARY.astype("int64"), 1, "sigmoid"),
        ("binary_focal_crossentropy", BINARY.astype("float64"), 1, "sigmoid"),
        (keras.losses.binary_crossentropy, BINARY.astype("float32"), 1, "sigmoid"),
        (squares, BINARY.astype("float32"), 1, "sigmoid"),
        ("crossentropy", BINARY, 1, "sigmoid"),
        ("ce", np.arange(12) % 3, 3, "softmax"),
        ("ce", np.arange(12).reshape(12, 1) % 3, 3, "softmax"),
        ("crossentropy", np.eye(3)[np.arange(12) % 3], 3, "softmax"),
        ("kl_divergence", np.random.default_rng(3).random((12, 3)), 3, "softmax"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.quick_rows(3)
def test_what_compile_takes_has_the_same_value(loss, y, outputs, activation):
    whole, measured = evaluated(loss, y, outputs, activation)
    assert measured == [pytest.approx(whole, rel=1e-5)] * 2


@pytest.mark.parametrize("loss", ["bce", keras.losses.binary_crossentropy])
@pytest.mark.quick_rows(1)
def test_names_and_functions_of_keras_may_be_given_too(loss):
    whole, measured = evaluated("mse", BINARY, loss_given=loss)
    assert measured == [pytest.approx(evaluated(loss, BINARY)[0], rel=1e-5)] * 2 != [whole] * 2


def test_a_callable_gets_the_targets_as_they_are():
    seen = []
    losses(lambda y, logits: seen.append((y.dtype, y.shape)) or logits[:, 0])
    assert seen == [(tf.int64, (4,))]


@pytest.mark.parametrize("targets", ["float16", "float32", "float64"])
@pytest.mark.parametrize("outputs, precision", [("float32", 1e-5), ("float64", 1e-14)])
def test_targets_of_any_precision_may_be_given_to_a_callable(targets, outputs, precision):
    y, given = np.linspace(0, 1, 4), LOGITS[:, 0].astype(outputs)
    values = losses(lambda y, o: (o - y) ** 2, y.astype(targets), given)
    expected = (given - y.astype(targets).astype("float64")) ** 2
    np.testing.assert_allclose(values, expected, rtol=precision, atol=1e-7 * precision)


def test_a_function_that_was_compiled_and_one_that_is_given_are_not_one():
    compiled = objective.CompiledFunction(squares)
    assert objective.loss_key(compiled) != objective.loss_key(squares)
    assert objective.loss_key(compiled) == objective.loss_key(objective.CompiledFunction(squares))


def test_one_loss_of_several_outputs_is_refused():
    model = dense_model(outputs=2)
    model.compile(loss="mse")
    data = np.ones((4, 2), "float32"), [np.ones((4, 1), "float32")] * 2
    with pytest.raises(BadInput, match="of one output.*Received: 2 arrays of targets and 2 out"):
        connectivity(model, None, data)


def test_losses_that_a_layer_adds_are_told_of():
    class Adds(keras.layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.mean(x**2))
            return x

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1), Adds()])
    model.compile("sgd")
    with pytest.raises(BadInput, match="compiled without a loss.*`add_loss` adds is of a batch"):
        connectivity(model, None, (np.ones((4, 2)), np.ones(4)))


@pytest.mark.parametrize("loss", ["mse", keras.losses.mean_squared_error, squares])
def test_masks_are_refused_whatever_the_loss_is_called(loss):
    tokens = np.array([[1, 2, 0], [1, 0, 0]])
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int64"),
            keras.layers.Embedding(3, 2, mask_zero=True),
            keras.layers.LSTM(2, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", loss)
    with pytest.raises(BadInput, match="leaves masked values out"):
        connectivity(model, None, (tokens, np.ones((2, 3, 1), "float32")), per_example=False)
