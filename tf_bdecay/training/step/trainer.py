"""A model with one backward pass per train step, for loss, gradients, sensitivity and update."""

import contextlib
from typing import Self

import keras
import tensorflow as tf

from tf_bdecay import batch_checks
from tf_bdecay.distribution import sharding
from tf_bdecay.distribution.strategies import is_multi_worker
from tf_bdecay.errors import require
from tf_bdecay.frameworks import keras_private, quirks
from tf_bdecay.optim.base import DecayByRole
from tf_bdecay.optim.loss_scale import LossScaleOptimizer
from tf_bdecay.sharpness import loss_gradients_and_sensitivity
from tf_bdecay.training.step import accumulation, equivalence, skipping
from tf_bdecay.training.step.noise_meter import NoiseMeter
from tf_bdecay.training.step.sharpness_aware import SharpnessAware, check_aware, gradients_above


@keras.saving.register_keras_serializable("tf_bdecay")
class Trainer(keras_private.BuiltOnce):
    """A functional model with our train step; everything else is stock Keras.

        model = tf_bdecay.models.resnet18()
        trainer = Trainer.of(model)      # shares the model's layers
        trainer.compile(tf_bdecay.Lamb(...), loss=..., micro_batch_size=256)
        trainer.fit(...)

    An update that a tf_bdecay optimizer skips, because its gradients are not finite, leaves
    everything as it was on every replica: weights, moments, averages, and what the model's layers
    keep (moving statistics, seeds). Metrics count its batch, as in Keras, so the epoch's loss shows
    it.

    With weights on the examples, loss and metrics are weighted as in any Keras model. Under a
    strategy, gradients are each replica's own and the optimizer sums them. Under
    MultiWorkerMirroredStrategy, `fit` and `evaluate` take a `tf.data.Dataset` of global batches,
    the same on every worker, and each worker keeps its part.

    Dropout draws one mask for a replica's batch, or one for each of its micro-batches. As in plain
    Keras, all replicas draw the same: their copies of the seed move alike, and checkpoints keep it.

    With `sharpness_aware` a batch takes two passes, at theta and at theta + epsilon. Loss, metrics,
    moving statistics and seeds are those of the first pass and move once per update; the second
    draws the same dropout masks, so both see one function. The optimizer gets the gradient of the
    second pass, from which come C, r, the decision on beta's decay, and all norms and limits. The
    gradient of the ascent is that of the global batch: reduced over replicas, averaged over
    micro-batches and free of loss scaling. If either gradient is not finite, the update is skipped.
    No weight is ever moved by epsilon: layers read theta + epsilon for that pass.
    """

    micro_batch_size = None
    sharpness_aware = None
    noise_meter = None  # set while the gradient noise scale is measured
    agreement = None  # a `sharding.Agreement`, if many workers stop and save together

    @classmethod
    def of(cls, model, **kwargs) -> Self:
        """The trainer of a functional or sequential model, whose layers it shares.

        Args:
            model: the model, built.
            **kwargs: `name`.

        Raises:
            BadInput: a subclassed model, which has no graph of layers, or one that is not built.
        """
        graph = keras_private.graph_of(model)
        require(
            isinstance(graph, keras.Model),
            "A Trainer is made of a functional or sequential model that is built; one with a "
            "`call` of its own can be wrapped: x = keras.Input(shape); "
            f"Trainer(x, model(x)). Received: {getattr(model, 'name', model)!r}",
        )
        trainer = cls(graph.input, graph.output, **kwargs)
        trainer.dtype_policy = model.dtype_policy  # by which `compile` scales the loss
        return trainer

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        *args,
        micro_batch_size: int | None = None,
        sharpness_aware: SharpnessAware | None = None,
        **kwargs,
    ):
        """`keras.Model.compile`, with micro-batches and sharpness-aware updates.

        Args:
            optimizer, *args, **kwargs: as in `keras.Model.compile`. In mixed_float16, where Keras
                wraps an optimizer to scale the loss, ours gets our LossScaleOptimizer.
            micro_batch_size: examples in a micro-batch. A replica's batch is split into
                micro-batches of this size, whose gradients are averaged for one update. It equals
                the update of the whole batch in gradients, ghost batches, moving statistics, loss,
                metrics and decision. None for the whole batch at once.
            sharpness_aware: a `tf_bdecay.SharpnessAware`, to update by the gradient at the worst
                point near the weights; None for the gradient at the weights.

        Raises:
            BadInput: a micro-batch size that is not a whole number >= 1, something other than a
                `SharpnessAware`, or a layer whose result would depend on how the batch is cut. If
                that is unknown, as for a user's own layer or loss, `fit` tries it on a few examples
                of its first batch and raises this if it depends on the cut (see
                `check_micro_batches`).
        """
        accumulation.check(self, micro_batch_size)
        check_aware(self, sharpness_aware)
        self.micro_batch_size, self.sharpness_aware = micro_batch_size, sharpness_aware
        self.noise_meter = None
        scales = kwargs.get("auto_scale_loss", True) and self.dtype_policy.name == "mixed_float16"
        if scales and isinstance(optimizer, DecayByRole) and optimizer.skip_nonfinite:
            optimizer = LossScaleOptimizer(optimizer)
        super().compile(optimizer, *args, **kwargs)

    def check_micro_batches(self, x, y=None, sample_weight=None):
        """Tests whether micro-batches change the update, on as many examples as a micro-batch has.

        Outputs, loss, gradients and what layers keep must be equal whether the examples come at
        once or in two parts, to 1e-3 of their norms (1e-8 in float64, 5e-2 in half precision).
        Nothing changes. Keras' own noise, such as dropout, is off during the test. With many
        workers, `fit` does not run this test by itself.

        Args:
            x, y, sample_weight: one batch, as `fit` takes it.

        Returns:
            Whether the test was possible: the batch has two examples or more, or two ghost batches,
            and its gradients are finite.

        Raises:
            BadInput: the two differ, or the trainer has no micro_batch_size.
        """
        return equivalence.check(self, (x, y, sample_weight))

    def measure_gradient_noise(self, updates):
        """Measures the gradient noise scale of every update from now until `compile`.

        It costs the norm of each micro-batch's gradient. A second call with the same `updates`
        continues the measurement.

        Args:
            updates: how many updates the running means remember.

        Returns:
            The `NoiseMeter`.

        Raises:
            BadInput: a batch has no parts whose gradients could be compared.
        """
        if self.noise_meter is None or self.noise_meter.updates != updates:
            self.noise_meter = NoiseMeter(self, updates)
            if self.train_function is not None:  # made, and perhaps traced, without it
                self.make_train_function(force=True)
        return self.noise_meter

    def get_compile_config(self):
        """The arguments of `compile`, for saving."""
        config = super().get_compile_config()
        ours = {
            "micro_batch_size": self.micro_batch_size,
            "sharpness_aware": keras.saving.serialize_keras_object(self.sharpness_aware),
        }
        return config and {**config, **ours}

    def compile_from_config(self, config):
        """Compiles with what `get_compile_config` returned, for loading."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        ours = isinstance(self.optimizer, (DecayByRole, LossScaleOptimizer))
        self.optimizer.build(self if ours else self.trainable_variables)

    @quirks.as_written
    def train_step(self, data):
        """One update.

        Args:
            data: (x, y) or (x, y, sample_weight), this replica's part of the global batch.

        Returns:
            Dict of metric to its value over the epoch so far.
        """
        x, y, sample_weight = data = keras.utils.unpack_x_y_sample_weight(data)
        undo_if_skipped = skipping.restorer(self.optimizer, accumulation.model_state(self))
        square = None
        if self.micro_batch_size is None and self.sharpness_aware is None:
            loss, y_pred, gradients = self.forward_backward(x, y, sample_weight)
        else:
            loss, y_pred, gradients, state, square = accumulation.one_pass(self, data)
            if self.sharpness_aware is not None:
                gradients = gradients_above(
                    self.sharpness_aware,
                    self.optimizer,
                    self.trainable_variables,
                    gradients,
                    lambda steps: accumulation.one_pass(self, data, steps).gradients,
                )
            for variable, value in state:
                # After the loop, inside which nothing may average over replicas.
                variable.assign(value)
        meter = self.noise_meter
        if meter is not None:
            after_update = meter.before_update(data, gradients, square)
        self.optimizer.apply(gradients, self.trainable_variables)
        if meter is not None:
            after_update()
        undo_if_skipped()
        self._track_loss(loss, x)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def forward_backward(self, x, y, sample_weight, moved=None):
        """Loss, outputs and gradients of one pass; gradients are scaled if the optimizer scales.

        Args:
            x, y, sample_weight: the examples.
            moved: context in which layers read other weights, which the tape can follow; None for
                their own.
        """

        def objective():
            with moved or contextlib.nullcontext():
                y_pred = self(x, training=True)
                return self.compute_loss(x, y, y_pred, sample_weight, training=True), y_pred

        # Sensitivities of the local gradient are of no use here: the optimizer takes C and r from
        # the reduced one.
        return loss_gradients_and_sensitivity(
            objective,
            self.trainable_variables,
            scale_loss=self.optimizer.scale_loss,
            sensitivities=False,
        )[:3]

    def test_step(self, data):
        """Loss and metrics of a batch in inference mode; a replica's part of it may be empty."""
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        y_pred = self(x, training=False)
        self._track_loss(self.compute_loss(x, y, y_pred, sample_weight, training=False), x)
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        *args,
        **kwargs,
    ):
        """`keras.Model.fit`, which also cuts the batches for many workers.

        Raises:
            BadInput: also for a batch that micro-batches do not divide.
        """
        x, validation_data = self._shared(x, class_weight), self._shared(validation_data)
        if is_multi_worker(self.distribute_strategy):
            class_weight = None  # the examples of x have these weights now
        arguments = x, y, batch_size, epochs, verbose, callbacks, validation_split, validation_data
        with batch_checks.one_sentence():
            return super().fit(*arguments, shuffle, class_weight, *args, **kwargs)

    def evaluate(self, x=None, *args, **kwargs):
        """`keras.Model.evaluate`, which also cuts the batches for many workers."""
        return super().evaluate(self._shared(x), *args, **kwargs)

    def make_train_function(self, force=False):
        """Keras' own train function, except for many workers."""
        if self.train_function is not None and not force:
            return self.train_function
        if is_multi_worker(self.distribute_strategy):
            require(
                self.steps_per_execution == 1,
                f"steps_per_execution={self.steps_per_execution} must be 1 under "
                "MultiWorkerMirroredStrategy, where the workers agree after every update.",
            )
            self.train_function = sharding.step_function(self, self.train_step)
        else:
            super().make_train_function(force=True)
            function = self._several_steps(self.train_function)
            self.train_function = equivalence.checked_first(self, function)
        return self.train_function

    def make_test_function(self, force=False):
        """Keras' own test function, except for many workers."""
        if self.test_function is not None and not force:
            return self.test_function
        if is_multi_worker(self.distribute_strategy):
            self.test_function = sharding.step_function(self, self.test_step, evaluates=True)
        else:
            super().make_test_function(force=True)
            self.test_function = self._several_steps(self.test_function)
        return self.test_function

    def _several_steps(self, function):
        if self.steps_per_execution == 1 or self.run_eagerly:
            return function
        return quirks.several_steps(function, self.distribute_strategy)

    def _shared(self, data, class_weight=None):
        return sharding.cut_for_workers(self.distribute_strategy, data, class_weight)

    def _track_loss(self, loss, x):
        """Adds a replica's loss to the mean over examples that `fit` reports."""
        examples = tf.shape(batch_checks.first_tensor(x))[0]
        # Keras' compute_loss divides by the number of replicas; the mean over no example is NaN.
        mean = loss * tf.cast(self.distribute_strategy.num_replicas_in_sync, loss.dtype)
        mean = tf.where(examples > 0, mean, tf.zeros_like(mean))
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(mean, sample_weight=examples)
