"""Where layers hand the statistics of a batch that comes in micro-batches."""

import contextlib
import threading

from tf_bdecay.errors import require

# A list attribute of a layer would be replaced by Keras' tracked copy; and replicas are threads.
_active = threading.local()


class Statistics:
    """Batch statistics by layer, in the order in which the layers were called.

    Attributes:
        layers: list of the layers.
        values: list of (mean, variance), one a layer.
    """

    def __init__(self):
        self.layers, self.values = [], []

    def add(self, layer, mean, variance):
        """Takes the statistics of a call.

        Raises:
            BadInput: the layer was called before: a batch moves its statistics once for each call,
                and micro-batches would mix the calls up.
        """
        require(
            not any(layer is other for other in self.layers),
            f"The layer {layer.name!r} is called twice in a model, which micro-batches cannot "
            "follow: use a layer for each call, or no micro_batch_size.",
        )
        self.layers.append(layer)
        self.values.append((mean, variance))


@contextlib.contextmanager
def collected():
    """A context in which layers add statistics to the `Statistics` it gives, and move none."""
    outer = current()
    _active.statistics = Statistics()
    try:
        yield _active.statistics
    finally:
        _active.statistics = outer


def current():
    """The `Statistics` of this thread, or None outside of `collected`."""
    return getattr(_active, "statistics", None)
