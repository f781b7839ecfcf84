"""Which updates are counted and written, and what happens if the folder fails."""

import keras
import numpy as np
import pytest

from tf_bdecay.callbacks.update_log import UpdateLog
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
UPDATES = 4  # of an epoch


class Log(UpdateLog):
    """Writes the numbers of updates to a list; `done` before `fit` begins."""

    done, error = 0, None

    def _count(self):
        return self.done + super()._count()

    def _open(self):
        if self.error:
            raise self.error
        return []

    def _found(self):
        return self._done

    def _put(self, found):
        self._files.append(found)
        if found == 8:
            raise OSError("No space left on device")

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._say(epoch, f"{self._done} updates")


def fit(log, **options):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **options)
    x = np.ones((UPDATES, 1))
    model.fit(x, x, batch_size=1, epochs=2, verbose=0, callbacks=[log])
    return log


def test_every_second_update_is_written_and_a_full_disk_warns(tmp_path, capsys):
    with pytest.warns(UserWarning, match="Log could not write after update 8: No space left"):
        assert fit(Log(tmp_path, 2, True))._files == [2, 4, 6, 8]
    assert capsys.readouterr().out == "Epoch 1: 4 updates\nEpoch 2: 8 updates\n"


def test_of_several_updates_at_once_and_in_a_run_that_goes_on(tmp_path):
    assert fit(Log(tmp_path, 3, False), steps_per_execution=2)._files == [4, 6]
    log = Log(tmp_path, 3, False)
    log.done = 7
    assert fit(log)._files == [9, 12, 15]


def test_an_execution_that_an_epoch_cuts_short_counts_the_updates_that_it_had(tmp_path):
    """Keras numbers epochs of 3 and 1 updates as if they were of 6."""
    assert fit(Log(tmp_path, 3, False), steps_per_execution=3)._files == [3, 7]
    assert fit(Log(tmp_path, 5, False), steps_per_execution=3)._files == [7]


def test_without_a_folder_or_a_number_nothing_is_written(tmp_path):
    assert fit(Log(None, 2, False))._files is None
    assert fit(Log(tmp_path, None, False))._files == []


def test_what_is_no_path_is_refused():
    with pytest.raises(BadInput, match="`log_dir` of Log must be a path. Received: log_dir=3"):
        Log(3, 2, False)


def test_a_folder_that_cannot_be_used_is_refused(tmp_path):
    log = Log(tmp_path, 2, False)
    log.error = ValueError("no table")
    with pytest.raises(BadInput, match="^`log_dir` of Log cannot be used .no table.: name another"):
        fit(log)
