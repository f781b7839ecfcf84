"""Faults of TensorFlow and Keras: the symptom, the versions that show it, and our workaround.

Importing this module needs neither of them. These faults have their workarounds elsewhere:

* Keras' `fit` resets metrics at the start of every epoch, and cannot start inside one: training/.
* `fit` on arrays under TensorFlow has the same order in every epoch once a seed is set, by
  `keras.utils.set_random_seed` (Keras 3.15): `callbacks/resuming/epoch_sources.py` has an order
  by epoch.
* A train step that finds no data may count as an update all the same (TensorFlow 2.21), and Keras'
  PyDataset cannot be read again after `stop_training` (Keras 3.15):
  `callbacks/resuming/epoch_feeds.py` ends an epoch in the way that suits each.
* XLA on a CPU (TensorFlow 2.21) writes the operand of a sum over all elements to memory and turns a
  sum of squares into a slow dot product: `optim/blocks.py` sums in two stages.
* Forward-mode differentiation cannot follow a `tf.while_loop` that holds a `TensorArray`
  (TensorFlow 2.21): `layers/fused.py` steps aside.
* Neither forward mode nor `tf.vectorized_map` of a gradient can follow the loop of a rolled LSTM,
  GRU or SimpleRNN that depends on the parameters before it: "TypeError: `dtype` variant is not
  compatible with 0" (TensorFlow 2.21). `sharpness/over_examples/tape.py` finds this out by trying.
  It then takes two backward passes instead of forward mode, and examples one by one instead of the
  vectorized map.
* `keras.Sequential` and subclassed models give their variables other paths when they are loaded
  (Keras 3.15): files name variables by their order.
"""

import contextlib
import functools
import itertools
import os
import sys
import threading

_ONEDNN = "TF_ENABLE_ONEDNN_OPTS"


@contextlib.contextmanager
def silent_stderr():
    """Silences the notices that TensorFlow's C++ prints to stderr.

    Symptom: a dozen lines at import and when a device is first used, whatever the log level is.
    Seen in TensorFlow 2.19 to 2.21. Workaround: meanwhile, the file descriptor points to /dev/null.
    """
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
def silent_tracing(level="ERROR"):
    """Silences TensorFlow's warnings while functions are traced.

    Symptom: a warning for every convolution whose gradients by example take a loop, as
    `tf.vectorized_map` has no converter for it; and a warning that one function is traced again and
    again, although functions of different measures and networks are each traced once. Seen in
    TensorFlow 2.19 to 2.21. Workaround: meanwhile, TensorFlow's logger reports only errors. The
    level "CRITICAL" hides these too; it is for a conversion that is only tried, because one that
    fails logs its stack four times.

    Args:
        level: the lowest level that is reported.
    """
    import tensorflow as tf

    logger = tf.get_logger()
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


# oneDNN, TensorFlow's library of CPU kernels, writes out of bounds in two cases.
#
# Symptom: the process aborts (corrupted size, double free), or weights are wrong. Seen in
# TensorFlow 2.21 on x86, with
# 1. the gradient of a strided 1x1 convolution of few input channels (4, 8 and 12);
# 2. a matrix product of rank 4 or more that repeats an operand over its leading axes (tensorflow
#    issue 117700), which `tf.vectorized_map` makes of a product of rank 3.
# Workaround: no oneDNN in a process that has such convolutions, which halves the speed of all
# others; examples are mapped one by one if there is such a product
# (sharpness/over_examples/tape.py).


def onednn_overruns(channels, kernel_size=(1, 1), strides=(2, 2)):
    """Whether oneDNN writes out of bounds in the gradient of a convolution.

    Args:
        channels: of the input; None for unknown. The width of one of our networks stands for all
            its convolutions, whose channels are multiples of it.
        kernel_size, strides: of the convolution.
    """
    narrow = not isinstance(channels, int) or channels % 16 != 0
    return narrow and max(kernel_size) == 1 and max(strides) > 1


def avoid_onednn():
    """Keeps TensorFlow from using oneDNN, unless the environment says otherwise.

    To be called before TensorFlow is imported.
    """
    os.environ.setdefault(_ONEDNN, "0")


def settle_onednn(overruns):
    """Turns oneDNN off for a process that it would harm, and on for others.

    TensorFlow 2.21 leaves it off by itself on processors without AVX-512, where it is up to twice
    as fast. To be called before TensorFlow is imported; the environment may say otherwise.

    Args:
        overruns: from `onednn_overruns`, of the network.
    """
    if overruns:
        avoid_onednn()
    else:
        os.environ.setdefault(_ONEDNN, "1")


def onednn_may_run():
    """Whether oneDNN may compute in this process; it is TensorFlow's default with AVX-512."""
    import tensorflow as tf

    return os.environ.get(_ONEDNN) != "0" and not tf.config.list_logical_devices("GPU")


def is_overrun_convolution(operation):
    """Whether an operation of a graph is a convolution of case 1."""
    if operation.type != "Conv2D":
        return False
    *kernel_size, channels, _ = operation.inputs[1].shape
    return onednn_overruns(channels, kernel_size, operation.get_attr("strides"))


def is_overrun_product(operation):
    """Whether an operation of a graph is a matrix product of case 2."""
    if not operation.type.startswith("BatchMatMul"):
        return False
    a, b = (tensor.shape for tensor in operation.inputs)
    if a.rank is None or b.rank is None:
        return True
    return max(a.rank, b.rank) >= 4 and a[:-2].as_list() != b[:-2].as_list()


def as_written(function):
    """Keeps AutoGraph from rewriting a function that a user's `tf.function` calls.

    Symptom: "UnboundLocalError: 'found' is used before assignment" from `optimizer.apply` in a
    plain `@tf.function`. AutoGraph rewrites every function that is called, except those of a few
    packages such as Keras. A loop that it rewrote fails on AutoGraph's own objects, which
    `roles/owners.py` meets among all objects that are alive. Seen in TensorFlow 2.21. Workaround:
    AutoGraph's own decorator, looked up on each call, as TensorFlow may not be loaded.
    """

    @functools.wraps(function)
    def called(*args, **kwargs):
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None:
            return function(*args, **kwargs)
        return tensorflow.autograph.experimental.do_not_convert(function)(*args, **kwargs)

    return called


def several_steps(function, strategy):
    """A train or test function that also takes several steps per call on several CPU devices.

    Symptom: `fit` with `steps_per_execution` above 1 under a MirroredStrategy of logical CPUs ends
    with "You must feed a value for placeholder tensor 'while/.../cond/Placeholder'", stock models
    too. Seen in Keras 3.15 with TensorFlow 2.21. Workaround: if an iterator is not a data set's,
    Keras' function takes the steps in a Python loop, each compiled as before.

    Args:
        function: Keras' own function of an iterator.
        strategy: the `tf.distribute.Strategy` that it was made under.
    """
    several = strategy.num_replicas_in_sync > 1  # the default strategy has no list of devices
    if not (several and any(":CPU:" in device for device in strategy.extended.worker_devices)):
        return function
    return lambda iterator: function(itertools.chain([next(iterator)], iterator))


def in_xla(graph=None):
    """Whether XLA compiles what is traced into a graph.

    Symptom: XLA splits fused operations into slow parts, and no public name of TensorFlow (2.21)
    tells a layer whether it is compiled. Workaround: the private function that does.

    Args:
        graph: a `tf.Graph`; None for the one that is being traced.
    """
    import tensorflow as tf
    from tensorflow.python.ops import control_flow_util

    graph = tf.compat.v1.get_default_graph() if graph is None else graph
    return control_flow_util.GraphOrParentsInXlaContext(graph)


_lock = threading.Lock()
_open = []  # TensorFlow's own tf.nn.moments, once for every open context


@contextlib.contextmanager
def twice_differentiable_moments():
    """Replaces `tf.nn.moments` by one with correct second derivatives while a function is traced.

    Symptom: Hessians through Keras' LayerNormalization and GroupNormalization, and through
    BatchNormalization in training mode, are wrong, by up to 500 %: TensorFlow's moments stop the
    gradient of the mean inside the variance, which is right only for a first derivative. Seen in
    TensorFlow 2.19 to 2.21. Workaround: the same formula without the stop. Replicas are traced by
    threads that may take turns, so the last one to leave restores TensorFlow's own.
    """
    import tensorflow as tf

    with _lock:
        _open.append(_open[0] if _open else tf.nn.moments)
        tf.nn.moments = functools.partial(_moments, tf)
    try:
        yield
    finally:
        with _lock:
            original = _open.pop()
            if not _open:
                tf.nn.moments = original


def _moments(tf, x, axes, shift=None, keepdims=False, name=None):
    """`tf.nn.moments` without stopping any gradient."""
    y = tf.cast(x, "float32") if x.dtype == tf.float16 else x
    mean = tf.reduce_mean(y, axes, keepdims=True)
    variance = tf.reduce_mean(tf.math.squared_difference(y, mean), axes, keepdims=keepdims)
    mean = mean if keepdims else tf.reshape(mean, tf.shape(variance))
    mean.set_shape(variance.shape)
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)
