"""Results are split, printed and kept without a change of their figures."""

import json

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers

from tf_bdecay.sharpness import ConnectivityResult, connectivity
from tf_bdecay.sharpness.partition import Partition

PARTITION = Partition(
    variables=("conv/kernel", "norm/gamma", "norm/beta", "fc/kernel", "fc/bias"),
    layers=("conv", "norm", "norm", "fc", "fc"),
    kinds=("Conv", "gamma", "beta", "FC(w)", "FC(b)"),
)


def result(shares=(2.0, 0.5, 0.25, 1.0, 0.25), errors=None, **kwargs):
    arguments = dict(
        partition=PARTITION,
        shares=np.array(shares),
        errors=np.full(14, 0.125) if errors is None else errors,
        loss=1.5,
        examples=8,
        training=False,
        gradients=[],
        bias_ratio={"norm": 0.5},
        per_example=True,
        batch_size=1,
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
    assert r.standard_errors("layer") == {"conv": 0.125, "norm": 0.125, "fc": 0.125}


@given(st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5))
def test_every_split_adds_up_whatever_the_shares(shares):
    r = result(shares)
    for split in (r.by_variable, r.by_layer, r.by_kind):
        parts = [value for name, value in split.items() if name != "Total"]
        assert sum(parts) == pytest.approx(r.total, abs=1e-8)


def test_the_print_names_what_was_measured():
    lines = str(result()).splitlines()
    assert lines[0] == ("Connectivity sharpness C: 4 +- 0.1 (8 examples, inference mode, loss 1.5)")
    rows = [line.split() for line in lines]
    assert ["Conv", "2.000e+00", "1.2e-01", "50.0%"] in rows
    assert ["norm", "7.500e-01", "1.2e-01", "18.8%", "0.5"] in rows
    training = str(result(per_example=False, training=True, batch_size=8, left_out=3))
    assert "C_m, m = 8:" in training and "r of training" in training
    assert "3 examples that fill no mini-batch were left out" in training


def test_without_errors_there_is_no_column_of_them():
    text = str(result(errors=np.full(14, np.nan)))
    assert "+-" not in text and ["Total", "4.000e+00", "100.0%"] in [
        line.split() for line in text.splitlines()
    ]


def test_pairs_that_share_a_layer_are_printed_too():
    text = str(result(bias_ratio={"norm/1": 0.125, "norm/2": 0.75}))
    assert "norm/1" in text and "0.125" in text and "norm/2" in text


def test_ratios_have_as_many_digits_as_their_errors_leave():
    def cell(r, error):
        text = str(result(bias_ratio={"norm": r}, bias_ratio_errors={"norm": error}))
        (row,) = [line for line in text.splitlines() if line.split()[:1] == ["norm"]]
        return row.split("%")[1].strip()

    assert cell(0.31234, 0.0123) == "0.312 ±0.012"
    assert cell(0.095, 0.3) == "0.10 ±0.30" or cell(0.095, 0.3) == "0.09 ±0.30"
    assert cell(12.3, 45.0) == "12 ±45"
    assert cell(0.5, np.nan) == cell(0.5, 0.0) == "0.5"
    assert cell(np.inf, np.nan) == "inf"


def test_nothing_sharp_prints():
    assert "Total" in str(result(np.zeros(5), bias_ratio={}))
    assert result(np.zeros(5)).to_pandas()["share"].isna().all()


def test_json_and_pandas_hold_the_same_figures():
    r = result(bias_ratio={"norm": np.inf})
    told = json.loads(r.to_json())
    assert told["total"] == 4.0 and told["bias_ratio"] == {"norm": None}
    assert told["by_layer"]["norm"] == {"value": 0.75, "standard_error": 0.125}
    frame = r.to_pandas()
    row = frame[(frame["level"] == "layer") & (frame["name"] == "norm")].iloc[0]
    assert (row["measure"], row["value"], row["share"]) == ("C", 0.75, 0.1875)
    assert len(frame) == 5 + 3 + 6


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
