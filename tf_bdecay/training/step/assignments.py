"""Holds back what a forward pass would assign: a pass over part of a batch changes nothing."""

import contextlib

import keras
import tensorflow as tf

from tf_bdecay.errors import require


class Assignments(keras.StatelessScope):
    """A scope in which no variable is assigned; it keeps the new values for whoever asks.

    Args:
        trained: variables that begin with their own values and may not be assigned.
        own: variables that begin with their own values and may be assigned.
        chained: pairs of a variable that may be assigned and the value that it begins with.

    Attributes:
        assigned: ids of the variables that got new values.
    """

    def __init__(self, trained, own, chained):
        super().__init__(chained, collect_losses=True)
        self.assigned = set()
        self._allowed = {*self.state_mapping, *(id(v) for v in own)}
        # Regularizers read the scope, so it holds the variable itself, which the tape follows.
        self._trained = list(trained)
        self.state_mapping.update({id(v): v.value for v in trained})

    def value_of(self, variable):
        """The value that a variable was given in this scope, or else its own: a tensor."""
        value = self.get_current_value(variable)
        return tf.convert_to_tensor(variable.value if value is None else value)

    @contextlib.contextmanager
    def moved(self, steps):
        """Inside, layers read theta + step; a tape still differentiates with respect to theta.

        Args:
            steps: list of tensors by trained variable, None for a variable without a step; None for
                no steps.
        """
        before = {id(v): self.state_mapping[id(v)] for v in self._trained}
        for variable, step in zip(self._trained, steps or [None] * len(before), strict=True):
            if step is not None:
                self.state_mapping[id(variable)] = before[id(variable)] + step
        try:
            yield
        finally:
            self.state_mapping.update(before)

    def add_update(self, update):
        variable, _ = update
        require(
            id(variable) in self._allowed,
            f"A forward pass assigns {variable.path!r}, which micro-batches and SharpnessAware "
            "cannot follow: it must be a non-trainable variable of the model (of random numbers, "
            "of a keras.random.SeedGenerator that a layer has as an attribute), or there must be "
            "no micro_batch_size and no sharpness_aware.",
        )
        self.assigned.add(id(variable))
        super().add_update(update)
