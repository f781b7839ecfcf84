"""Ghost batches larger than a replica's part of a batch: neighbours share their statistics.

Replicas hold consecutive parts of a batch, so k neighbours hold a ghost batch of k parts. Each
tells the others two numbers per channel, and four for the gradient. For parts of equal size,

    mean = 1/k sum_i mean_i        variance = 1/k sum_i (variance_i + (mean_i - mean)^2)
"""

import keras

from tf_bdecay.batches import share_ghost_batches
from tf_bdecay.frameworks import keras_private
from tf_bdecay.layers.closed_form_only import closed_form_is_on


def around(part, ghost):
    """The `Neighbours` that hold a ghost batch together, or None if each replica has whole ones.

    Args:
        part: number of examples in this replica's part; None if only the running graph knows it.
        ghost: int, examples in a ghost batch.
    """
    if keras.backend.backend() != "tensorflow" or closed_form_is_on():
        return None
    import tensorflow as tf

    replicas = tf.distribute.get_strategy().num_replicas_in_sync
    outside = tf.distribute.in_cross_replica_context() and not keras_private.only_shapes()
    if outside or not part or not share_ghost_batches(part, replicas, ghost):
        return None
    return Neighbours(ghost // part)


class Neighbours:
    """The k replicas that hold a ghost batch together.

    Args:
        number: k, which divides the number of replicas.
    """

    def __init__(self, number):
        self.number = number

    def moments(self, mean, variance):
        """Mean and biased variance of the whole ghost batch, from those of this replica's part."""
        import tensorflow as tf

        means, variances = tf.unstack(self._of_each(tf.stack([mean, variance])), axis=1)
        mean = tf.reduce_mean(means, 0)
        return mean, tf.reduce_mean(variances + tf.square(means - mean), 0)

    def sums(self, *parts):
        """Sums each of some tensors of one shape over the neighbours."""
        import tensorflow as tf

        return tf.unstack(tf.reduce_sum(self._of_each(tf.stack(parts)), 0))

    def _of_each(self, own):
        """Gathers the neighbours' `own` in order: [k, ...].

        It sums over replicas what each puts into its own row, because every strategy knows the
        gradient of a sum, and TPUs know its shape.
        """
        import tensorflow as tf

        context = tf.distribute.get_replica_context()
        if context is None:  # Keras only infers shapes here
            return tf.stack([own] * self.number)
        place, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
        here = tf.one_hot(place, replicas, dtype=own.dtype)
        rows = context.all_reduce("SUM", tf.tensordot(here, own, axes=0))
        return tf.reshape(rows, (-1, self.number, *own.shape))[place // self.number]
