"""The private names of Keras that we use work on tiny models: a changed Keras fails here.

Each test says what the rest rests on, in terms of what Keras shows publicly.
"""

import keras
import numpy as np
import pytest
from keras import layers, ops

from tf_bdecay import schedules
from tf_bdecay.frameworks import keras_private

needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="training there is TensorFlow's"
)


class Pair(layers.Layer):
    """A layer of a user's own that holds a layer, a list with one more, and a variable."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = layers.Dense(3, name="first")
        self.rest = [layers.Dense(3, name="second")]

    def build(self, shape):
        self.scale = self.add_weight((3,), "ones", name="scale")
        self.frozen = self.add_weight((3,), "ones", trainable=False, name="frozen")
        self.first.build(shape)
        self.rest[0].build((*shape[:-1], 3))

    def call(self, x):
        return self.rest[0](self.first(x)) * self.scale


def nested():
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(3, name="dense")], name="inner")
    inputs = keras.Input((3,), name="input")
    x = Pair(name="pair")(inputs)
    x = inner(inner(x))  # twice: one object
    return keras.Model(inputs, layers.Dense(2, name="head")(x), name="outer")


@pytest.mark.any_backend
def test_layers_inside_layers_and_models_each_once():
    model = nested()
    found = keras_private.layers_of(model)
    assert found[0] is model
    assert len({id(layer) for layer in found}) == len(found)
    names = [layer.name for layer in found[1:]]
    assert set(names) >= {"input", "pair", "first", "second", "inner", "dense", "head"}
    order = [names.index(name) for name in ("input", "pair", "inner", "head")]
    assert order == sorted(order)
    assert keras_private.layers_of(model, include_self=False) == found[1:]
    assert not {"first", "second", "dense"} & {layer.name for layer in model.layers}


@pytest.mark.any_backend
def test_models_made_of_inputs_and_outputs():
    class Kept(keras.Model):
        pass

    class Own(keras.Model):
        def __init__(self, width):
            inputs = keras.Input((3,))
            super().__init__(inputs, layers.Dense(width)(inputs))

    inputs = keras.Input((3,))
    kinds = [type(m) for m in (nested(), Kept(inputs, layers.Dense(2)(inputs)), Own(2))]
    assert [keras_private.takes_inputs_and_outputs(kind) for kind in kinds] == [True, True, False]
    assert not keras_private.takes_inputs_and_outputs(keras.Sequential)


@pytest.mark.any_backend
def test_a_path_that_is_set_is_the_variables():
    dense = layers.Dense(2)
    dense.build((None, 3))
    keras_private.set_path(dense.kernel, "head/dense/kernel")
    assert [v.path for v in dense.variables] == ["head/dense/kernel", "dense/bias"]


@pytest.mark.any_backend
@pytest.mark.parametrize("shape", [None, (3,), lambda shape: shape])
def test_the_output_shape_that_a_function_was_given(shape):
    layer = layers.Lambda(lambda x: x, output_shape=shape)
    assert keras_private.output_shape_of(layer) == shape


@pytest.mark.any_backend
def test_own_variables_are_not_those_of_the_layers_inside():
    pair = nested().get_layer("pair")
    assert [v.name for v in keras_private.own_trainable_variables(pair)] == ["scale"]
    assert len(pair.trainable_variables) == 5
    inner = pair.first
    assert keras_private.own_trainable_variables(inner) == inner.trainable_variables


@pytest.mark.any_backend
def test_every_trainable_variable_is_some_layers_own():
    model = nested()
    own = [
        id(v)
        for layer in keras_private.layers_of(model)
        for v in keras_private.own_trainable_variables(layer)
    ]
    assert sorted(own) == sorted(id(v) for v in model.trainable_variables)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(2)

    def call(self, x):
        return self.dense(x)


@pytest.mark.any_backend
def test_the_graph_of_functional_and_sequential_models_alone():
    model = nested()
    assert keras_private.graph_of(model) is model
    sequential = model.get_layer("inner")
    graph = keras_private.graph_of(sequential)
    assert [layer.name for layer in graph.layers[1:]] == ["dense"]
    assert ops.shape(graph.inputs[0]) == ops.shape(graph.outputs[0]) == (None, 3)
    assert keras_private.graph_of(keras.Sequential([layers.Dense(3)])) is None  # not built
    assert keras_private.graph_of(Subclassed()) is None


@pytest.mark.any_backend
def test_nodes_come_after_what_they_use():
    model = nested()
    nodes = keras_private.nodes_of(keras_private.graph_of(model))
    names = [node.operation.name for node in nodes]
    assert names == ["input", "pair", "inner", "inner", "head"]
    made = set()
    for node in nodes:
        assert {id(t) for t in node.arguments.keras_tensors} <= made
        made |= {id(t) for t in node.outputs}
    assert {id(t) for t in model.outputs} <= made


@pytest.mark.any_backend
def test_calls_of_a_layer_in_whatever_graph():
    layer = layers.Dense(3)
    assert keras_private.calls_of(layer) == []
    first, second = keras.Input((3,)), keras.Input((3,))
    outputs = layer(first), layer(second)
    calls = keras_private.calls_of(layer)
    for call, given, output in zip(calls, (first, second), outputs, strict=True):
        assert call.operation is layer
        assert call.arguments.keras_tensors[0] is given and call.outputs[0] is output
    layer(np.ones((1, 3), "float32"))  # on numbers: not a node of a graph
    assert len(keras_private.calls_of(layer)) == 2


def test_a_mask():
    tokens = np.array([[1, 2, 0]])
    assert keras_private.mask_of(layers.Embedding(3, 2, mask_zero=True)(tokens)) is not None
    assert keras_private.mask_of(layers.Embedding(3, 2)(tokens)) is None


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "shapes, wanted",
    [
        (((4,), (4, 1)), ((4, 1), (4, 1))),
        (((4, 1), (4,)), ((4, 1), (4, 1))),
        (((4, 3), (4, 3, 1)), ((4, 3), (4, 3))),
        (((4, 3, 1), (4, 3)), ((4, 3), (4, 3))),
        (((4,), (4, 5)), ((4,), (4, 5))),
        (((4, 1), (4, 5)), ((4, 1), (4, 5))),
    ],
)
def test_targets_and_outputs_of_one_rank(shapes, wanted):
    found = keras_private.of_one_rank(*map(ops.ones, shapes))
    assert tuple(tuple(each.shape) for each in found) == wanted


def updated(optimizer, value=1.0):
    """The optimizer after one update of a variable from 1."""
    variable = keras.Variable(np.ones(2, "float32"), name="v")
    optimizer.build([variable])
    optimizer.apply([ops.ones(2) * value])
    return variable


def test_the_rate_of_the_running_update():
    fixed = keras.optimizers.SGD(0.25)
    assert float(keras_private.current_learning_rate(fixed)) == 0.25
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.125])
    scheduled = keras.optimizers.SGD(rate)
    assert float(keras_private.current_learning_rate(scheduled)) == 0.5
    updated(scheduled)
    assert float(keras_private.current_learning_rate(scheduled)) == 0.125
    ours = keras.optimizers.SGD(schedules.PolynomialWarmupDecay(0.04, 100))
    expected = float(schedules.PolynomialWarmupDecay(0.04, 100)(0))
    assert float(keras_private.current_learning_rate(ours)) == pytest.approx(expected)


def test_moving_averages_of_the_weights():
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.75)
    variable = updated(optimizer)
    (average,) = keras_private.moving_averages(optimizer)
    np.testing.assert_allclose(variable.numpy(), 0.5)
    assert average is not variable and average.shape == variable.shape
    first = average.numpy()
    optimizer.apply([ops.zeros(2)])
    np.testing.assert_allclose(average.numpy(), 0.75 * first + 0.25 * 0.5)
    assert any(average is v for v in optimizer.variables)  # so that checkpoints hold it


def test_variables_of_an_optimizer():
    a, b = (keras.Variable(np.ones(2, "float32"), name=n) for n in "ab")
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build([b, a])
    first, second = keras_private.variables_of(optimizer)
    assert first is b and second is a


def test_gradients_by_index():
    a, b = (keras.Variable(np.ones(2, "float32"), name=n) for n in "ab")
    optimizer = keras.optimizers.SGD(0.5)
    optimizer.build([a, b])
    of_a, of_b = ops.ones(2) * 2, ops.ones(2) * 3
    found = dict(keras_private.gradients_by_index(optimizer, [of_b, of_a], [b, a]))
    assert sorted(found) == [0, 1] and found[0] is of_a and found[1] is of_b
    np.testing.assert_array_equal(a.numpy(), 1)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        found = dict(keras_private.gradients_by_index(optimizer, [None, of_b], [a, b]))
    assert list(found) == [1] and found[1] is of_b
    with pytest.raises(ValueError, match="Unknown variable"):
        keras_private.gradients_by_index(optimizer, [of_a], [keras.Variable(np.ones(2))])


def compiled(kind=keras.Model, outputs=1):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    heads = [layers.Dense(2, name=f"head{n}")(inputs) for n in range(outputs)]
    model = kind(inputs, heads if outputs > 1 else heads[0])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    model.compile(
        "sgd",
        loss=[loss] * outputs if outputs > 1 else loss,
        metrics=metrics if outputs == 1 else None,
    )
    return model


def data(count=10):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 3)).astype("float32"), rng.integers(0, 2, count)


def names(variables):
    return [(v.path, tuple(v.shape)) for v in variables]


@needs_tensorflow
def test_metrics_have_the_variables_that_training_gives_them():
    model, trained = compiled(), compiled()
    x, y = data()
    trained.train_on_batch(x, y)
    before = names(model.metrics_variables)
    weights = [w.copy() for w in model.get_weights()]
    keras_private.build_metrics(model, x[:1], y[:1], np.zeros((1, 2), "float32"))
    after = names(model.metrics_variables)
    assert before != after == names(trained.metrics_variables)
    assert all(not v.numpy().any() for v in model.metrics_variables)  # nothing was counted
    for a, b in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(a, b)
    model.train_on_batch(x, y)
    assert names(model.metrics_variables) == after


@needs_tensorflow
def test_losses_have_the_metrics_that_training_gives_them():
    """With several outputs there is a metric for the loss of each."""
    model, trained = compiled(outputs=2), compiled(outputs=2)
    x, y = data()
    trained.train_on_batch(x, [y, y])
    found = {metric.name for metric in model.metrics}
    keras_private.build_loss(model, [y, y])
    more = {metric.name for metric in model.metrics} - found
    assert more == {"head0_loss", "head1_loss"}
    assert more <= {metric.name for metric in trained.metrics}
    keras_private.build_loss(model, [y, y])  # once is enough
    assert [m.name for m in model.metrics].count("head0_loss") == 1
    only_compiled = keras.Model(model.inputs, model.outputs)
    only_compiled.compile("sgd")
    keras_private.build_loss(only_compiled, [y, y])  # without a loss there is nothing to make


@needs_tensorflow
def test_metrics_are_built_once_under_a_strategy_without_a_batch():
    """Here of one device; of several replicas with unequal parts see tests/training."""
    import tensorflow as tf

    x, y = data(10)
    plain = compiled(keras_private.BuiltOnce)
    expected = plain.evaluate(x, y, batch_size=4, verbose=0, return_dict=True)
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = compiled(keras_private.BuiltOnce)
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(4)
    found = model.evaluate(batches, verbose=0, return_dict=True)
    assert found == pytest.approx(expected, rel=1e-5)
    variables = [id(v) for v in model.metrics_variables]
    model.fit(batches, validation_data=batches, verbose=0)
    assert [id(v) for v in model.metrics_variables] == variables
    with model.distribute_strategy.scope():
        metric = keras.metrics.SparseCategoricalAccuracy(name="again")
        model.compile("sgd", model.loss, metrics=[metric])
    begun = []  # what there is before the first step, in which replicas could not create it
    look = keras.callbacks.LambdaCallback(
        on_train_begin=lambda logs: begun.extend(model.metrics_variables)
    )
    model.fit(batches, callbacks=[look], verbose=0)
    assert names(begun) == names(model.metrics_variables) and len(begun) == len(variables)


@pytest.mark.any_backend
def test_all_variables_are_built_from_shapes_alone_and_nothing_is_trained():
    def models():
        model = keras.Sequential([layers.Dense(3), layers.Dropout(0.5), layers.Dense(2)])
        model.compile("adam", "mse", metrics=["mae"])
        return model

    x, y = np.ones((4, 5), "float32"), np.ones((4, 2), "float32")
    built, trained = models(), models()
    trained.train_on_batch(x, y)
    keras_private.build_all(built, (x, y))

    def shapes(model):
        every = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
        return [(v.name, tuple(v.shape)) for v in every]

    assert [s for _, s in shapes(built)] == [s for _, s in shapes(trained)]
    assert not any(np.any(v.numpy()) for v in built.metrics_variables)
    assert int(built.optimizer.iterations.numpy()) == 0
    before = shapes(built)
    keras_private.build_all(built, (x, y))
    built.train_on_batch(x, y)
    assert shapes(built) == before


@pytest.mark.any_backend
def test_a_callback_can_say_where_fit_starts():
    class Starts(keras.callbacks.Callback):
        def __init__(self, epoch):
            super().__init__()
            self.epoch, self.seen = epoch, []

        def on_train_begin(self, logs=None):
            keras_private.start_at(self.model, self.epoch)

        def on_epoch_begin(self, epoch, logs=None):
            self.seen.append(epoch)

    model = keras.Sequential([keras.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    for start, initial, seen in ((2, 0, [2, 3]), (None, 1, [1, 2, 3]), (4, 0, []), (None, 0, 4)):
        callback = Starts(start)
        x = np.ones((2, 2))
        model.fit(x, x[:, :1], epochs=4, initial_epoch=initial, verbose=0, callbacks=[callback])
        assert callback.seen == (seen if isinstance(seen, list) else [*range(seen)])
