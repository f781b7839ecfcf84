"""Updates are numbered right wherever `fit` begins and however many an execution does."""

import pytest

from tests.training.small import digits, trainer
from tf_bdecay.training.fitting.counts_updates import CountsUpdates


class Sees(CountsUpdates):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, logs)
        self.seen.append(self.done)


@pytest.mark.parametrize(
    "steps, after, initial_epoch, seen",
    [
        (1, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]),
        (2, 0, 0, [2, 4, 6, 8]),
        (1, 4, 1, [5, 6, 7, 8]),
        (1, 2, 0, [3, 4, 5, 6, 5, 6, 7, 8]),  # `fit` itself knows of no middle of an epoch
    ],
)
def test_updates_are_numbered_from_the_beginning_of_the_run(steps, after, initial_epoch, seen):
    x, y = digits()
    watch = Sees(4, after)
    made = trainer(steps_per_execution=steps)
    made.fit(
        x, y, batch_size=64, epochs=2, initial_epoch=initial_epoch, verbose=0, callbacks=[watch]
    )
    assert len(x) == 256 and watch.seen == seen
