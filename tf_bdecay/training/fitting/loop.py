"""Trains a run from its position to its end: the rest of an epoch, and the epochs after it."""

import keras

from tf_bdecay import data
from tf_bdecay.batches import evaluation_batch_size
from tf_bdecay.callbacks import AveragedWeights, PreciseStatistics
from tf_bdecay.callbacks.statistics import has_statistics
from tf_bdecay.distribution import sharding, strategies
from tf_bdecay.optim.base import unwrapped
from tf_bdecay.training.building import datasets, parts
from tf_bdecay.training.fitting import epoch_metrics


class EndedEarly(RuntimeError):
    """`fit` ended before the last update."""


class LazyLogs(keras.callbacks.CallbackList):
    """Passes an update's loss and metrics to the callbacks as they are, on the device.

    Keras' own list fetches them after every update. That is a host sync, after which the device
    waits for the host. A callback that needs a number takes its `float`, now and then.
    """

    def on_train_batch_end(self, batch, logs=None):
        """Calls the callbacks, in order."""
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)


def fit(experiment, start, callbacks):
    """Trains the rest of a run.

    Keras' `fit` cannot start in the middle of an epoch, so the rest of one is a separate call with
    that many steps. The callbacks number updates from the run's position.

    Args:
        experiment: the `Experiment`, with its variables as they are at `start`.
        start: the `Position`.
        callbacks: list of Keras callbacks.

    Raises:
        EndedEarly: updates are missing. Keras takes any OutOfRangeError in a step for the end of
            the data, and only warns.
    """
    per_epoch, epochs = experiment.size.updates_per_epoch, experiment.config.epochs
    epoch = start.epoch
    done = start.update - epoch * per_epoch
    if done:
        first = [epoch_metrics.Restores(start.metrics), *callbacks]
        if done < per_epoch:
            _epochs(experiment, start.update, epoch, epoch + 1, per_epoch - done, first)
        else:
            _end_of_epoch(experiment, epoch, first)
        epoch += 1
    elif epoch == epochs:
        _restore_lasting(experiment, start, callbacks)
    if epoch < epochs:
        _epochs(experiment, epoch * per_epoch, epoch, epochs, per_epoch, callbacks)
    totals = unwrapped(experiment.trainer.optimizer).totals()
    done, total = totals["updates"] + totals["skipped_updates"], experiment.size.total_updates
    if done != total:
        raise EndedEarly(
            f"`fit` ended after {done} of {total} updates: the data ran out, or something in a "
            "step reported that it did"
        )


def evaluation_batches(experiment, split):
    """The batches of a split, of a size that the replicas can share."""
    size = evaluation_batch_size(
        len(experiment.images.split(split)),
        experiment.config.evaluation_batch_size,
        strategies.replicas(experiment.strategy),
    )
    return sharding.distributed(
        experiment.strategy,
        lambda part: data.evaluation_batches(experiment.images, split, size, part),
    )


def precise_statistics(experiment):
    """The callback that evaluates with precise statistics; None if there are none to estimate.

    They come from the first batches of the run's first epoch, which follow from the seed alone. So
    a resumed run estimates the same statistics as one that never stopped.
    """
    asked = "evaluation_statistics" in experiment.config  # only networks that normalize have it
    if not asked or not has_statistics(experiment.trainer):  # there are none, or all are frozen
        return None
    batches = parts.statistics_batches(experiment.config, experiment.size)
    # Our own data and networks are known to work, so the first update need not wait for a trial.
    return PreciseStatistics(_training_batches(experiment, 0), batches, try_first=False)


def averaged_weights(experiment, statistics):
    """The callback that also evaluates the average of the weights; None if there is none.

    Args:
        experiment: the `Experiment`.
        statistics: from `precise_statistics`; None for a network without such statistics.
    """
    if experiment.config.ema.momentum is None:
        return None
    return AveragedWeights(evaluation_batches(experiment, experiment.size.split), statistics)


def first_pictures(experiment, count):
    """The run's first images as the network receives them, and their labels.

    Args:
        experiment: the `Experiment`.
        count: how many, at most those of a batch.

    Returns:
        (float32 [n, height, width, channels], standardised; labels).
    """
    # Order and crop depend on the place in the epoch, not on the batch size.
    batches = _of_config(experiment, min(count, experiment.config.batch_size), 0, part=None)
    return next(iter(batches))


def _training_batches(experiment, update):
    config = experiment.config

    def make(part):
        return _of_config(experiment, config.batch_size, update, part)

    return sharding.distributed(experiment.strategy, make, endless=True)


def _of_config(experiment, batch_size, update, part):
    config = experiment.config
    return data.training_batches(
        experiment.images,
        batch_size,
        config.seed,
        start_update=update,
        remainder=config.data.remainder,
        augment=config.data.augment,
        part=part,
        strong=datasets.strong_augmentation(config),
    )


def _epochs(experiment, update, epoch, last, steps, callbacks):
    """Trains epochs from `epoch` up to `last`, of `steps` updates each, with data from `update`."""
    config = experiment.config
    experiment.trainer.fit(
        _training_batches(experiment, update),
        initial_epoch=epoch,
        epochs=last,
        steps_per_epoch=steps,
        validation_data=evaluation_batches(experiment, experiment.size.split),
        validation_freq=_evaluated(config),
        callbacks=LazyLogs(callbacks, add_history=True, model=experiment.trainer),
        shuffle=False,  # the order is the data's own
        verbose=0,
    )


def _end_of_epoch(experiment, epoch, callbacks):
    """What `fit` does after an epoch's last update; it cannot run an epoch without updates."""
    trainer = experiment.trainer
    callbacks = keras.callbacks.CallbackList(callbacks, model=trainer)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(epoch)
    logs = trainer.get_metrics_result()
    if epoch + 1 in _evaluated(experiment.config):
        batches = evaluation_batches(experiment, experiment.size.split)
        found = trainer.evaluate(batches, callbacks=callbacks, verbose=0, return_dict=True)
        logs.update({f"val_{name}": value for name, value in found.items()})
    callbacks.on_epoch_end(epoch, logs)
    callbacks.on_train_end(logs)


def _restore_lasting(experiment, start, callbacks):
    """Begins callbacks whose state outlasts an epoch, of which a run's result asks numbers.

    Where no update is left, no epoch begins, and so nothing else would.
    """
    for callback in callbacks:
        if getattr(callback, "state_lasts", False):
            callback.set_model(experiment.trainer)
            callback.on_train_begin()
            name = type(callback).__name__
            if name in start.callbacks:
                callback.set_state(start.callbacks[name])


def _evaluated(config):
    """The epochs after which to evaluate, counted from 1."""
    every = config.log.evaluate_every
    return [*range(every, config.epochs, every), config.epochs]
