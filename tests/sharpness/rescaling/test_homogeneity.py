"""Rescaling refuses some models in one sentence, and leaves every weight as it was."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

from tests.sharpness.rescaling.rescale_networks import (
    CLASSES,
    between,
    outputs_of,
    randomized,
    sequential,
)
from tf_bdecay.errors import BadInput
from tf_bdecay.layers import GhostBatchNormalization
from tf_bdecay.sharpness.rescaling.rescale import reparameterize, rescalable_units

pytestmark = pytest.mark.usefixtures("double_inputs")


def residual():
    x = inputs = keras.Input((6, 6, 4))
    x = layers.Conv2D(4, 3, padding="same", name="a")(x)
    x = layers.Add(name="sum")([x, inputs])
    return keras.Model(inputs, layers.Dense(CLASSES, name="b")(layers.Flatten()(x)))


def functional(function, shape=(5,)):
    """A dense layer `a`, something that takes its output, a last dense layer."""
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers.Dense(CLASSES)(function(layers.Dense(4, name="a")(inputs))))


def passing(*steps):
    return lambda: sequential(
        layers.Dense(4, name="a"), *steps, layers.Dense(CLASSES, name="b"), shape=(5,)
    )


def called_twice():
    inputs = keras.Input((4,))
    a = layers.Dense(4, name="a")
    return keras.Model(inputs, layers.Dense(CLASSES)(a(layers.ReLU()(a(inputs)))))


def next_kernel_called_twice():
    x = inputs = keras.Input((4,))
    b = layers.Dense(CLASSES, name="b")
    return keras.Model(
        inputs, layers.Add()([b(layers.Dense(4, name="a")(x)), b(layers.Dense(4)(x))])
    )


def held_by_another_layer():
    x = inputs = keras.Input((4,))
    b = layers.Dense(4, name="b")
    outputs = b(layers.Dense(4, name="a")(x))
    return keras.Model(inputs, [outputs, Opaque(b)(x)])


def two_outputs():
    x = inputs = keras.Input((5,))
    x = layers.ReLU()(layers.Dense(4, name="a")(x))
    return keras.Model(inputs, [layers.Dense(CLASSES)(x), x])


def lora():
    model = passing()()
    model.get_layer("b").enable_lora(2)
    return model


def single_precision():
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    return passing()()


def quantized():
    model = single_precision()
    model.get_layer("b").quantize("int8")
    return model


class ShiftedReLU(layers.ReLU):
    def call(self, inputs):
        return super().call(inputs + 1)


class Opaque(layers.Layer):
    def __init__(self, inner=None, **kwargs):
        super().__init__(**kwargs)
        self.inner = inner or layers.Dense(4, name="inner")

    def call(self, x):
        return self.inner(x)


def constrained(**kwargs):
    return lambda: sequential(
        layers.Dense(4, name="a", **kwargs.get("a", {})),
        layers.Dense(CLASSES, **kwargs.get("b", {})),
        shape=(5,),
    )


FUNCTION_CHANGES = {
    "residual sum": (residual, "it goes into 'sum' .Add., which combines it .*residual sum"),
    "subtraction": (
        lambda: functional(lambda x: layers.Subtract(name="s")([x, x])),
        r"it goes into 's' \(Subtract\)",
    ),
    "plain sum": (
        lambda: functional(lambda x: x + 1.0),
        r"it goes into 'add\w*' \(Add\), of which",
    ),
    "slice": (lambda: functional(lambda x: x[:, :2]), r"\(GetItem\), of which nothing is known"),
    "lambda": (passing(layers.Lambda(lambda x: x, name="l")), r"it goes into 'l' \(Lambda\)"),
    "opaque": (passing(Opaque(name="o")), r"it goes into 'o' \(Opaque\), of which"),
    "subclass": (passing(ShiftedReLU(name="s")), r"it goes into 's' \(ShiftedReLU\), of which"),
    "concatenation of examples": (
        lambda: functional(lambda x: ops.concatenate([x, x], axis=0)),
        "joins tensors along axis 0",
    ),
    "reshape": (
        lambda: between(layers.Reshape((16, 9)), layers.Flatten()),
        r"takes \(None, 6, 6, 4\) to a shape where no one axis",
    ),
    "other axis": (
        lambda: between(layers.Permute((3, 1, 2)), layers.MaxPooling2D(2), layers.Flatten()),
        "lies along axis 1 of the input of .* channels are axis 3",
    ),
    "output": (lambda: sequential(layers.Dense(4, name="a"), shape=(5,)), "an output of the model"),
    "second output": (two_outputs, "it is an output of the model; name a hidden layer"),
    "batch norm": (
        lambda: between(layers.BatchNormalization(name="n"), layers.Flatten()),
        "it goes into 'n' .BatchNormalization., whose statistics .* name 'n' itself",
    ),
    "ghost norm": (
        lambda: between(layers.ReLU(), GhostBatchNormalization(name="n"), layers.Flatten()),
        "it goes into 'n' .GhostBatchNormalization., .* name 'n' itself",
    ),
    "layer norm": (passing(layers.LayerNormalization(name="n")), "name 'n' itself"),
    **{
        name: (passing(layers.Activation(name, name="f")), f"passes through {name} in 'f', which")
        for name in ("tanh", "sigmoid", "gelu", "softmax", "relu6", "elu", "silu")
    },
    **{
        name: (
            lambda k=kernel: between(k, layers.Flatten()),
            f"the kernel of 'k', a {name}, has no axis",
        )
        for name, kernel in (
            ("DepthwiseConv2D", layers.DepthwiseConv2D(2, name="k")),
            ("SeparableConv2D", layers.SeparableConv2D(5, 2, name="k")),
            ("Conv2DTranspose", layers.Conv2DTranspose(5, 2, name="k")),
            ("grouped convolution", layers.Conv2D(6, 2, groups=2, name="k")),
        )
    },
    "prelu": (passing(layers.PReLU(name="f")), r"it goes into 'f' \(PReLU\), of which nothing is"),
    "own activation": (
        lambda: sequential(
            layers.Dense(4, "tanh", name="a"), layers.Dense(CLASSES, name="b"), shape=(5,)
        ),
        "it passes through tanh in 'a', which is not known to be homogeneous",
    ),
    "max value": (
        passing(layers.ReLU(max_value=1.0, threshold=0.5, name="f")),
        "ReLU with max_value=1.0 and threshold=0.5 in 'f'",
    ),
    "elu layer": (passing(layers.ELU(name="f")), "passes through ELU in 'f'"),
    "noise": (passing(layers.GaussianNoise(1.0, name="f")), "passes through GaussianNoise in 'f'"),
    "plain tanh": (lambda: functional(ops.tanh), "passes through Tanh in 'tanh"),
    "called twice": (called_twice, "uses the variable 'a/kernel' in 2 places"),
    "next called twice": (next_kernel_called_twice, "uses the variable 'b/kernel' in 2 places"),
    "held by another layer": (held_by_another_layer, "uses the variable 'b/kernel' in 2 places"),
    "constraint": (
        constrained(a={"bias_constraint": "non_neg"}),
        "the variable '.*a/bias' has the constraint NonNeg",
    ),
    "next constraint": (constrained(b={"kernel_constraint": "unit_norm"}), "constraint UnitNorm"),
    "lora": (lora, "'b' .Dense. has LoRA weights, so that"),
    "quantized": (quantized, "'b' .Dense. is quantized, so that"),
}


def refused(model, layer="a", unit=0, c=2.0):
    """The sentence of a refusal that left every weight as it was."""
    before = [np.array(ops.convert_to_numpy(v)) for v in model.variables]
    with pytest.raises(BadInput) as caught:
        reparameterize(model, layer, unit, c)
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), old)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize("build, reason", FUNCTION_CHANGES.values(), ids=FUNCTION_CHANGES.keys())
def test_what_would_change_the_function_is_refused(build, reason):
    model = build()
    sentence = refused(model)
    assert re.search(rf"^Unit 0 of 'a' cannot be rescaled: .*{reason}.*\.$", sentence), sentence
    assert "; " in sentence  # what would be right
    assert "a" not in dict(rescalable_units(model))


def by_hand(model, c=2.0):
    """Eq. 9 for unit 0 of `a` and the kernel of `b`, whatever lies between."""
    a, b = model.get_layer("a"), model.get_layer("b")
    for variable, place, factor in (
        (a.kernel, np.s_[..., 0], c),
        (a.bias, np.s_[0], c),
        (b.kernel, np.s_[..., 0, :], 1 / c),
    ):
        value = np.array(ops.convert_to_numpy(variable))
        value[place] *= factor
        variable.assign(value)


@pytest.mark.parametrize(
    "step, stays",
    [
        (lambda: layers.ReLU(), True),
        (lambda: layers.LeakyReLU(), True),
        (lambda: layers.ReLU(max_value=1.0), False),
        (lambda: layers.ReLU(threshold=0.3), False),
        (lambda: layers.Activation("tanh"), False),
        (lambda: layers.Activation("gelu"), False),
        (lambda: layers.BatchNormalization(), False),
        (lambda: layers.LayerNormalization(), False),
        (lambda: Opaque(), False),
    ],
)
def test_what_is_refused_would_change_the_function(step, stays):
    model = randomized(passing(step())())
    outputs = outputs_of(model)
    if stays:
        reparameterize(model, "a", 0, 2.0)
        np.testing.assert_allclose(outputs_of(model), outputs, rtol=1e-9)
        by_hand(model)
        np.testing.assert_allclose(outputs_of(model), outputs, rtol=1e-9)
    else:
        refused(model)
        by_hand(model)
        assert np.abs(outputs_of(model) - outputs).max() > 1e-3


def test_a_residual_sum_would_change_the_function():
    model = randomized(residual())
    outputs = outputs_of(model)
    refused(model)
    a, kernel = model.get_layer("a"), np.array(model.get_layer("b").kernel)
    a.set_weights([w * np.array([2.0, 1, 1, 1]) for w in a.get_weights()])
    kernel[::4] /= 2
    model.get_layer("b").kernel.assign(kernel)
    assert np.abs(outputs_of(model) - outputs).max() > 1e-3


# Arguments.


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.a = layers.Dense(4, name="a")

    def call(self, x):
        return self.a(x)


class Overridden(keras.Model):
    def call(self, x):
        return ops.tanh(super().call(x))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 3)))
    return model


def overridden():
    model = functional(layers.ReLU())
    return Overridden(model.input, model.output)


def inner_layers():
    return passing(Opaque(name="o"))()


def same_names():
    block = [keras.Sequential([layers.Dense(4, name="a")], name=name) for name in ("one", "two")]
    return sequential(*block, layers.Dense(CLASSES), shape=(5,))


ARGUMENTS = {
    "c zero": (dict(c=0), r"^`c` must be a number > 0. Received: c=0$"),
    "c negative": (dict(c=-2.0), r"Received: c=-2.0$"),
    "c infinite": (dict(c=float("inf")), r"Received: c=inf$"),
    "c nan": (dict(c=float("nan")), r"Received: c=nan$"),
    "c text": (dict(c="2"), r"Received: c='2'$"),
    "c bool": (dict(c=True), r"Received: c=True$"),
    "c too large": (
        dict(model=single_precision, c=1e39),
        r"^Unit 0 of 'a' cannot be rescaled: c = 1e\+39 takes '.*' beyond the range of float32; ",
    ),
    "c too small": (dict(c=1e-320), r"beyond the range of float64; use a c nearer to 1\.$"),
    "unit too large": (
        dict(unit=4),
        r"^`unit` of layer 'a' must be an integer from 0 to 3. Received: unit=4$",
    ),
    "unit negative": (dict(unit=-1), r"Received: unit=-1$"),
    "unit a float": (dict(unit=1.0), r"Received: unit=1.0$"),
    "unit bool": (dict(unit=True), r"Received: unit=True$"),
    "unknown name": (
        dict(layer="densse"),
        r"^Unknown layer 'densse': did you mean 'dense'\? valid: a, dense_0, n, dense\.$",
    ),
    "no units": (dict(layer="r"), r"'r' cannot be rescaled: 'r' \(ReLU\) has no units; name a "),
    "no gamma": (dict(layer="n"), r"'n' \(BatchNorm\w+\) has no gamma to scale along one axis; "),
    "layer a number": (
        dict(layer=0),
        r"^`layer` must be a layer of the model or the name of one. Received: int$",
    ),
    "model a layer": (
        dict(model=lambda: layers.Dense(3)),
        "^`model` must be a Keras model. Received: Dense$",
    ),
    "not built": (
        dict(model=lambda: keras.Sequential([layers.Dense(3)], name="m")),
        "^The model 'm' is not built: call it on data or model.build",
    ),
    "subclassed": (
        dict(model=subclassed),
        r"with Keras' own `call`\. Received: 'subclassed\w*' \(Subclassed\), which has no such ",
    ),
    "overridden": (dict(model=overridden), r"\(Overridden\), which has no such graph$"),
    "within a layer": (
        dict(model=inner_layers, layer="inner"),
        "^The layer 'inner' is a model or a part of another layer, not a step of the graph ",
    ),
    "ambiguous": (
        dict(model=same_names),
        "^The name 'a' is of 2 layers, in nested models: use one of 'one/a', 'two/a'.$",
    ),
}


def with_every_layer():
    steps = layers.ReLU(name="r"), layers.BatchNormalization(scale=False, name="n")
    last = layers.Dense(CLASSES, name="dense")
    first = layers.Dense(4, name="a")
    return sequential(first, steps[0], layers.Dense(4, name="dense_0"), steps[1], last, shape=(5,))


@pytest.mark.parametrize("arguments, sentence", ARGUMENTS.values(), ids=ARGUMENTS.keys())
def test_arguments_that_cannot_be_used(arguments, sentence):
    arguments = dict(arguments)
    model = arguments.pop("model", with_every_layer)()
    assert re.search(sentence, refused(model, **arguments)), refused(model, **arguments)


def test_a_layer_of_another_model():
    other = with_every_layer().get_layer("a")
    sentence = refused(with_every_layer(), layer=other)
    assert re.search(r"^The layer 'a' \(Dense\) is not in the model '\w+': name one", sentence)


def test_layers_of_equal_names_go_by_their_models():
    model = randomized(same_names())
    assert rescalable_units(model) == [("one/a", 4), ("two/a", 4)]
    assert reparameterize(model, "two/a", 0, 2.0).layer == "two/a"
    assert reparameterize(model, model.layers[0].layers[0], 0, 2.0).layer == "one/a"


def test_units_of_a_model_without_a_graph():
    with pytest.raises(BadInput, match="Received: 'subclassed.*' .Subclassed., which has no such"):
        rescalable_units(subclassed())
