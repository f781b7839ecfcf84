"""Evaluation with precise statistics does not change training."""

import pathlib

import keras
import numpy as np
import pytest

import tf_bdecay
from tests.training.small import digits, trainer
from tf_bdecay.callbacks import PreciseStatistics, precise_statistics
from tf_bdecay.errors import BadInput

SCRIPT = pathlib.Path(__file__).with_name("statistics_script.py")


class EndOfEpochs(keras.callbacks.Callback):
    """The weights as a checkpoint at each epoch's end would hold them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.get_weights())


def test_training_does_not_notice_and_evaluation_does():
    x, y = digits()

    def run(*callbacks):
        made, ends = trainer(tf_bdecay.Lamb(0.05), dropout=0.3), EndOfEpochs()
        history = made.fit(
            x, y, batch_size=64, epochs=3, verbose=0, validation_data=(x, y),
            callbacks=[*callbacks, ends],
        ).history  # fmt: skip
        return history, ends.seen

    (moving, without), (precise, with_it) = (
        run(*callbacks) for callbacks in ([], [PreciseStatistics(x, 4, batch_size=64)])
    )
    assert moving["loss"] == precise["loss"]
    for one, other in zip(sum(without, []), sum(with_it, []), strict=True):
        np.testing.assert_array_equal(one, other)
    # The moving ones are hardly off their initial 0 and 1 after 4 updates.
    assert precise["val_loss"][0] < moving["val_loss"][0]


def test_evaluate_takes_the_callback():
    x, y = digits()
    made = trainer()
    made.fit(x, y, batch_size=64, verbose=0)
    with precise_statistics(made, x, 2, batch_size=64):
        expected = made.evaluate(x, y, verbose=0)
    callback = PreciseStatistics(x, 2, batch_size=64)
    assert made.evaluate(x, y, verbose=0, callbacks=[callback]) == expected


def test_an_estimate_that_is_not_finite_leaves_the_moving_ones():
    x, y = digits()
    made = trainer()
    expected = made.evaluate(x, y, verbose=0)
    callback = PreciseStatistics(x * np.float32("inf"), 1, batch_size=64)
    with pytest.warns(UserWarning, match="not finite: this evaluation is by the moving ones"):
        assert made.evaluate(x, y, verbose=0, callbacks=[callback]) == expected


def test_data_that_cannot_be_used_are_refused_before_the_first_update():
    x, y = digits()
    made = trainer()
    before = made.get_weights()
    with pytest.raises(BadInput, match="has no examples"):
        made.fit(x, y, batch_size=64, verbose=0, callbacks=[PreciseStatistics([])])
    for old, new in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    batches = (x[:64] for _ in range(9))
    with pytest.raises(BadInput, match="an iterator gives them once.*Received: generator"):
        made.fit(x, y, batch_size=64, verbose=0, callbacks=[PreciseStatistics(batches)])
    assert len(list(batches)) == 9
    # Untried, they are never read where nothing is evaluated.
    made.fit(x, y, batch_size=64, verbose=0, callbacks=[PreciseStatistics([], try_first=False)])
