import keras
import numpy as np
import pytest
from keras import layers

from tf_bdecay.sharpness import ConnectivityResult, connectivity
from tf_bdecay.sharpness.result import Share

SHARES = (
    Share("conv/kernel", "conv", "Conv", 2.0),
    Share("norm/gamma", "norm", "gamma", 0.5),
    Share("norm/beta", "norm", "beta", 0.25),
    Share("fc/kernel", "fc", "FC(w)", 1.0),
    Share("fc/bias", "fc", "FC(b)", 0.25),
)


def result(shares=SHARES, **kwargs):
    arguments = dict(
        loss=1.5,
        gradients=[],
        shares=shares,
        bias_ratio={"norm": 0.5},
        examples=8,
        per_example=True,
        training=False,
    )
    return ConnectivityResult(**{**arguments, **kwargs})


def test_every_split_adds_up():
    r = result()
    assert r.total == 4.0
    assert r.by_variable["norm/beta"] == 0.25
    assert r.by_layer == {"conv": 2.0, "norm": 0.75, "fc": 1.25}
    assert r.by_kind == {
        "Conv": 2.0, "gamma": 0.5, "beta": 0.25, "FC(w)": 1.0, "FC(b)": 0.25, "Total": 4.0
    }  # fmt: skip


def test_the_print_names_what_was_measured():
    lines = str(result()).splitlines()
    assert lines[0] == ("Connectivity sharpness C: 4 (8 examples, inference mode, loss 1.5)")
    rows = [line.split() for line in lines]
    assert ["Conv", "2.000e+00", "50.0%"] in rows
    assert ["norm", "7.500e-01", "18.8%", "0.5"] in rows
    assert ["Total", "4.000e+00", "100.0%"] in rows
    training = str(result(per_example=False, training=True))
    assert "C_m, m = 8" in training and "r of training" in training


def test_pairs_that_share_a_layer_are_printed_too():
    text = str(result(bias_ratio={"norm/1": 0.125, "norm/2": 0.75}))
    assert "norm/1" in text and "0.125" in text and "norm/2" in text


def test_nothing_sharp_prints():
    assert "Total" in str(result([Share("a", "a", "other", 0.0)], bias_ratio={}))


def test_equal_names_do_not_overwrite_each_other():
    class Block(layers.Layer):
        def __init__(self):
            super().__init__(name="block")
            self.norm = layers.LayerNormalization(name="norm")

        def build(self, shape):
            self.norm.build(shape)

        def call(self, x):
            return self.norm(x)

    class Model(keras.Model):
        def __init__(self):
            super().__init__(name="model")
            self.blocks = [Block(), Block(), Block()]
            self.head = layers.Dense(3)

        def call(self, x):
            for block in self.blocks:
                x = block(x)
            return self.head(x)

    model = Model()
    x, y = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    model(x)
    paths = [v.path for v in model.trainable_variables]
    assert len(set(paths)) < len(paths)  # or this test tests nothing
    r = connectivity(model, keras.losses.SparseCategoricalCrossentropy(True), (x, y))
    assert len(r.by_variable) == 8 and len(r.by_layer) == 4 and len(r.bias_ratio) == 3
    assert sum(r.by_layer.values()) == pytest.approx(r.total)


def test_kinds_of_other_networks():
    inputs = keras.Input((8,), dtype="int32")
    x = layers.Embedding(5, 4)(inputs)
    x = layers.Conv1D(4, 3)(x)
    x = layers.EinsumDense("abc,cd->abd", (None, 4), bias_axes="d")(x)
    x = layers.GlobalAveragePooling1D()(x)
    model = keras.Model(inputs, layers.Dense(3, use_bias=False)(x))
    x, y = np.ones((2, 8), "int32"), np.arange(2)
    r = connectivity(model, keras.losses.SparseCategoricalCrossentropy(True), (x, y))
    assert list(r.by_kind) == ["Conv", "Conv(b)", "FC(w)", "FC(b)", "other", "Total"]
    c = list(r.by_variable.values())
    assert r.by_kind["other"] == c[0]
    assert r.by_kind["FC(w)"] == pytest.approx(c[3] + c[5])
