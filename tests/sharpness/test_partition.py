"""A model's variables by layer and kind, and sums over each part."""

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sharpness.networks import convolutional
from tf_bdecay.roles import roles_of
from tf_bdecay.sharpness.partition import Partition

PARTITION = Partition(
    variables=("a/kernel", "n/gamma", "n/beta", "b/kernel", "b/bias"),
    layers=("a", "n", "n", "b", "b"),
    kinds=("Conv", "gamma", "beta", "FC(w)", "FC(b)"),
)


def sums(partition, shares):
    """Dict of (level, name) to the sum over the group."""
    values = np.asarray(shares) @ partition.matrix
    return dict(zip(partition.groups, values.tolist(), strict=True))


def test_of_a_model():
    model = convolutional()
    found = Partition.of(model, roles_of(model))
    assert found.kinds == ("Conv", "gamma", "beta", "FC(w)", "FC(b)")
    names = [layer.rsplit("/")[-1] for layer in found.layers]
    assert names == ["conv", "norm", "norm", "fc", "fc"]
    assert len(set(found.variables)) == len(model.trainable_variables) == 5
    model.get_layer("norm").trainable = False
    assert Partition.of(model, roles_of(model)).kinds == ("Conv", "FC(w)", "FC(b)")


def test_layers_of_one_name_are_two_layers():
    model = keras.Sequential(
        [
            keras.Input((2,)),
            keras.Sequential([keras.layers.Dense(2, name="same")]),
            keras.Sequential([keras.layers.Dense(2, name="same")]),
        ]
    )
    found = Partition.of(model, roles_of(model))
    assert len(set(found.variables)) == 4 and len(set(found.layers)) == 2


def test_sums_by_group():
    assert sums(PARTITION, [1, 2, 4, 8, 16]) == {
        ("variable", "a/kernel"): 1, ("variable", "n/gamma"): 2, ("variable", "n/beta"): 4,
        ("variable", "b/kernel"): 8, ("variable", "b/bias"): 16,
        ("layer", "a"): 1, ("layer", "n"): 6, ("layer", "b"): 24,
        ("kind", "Conv"): 1, ("kind", "gamma"): 2, ("kind", "beta"): 4,
        ("kind", "FC(w)"): 8, ("kind", "FC(b)"): 16, ("kind", "Total"): 31,
    }  # fmt: skip


def test_a_layer_that_is_called_as_a_variable_or_a_kind_stays_apart():
    odd = Partition(("gamma", "x"), ("gamma", "Conv"), ("gamma", "gamma"))
    found = sums(odd, [1, 2])
    assert found["variable", "gamma"] == found["layer", "gamma"] == 1
    assert found["kind", "gamma"] == found["kind", "Total"] == 3
    assert found["layer", "Conv"] == 2 and ("kind", "Conv") not in found


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=8), st.data())
def test_every_level_adds_up(layers, data):
    """Eq. 11: exactly, of integers."""
    kinds = data.draw(st.lists(st.sampled_from(["Conv", "gamma", "other"]), min_size=len(layers)))
    shares = data.draw(st.lists(st.integers(-99, 99), min_size=len(layers), max_size=len(layers)))
    names = [f"v{i}" for i in range(len(layers))]
    found = sums(Partition(tuple(names), tuple(layers), tuple(kinds[: len(layers)])), shares)
    total = found.pop(("kind", "Total"))
    assert total == sum(shares)
    for level in ("variable", "layer", "kind"):
        assert sum(v for (of, _), v in found.items() if of == level) == pytest.approx(total)


def test_a_layer_named_total_is_not_the_whole_network():
    found = Partition(("a/kernel", "Total/kernel"), ("a", "Total"), ("FC(w)", "FC(w)"))
    by_group = sums(found, [1.0, 2.0])
    assert by_group["layer", "Total"] == 2.0 and by_group["kind", "Total"] == 3.0
