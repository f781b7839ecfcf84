"""Silence of TensorFlow, while it loads and while it vectorizes."""

import contextlib
import os
import sys


@contextlib.contextmanager
def stderr():
    """Silences the notices that TensorFlow's C++ prints to stderr whatever its log level is."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    before, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(nowhere)


@contextlib.contextmanager
def tensorflow():
    """Silences what it says of every convolution whose gradients by example take a loop."""
    import tensorflow as tf

    logger = tf.get_logger()
    before = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(before)
