"""GradientNoiseScale in `fit` logs, prints and writes what was measured."""

import keras
import numpy as np
import pytest

import tf_bdecay
from tf_bdecay import gradient_noise
from tf_bdecay.callbacks import GradientNoiseScale
from tf_bdecay.callbacks.noise_scale import COLUMNS
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend
needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the Trainer is TensorFlow's"
)
BATCH, MICRO, UPDATES = 32, 4, 3  # of an epoch


def data():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * UPDATES, 3)).astype("float32")
    return x, (x @ [[1.0], [-2.0], [0.5]] + rng.normal(size=(len(x), 1))).astype("float32")


def network():
    return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


def trainer(micro_batch_size=MICRO):
    made = tf_bdecay.Trainer.of(network())
    optimizer = tf_bdecay.SGD(0.01, compile_update=False)
    made.compile(optimizer, "mse", micro_batch_size=micro_batch_size, jit_compile=False)
    return made


def fit(made, callbacks, epochs=2, x=None, **arguments):
    own, y = data()
    arguments = {"verbose": 0, "shuffle": False, "batch_size": BATCH, **arguments}
    return made.fit(own if x is None else x, y, epochs=epochs, callbacks=callbacks, **arguments)


class States(keras.callbacks.Callback):
    """The meter's state after every update."""

    def __init__(self):
        super().__init__()
        self.found = []

    def on_train_batch_end(self, batch, logs=None):
        self.found.append(self.model.noise_meter.state())


@needs_tensorflow
def test_logs_line_and_tensorboard(tmp_path, capsys):
    import tensorflow as tf
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made, each = trainer(), States()
    noise = GradientNoiseScale(tmp_path, every=2)
    history = fit(made, [each, noise]).history
    lines = capsys.readouterr().out.splitlines()
    for epoch in (0, 1):
        state = each.found[(epoch + 1) * UPDATES - 1]
        scale = state["gradient_noise"] / state["gradient_square"]
        assert history["gradient_noise_scale"][epoch] == pytest.approx(scale)
        assert history["gradient_noise"][epoch] == state["gradient_noise"]
        assert history["gradient_square"][epoch] == state["gradient_square"]
        worth = gradient_noise.worth(BATCH, 8, scale)
        said = f": an update at {BATCH} is worth {worth:.2f} of eight at {BATCH // 8}"
        assert lines[epoch].startswith(f"Epoch {epoch + 1}: gradient noise scale ")
        assert lines[epoch].endswith(said)
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    for name in COLUMNS:
        events = read.Tensors(name)
        assert [event.step for event in events] == [2, 4, 6]
        assert read.SummaryMetadata(name).summary_description
        if name != "gradient_noise_scale":
            for event in events:
                value = tf.make_ndarray(event.tensor_proto)
                assert value == pytest.approx(each.found[event.step - 1][name])
    estimate = noise.estimate()
    assert (estimate.measured, estimate.left_out, estimate.batch) == (2 * UPDATES, 0, BATCH)
    share = each.found[-1]["update_share"]
    assert estimate.of_run == pytest.approx(BATCH * (1 / share - 1))


@needs_tensorflow
def test_a_second_fit_goes_on_and_a_state_can_be_given(capsys):
    made, noise = trainer(), GradientNoiseScale(None)
    fit(made, [noise], epochs=1)
    state = noise.get_state()
    fit(made, [noise], epochs=1)
    assert noise.estimate().measured == 2 * UPDATES
    other = GradientNoiseScale(None, show=False)
    gives = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: other.set_state(state))
    fit(trainer(), [other, gives], epochs=1)
    assert other.estimate().measured == 2 * UPDATES
    assert len(capsys.readouterr().out.splitlines()) == 2


@needs_tensorflow
def test_nothing_measured_is_said(capsys):
    noise = GradientNoiseScale(None)
    weights = np.ones(BATCH * UPDATES)
    weights[::BATCH] = 0
    with pytest.warns(UserWarning, match="all 3 updates had examples of weight 0"):
        history = fit(trainer(), [noise], epochs=1, sample_weight=weights).history
    assert np.isnan(history["gradient_noise_scale"]).all()
    assert capsys.readouterr().out == "Epoch 1: gradient noise scale not measured\n"
    assert np.isnan(noise.estimate().of_run)


@needs_tensorflow
@pytest.mark.parametrize(
    "size, says",
    [
        (None, "Received: micro_batch_size=None, 1 replica"),
        (BATCH, f"Received: micro_batch_size={BATCH}, a batch of {BATCH}"),
    ],
)
def test_a_batch_without_parts_is_refused(size, says):
    with pytest.raises(BadInput, match=says):
        fit(trainer(size), [GradientNoiseScale(None)])


@needs_tensorflow
def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BadInput, match="`log_dir` of GradientNoiseScale cannot be used"):
        fit(trainer(), [GradientNoiseScale(tmp_path / "file" / "inside")])


def test_a_stock_model_is_refused():
    model = network()
    model.compile("sgd", "mse")
    says = "Received: Sequential"
    if keras.backend.backend() != "tensorflow":
        says = f"Received: KERAS_BACKEND={keras.backend.backend()}"
    with pytest.raises(BadInput, match=says):
        fit(model, [GradientNoiseScale(None)])


@pytest.mark.parametrize(
    "arguments, says",
    [
        ({"every": 0}, "every"),
        ({"updates": 0}, "updates"),
        ({"updates": 1.5}, "updates"),
        ({"show": 1}, "show"),
    ],
)
def test_arguments_out_of_range(arguments, says):
    with pytest.raises(BadInput, match=f"`{says}` of GradientNoiseScale"):
        GradientNoiseScale(**arguments)
    with pytest.raises(BadInput, match="has measured nothing yet"):
        GradientNoiseScale().estimate()
