"""What `step.update` requires of an engine, and what the engines share."""

import abc

from keras import ops

from tf_bdecay.frameworks import keras_private


class Engine(abc.ABC):
    """Holds the state of an update and runs the functions of `step` on it.

    Args:
        optimizer: the built optimizer.
        present: tuple of the indices of the variables that have a gradient, ascending.
        replaced: tuple of the indices of those variables in `DecayByRole.overwritten` that this
            update replaces.
    """

    def __init__(self, optimizer, present, replaced=()):
        self.optimizer, self.layout = optimizer, optimizer.layout
        self.present, self.replaced = present, replaced

    @abc.abstractmethod
    def value(self, name):
        """A small part of the state: one tensor of `DecayByRole.state()`."""

    @abc.abstractmethod
    def write(self, values):
        """Replaces the small parts of the state that a dict of tensors names."""

    @abc.abstractmethod
    def reduce(self, gradients):
        """Joins the gradients that are present into one tensor per block, 0 for the rest."""

    @abc.abstractmethod
    def norms(self, n, gradient):
        """`step.norms` of block n."""

    @abc.abstractmethod
    def judge(self, sums):
        """`step.judge` of what `norms` returned for each block."""

    def scalars(self, learning_rate, updates_done):
        """The optimizer's `scalars` for the update that follows `updates_done` updates."""
        dtype = self.layout.compute_dtype
        t = ops.cast(updates_done + 1, dtype)
        return self.optimizer.scalars(ops.cast(learning_rate, dtype), t)

    @abc.abstractmethod
    def move(self, n, gradient, decay, decision, scalars):
        """Writes `step.moved` of block n to the state, and returns its trust ratios."""

    @abc.abstractmethod
    def overwrite(self, values):
        """Assigns new values to the variables in `replaced`."""

    @abc.abstractmethod
    def average(self, n, updates_done):
        """Writes `step.averaged` of the n-th averaged variable to the state."""

    @abc.abstractmethod
    def branch(self, condition, yes, no):
        """Runs one of two functions without arguments, both of which may write to the state."""

    def _filled(self, gradients, parameters):
        """A gradient for every variable, over `loss_scale_factor`; 0 for those without one."""
        if self.optimizer.loss_scale_factor is not None:
            gradients = [g / self.optimizer.loss_scale_factor for g in gradients]
        given = dict(zip(self.present, gradients, strict=True))
        return [given[i] if i in given else ops.zeros_like(p) for i, p in enumerate(parameters)]

    @property
    def _needs_squares(self):
        """Whether the update needs the norms of its gradients."""
        return self.optimizer.gradient_norms or self.optimizer.global_clipnorm is not None

    def _weights(self, block, theta):
        """A block's new theta as one tensor per variable, cast and constrained."""
        return [
            self._constrained(i, ops.cast(value, block.dtype))
            for i, value in zip(block.indices, block.split(theta), strict=True)
        ]

    def _constrained(self, index, value):
        """A new value of variable number `index` after the variable's own constraint."""
        constraint = self._constraint_of(index)
        return value if constraint is None else constraint(value)

    def _constraint_of(self, index):
        """The constraint of variable number `index`; None without one, or without a gradient.

        A variable that has no gradient stays as it is, whatever its constraint.
        """
        if index not in self.present:
            return None
        return getattr(keras_private.variables_of(self.optimizer)[index], "constraint", None)
