"""No fetch from the device an update: the host may run ahead of it."""

import keras


class LazyLogs(keras.callbacks.CallbackList):
    """Hands an update's loss and metrics to the callbacks as they are, on the device.

    Keras' own list fetches them after every update, which waits for the device. A callback that
    wants a number takes `float` of it, seldom.
    """

    def on_train_batch_end(self, batch, logs=None):
        """Calls the callbacks, in order."""
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs)
