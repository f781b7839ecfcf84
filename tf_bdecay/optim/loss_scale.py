"""Dynamic loss scaling for float16 that follows the skips of the optimizer inside it."""

import keras
from keras import ops

from tf_bdecay.errors import check_count, check_number, require
from tf_bdecay.frameworks import keras_private, quirks
from tf_bdecay.optim.base import DecayByRole
from tf_bdecay.optim.gradients import dense


@keras.saving.register_keras_serializable("tf_bdecay")
class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Scales the loss so that small gradients survive float16; halves the scale at each overflow.

    Keras' own class tests the gradients of each replica, and only the first replica's answer
    counts. Here the inner optimizer tests them after they are unscaled and reduced: all replicas
    skip an update together, and `totals()` counts every skipped update. A skipped update halves the
    scale; `dynamic_growth_steps` updates without a skip double it. bfloat16 needs none of this.

    Args:
        inner_optimizer: one of tf_bdecay, such as `tf_bdecay.Lamb`, with `skip_nonfinite=True`.
        initial_scale: float, the scale at the start.
        dynamic_growth_steps: int, updates without overflow before the scale is doubled.
        **kwargs: `name`.

    Raises:
        BadInput: the inner optimizer is not one of tf_bdecay or has `skip_nonfinite=False`; a
            number out of range.

    Example:

        keras.mixed_precision.set_dtype_policy("mixed_float16")
        model.compile(tf_bdecay.LossScaleOptimizer(tf_bdecay.Lamb(schedule)), loss)
    """

    def __init__(self, inner_optimizer, initial_scale=2.0**15, dynamic_growth_steps=2000, **kwargs):
        require(
            isinstance(inner_optimizer, DecayByRole) and inner_optimizer.skip_nonfinite,
            "LossScaleOptimizer needs an optimizer of tf_bdecay with skip_nonfinite=True "
            "inside, which skips what overflows. Received: "
            f"inner_optimizer={type(inner_optimizer).__name__}"
            + (
                " with skip_nonfinite=False"
                if getattr(inner_optimizer, "skip_nonfinite", None) is False
                else ""
            ),
        )
        check_number("initial_scale", initial_scale, of="LossScaleOptimizer", above=0)
        check_count("dynamic_growth_steps", dynamic_growth_steps, of="LossScaleOptimizer")
        super().__init__(inner_optimizer, initial_scale, dynamic_growth_steps, **kwargs)

    @quirks.as_written
    def build(self, variables):
        """Creates the scale and its counter, and builds the inner optimizer.

        Args:
            variables: as `tf_bdecay.Lamb.build` takes them: a model, or its trainable variables.
        """
        if self.built:
            return
        self.inner_optimizer.build(variables)
        # All replicas assign the same value to each, so the first replica's is kept.
        for name, dtype, value in (
            ("step_counter", "int", 0),
            ("dynamic_scale", "float32", self.initial_scale),
        ):
            variable = self.add_variable(
                shape=(),
                dtype=dtype,
                initializer=keras.initializers.Constant(value),
                aggregation="only_first_replica",
                name=name,
            )
            setattr(self, name, variable)
        keras.optimizers.Optimizer.build(self, keras_private.variables_of(self.inner_optimizer))

    @quirks.as_written
    def apply(self, grads, trainable_variables=None):
        """Updates all variables from gradients of the scaled loss, unless they overflowed.

        Args:
            grads: list of gradients; in a replica context the local ones.
            trainable_variables: their variables; None for those that it was built with.
        """
        if not self.built:
            self.build(trainable_variables)
        scale = self.dynamic_scale.value

        def unscaled(gradient, variable):
            # float8 training passes new scales here, which are not gradients of the loss.
            if gradient is None or getattr(variable, "overwrite_with_gradient", False):
                return gradient
            gradient = dense(gradient)
            return ops.divide(gradient, ops.cast(scale, gradient.dtype))

        if trainable_variables is None:
            trainable_variables = keras_private.variables_of(self)
        variables, grads = list(trainable_variables), list(grads)
        if len(grads) == len(variables):  # if not, the inner optimizer raises
            grads = [unscaled(g, v) for g, v in zip(grads, variables, strict=True)]
        self.inner_optimizer.apply(grads, variables)
        skipped = ops.greater(self.inner_optimizer.skipped_in_a_row.value, 0)
        counter = ops.add(self.step_counter.value, 1)
        grows = ops.equal(counter, self.dynamic_growth_steps)
        factor = ops.where(skipped, 0.5, ops.where(grows, 2.0, 1.0))
        self.dynamic_scale.assign(ops.multiply(scale, ops.cast(factor, scale.dtype)))
        self.step_counter.assign(
            ops.where(ops.logical_or(skipped, grows), ops.zeros_like(counter), counter)
        )

    def stateless_apply(self, optimizer_variables, grads, trainable_variables):
        """`apply` as a pure function, as `fit` calls it under JAX."""
        return keras.optimizers.Optimizer.stateless_apply(
            self, optimizer_variables, grads, trainable_variables
        )

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Creates the optimizer from a config and leaves it unchanged; Keras' own pops from it."""
        return super().from_config(dict(config), custom_objects)
