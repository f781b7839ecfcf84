"""Everything that the next update depends on can be copied and restored."""

import keras
import numpy as np
import pytest

from tests.callbacks.resuming.resumed import arrays, compiled
from tf_bdecay.callbacks.resuming import run_state
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import keras_private

pytestmark = pytest.mark.any_backend


def built(optimizer="adam"):
    model = compiled(optimizer)
    keras_private.build_all(model, tuple(a[:8] for a in arrays()))
    return model


def test_everything_that_training_changes_is_in_it():
    model = built("scaled")
    before = run_state.snapshot(model, metrics=True)
    x, y = arrays()
    history = model.fit(x, y, batch_size=8, verbose=0).history
    after = run_state.snapshot(model, metrics=True)
    assert before.keys() == after.keys()
    changed = {label for label in after if not np.array_equal(before[label], after[label])}
    names = {label: v.path for label, v in run_state.variables_of(model).items()}
    paths = " ".join(names.get(label, label) for label in changed)
    for part in ("kernel", "moving_mean", "seed_generator_state", "metric/", "iteration", "scale"):
        assert part in paths, part
    run_state.assign("there", before, model)
    run_state.assign_metrics("there", before, model)
    for label, array in run_state.snapshot(model, metrics=True).items():
        np.testing.assert_array_equal(array, before[label])
    run_state.assign_metrics("there", after, model)
    assert float(model.get_metrics_result()["loss"]) == pytest.approx(history["loss"][0])


class Two(keras.Model):
    """A network with an optimizer for each of its parts, as a GAN has them."""

    def __init__(self):
        super().__init__()
        self.one, self.other = keras.layers.Dense(2), keras.layers.Dense(2)
        self.one.build((None, 3))
        self.other.build((None, 3))
        self.built = True
        self.more = {"other": keras.optimizers.Adam()}

    def call(self, x):
        return self.one(x) + self.other(x)


def test_further_optimizers_are_in_it():
    model = Two()
    model.compile("adam", "mse")
    model.optimizer.build(model.one.trainable_variables)
    with pytest.raises(BadInput, match="attribute 'more', which must be built before `fit`"):
        run_state.snapshot(model, metrics=False)
    further = model.more["other"]
    further.build(model.other.trainable_variables)
    before = run_state.snapshot(model, metrics=False)
    own = [label for label in before if "more" in label]
    assert len(own) == len(further.variables) > 4
    for variable in further.variables:
        variable.assign(variable + 1)
    run_state.assign("there", before, model)
    for label, array in run_state.snapshot(model, metrics=False).items():
        np.testing.assert_array_equal(array, before[label])


def test_a_part_that_was_compiled_and_not_trained_is_no_hindrance():
    part = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    part.compile("sgd", "mse")
    model = keras.Sequential([part, keras.layers.Dense(1)])
    model.build((None, 3))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    assert run_state.further_optimizers(model) == {}
    part.optimizer.build(part.trainable_variables)
    assert [o is part.optimizer for o in run_state.further_optimizers(model).values()] == [True]


def test_metrics_only_where_they_were_asked_for():
    model = built()
    found = run_state.snapshot(model, metrics=False)
    assert not any(label.startswith("metric/") for label in found)
    run_state.assign_metrics("there", found, model)  # which has none to give
    metrics = {k: a for k, a in run_state.snapshot(model, metrics=True).items() if k not in found}
    metrics.popitem()
    with pytest.raises(BadInput, match="The checkpoint there is of a run with other metrics"):
        run_state.assign_metrics("there", metrics, model)


def test_values_of_another_model_change_nothing():
    model = built()
    before = run_state.snapshot(model, metrics=False)
    for change in (lambda a: a.popitem(), lambda a: a.update({"model/0000": np.zeros(3)})):
        arrays = {label: array + 1 for label, array in before.items()}
        change(arrays)
        with pytest.raises(BadInput, match="The checkpoint there is of another model or optimizer"):
            run_state.assign("there", arrays, model)
    for label, array in run_state.snapshot(model, metrics=False).items():
        np.testing.assert_array_equal(array, before[label])


@pytest.mark.parametrize(
    "value, expected",
    [
        (1, 1),
        (0.1, 0.1),
        (True, True),
        ("a", "a"),
        (None, None),
        (np.float32(0.1), float(np.float32(0.1))),
        (np.array(3), 3),
        (np.zeros(2), None),
        (object(), None),
    ],
)
def test_what_json_holds_of_logs(value, expected):
    found = run_state.number_of(value)
    assert found == expected and type(found) is type(expected)


class Own(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.limit, self.count, self.best, self.weights, self.function = 3, 0, None, None, len
        self.never = [1, 2]

    def on_train_begin(self, logs=None):
        self.count = 0


def test_attributes_that_changed_are_kept_and_no_others():
    one, other = Own(), Own()
    kept = run_state.Kept([one])
    kept.begin()
    one.count, one.best, one.function = 4, float("nan"), max
    one.weights = [np.ones(2), [np.zeros(1), "a"]]
    one.objects = np.array([one, len])  # cannot be read back from a file
    (state,), found = kept.snapshot()
    assert set(state) == {"count", "best", "weights"} and len(found) == 2
    other.limit = 9  # of the program that runs now
    again = run_state.Kept([other])
    again.begin()
    again.restore([state], found)
    assert (other.count, other.limit, other.function, other.never) == (4, 9, len, [1, 2])
    assert np.isnan(other.best)
    np.testing.assert_array_equal(other.weights[0], np.ones(2))
    assert other.weights[1][1] == "a"
    other.count = 0  # as in the beginning, but it was something else
    assert set(again.snapshot()[0][0]) == set(state)
    assert kept.names() == ["Own"]


def test_arrays_that_change_in_place_are_seen():
    callback = Own()
    callback.weights = np.zeros(3)
    kept = run_state.Kept([callback])
    kept.begin()
    callback.weights += 1
    (state,), found = kept.snapshot()
    assert set(state) == {"weights"}
    np.testing.assert_array_equal(*found.values(), np.ones(3))


def test_a_state_that_is_no_json_is_refused_before_training():
    callback = Own()
    callback.get_state = lambda: {"weights": np.zeros(2)}
    with pytest.raises(BadInput, match="Own.get_state must return JSON values"):
        run_state.Kept([callback]).begin()
