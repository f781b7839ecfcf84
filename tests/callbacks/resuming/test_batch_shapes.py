"""What batches have in common, and that a model is built and trained by that."""

import keras
import numpy as np
import pytest

from tests.callbacks.resuming.resumed import EPOCHS, Program, assert_same
from tests.callbacks.resuming.test_epoch_sources import needs_tensorflow, source
from tf_bdecay.callbacks import Resume
from tf_bdecay.callbacks.resuming.batch_shapes import in_common

pytestmark = pytest.mark.any_backend


def shapes(structure):
    return [leaf.shape for leaf in keras.tree.flatten(structure)]


def test_sizes_that_differ_are_open_and_the_first_is_of_the_first_batch():
    a = ({"image": np.ones((2, 4, 3)), "more": np.ones((2, 5))}, np.ones(2))
    b = ({"image": np.ones((1, 6, 3)), "more": np.ones((1, 5))}, np.ones(1))
    assert shapes(in_common([a])) == [(2, 4, 3), (2, 5), (2,)]
    assert shapes(in_common([a, b])) == [(2, None, 3), (2, 5), (2,)]
    assert [leaf.dtype for leaf in keras.tree.flatten(in_common([a]))] == [np.float64] * 3


@needs_tensorflow
def test_a_data_set_says_what_may_differ_later():
    import tensorflow as tf

    def of_epoch(epoch):
        signature = tf.TensorSpec([None, None, 3]), tf.TensorSpec(None)
        batch = np.ones((2, 4, 3), "float32"), np.ones((2, 1), "float32")
        return tf.data.Dataset.from_generator(lambda: iter([batch]), output_signature=signature)

    assert shapes(source(of_epoch, steps=1).shapes) == [(2, None, 3), (2, 1)]
    assert shapes(source(of_epoch(0), steps=1).shapes) == [(2, None, 3), (2, 1)]


class Widening(keras.utils.PyDataset):
    """Five batches, each wider than the one before."""

    def __len__(self):
        return 5

    def __getitem__(self, i):
        x = np.random.default_rng(i).normal(size=(2, 4 + i, 3)).astype("float32")
        return x, np.ones((2, 1), "float32")


def of_any_width(built):
    keras.utils.set_random_seed(0)
    first = [keras.Input((None, 3))] if built else []
    convolution = keras.layers.Conv1D(4, 3)
    made = [convolution, keras.layers.GlobalAveragePooling1D(), keras.layers.Dense(1)]
    model = keras.Sequential([*first, *made])
    model.compile("sgd", "mse")
    return model


@needs_tensorflow  # others build a model by its first batch, in stock `fit` too
def test_batches_of_several_widths_train_a_model_without_shapes(tmp_path):
    model, resume = of_any_width(built=False), Resume(tmp_path)
    data = resume.data(Widening())
    assert data.element_spec[0].shape.as_list() == [None, None, 3]
    found = model.fit(data, epochs=1, verbose=0, shuffle=False, callbacks=[resume])
    assert np.isfinite(found.history["loss"]).all()


def test_a_run_of_batches_of_several_widths_goes_on(tmp_path):
    model = of_any_width(built=True)
    program = Program(model, lambda resume: resume.data(Widening()), batch=Widening()[0])
    program.fit["validation_data"] = None
    whole = program(tmp_path / "whole")
    assert program(tmp_path / "cut", 8) is None
    assert_same(whole, program(tmp_path / "cut"))
    assert len(whole[1].history["loss"]) == EPOCHS
