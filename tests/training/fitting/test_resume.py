"""When a checkpoint is due, what it holds, and a stock model that resumes from one."""

import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.training.small import digits, trainer
from tf_bdecay.callbacks import PreciseStatistics
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import keras_private
from tf_bdecay.storage import checkpoint_file, checkpoints
from tf_bdecay.storage.saver import Saver
from tf_bdecay.terminal import signals
from tf_bdecay.training.fitting import epoch_metrics, resume
from tf_bdecay.training.fitting.counts_updates import START, Position


class Folder(Saver):
    """A saver that waits for each checkpoint and lists them."""

    def __init__(self, folder):
        super().__init__(folder, keep=99)
        self.metas = []

    def save(self, arrays, meta, best=False, flush=()):
        super().save(arrays, meta, best, flush)
        self.wait()
        self.metas.append(meta)


@pytest.fixture(scope="module")
def made():
    return trainer(steps_per_execution=2)


def fit(made, folder, epochs=5, **arguments):
    saver = Folder(folder)
    x, y = digits()
    made.fit(
        x, y, batch_size=64, epochs=epochs, shuffle=False, verbose=0, validation_data=(x, y),
        callbacks=[resume.Checkpoints(saver, 4, epochs, **arguments)],
    )  # fmt: skip
    return saver.metas


def points(metas):
    return [(meta["update"], meta["epoch"]) for meta in metas]


def test_every_k_epochs_and_at_the_end(made, tmp_path):
    assert points(fit(made, tmp_path, every_epochs=2)) == [(8, 2), (16, 4), (20, 5)]


def test_every_k_updates_although_executions_step_over_multiples(made, tmp_path):
    metas = fit(made, tmp_path, epochs=2, every_epochs=9, every_updates=3)
    # The last updates of an epoch are saved before its evaluation, and the run's end after it.
    assert points(metas) == [(4, 0), (6, 1), (8, 2)]


def test_every_few_minutes(made, tmp_path):
    metas = fit(made, tmp_path, epochs=1, every_epochs=9, every_minutes=1e-9)
    assert points(metas) == [(2, 0), (4, 0), (4, 1)]


def test_the_best_is_that_of_the_evaluated_accuracy(made, tmp_path):
    metas = fit(made, tmp_path, epochs=4)
    assert [meta["best"] for meta in metas] == sorted(meta["best"] for meta in metas)
    _, best = checkpoint_file.read(tmp_path / checkpoints.BEST)
    first = next(meta for meta in metas if meta["best"] == metas[-1]["best"])
    assert best["update"] == first["update"]


def test_the_best_is_of_those_that_could_be_written(made, tmp_path, monkeypatch):
    write, warned = checkpoints.save, []

    def fails_once(folder, arrays, meta, *more):
        if meta["update"] == 8:
            raise OSError(28, "No space left on device")
        return write(folder, arrays, meta, *more)

    monkeypatch.setattr(checkpoints, "save", fails_once)
    saver = Saver(tmp_path, 99, "continue", warned.append)
    save = resume.Checkpoints(saver, 4, 9)
    save.set_model(made)
    for epoch, accuracy in enumerate((0.3, 0.9, 0.5, 0.4)):
        save.on_epoch_begin(epoch)
        save.done += 4
        save.on_epoch_end(epoch, {"val_accuracy": accuracy})
    save.close()
    assert len(warned) == 1
    _, best = checkpoint_file.read(tmp_path / checkpoints.BEST)
    _, last = checkpoint_file.read(tmp_path / "update_00000016.npz")
    assert (best["update"], best["best"], last["best"]) == (12, 0.5, 0.5)


def test_metrics_of_an_epoch_that_has_not_ended_are_in_it_and_of_no_other(made, tmp_path):
    fit(made, tmp_path, epochs=2, every_updates=2)
    held = {
        meta["update"]: [label for label in arrays if label.startswith("metric/")]
        for arrays, meta in map(checkpoint_file.read, tmp_path.glob("update_*"))
    }
    assert {update: bool(labels) for update, labels in held.items()} == {
        2: True, 4: False, 6: True, 8: False,
    }  # fmt: skip


def test_a_checkpoint_of_other_metrics_is_refused(made, tmp_path):
    fit(made, tmp_path, epochs=1, every_updates=2)
    path = tmp_path / "update_00000002.npz"
    arrays, meta = checkpoint_file.read(path)
    label = next(label for label in arrays if label.startswith("metric/"))
    for other in tmp_path.glob("*"):
        other.unlink()
    checkpoint_file.write(path, {k: v for k, v in arrays.items() if k != label}, meta)
    with pytest.raises(BadInput, match="of a run with other metrics"):
        resume.restore(tmp_path, made, [].append)


class Remembers(keras.callbacks.Callback):
    given = None

    def get_state(self):
        return {"updates": 3}

    def set_state(self, state):
        self.given = state


def test_callbacks_are_given_their_states_once_when_all_have_begun(tmp_path):
    start = Position(2, 0, callbacks={"Remembers": {"updates": 2}, "Other": {}})
    own, without = Remembers(), keras.callbacks.Callback()
    save = resume.Checkpoints(Folder(tmp_path), 4, 2, callbacks=[without, own], start=start)
    assert own.given is None
    save.on_epoch_begin(0)
    assert own.given == {"updates": 2}
    own.given = None
    save.on_epoch_begin(1)
    assert own.given is None


def stock():
    """A model, an optimizer and metrics of Keras alone, with dropout and normalization."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([
        keras.Input((8, 8, 1)),
        keras.layers.Conv2D(4, 3, name="conv"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Flatten(),
        keras.layers.Dropout(0.5),
        keras.layers.Dense(10, activation="softmax", name="head"),
    ], name="stock")  # fmt: skip
    model.compile(
        keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.optimizer.build(model.trainable_variables)
    one = digits(1)
    keras_private.build_metrics(model, *one, np.ones([1, 10], "float32") / 10)
    return model


def fit_stock(model, folder, start, steps, epochs, first=()):
    x, y = digits()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(64).repeat().skip(start.update)
    save = resume.Checkpoints(Folder(folder), 4, 3, every_updates=1, start=start)
    return model.fit(
        batches, steps_per_epoch=steps, initial_epoch=start.epoch, epochs=epochs, shuffle=False,
        verbose=0, callbacks=[*first, save],
    ).history  # fmt: skip


def test_a_stock_model_of_keras_resumes_inside_an_epoch_to_the_same_bits(tmp_path):
    expected, resumed = stock(), stock()
    history = fit_stock(expected, tmp_path / "expected", START, 4, 3)
    (tmp_path / "cut").mkdir()
    shutil.copy(tmp_path / "expected" / "update_00000007.npz", tmp_path / "cut")
    start = resume.restore(tmp_path / "cut", resumed, say=print)
    assert (start.update, start.epoch) == (7, 1)
    metrics = epoch_metrics.Restores(start.metrics)
    second = fit_stock(resumed, tmp_path / "cut", start, 1, 2, [metrics])
    start = resume.restore(tmp_path / "cut", resumed, say=print)
    assert (start.update, start.epoch, start.metrics) == (8, 2, {})
    third = fit_stock(resumed, tmp_path / "cut", start, 4, 3)
    assert {name: second[name] + third[name] for name in history} == {
        name: values[1:] for name, values in history.items()
    }
    ours, _ = checkpoint_file.read(tmp_path / "cut" / "update_00000012.npz")
    theirs, _ = checkpoint_file.read(tmp_path / "expected" / "update_00000012.npz")
    assert {label: array.tobytes() for label, array in ours.items()} == {
        label: array.tobytes() for label, array in theirs.items()
    }


def test_a_stop_inside_an_evaluation_saves_the_moving_statistics(made, tmp_path):
    """Precise ones are lent for an evaluation; a checkpoint in its middle has those of training."""
    x, y = digits()
    request = signals.Request()

    class Stops(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            self.precise = made.get_layer("norm_1").moving_mean.numpy()
            request.number = signal.SIGTERM

    class Looks(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            self.moving = made.get_layer("norm_1").moving_mean.numpy()

    precise, stops, before = PreciseStatistics(x, 2, batch_size=64), Stops(), Looks()
    save = resume.Checkpoints(Folder(tmp_path), 4, 1, callbacks=[precise], request=request)
    with pytest.raises(signals.Stopped):
        made.fit(
            x, y, batch_size=64, shuffle=False, verbose=0, validation_data=(x, y),
            callbacks=[before, precise, stops, save],
        )  # fmt: skip
    assert not np.array_equal(before.moving, stops.precise)
    _, arrays, meta = checkpoints.read_newest(tmp_path, pytest.fail)
    assert (meta["update"], meta["epoch"]) == (4, 0)
    assert any(np.array_equal(before.moving, array) for array in arrays.values())
    assert not any(np.array_equal(stops.precise, array) for array in arrays.values())
    np.testing.assert_array_equal(made.get_layer("norm_1").moving_mean.numpy(), before.moving)
