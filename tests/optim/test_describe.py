"""The table of `describe` says what the optimizer does."""

import keras
import numpy as np
import pytest
from keras import layers

import tf_bdecay
from tf_bdecay import decay
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


def network():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(5, name="dense"),
            layers.LayerNormalization(name="norm"),
            layers.Dense(2, name="head"),
        ],
        name="net",
    )


def test_a_row_tells_role_partner_decay_and_rule():
    rows = {r.variable: r for r in tf_bdecay.describe(network()).rows}
    beta = rows["net/norm/beta"]
    assert (beta.role, beta.partner, beta.decay) == ("beta", "net/norm/gamma", 1.0)
    assert (beta.rule, beta.on, beta.adapted) == ("if r >= 0.1", None, False)
    assert rows["net/norm/gamma"].rule == "never"
    assert rows["net/dense/kernel"].adapted
    assert rows["net/head/bias"].decay == 0.01


def test_fixed_policy_and_adaptation():
    rows = tf_bdecay.describe(network(), decay.FullDecay(0.2), "all").rows
    assert {(r.decay, r.rule, r.on, r.adapted) for r in rows} == {(0.2, "always", True, True)}


def test_every_variable_stands_in_the_printed_table():
    model = network()
    text = str(tf_bdecay.describe(model))
    for variable in model.trainable_variables:
        assert variable.path in text
    assert "6 variables" in text
    assert "1 gamma-beta pairs" in text


def test_the_compiled_optimizer_is_described_with_its_decision():
    model = network()
    policy = decay.AdaptiveBetaDecay(threshold=0.0)
    model.compile(tf_bdecay.Lamb(0.1, policy, compile_update=False), loss="mse")
    assert [r.on for r in tf_bdecay.describe(model).rows if r.role == "beta"] == [None]
    model.fit(np.ones((8, 4)), np.ones((8, 2)), epochs=2, verbose=0)
    assert [r.on for r in tf_bdecay.describe(model).rows if r.role == "beta"] == [True]
    assert "threshold=0.0" in tf_bdecay.describe(model).policy


def test_the_optimizer_of_a_loop_of_ones_own_is_described_with_its_decision():
    model = network()
    model.compile("sgd", "mse")
    policy = decay.AdaptiveBetaDecay(0.2, beta=0.3, threshold=0.0)
    own = tf_bdecay.Lamb(0.1, policy, "all", roles={"head/bias": "kernel"}, compile_update=False)
    for updates in (0, 1):
        for optimizer in (own, tf_bdecay.LossScaleOptimizer(own)):
            rows = tf_bdecay.describe(model, optimizer=optimizer).rows
            assert [r.decay for r in rows] == [0.2, 0.2, 0.0, 0.3, 0.2, 0.2]
            assert rows[-1].role == "kernel" and all(r.adapted for r in rows)
            assert rows[3].on is (True if updates else None)
        assert int(own.iterations.numpy()) == updates
        gradients = [keras.ops.ones(v.shape) for v in model.trainable_variables]
        own.apply(gradients, model.trainable_variables)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"weight_decay": tf_bdecay.Lamb(0.1)}, "optimizer=optimizer"),
        ({"optimizer": keras.optimizers.SGD(0.1)}, "one of tf_bdecay.*SGD"),
        ({"optimizer": "lamb"}, "one of tf_bdecay.*'lamb'"),
    ],
)
def test_what_is_no_optimizer_of_ours_is_refused(given, says):
    with pytest.raises(BadInput, match=says):
        tf_bdecay.describe(network(), **given)


def test_a_model_that_is_not_built_is_an_error():
    with pytest.raises(BadInput, match="not built"):
        tf_bdecay.describe(keras.Sequential([layers.Dense(2)]))


def test_describing_leaves_the_compiled_optimizer_unbuilt():
    """Under a strategy it must be built in the strategy's scope, which `fit` enters."""
    model = network()
    model.compile(tf_bdecay.Lamb(0.1), loss="mse")
    tf_bdecay.describe(model)
    assert not model.optimizer.built


def test_what_is_not_given_is_the_compiled_optimizers():
    model = network()
    model.compile(tf_bdecay.Lamb(0.1, decay.FullDecay(0.3), roles={"head/bias": "kernel"}))
    rows = tf_bdecay.describe(model, layer_adaptation="kernels").rows
    assert {r.decay for r in rows} == {0.3}
    assert [r.role for r in rows][-1] == "kernel"
    assert rows[-1].adapted


@pytest.mark.parametrize("cls", [tf_bdecay.SGD, tf_bdecay.AdamW, tf_bdecay.Lars, tf_bdecay.Lamb])
@pytest.mark.quick_rows(2)
def test_another_policy_is_described_with_the_compiled_optimizer(cls):
    model = network()
    model.compile(cls(0.1))
    adapted = {tf_bdecay.Lars: [True, False], tf_bdecay.Lamb: [True, False]}.get(cls, [False] * 2)
    for weight_decay in (None, decay.FullDecay(0.5)):
        rows = tf_bdecay.describe(model, weight_decay).rows
        assert [r.adapted for r in rows if r.variable.startswith("net/head")] == adapted
    assert {r.decay for r in rows} == {0.5}
    assert all(r.adapted for r in tf_bdecay.describe(model, layer_adaptation="all").rows)


def test_rates_are_a_column_where_one_is_not_1():
    model = network()
    model.compile(tf_bdecay.SGD(0.1, rate_multipliers={"gamma": 0.5, "head/.*": 0}))
    table = tf_bdecay.describe(model)
    rates = {r.variable: r.rate for r in table.rows if r.rate != 1}
    assert rates == {"net/norm/gamma": 0.5, "net/head/kernel": 0.0, "net/head/bias": 0.0}
    lines = {line.split()[0]: line.split()[-1] for line in str(table).splitlines() if line.split()}
    assert (lines["variable"], lines["net/norm/gamma"], lines["net/norm/beta"]) == (
        "rate",
        "x0.5",
        "x1",
    )
    assert {r.rate for r in tf_bdecay.describe(model, decay.NoDecay()).rows} == {0.0, 0.5, 1.0}
    assert "rate" not in str(tf_bdecay.describe(network()))


def test_long_names_are_printed_whole():
    name = "a_long_name_" * 15
    model = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(name=name)])
    assert str(tf_bdecay.describe(model)).count(name) == 4  # variable and partner, of two rows


def test_a_beta_that_never_decays_is_said_to():
    policy = decay.AdaptiveBetaDecay(threshold=float("inf"))
    assert "if r" not in str(tf_bdecay.describe(network(), policy)).split("\n", 1)[1]


class Own(layers.Layer):
    """Vectors of the channels' size, or of one element, and a rule of one's own."""

    rules = {
        "temperature": lambda x, s: keras.ops.tanh(x * s),
        "llama": lambda x, s: (
            x / keras.ops.sqrt(keras.ops.mean(x**2, -1, keepdims=True) + 1e-6) * s
        ),
        "gemma": lambda x, s: (
            x / keras.ops.sqrt(keras.ops.mean(x**2, -1, keepdims=True) + 1e-6) * (1 + s)
        ),
        "two pairs": lambda x, g, b, h, c: (x * g + b) * h + c,
        "scalar gamma": lambda x, b, g: x * g + b,
    }

    def __init__(self, rule, names=("scale",), scalar=(), **kwargs):
        super().__init__(**kwargs)
        self.rule, self.names, self.scalar = self.rules[rule], names, scalar

    def build(self, shape):
        self.vectors = [
            self.add_weight(
                name=name, shape=(1 if name in self.scalar else shape[-1],), initializer="ones"
            )
            for name in self.names
        ]

    def call(self, x):
        return self.rule(x, *self.vectors)


OWN = {
    "an RMS norm of an attention": (
        lambda: layers.RMSNormalization(name="attention_norm"),
        ["gamma"],
    ),
    "Keras' RMS norm": (lambda: layers.RMSNormalization(), ["gamma"]),
    "a temperature": (lambda: Own("temperature"), ["other"]),
    "Llama's norm": (lambda: Own("llama", name="self_attention_layernorm"), ["gamma"]),
    "Gemma's norm": (lambda: Own("gemma", name="pre_attention_norm"), ["gamma"]),
    "two pairs in a layer": (
        lambda: Own("two pairs", ("gamma", "beta") * 2),
        ["gamma", "beta"] * 2,
    ),
    "a gamma of another shape": (
        lambda: Own("scalar gamma", ("beta", "gamma"), scalar=("gamma",)),
        ["beta", "gamma"],
    ),
}


def with_own(make):
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(4, name="in"),
            layers.LayerNormalization(),
            make(),
            layers.Dense(2),
        ]
    )


def said(model):
    return [(r.variable, r.role, r.partner, r.decay, r.adapted) for r in model]


def used(optimizer):
    """What an optimizer that `fit` has built does to its variables."""
    variables = optimizer.roles.variables
    return [
        (
            v.label,
            v.role,
            "" if v.partner is None else variables[v.partner].label,
            optimizer.layout.coefficients[v.index],
            optimizer.adapts(v),
        )
        for v in variables
    ]


def assert_agree(model, n=8):
    """What is told of a model, before `fit` and after it, is what `fit` does."""
    optimizer = tf_bdecay.Lamb(0.01, compile_update=False)
    model.compile(optimizer, "mse", jit_compile=False)
    before = said(tf_bdecay.describe(model).rows)
    x = np.random.default_rng(0).normal(size=(n, *model.input_shape[1:]))
    model.fit(x, np.zeros((n, *model.output_shape[1:])), batch_size=n, verbose=0)
    assert before == used(optimizer) == said(tf_bdecay.describe(model).rows)
    return before


@pytest.mark.parametrize("name", OWN)
@pytest.mark.quick_rows(2)
def test_layers_of_ones_own_are_in_fit_what_describe_says(name):
    make, roles = OWN[name]
    rows = assert_agree(with_own(make))
    assert [row[1] for row in rows[4:-2]] == roles
    if "beta" in roles:
        assert all(row[2] for row in rows[4:-2])


def test_a_shared_layer_and_a_nested_model_are_in_fit_what_describe_says():
    inner = with_own(lambda: Own("llama"))
    inner.layers[-1].name = "head"
    inputs = keras.Input((4,))
    x = layers.Dense(4)(inputs)
    shared = layers.LayerNormalization()
    y = inner(shared(x)) + inner(shared(layers.Dense(4)(x)))
    rows = assert_agree(keras.Model(inputs, y))
    assert sum(bool(row[2]) for row in rows) == 4
    other = keras.Sequential([keras.Input((4,)), shared, layers.Dense(2)])
    assert [row[1] for row in assert_agree(other)] == ["gamma", "beta", "kernel", "bias"]


def test_a_loaded_model_is_in_fit_what_describe_says(tmp_path):
    path = tmp_path / "model.keras"
    made = with_own(lambda: layers.RMSNormalization(name="attention"))
    made.save(path)
    del made
    rows = assert_agree(keras.models.load_model(path))
    assert [row[1] for row in rows].count("gamma") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["MobileNet", "ConvNeXtTiny"])
def test_applications_are_in_fit_what_describe_says(name):
    make = getattr(keras.applications, name)
    model = make(weights=None, input_shape=(32, 32, 3), include_top=False, pooling="avg")
    rows = assert_agree(model, n=2)
    if name == "ConvNeXtTiny":
        scales = [row for row in rows if "layer_scale" in row[0]]
        assert len(scales) == 18
        assert {row[1:] for row in scales} == {("gamma", "", 0.0, False)}


def test_layers_that_were_frozen_since_are_left_out():
    model = network()
    model.compile(tf_bdecay.Lamb(0.1, compile_update=False), "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 2)), verbose=0)
    model.get_layer("norm").trainable = False
    rows = tf_bdecay.describe(model).rows
    assert [row.variable for row in rows] == [v.path for v in model.trainable_variables]


def test_what_float8_replaces_is_said_to_keep_its_rule():
    model = network()
    model.layers[0].quantize("float8")
    rows = {r.variable: r for r in tf_bdecay.describe(model, decay.FullDecay(), "all").rows}
    scale = rows["net/dense/kernel_scale"]
    assert (scale.rule, scale.on, scale.adapted) == ("never", False, False)
