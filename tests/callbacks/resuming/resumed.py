"""A small run that is cut off and resumed, with one model that is traced once for all starts."""

import keras
import numpy as np

import tf_bdecay
from tf_bdecay.callbacks import Resume
from tf_bdecay.callbacks.resuming import run_state
from tf_bdecay.frameworks import keras_private
from tf_bdecay.storage import checkpoints

EXAMPLES, BATCH, BATCHES, EPOCHS = 52, 8, 7, 3  # the last batch of an epoch has 4
EVERY = 3


class Cut(Exception):
    """What stands for a kill."""


class Cuts(keras.callbacks.Callback):
    """Raises `Cut` after so many updates of this start."""

    def __init__(self, after):
        super().__init__()
        self.left = after

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if not self.left:
            raise Cut


def arrays():
    rng = np.random.default_rng(0)
    return rng.normal(size=(EXAMPLES, 6)).astype("float32"), rng.integers(0, 3, EXAMPLES)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, use_bias=False),
            tf_bdecay.layers.GhostBatchNormalization(4),
            keras.layers.Dropout(0.3),
            keras.layers.Dense(3),
        ]
    )


def optimizers():
    """By name: SGD with momentum, our adaptive LAMB, Adam, ours that scales the loss."""
    policy = tf_bdecay.decay.AdaptiveBetaDecay(threshold=0.05)
    return {
        "momentum": keras.optimizers.SGD(0.05, momentum=0.9),
        "lamb": tf_bdecay.Lamb(0.02, policy, compile_update=False),
        "adam": keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9),
        "scaled": tf_bdecay.LossScaleOptimizer(
            tf_bdecay.Lamb(0.02, policy, compile_update=False), dynamic_growth_steps=4
        ),
    }


def compiled(optimizer="adam", model=None, **arguments):
    model = network() if model is None else model
    chosen = optimizers()[optimizer] if isinstance(optimizer, str) else optimizer
    model.compile(
        chosen, keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"],
        **arguments,
    )  # fmt: skip
    return model


class Program:
    """A program that trains a model; every call of it is a start in a process of its own.

    What a new process would not have, the values that the model has from before, is overwritten.

    Args:
        model: compiled.
        data: function of a `Resume` that returns the data; arrays by default.
        batch: one of these, to build the model by; None for that of the arrays.
        **fit: arguments of `fit`.
    """

    def __init__(self, model, data=None, batch=None, **fit):
        self.model = model
        # Keras warns that it does not shuffle a data set, which orders itself.
        own = {"epochs": EPOCHS, "verbose": 0, "validation_data": arrays(), "shuffle": False}
        self.fit = {**own, **fit}
        self.data = data or (lambda resume: resume.data(*arrays(), batch_size=BATCH))
        x, y = arrays()
        keras_private.build_all(model, batch or (x[:BATCH], y[:BATCH]))
        variables = run_state.variables_of(model)
        self._start = {label: np.array(v.numpy()) for label, v in variables.items()}

    def __call__(self, folder, cut=None, callbacks=(), others=(), **arguments):
        """One start.

        Args:
            folder: of `Resume`.
            cut: updates after which it is killed; None for none.
            callbacks: whose state is kept.
            others: more callbacks.
            **arguments: of `Resume`.

        Returns:
            All variables by label, and History; None where it was killed.
        """
        for label, variable in run_state.variables_of(self.model).items():
            value = self._start[label]
            goes_on = checkpoints.newest(folder) is not None
            variable.assign(np.full_like(value, 5) if goes_on else value)
        resume = Resume(folder, callbacks=callbacks, **{"every_updates": EVERY, **arguments})
        given = [*([Cuts(cut)] if cut else []), *others, *callbacks, resume]
        try:
            history = self.model.fit(self.data(resume), callbacks=given, **self.fit)
        except Cut:
            resume._saver.close()  # a thread of this process would write on
            return None
        return run_state.snapshot(self.model, metrics=False), history


def assert_same(ours, theirs):
    """Every variable to the bit, and History, are the same."""
    (one, history), (other, theirs) = ours, theirs
    assert {k: a.tobytes() for k, a in one.items()} == {k: a.tobytes() for k, a in other.items()}
    assert history.history == theirs.history and history.epoch == theirs.epoch
