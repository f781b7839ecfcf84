"""What an engine asks an optimizer for, beside its rule: state, constraints, averages."""

from keras import ops

from tf_bdecay import keras_private


class EngineSide:
    """The part of `DecayByRole` that faces `whole_tensors` and `tensorflow_engine`."""

    def scalars_after(self, learning_rate, updates_done):
        """`scalars` of the update after so many."""
        dtype = self.layout.compute_dtype
        return self.scalars(ops.cast(learning_rate, dtype), ops.cast(updates_done + 1, dtype))

    def filled(self, gradients, present, parameters):
        """A gradient for every variable, 0 for those without, free of `loss_scale_factor`."""
        if self.loss_scale_factor is not None:
            gradients = [g / self.loss_scale_factor for g in gradients]
        given = dict(zip(present, gradients, strict=True))
        return [given[i] if i in given else ops.zeros_like(p) for i, p in enumerate(parameters)]

    @property
    def needs_squares(self):
        """Whether an update must know the norms of its gradients."""
        return self.gradient_norms or self.global_clipnorm is not None

    def weights_of(self, block, theta):
        """One tensor a variable of a block's new theta, in its dtype and through its constraint."""
        return [
            self.constrained(i, ops.cast(value, block.dtype))
            for i, value in zip(block.indices, block.split(theta), strict=True)
        ]

    def constrained(self, index, value):
        """A new value of variable number `index`, through the variable's own constraint."""
        constraint = self.constraint(index)
        return value if constraint is None else constraint(value)

    def constraint(self, index):
        """The constraint of variable number `index`, or None."""
        return getattr(keras_private.variables_of(self)[index], "constraint", None)

    @property
    def overwritten(self):
        """Indices of the variables whose gradients are their new values: the scales of float8."""
        return tuple(v.index for v in self.roles.variables if v.overwritten)

    @property
    def averages(self):
        """Pairs of a variable's index and the moving average of its weights, under `use_ema`."""
        averages = keras_private.moving_averages(self) if self.use_ema else []
        return [(i, average) for i, average in enumerate(averages) if average is not None]

    def state(self):
        """Everything that an update reads and writes, as a structure of Keras variables."""
        norms = {"gradient_norm": self.gradient_norm} if self.gradient_norms else {}
        return {
            **norms,
            "iterations": self.iterations,
            "parameters": keras_private.variables_of(self),
            "slots": self._slot_variables,
            "averages": [average for _, average in self.averages],
            "bias_ratio": self.bias_ratio,
            "decay_on": self.decay_on,
            "sensitivity": self.sensitivity,
            "trust_ratio": self.trust_ratio,
            "decay_on_updates": self.decay_on_updates,
            "switches": self.switches,
            "learning_rate_sum": self.learning_rate_sum,
            "skipped_updates": self.skipped_updates,
            "skipped_in_a_row": self.skipped_in_a_row,
        }
