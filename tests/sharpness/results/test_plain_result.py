"""A plain result has the content of its `Result` as JSON values."""

import math

import keras
import numpy as np
from keras import layers

from tests.sharpness.networks import crossentropy
from tf_bdecay import sharpness
from tf_bdecay.sharpness.results import pictures
from tf_bdecay.sharpness.results.plain_result import frame, plain_result, ratios


def test_a_plain_result_is_its_result_and_keeps_an_infinite_r():
    model = keras.Sequential([keras.Input((4,)), layers.LayerNormalization(name="norm")])
    model.layers[0].gamma.assign([0.0] * 4)
    model.layers[0].beta.assign([1.0, 2.0, 3.0, 4.0])
    data = np.ones((3, 4), "float32") * [1, 2, 3, 5], np.zeros(3, int)
    result = sharpness.connectivity(model, crossentropy, data)
    made = plain_result(result, 1.0)
    values, _, errors = ratios({"C": made})
    assert (list(values.values()), list(errors.values())) == ([math.inf], [None])
    rows = frame("C", made)
    np.testing.assert_array_equal(rows["value"], result.to_pandas()["value"])
    del made["bias_ratio_errors"]  # as of before there were any
    assert list(ratios({"C": made})[2].values()) == [None]
    pictures.png(pictures.all_of({"C": made}, "")["ratio.png"])
