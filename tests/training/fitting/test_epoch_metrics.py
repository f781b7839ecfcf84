"""The metrics of an unfinished epoch are copied and restored."""

import numpy as np

from tests.training.small import digits, trainer
from tf_bdecay.training.fitting import epoch_metrics


def test_metrics_are_put_back_also_on_fewer_replicas():
    made = trainer()
    x, y = digits()
    made.evaluate(x, y, verbose=0)
    arrays, before = epoch_metrics.snapshot(made), made.get_metrics_result()
    made.reset_metrics()
    epoch_metrics.assign(made, arrays)
    assert made.get_metrics_result() == before
    halves = {label: np.concatenate([a / 2, a / 2]) for label, a in arrays.items()}
    epoch_metrics.assign(made, halves)
    assert made.get_metrics_result() == before
