"""Checks batches whose size only the running graph knows, with one sentence as the error."""

import contextlib
import math
import re
import urllib.parse

import keras

from tf_bdecay.batches import check_divides, undivided
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import quirks


def first_tensor(structure):
    """The first tensor of a batch, whose first axis is the number of examples.

    Args:
        structure: structure of tensors of one length and of None.
    """
    return next(t for t in keras.tree.flatten(structure) if t is not None)


def divided(tensor, parts, whole, otherwise=""):
    """Checks, now or when the graph runs, that the parts divide a tensor's first axis.

    XLA drops assertions, but compiles anew for every size and refuses an impossible reshape. So
    there, a reshape of that many zeros replaces the assertion. Its name holds the sentence, because
    XLA's error names the operation. An empty batch passes there.

    Args:
        tensor: tensor [batch, ...]; a TensorFlow one if the batch is unknown.
        parts, whole, otherwise: as in `check_divides`.

    Returns:
        The tensor; if only the running graph knows the batch, it is available after the check.

    Raises:
        BadInput: the parts do not divide a batch of known size. At run time, the error is
            `tf.errors.InvalidArgumentError` with the same sentence.
    """
    if tensor.shape[0] is not None:
        check_divides(parts, whole, tensor.shape[0], otherwise)
        return tensor
    import tensorflow as tf

    size = tf.shape(tensor)[0]
    fits = tf.logical_and(size > 0, tf.equal(size % math.prod(parts.values()), 0))
    sentence = undivided(parts, whole, None, otherwise)
    if quirks.in_xla():
        check = tf.reshape(tf.zeros([size]), [-1, math.prod(parts.values())], _name_of(sentence))
    else:
        check = tf.debugging.Assert(fits, [sentence, size])
    with tf.control_dependencies([check]):
        return tf.identity(tensor)


def in_micro_batches(batch, size):
    """Cuts a replica's batch into micro-batches: a tensor [K size, ...] becomes [K, size, ...].

    Args:
        batch: structure of tensors of one length and of None.
        size: int, examples of a micro-batch.

    Returns:
        The structure, of TensorFlow tensors whose shapes are as static as they were.

    Raises:
        BadInput: the size does not divide the batch; at run time, as in `divided`.
    """
    import tensorflow as tf

    def cut(tensor):
        if tensor is None:
            return None
        tensor = tf.convert_to_tensor(tensor)
        count, rest = tensor.shape[0], tensor.shape[1:]
        tensor = divided(tensor, {"micro_batch_size": size}, "the batch of a replica")
        parts = tf.reshape(tensor, tf.concat([[-1, size], tf.shape(tensor)[1:]], 0))
        return tf.ensure_shape(parts, [count and count // size, size, *rest])

    return keras.tree.map_structure(cut, batch)


@contextlib.contextmanager
def one_sentence():
    """Turns TensorFlow's error for a batch that `divided` refuses into `BadInput`."""
    try:
        yield
    except Exception as error:
        sentence = _at_run_time(str(error)) or _of_xla(str(error))
        if sentence is None:
            raise
        raise BadInput(sentence) from None


def _at_run_time(text):
    """The sentence and the size in an error of `tf.debugging.Assert`; None if there is none."""
    wrong = r"[^\[\]]* must (?:divide|not be empty)[^\[\]]* Received: [^\[\]]*=\s?"
    found = re.search(rf"assertion failed: \[({wrong})\] \[(\d+)\]", text, re.DOTALL)
    if found is None:
        return None
    # TensorFlow writes a quote as \' and the bytes of letters outside ASCII as numbers.
    return found[1].encode().decode("unicode_escape").encode("latin-1").decode() + found[2]


def _of_xla(text):
    """The sentence in XLA's error for a reshape that `_name_of` named; None if there is none."""
    found = re.search(r"tensor with (\d+) values.*undivided\.([\w.-]+?)\.end", text, re.DOTALL)
    return found and urllib.parse.unquote(found[2].replace("-", "%")) + found[1]


def _name_of(sentence):
    """A sentence as an operation's name: quoted as in a URL, with "-" in place of "%"."""
    quoted = urllib.parse.quote(sentence, safe="").replace("-", "%2D").replace("%", "-")
    return f"undivided.{quoted}.end"
