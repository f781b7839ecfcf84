"""What JAX compiles of a run: the updates of a whole epoch in one loop, and evaluations."""

from typing import NamedTuple

import jax
import keras
import numpy as np
from jax import numpy as jnp

from tf_bdecay.callbacks.statistics import no_momentum
from tf_bdecay.training.building.losses import SmoothedCrossentropy
from tools.reproducing.on_jax import feed

# Of the optimizer's state, what is kept of every update of an epoch.
_LOGGED = ("sensitivity", "bias_ratio", "decay_on", "skipped_in_a_row")


class State(NamedTuple):
    """All that an update changes: lists of arrays.

    Attributes:
        trainable, kept: of the model; the latter are moving statistics.
        optimizer: moments, counts, decisions.
    """

    trainable: list
    kept: list
    optimizer: list


class Steps:
    """The compiled functions of one model, optimizer and data set.

    Args:
        model: built, with no state beside statistics of its normalization layers.
        optimizer: of tf_bdecay, built with the model.
        image_set: the `ImageSet`.
        label_smoothing: of the loss.
    """

    def __init__(self, model, optimizer, image_set, label_smoothing=0.0):
        self.model, self.optimizer, self.image_set = model, optimizer, image_set
        self._loss = SmoothedCrossentropy(label_smoothing)
        plain = {"crossentropy": SmoothedCrossentropy(reduction=None)} if label_smoothing else {}
        self._losses = {"loss": SmoothedCrossentropy(label_smoothing, reduction=None), **plain}
        self.evaluated = ("loss", "accuracy", *plain)  # names of what `evaluate` gives
        self._normalizations = [
            layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)
        ]
        self._places = {id(v): i for i, v in enumerate(optimizer.variables)}
        # The old state's memory is the new one's.
        self.epoch = jax.jit(self._epoch, donate_argnums=0)
        self.statistics = jax.jit(self._statistics)
        self.evaluate = jax.jit(self._evaluate)

    def state(self):
        """The `State` of the model and the optimizer as they are: copies, which may be donated."""
        groups = self._variables()
        return State(*([jnp.array(v.value, copy=True) for v in group] for group in groups))

    def give_back(self, state):
        """Gives model and optimizer a `State`."""
        for variables, values in zip(self._variables(), state, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def read(self, state, name):
        """A part of the optimizer's state by its attribute's name, as a NumPy array."""
        return np.asarray(self._of(state.optimizer, name))

    def _variables(self):
        model = self.model
        return model.trainable_variables, model.non_trainable_variables, self.optimizer.variables

    def _epoch(self, state, pixels, choices):
        """Updates one after the other.

        Args:
            state: a `State`, which is used up.
            pixels: the `Pixels`.
            choices: the `Choices` of the batches.

        Returns:
            The new `State`, and a dict of what each update logged, [updates, ...]: `loss` and
            `accuracy` of the batch before it, and of the optimizer's state after it `_LOGGED`.
        """
        return jax.lax.scan(
            lambda before, chosen: self._update(before, pixels, chosen), state, choices
        )

    def _update(self, state, pixels, choices):
        x, labels = self._batch(pixels, choices)

        def objective(trainable):
            logits, kept = self.model.stateless_call(trainable, state.kept, x, training=True)
            return self._loss(labels, logits), (logits, kept)

        (loss, (logits, kept)), gradients = jax.value_and_grad(objective, has_aux=True)(
            state.trainable
        )
        trainable, optimizer = self.optimizer.stateless_apply(
            state.optimizer, gradients, state.trainable
        )
        # An update that was skipped moves no statistics.
        done = self._of(optimizer, "iterations") > self._of(state.optimizer, "iterations")
        kept = [jnp.where(done, new, old) for new, old in zip(kept, state.kept, strict=True)]
        logs = {name: self._of(optimizer, name) for name in _LOGGED}
        logs["loss"] = loss
        logs["accuracy"] = jnp.mean(jnp.argmax(logits, -1) == labels, dtype="float32")
        return State(trainable, kept, optimizer), logs

    def _statistics(self, state, pixels, choices):
        """Precise statistics: the mean over batches of what each, in training mode, assigns.

        Args:
            state: a `State`.
            pixels, choices: as of `epoch`.

        Returns:
            What stands for `state.kept` in an evaluation; that itself, where not all is finite.
        """

        def of_batch(_, chosen):
            x, _ = self._batch(pixels, chosen)
            with no_momentum(self._normalizations):
                logits, kept = self.model.stateless_call(
                    state.trainable, state.kept, x, training=True
                )
            return None, (kept, jnp.isfinite(logits).all())

        _, (stacks, finite) = jax.lax.scan(of_batch, None, choices)
        means = [jnp.mean(stack, 0) for stack in stacks]
        finite = jnp.stack([finite.all(), *(jnp.isfinite(mean).all() for mean in means)]).all()
        return [jnp.where(finite, new, old) for new, old in zip(means, state.kept, strict=True)]

    def _evaluate(self, trainable, kept, examples):
        """Dict of metric to its mean over `Examples`, by the statistics in `kept`."""

        def of_batch(sums, batch):
            x = self._standardised(batch.images)
            logits, _ = self.model.stateless_call(trainable, kept, x, training=False)
            right = jnp.argmax(logits, -1) == batch.labels
            more = {"accuracy": jnp.sum(right & batch.counts, dtype="float32")}
            for name, losses in self._losses.items():
                more[name] = jnp.sum(jnp.where(batch.counts, losses(batch.labels, logits), 0.0))
            return jax.tree.map(jnp.add, sums, more), None

        zero = {name: jnp.zeros((), losses.dtype) for name, losses in self._losses.items()}
        zero["accuracy"] = jnp.zeros((), "float32")
        sums, _ = jax.lax.scan(of_batch, zero, examples)
        return jax.tree.map(lambda total: total / jnp.sum(examples.counts), sums)

    def _batch(self, pixels, choices):
        padding = self.image_set.augmentation.padding
        images, labels = feed.batch(pixels, choices, padding)
        return self._standardised(images), labels

    def _standardised(self, images):
        return feed.standardise(images, self.image_set.mean, self.image_set.deviation)

    def _of(self, values, name):
        """A part of the optimizer's state."""
        return values[self._places[id(getattr(self.optimizer, name))]]
