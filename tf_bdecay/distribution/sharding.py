"""`fit` and `evaluate` over many workers: each one's part of a batch, and what all agree on.

Keras 3's own functions fail under MultiWorkerMirroredStrategy. These replace them there, and only
there. Every worker makes the same global order and keeps the consecutive examples of its own
replicas, so ghost batches are the same as on one device.
"""

import numpy as np
import tensorflow as tf

from tf_bdecay.batch_checks import first_tensor
from tf_bdecay.batches import bounds
from tf_bdecay.distribution.strategies import is_multi_worker
from tf_bdecay.errors import require
from tf_bdecay.frameworks import keras_private
from tf_bdecay.terminal import signals


def is_leader(strategy):
    """Whether this process is the one that writes files and prints."""
    return not is_multi_worker(strategy) or _place(strategy)[0] == 0


def distributed(strategy, make, endless=False):
    """The batches of a run, cut for the workers if there are many.

    Args:
        strategy: a `tf.distribute.Strategy`, or None.
        make: function that returns the data set of a part of each batch, given as (index, count);
            None stands for whole batches.
        endless: whether that data set is infinite.

    Returns:
        What `fit` takes.
    """
    if not is_multi_worker(strategy):
        return make(None)

    def of_worker(context):
        local = context.num_replicas_in_sync // context.num_input_pipelines
        first = context.input_pipeline_id * local
        count = context.num_replicas_in_sync
        parts = [make((first + i, count)) for i in range(local)]
        data = parts[0]
        if local > 1:  # a worker's replicas take turns
            turns = tf.data.Dataset.range(local).repeat()
            data = tf.data.Dataset.choose_from_datasets(parts, turns)
        if endless:  # else the workers ask each other in every step who has data left
            data = data.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
        return data

    return strategy.distribute_datasets_from_function(of_worker)


def cut_for_workers(strategy, data, class_weight=None):
    """Cuts a user's data set of global batches for the workers.

    Args:
        strategy: the model's.
        data: what `fit` or `evaluate` got.
        class_weight: as `fit` takes it; its weights become the examples', as Keras can give none to
            a distributed data set.

    Returns:
        `data` unchanged, or the distributed data set.

    Raises:
        BadInput: under many workers, `data` are neither a `tf.data.Dataset` nor a distributed one,
            or a distributed one with `class_weight`.
    """
    if not is_multi_worker(strategy) or data is None:
        return data
    if isinstance(data, tf.distribute.DistributedDataset):
        require(
            class_weight is None,
            "`class_weight` goes with a tf.data.Dataset of global batches that is not distributed "
            f"yet: give `fit` such a one, or leave it out. Received: {type(data).__name__}",
        )
        return data
    require(
        isinstance(data, tf.data.Dataset),
        "Under MultiWorkerMirroredStrategy give `fit` and `evaluate` a tf.data.Dataset of global "
        f"batches, the same on every worker. Received: {type(data).__name__}",
    )
    if class_weight is not None:
        data = keras_private.weighted_by_class(data, class_weight)

    def make(where):
        index, count = where

        def cut(tensor):
            size = tensor.shape[0]
            begin, end = bounds(tf.shape(tensor)[0] if size is None else size, index, count)
            return tensor[begin:end]

        options = tf.data.Options()
        options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
        return data.map(lambda *batch: tf.nest.map_structure(cut, batch)).with_options(options)

    return distributed(strategy, make)


def step_function(trainer, step, evaluates=False):
    """Keras' train or test function, for many workers.

    All that workers must know of each other goes through one reduction: the workers' votes and the
    metrics so far. Their mean over the replicas is that of the global batch if the parts are equal;
    the epoch's metrics are exact whatever the parts.

    Args:
        trainer: the `Trainer`.
        step: its `train_step` or `test_step`.
        evaluates: whether a replica's part of a batch may be empty.

    Returns:
        Function of an iterator that returns the logs.
    """
    strategy = trainer.distribute_strategy
    names = []

    def replica(data, votes):
        logs = _unless_empty(trainer, step, data) if evaluates else step(data)
        names[:] = list(logs)
        return tf.stack([*(tf.cast(v, tf.float64) for v in logs.values()), *tf.unstack(votes)])

    @tf.function
    def run(iterator, votes):
        return strategy.reduce("MEAN", strategy.run(replica, (next(iterator), votes)), axis=None)

    def one_step(iterator):
        agreement = trainer.agreement
        votes = agreement.votes() if agreement else np.zeros(len(Agreement.KINDS))
        found = run(iterator, tf.constant(votes, tf.float64)).numpy()
        if agreement:
            agreement.count(found[len(names) :])
        return dict(zip(names, found, strict=False))

    return one_step


def _unless_empty(trainer, step, data):
    """A test step; the metrics so far if there is no example, on which convolutions fail."""
    first = first_tensor(data)
    if first.shape[0] is not None:
        return step(data) if first.shape[0] else trainer.get_metrics_result()
    return tf.cond(tf.shape(first)[0] > 0, lambda: step(data), trainer.get_metrics_result)


class Agreement(signals.Request):
    """What the workers decide together, in the reduction that every step has anyway.

    A signal to any worker stops all of them after the same update. A save that is due by the clock
    of any worker is made by all, because its metrics are gathered from all.

    Args:
        own: the `signals.Request` of this process.
    """

    KINDS = (*signals.SIGNALS, "save")

    def __init__(self, own):
        self._own = own
        self._wishes_save = self._saves = False

    def votes(self):
        """This worker's votes, a number for each of `KINDS`."""
        stops = [self._own.number == number for number in signals.SIGNALS]
        return np.array([*stops, self._wishes_save], "float64")

    def count(self, votes):
        """Takes note of the mean of all workers' votes."""
        *stops, saves = votes
        for number, share in zip(signals.SIGNALS, stops, strict=True):
            if share > 0 and self.number is None:
                self.number = number
        self._saves = saves > 0

    def save(self, wish):
        """Whether all save now; a wish takes effect one update later."""
        agreed, self._saves = self._saves, False
        self._wishes_save = wish and not agreed
        return agreed


def gathered(strategy, value):
    """A vector's values on all replicas of all workers, in their order: [replicas, n].

    Args:
        strategy: of many workers; all of them must call this.
        value: function that returns this replica's vector, called in its context.
    """

    @tf.function
    def gather():
        return strategy.gather(strategy.run(lambda: value()[None]), axis=0)

    return gather().numpy()


def from_worker(strategy, content, index=0):
    """Gives every worker the bytes of one of them; all must call this.

    Args:
        strategy: of many workers.
        content: bytes on that worker; ignored on the others.
        index: of that worker; the leader's by default.
    """
    own, local = _place(strategy)
    mine = content if own == index else b""

    def total(array):
        def of_replica(context):
            first = context.replica_id_in_sync_group == index * local
            return tf.constant(array if first else np.zeros_like(array))

        values = strategy.experimental_distribute_values_from_function(of_replica)
        return strategy.reduce("SUM", values, axis=None).numpy()

    size = int(total(np.array([len(mine)], "int64"))[0])
    padded = np.zeros(size, "int32")
    padded[: len(mine)] = np.frombuffer(mine, np.uint8)
    return total(padded).astype(np.uint8).tobytes() if size else b""


def _place(strategy):
    """Index of this worker, and its number of replicas."""
    resolver = strategy.cluster_resolver
    if resolver.task_type is None:  # one worker without TF_CONFIG
        return 0, strategy.num_replicas_in_sync
    jobs = resolver.cluster_spec().as_dict()
    chiefs = len(jobs.get("chief", [])) if resolver.task_type == "worker" else 0
    count = sum(len(addresses) for addresses in jobs.values())
    return resolver.task_id + chiefs, strategy.num_replicas_in_sync // count


def own_replicas(strategy):
    """The indices of this worker's replicas, a range."""
    index, local = _place(strategy)
    return range(index * local, (index + 1) * local)
