"""The loss of every run, on any backend."""

import keras

from tf_bdecay.training.building.metrics import crossentropy, is_soft


@keras.saving.register_keras_serializable("tf_bdecay")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of logits against classes, or shares of classes, with label smoothing.

        target = (1 - s) y + s / classes,    y = onehot(class), or the shares, which sum to one

    Args:
        label_smoothing: s in [0, 1); the paper states none, so 0.
        **kwargs: as in every Keras loss.
    """

    from_logits = True

    def __init__(self, label_smoothing=0.0, name="crossentropy", **kwargs):
        super().__init__(name=name, **kwargs)
        self.label_smoothing = label_smoothing

    def call(self, y_true, y_pred):
        """Loss of each example: [n] of labels [n], [n, 1] or [n, classes] and logits."""
        if not self.label_smoothing:
            return crossentropy(y_true, y_pred)
        shares = y_true
        if not is_soft(y_true, y_pred):
            labels = keras.ops.reshape(y_true, keras.ops.shape(y_pred)[:-1])
            shares = keras.ops.one_hot(labels, y_pred.shape[-1])
        return keras.losses.categorical_crossentropy(
            shares, y_pred, from_logits=True, label_smoothing=self.label_smoothing
        )

    def get_config(self):
        """The arguments that recreate this loss."""
        return {**super().get_config(), "label_smoothing": self.label_smoothing}
