"""The only file that touches names that Keras keeps private; each says what has no public name."""

import keras
import numpy as np


def layers_of(model, include_self=True):
    """All layers inside a model, nested ones too, each object once, in the order of creation.

    `model.layers` has the outer ones only, and not those that a layer of the user's own holds.
    """
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def own_trainable_variables(layer):
    """The trainable variables that a layer made itself, without those of the layers inside it."""
    return list(getattr(layer, "_trainable_variables", ()))  # none while `__init__` runs


def graph_of(model):
    """The functional graph inside a model, a Sequential's own too; None if it has none.

    A subclass with a `call` of its own may have a graph, and compute something else.
    """
    graph = getattr(model, "_functional", model)
    return graph if hasattr(graph, "_nodes_by_depth") else None


def nodes_of(graph):
    """The nodes (calls of layers and operations) of a functional graph, from the inputs on."""
    return [n for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True) for n in nodes]


def calls_of(layer):
    """The nodes of all symbolic calls of a layer, in whatever graph; none where it is not built."""
    return list(getattr(layer, "_inbound_nodes", ()))


def has_mask(tensor):
    """Whether a tensor carries a Keras mask."""
    return hasattr(tensor, "_keras_mask")


def current_learning_rate(optimizer):
    """The rate of the running update: a scalar, of a float or of a schedule."""
    return optimizer._get_current_learning_rate()


def moving_averages(optimizer):
    """The moving average of each trainable variable's weights under `use_ema`, or None for it."""
    return optimizer._model_variables_moving_average


def gradients_by_index(optimizer, gradients, variables):
    """Gradients by the index of their variable among those that an optimizer was built with.

    Keras' own checks: an unknown variable is an error, a None is left out with a warning.

    Returns:
        List of (int, gradient), in the order of the variables.
    """
    optimizer._check_variables_are_known(variables)
    gradients, variables = optimizer._filter_empty_gradients(gradients, variables)
    return [
        (optimizer._get_variable_index(v), g) for v, g in zip(variables, gradients, strict=True)
    ]


def indices_of(optimizer, variables):
    """The index of each variable among those that an optimizer was built with, or None."""
    known = optimizer._trainable_variables_indices
    return [known.get(optimizer._var_key(v)) for v in variables]


def build_metrics(model, x, y, y_pred):
    """Makes the variables of a compiled model's metrics, before it has seen a batch.

    Keras makes them when it traces the first step or, under a strategy, from the first batch that
    it sees; where that is an evaluation's of unequal parts, it fails. The public way is to update
    the metrics once, which no strategy allows outside of a step.

    Args:
        model: the compiled model.
        x, y, y_pred: arrays of one example: input, label and output.
    """
    model._maybe_symbolic_build(data_batch=(x, y))
    if not model._compile_metrics.built:
        model._compile_metrics.build(y, y_pred)


def build_loss(model, y):
    """Makes the metrics of a compiled model's losses, which else its first loss would make.

    Args:
        model: functional and compiled.
        y: structure of the targets.
    """
    loss = model._compile_loss
    if loss is not None and not loss.built:
        loss.build(y, model.output)


class BuiltOnce(keras.Model):
    """A model whose metrics `fit` and `evaluate` build once under a strategy, by shapes alone.

    Keras' own averages a batch over the replicas to build them, which one of unequal parts, such as
    an evaluation's last, cannot be, nor any of many workers. Keras 3.12 to 3.15.
    """

    _metrics_built = False

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._metrics_built:
            return
        self._metrics_built = True
        if iterator is not None and self._distribute_strategy is not None:
            data_batch = _empty_batch(iterator._distributed_dataset.element_spec)
        super()._maybe_symbolic_build(data_batch=data_batch)


def _empty_batch(spec):
    """Zeros in the shapes of what a replica gets, one example where the batch is unknown."""

    def zeros(one):
        one = getattr(one, "_value_specs", [one])[0]  # of the first replica; TensorFlow's name
        shape = [1 if size is None else size for size in one.shape]
        return np.zeros(shape, one.dtype.as_numpy_dtype)

    return keras.tree.map_structure(zeros, spec)
