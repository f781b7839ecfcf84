"""Evaluates the moving average of the weights alongside the weights."""

import contextlib

import keras

from tf_bdecay.callbacks.precise import PreciseStatistics, refuse_iterator
from tf_bdecay.callbacks.statistics import Lent, has_statistics
from tf_bdecay.errors import require, shown
from tf_bdecay.frameworks import extras, keras_private
from tf_bdecay.optim.base import unwrapped

END = "_average"


class AveragedWeights(keras.callbacks.Callback):
    """Evaluates the moving average of the weights alongside them, at the end of each epoch.

    The optimizer keeps this average under `use_ema`; after t updates, with momentum m,

        a_1 = theta_1,   a_t = m a_{t-1} + (1 - m) theta_t

    Whenever an epoch is evaluated, its logs get `val_NAME_average` next to every `val_NAME`. The
    moving statistics of normalization layers belong to the weights, not to their average, so they
    are re-estimated for it. Weights and statistics are then restored, to the bit. At the end of
    `fit` Keras would overwrite the weights with their average; with this callback it does not. To
    save the averaged model:

        with averages.averaged():
            model.save("average.keras")

    It must come before callbacks that read the logs.

    Args:
        data: validation data, as `fit` takes them.
        statistics: a `PreciseStatistics`; needed if the model has moving statistics.
        **evaluate: other arguments of `evaluate`, such as `batch_size`.

    Raises:
        BadInput: when `fit` begins, if Keras runs on a backend other than TensorFlow, the optimizer
            keeps no averages, `statistics` are needed and missing, or the data are None or can be
            read only once.

    Example:

        model.compile(tf_bdecay.Lamb(0.01, use_ema=True, ema_momentum=0.99), loss)
        precise = tf_bdecay.callbacks.PreciseStatistics((x_train, y_train), batch_size=512)
        averages = tf_bdecay.callbacks.AveragedWeights((x_test, y_test), precise)
        model.fit(..., validation_data=(x_test, y_test), callbacks=[averages, precise])
    """

    def __init__(self, data, statistics=None, **evaluate):
        super().__init__()
        require(
            statistics is None or isinstance(statistics, PreciseStatistics),
            "`statistics` of AveragedWeights must be a PreciseStatistics, or None. "
            f"Received: statistics={shown(statistics)}",
        )
        self.data, self.statistics, self.evaluate = data, statistics, evaluate

    def set_model(self, model):
        """Takes the model, and hands it to `statistics` too."""
        super().set_model(model)
        if self.statistics is not None:
            self.statistics.set_model(model)

    def on_train_begin(self, logs=None):
        """Checks that there are averages, and keeps `fit` from overwriting the weights."""
        extras.check_backend("AveragedWeights")
        optimizer = unwrapped(self.model.optimizer)
        require(
            getattr(optimizer, "use_ema", False),
            "AveragedWeights needs an optimizer with use_ema=True, which keeps the averages. "
            f"Received: {type(optimizer).__name__}(use_ema=False)",
        )
        require(
            self.statistics is not None or not has_statistics(self.model),
            "The moving statistics of this model's normalization layers are of its weights, not of "
            "their average: give AveragedWeights a PreciseStatistics, which re-estimates them.",
        )
        require(
            self.data is not None,
            "`data` of AveragedWeights must be validation data, as `fit` takes them, such as "
            "(x_test, y_test). Received: data=None",
        )
        refuse_iterator(self.data, of="AveragedWeights")
        keras_private.keep_weights(self.model)

    def on_train_end(self, logs=None):
        """Restores Keras' own behaviour for later calls of `fit`."""
        keras_private.overwrite_weights(self.model.optimizer)

    def on_epoch_end(self, epoch, logs=None):
        """Adds the averages' metrics to the logs of an epoch that was evaluated."""
        if not any(name.startswith("val_") for name in logs or ()):
            return
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(self.data)
        arguments = dict(sample_weight=sample_weight, verbose=0, return_dict=True, **self.evaluate)
        with self.averaged():
            found = self.model.evaluate(x, y, **arguments)
        logs.update({f"val_{name}{END}": value for name, value in found.items()})

    @contextlib.contextmanager
    def averaged(self):
        """Inside, the model has the averaged weights and the statistics that belong to them."""
        with Lent(self.model, averages_of(self.model.optimizer)):
            if self.statistics is None:
                yield
                return
            found = self.statistics.estimate()
            # They are not finite if the weights are not, which the metrics show anyway.
            with found if found.finite else contextlib.nullcontext():
                yield


def averages_of(optimizer):
    """Pairs of a variable and the moving average of its values, an array.

    Before the first update there are none.

    Args:
        optimizer: one with `use_ema`, or a loss-scaling optimizer around it.
    """
    optimizer = unwrapped(optimizer)
    if int(optimizer.iterations.numpy()) == 0:
        return []
    variables = keras_private.variables_of(optimizer)
    averages = keras_private.moving_averages(optimizer)
    return [(v, a.numpy()) for v, a in zip(variables, averages, strict=True) if a is not None]
