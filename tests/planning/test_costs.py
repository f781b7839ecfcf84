"""The computed costs of a network equal those by hand and those of TensorFlow's graph."""

import math

import keras
import pytest
import tensorflow as tf
from keras import layers

from tf_bdecay import models
from tf_bdecay.errors import BadInput
from tf_bdecay.planning import costs


def products_of_resnet18(width):
    """Multiplications of a 32x32 image, by hand: sums of side^2 size^2 c_in c_out."""
    total = 32**2 * 9 * 3 * width + 10 * 8 * width
    total += 4 * 32**2 * 9 * width**2  # stage 1: four 3x3 convolutions
    for stage in (2, 3, 4):
        side, c = 32 // 2 ** (stage - 1), width * 2 ** (stage - 1)
        total += side**2 * (9 * c // 2 * c + 3 * 9 * c * c + c // 2 * c)  # the last is the shortcut
    return total


def elementwise_of_resnet18(width):
    """The rest, by hand: 6 a value normalised, 1 a value of a ReLU, a sum and the last mean."""
    values = [width * 2**i * (32 // 2**i) ** 2 for i in range(4)]
    normalised = 5 * values[0] + 5 * sum(values[1:])
    relus, sums = 5 * values[0] + 4 * sum(values[1:]), 2 * sum(values)
    return 6 * normalised + relus + sums + values[3] + 10


def test_resnet18_takes_what_it_takes_by_hand():
    assert products_of_resnet18(64) == 555_422_720  # the 0.556 GFLOP, in multiply-adds, of others
    flops = costs.forward_flops(models.resnet18())
    assert flops == 2 * products_of_resnet18(64) + elementwise_of_resnet18(64)
    assert flops == pytest.approx(1.11e9, rel=0.01)


def test_every_variable_and_its_moments_have_four_bytes():
    found = costs.count(models.resnet18(width=8), moments=2)
    model = models.resnet18(width=8)
    assert found.weight_bytes == 4 * model.count_params()
    assert found.gradient_bytes == 4 * sum(math.prod(v.shape) for v in model.trainable_variables)
    assert found.moment_bytes == 2 * found.gradient_bytes
    frozen = costs.count(models.resnet18(width=8, center=False), moments=1)
    assert found.gradient_bytes > frozen.gradient_bytes == frozen.moment_bytes


NETWORKS = {
    "vgg11": lambda: models.vgg11(width=8),
    "vgg19_bn": lambda: models.vgg19_bn(width=8),
    "resnet18": lambda: models.resnet18(width=8),
    "resnet50_d": lambda: models.resnet50_d(10, 16, (64, 64, 3)),
    "whole batch": lambda: models.resnet18(width=8, normalization="batch"),
}


@pytest.fixture(
    params=[
        pytest.param(name, marks=pytest.mark.slow if name == "resnet50_d" else ())
        for name in NETWORKS
    ]
)
def model(request):
    return NETWORKS[request.param]()


def test_operations_are_those_of_the_shapes_that_tensorflow_traces(model):
    traced = tf.function(model).get_concrete_function(tf.TensorSpec((1, *model.input_shape[1:])))
    products = 0
    for operation in traced.graph.get_operations():
        if operation.type in ("Conv2D", "MatMul"):
            kernel = operation.inputs[1].shape
            products += math.prod(operation.outputs[0].shape) * math.prod(kernel[:-1])
    ours = sum(
        costs._rule(node)(node)[0] - node.operation.use_bias * math.prod(node.outputs[0].shape[1:])
        for node in costs._nodes(model)
        if isinstance(node.operation, (layers.Conv2D, layers.Dense))
    )
    assert ours == 2 * products
    assert 0.9 * costs.forward_flops(model) < ours < costs.forward_flops(model)


def kept_by_tensorflow(model, batch):
    """Bytes an image of the forward pass's tensors that the traced backward pass reads."""

    @tf.function
    def gradients(x, y):
        with tf.GradientTape() as tape:
            logits = model(x, training=True)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)
        return tape.gradient(loss, model.trainable_variables)

    traced = gradients.get_concrete_function(
        tf.TensorSpec((batch, *model.input_shape[1:])), tf.TensorSpec((batch,), tf.int32)
    )
    operations = traced.graph.get_operations()
    backward = [
        o.type.endswith("Grad") or "Backprop" in o.type or "gradient_tape" in o.name
        for o in operations
    ].index(True)
    forward = {o.name for o in operations[:backward]}
    kept = {
        t.name: math.prod(t.shape) * t.dtype.size
        for o in operations[backward:]
        if o.type not in ("Shape", "ShapeN")
        for t in o.inputs
        if t.op.name in forward and t.op.type not in ("ReadVariableOp", "Const")
    }
    return sum(kept.values()) / batch


@pytest.mark.quick_rows(2)
def test_activations_are_the_tensors_that_the_backward_pass_reads(model):
    # Beyond ours are the logits and a few numbers a channel and ghost batch.
    ours, theirs = costs.kept_bytes(model), kept_by_tensorflow(model, 64)
    assert ours <= theirs < 1.002 * ours


def small(*middle, shape=(6, 6, 4)):
    inputs = x = keras.Input(shape)
    for layer in middle:
        x = layer(x)
    return keras.Model(inputs, x)


def test_layers_by_hand():
    for layer, flops, kept in (
        (layers.Conv2D(8, 3, padding="same"), 36 * 8 * (2 * 36 + 1), 144),
        (layers.Conv2D(8, 3, groups=2, use_bias=False), 16 * 8 * 2 * 18, 144),
        (layers.Conv2D(8, 3, strides=2, use_bias=False), 4 * 8 * 2 * 36, 144),
        (layers.Conv2D(8, 1, activation="relu"), 36 * 8 * (2 * 4 + 2), 144 + 288),
        (layers.Dense(5), 36 * 5 * 9, 144),
        (layers.LayerNormalization(), 6 * 144, 144),
        (layers.Activation("tanh"), 144, 144),
        (layers.MaxPooling2D(2), 144, 144 + 36),
        (layers.AveragePooling2D(3), 144, 0),
        (layers.ZeroPadding2D(1), 0, 0),
        (layers.GlobalAveragePooling2D(), 144, 0),
    ):
        model = small(layer)
        assert costs.forward_flops(model) == flops, layer
        assert costs.kept_bytes(model) == 4 * kept, layer


def test_what_two_layers_keep_is_one_tensor():
    inputs = keras.Input((6, 6, 4))
    x = layers.ReLU()(inputs)
    flat = layers.Dense(3)(layers.Flatten()(x))
    other = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(x))
    model = keras.Model(inputs, layers.Add()([flat, other]))
    assert costs.kept_bytes(model) == 4 * 144


def test_a_layer_called_twice_costs_twice():
    layer = layers.Dense(4, use_bias=False)
    model = small(layer, layer)
    assert costs.forward_flops(model) == 2 * 36 * 4 * 8
    assert costs.kept_bytes(model) == 4 * 2 * 144
    assert costs.count(model, 2).weight_bytes == 4 * 16


def test_half_precision_halves_what_is_kept():
    wide = costs.kept_bytes(models.vgg11(width=8))
    keras.config.set_dtype_policy("mixed_float16")
    narrow = costs.kept_bytes(models.vgg11(width=8))
    # The last dense layer computes in float32, of 64 features.
    assert narrow == pytest.approx(wide / 2, abs=4 * 64 + 2 * 3 * 32**2)


def test_an_unknown_layer_is_named():
    with pytest.raises(BadInput, match="'odd' is a DepthwiseConv2D, whose cost cannot be counted"):
        costs.count(small(layers.DepthwiseConv2D(3, name="odd")), 2)


def test_a_model_without_shapes_is_refused():
    with pytest.raises(BadInput, match="shape is known but for the batch"):
        costs.forward_flops(small(layers.ReLU(), shape=(None, None, 4)))
    with pytest.raises(BadInput, match="functional keras.Model"):
        costs.count(layers.Dense(3), 2)
