"""What `step.update` asks of an engine, and what its engines share."""

import abc

from keras import ops

from tf_bdecay.frameworks import keras_private


class Engine(abc.ABC):
    """Where the state of an update is, and how the functions of `step` run on it.

    Args:
        optimizer: the built optimizer.
        present: tuple of the indices of the variables that have a gradient, ascending.
        replaced: tuple of the indices of the variables that this update gives a new value as it
            is, out of `DecayByRole.overwritten`.
    """

    def __init__(self, optimizer, present, replaced=()):
        self.optimizer, self.layout = optimizer, optimizer.layout
        self.present, self.replaced = present, replaced

    @abc.abstractmethod
    def value(self, name):
        """A small part of the state: one tensor, of `DecayByRole.state()`."""

    @abc.abstractmethod
    def write(self, values):
        """Replaces small parts of the state by a dict of tensors."""

    @abc.abstractmethod
    def reduce(self, gradients):
        """The gradients of all variables, one tensor per block, of a list of those present."""

    @abc.abstractmethod
    def norms(self, n, gradient):
        """`step.norms` of block n."""

    @abc.abstractmethod
    def judge(self, sums):
        """`step.judge` of what `norms` returned for each block."""

    def scalars(self, learning_rate, updates_done):
        """The optimizer's `scalars` of the update that follows `updates_done` updates."""
        dtype = self.layout.compute_dtype
        t = ops.cast(updates_done + 1, dtype)
        return self.optimizer.scalars(ops.cast(learning_rate, dtype), t)

    @abc.abstractmethod
    def move(self, n, gradient, decay, decision, scalars):
        """`step.moved` of block n, written to the state; returns its trust ratios."""

    @abc.abstractmethod
    def overwrite(self, values):
        """Replaces the variables that get a new value."""

    @abc.abstractmethod
    def average(self, n, updates_done):
        """`step.averaged` of the n-th averaged variable, written to the state."""

    @abc.abstractmethod
    def branch(self, condition, yes, no):
        """Runs one of two functions without arguments, each of which writes."""

    def _filled(self, gradients, parameters):
        """A gradient for every variable, 0 for those without, free of `loss_scale_factor`."""
        if self.optimizer.loss_scale_factor is not None:
            gradients = [g / self.optimizer.loss_scale_factor for g in gradients]
        given = dict(zip(self.present, gradients, strict=True))
        return [given[i] if i in given else ops.zeros_like(p) for i, p in enumerate(parameters)]

    @property
    def _needs_squares(self):
        """Whether the update must know the norms of its gradients."""
        return self.optimizer.gradient_norms or self.optimizer.global_clipnorm is not None

    def _weights(self, block, theta):
        """A block's new theta as one tensor per variable, cast and constrained."""
        return [
            self._constrained(i, ops.cast(value, block.dtype))
            for i, value in zip(block.indices, block.split(theta), strict=True)
        ]

    def _constrained(self, index, value):
        """A new value of variable number `index`, through the variable's own constraint."""
        constraint = self._constraint_of(index)
        return value if constraint is None else constraint(value)

    def _constraint_of(self, index):
        """The constraint of variable number `index`, or None."""
        return getattr(keras_private.variables_of(self.optimizer)[index], "constraint", None)
