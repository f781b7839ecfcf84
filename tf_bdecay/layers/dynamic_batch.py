"""The check of a batch size that TensorFlow learns only when its graph runs."""


def assert_divides(x, ghost, kind):
    """Makes the graph fail with a sentence where the ghost batch does not divide the batch.

    XLA drops assertions: under `jit_compile=True` the reshape into ghost batches fails instead.

    Args:
        x: TensorFlow tensor [batch, ...], batch unknown.
        ghost: int, examples in a ghost batch; 1 lets every batch but an empty one pass.
        kind: the layer, for the message.

    Returns:
        x, available only once the check has passed.
    """
    import tensorflow as tf

    batch = tf.shape(x)[0]
    sentence = (
        f"{kind} got a training batch that its ghost batch of {ghost} does not divide: use a "
        f"multiple of {ghost}, another ghost_batch_size, or partial='smaller'. Batch received:"
        if ghost > 1
        else f"{kind} got a training batch without examples. Batch received:"
    )
    fits = tf.logical_and(batch > 0, tf.equal(batch % ghost, 0))
    with tf.control_dependencies([tf.debugging.Assert(fits, [sentence, batch])]):
        return tf.identity(x)
