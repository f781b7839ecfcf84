"""The only file that uses private names of Keras; each function says what has no public name."""

import contextlib

import keras
import numpy as np
from keras.src.backend import compute_output_spec, get_keras_mask, set_keras_mask
from keras.src.backend.common.symbolic_scope import in_symbolic_scope as _in_symbolic_scope
from keras.src.losses.loss import apply_mask, squeeze_or_expand_to_same_rank
from keras.src.models.functional import Functional, functional_like_constructor
from keras.src.trainers.data_adapters.tf_dataset_adapter import make_class_weight_map_fn


def layers_of(model, include_self=True):
    """All layers inside a model, nested ones too, each object once, in the order of creation.

    `model.layers` has only the outer ones, and not those that a custom layer holds.
    """
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def inner_layers(layer):
    """The layers that a layer or model holds itself, without those inside of these."""
    return list(layer._flatten_layers(include_self=False, recursive=False))


def is_functional(layer):
    """Whether it is a model of a graph, whose layers were built outside of it."""
    return isinstance(layer, Functional)


def own_trainable_variables(layer):
    """The trainable variables that a layer created itself, without those of layers inside it."""
    return list(getattr(layer, "_trainable_variables", ()))  # none while `__init__` runs


def graph_of(model):
    """The functional graph inside a model, also inside a Sequential; None if it has none.

    A subclass with its own `call` may have a graph and yet compute something else.
    """
    graph = getattr(model, "_functional", model)
    return graph if hasattr(graph, "_nodes_by_depth") else None


def takes_inputs_and_outputs(kind):
    """Whether a class of models is constructed like `keras.Model(inputs, outputs)`."""
    return issubclass(kind, Functional) and functional_like_constructor(kind)


def output_shape_of(function):
    """The `output_shape` that a `keras.layers.Lambda` was given, or None."""
    return function._output_shape


def nodes_of(graph):
    """The nodes (calls of layers and operations) of a functional graph, from the inputs on."""
    return [n for _, nodes in sorted(graph._nodes_by_depth.items(), reverse=True) for n in nodes]


def calls_of(layer):
    """The nodes of all symbolic calls of a layer, in any graph; none if it is not built."""
    return list(getattr(layer, "_inbound_nodes", ()))


def only_shapes():
    """Whether layers are being called only to infer shapes, without computing any number."""
    return _in_symbolic_scope()


def current_learning_rate(optimizer):
    """The rate of the running update as a scalar, whether it is constant or from a schedule."""
    return optimizer._get_current_learning_rate()


def variables_of(optimizer):
    """The trainable variables that an optimizer was built with, in their order."""
    return list(optimizer._trainable_variables)


def moving_averages(optimizer):
    """The moving average of each trainable variable under `use_ema`, or None for one without."""
    return optimizer._model_variables_moving_average


def keep_weights(model):
    """Lets the `fit` that is running end without overwriting the weights with their averages.

    Keras has no argument for this. It is undone when that `fit` ends or, if it is interrupted, by
    the next, which is known by its own `History`.
    """
    optimizer, history = model.optimizer, getattr(model, "history", None)

    def finalize(variables):
        overwrite_weights(optimizer)
        if getattr(model, "history", None) is not history:
            optimizer.finalize_variable_values(variables)

    optimizer.finalize_variable_values = finalize


def overwrite_weights(optimizer):
    """Undoes `keep_weights`."""
    vars(optimizer).pop("finalize_variable_values", None)


def gradients_by_index(optimizer, gradients, variables):
    """Gradients by the index of their variable among those that an optimizer was built with.

    Keras' own checks apply: an unknown variable is an error, a None is left out with a warning.

    Returns:
        List of (int, gradient), in the order of the variables.
    """
    optimizer._check_variables_are_known(variables)
    gradients, variables = optimizer._filter_empty_gradients(gradients, variables)
    return [
        (optimizer._get_variable_index(v), g) for v, g in zip(variables, gradients, strict=True)
    ]


def indices_of(optimizer, variables):
    """The index of each variable among those that an optimizer was built with, None if unknown."""
    known = optimizer._trainable_variables_indices
    return [known.get(optimizer._var_key(v)) for v in variables]


def build_metrics(model, x, y, y_pred):
    """Creates the variables of a compiled model's metrics before it has seen a batch.

    Keras creates them when it traces the first step or, under a strategy, from the first batch that
    it sees. That fails if this batch is an evaluation's with unequal parts. The public way is to
    update the metrics once, which no strategy allows outside a step.

    Args:
        model: the compiled model.
        x, y, y_pred: arrays of one example: input, label and output.
    """
    model._maybe_symbolic_build(data_batch=(x, y))
    if not model._compile_metrics.built:
        model._compile_metrics.build(y, y_pred)


def build_all(model, batch):
    """Creates all variables of a compiled model, its metrics and its optimizer from shapes alone.

    Keras does so itself when `fit` begins under JAX or a strategy, and otherwise at the first step.

    Args:
        model: the compiled model.
        batch: (x,), (x, y) or (x, y, sample_weight), structures of arrays.
    """
    strategy = getattr(model, "distribute_strategy", None)
    with contextlib.nullcontext() if strategy is None else strategy.scope():
        model._symbolic_build(data_batch=batch)


def start_at(model, epoch):
    """Makes the `fit` that is beginning start at an epoch; None for the one its caller named.

    It is for a callback's `on_train_begin`, as in Keras' BackupAndRestore. It stays set.
    """
    model._initial_epoch = epoch


def build_loss(model, y, sample_weight=None):
    """Creates the metrics of a compiled model's losses, as its first loss otherwise would.

    Args:
        model: functional and compiled.
        y, sample_weight: structures of arrays or tensors, as `fit` takes them.
    """
    loss = model._compile_loss
    if loss is None or loss.built:
        return

    def symbolic(tensor, shape=None):
        if tensor is None:
            return None
        dtype = keras.backend.standardize_dtype(tensor.dtype)
        return keras.KerasTensor(tensor.shape if shape is None else shape, dtype)

    y, sample_weight = keras.tree.map_structure(symbolic, (y, sample_weight))
    # If a graph adds something of one example to a batch, Keras infers outputs of a batch of 1.
    batch = next((t.shape[0] for t in keras.tree.flatten(y) if t is not None), None)
    outputs = keras.tree.map_structure(lambda t: symbolic(t, (batch, *t.shape[1:])), model.output)
    compute_output_spec(loss, y, outputs, sample_weight)


def weighted_by_class(data, class_weight):
    """A `tf.data.Dataset` whose examples have the weights of their classes, as in `fit`.

    Args:
        data: of batches (x, y).
        class_weight: dict of class to weight.
    """
    return data.map(make_class_weight_map_fn(class_weight))


class BuiltOnce(keras.Model):
    """A model whose metrics `fit` and `evaluate` build once under a strategy, from shapes alone.

    Keras itself averages a batch over the replicas to build them. That is impossible for a batch of
    unequal parts, such as an evaluation's last, and for any batch of many workers. Seen in Keras
    3.12 to 3.15.
    """

    _metrics_built = False

    def compile(self, *args, **kwargs):
        """As Keras' own; what it replaces must be built again."""
        self._metrics_built = False
        super().compile(*args, **kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._metrics_built:
            return
        self._metrics_built = True
        if iterator is not None and self._distribute_strategy is not None:
            data_batch = _empty_batch(iterator._distributed_dataset.element_spec)
        super()._maybe_symbolic_build(data_batch=data_batch)


def _empty_batch(spec):
    """Zeros in the shapes of what a replica gets, with one example if the batch is unknown."""

    def zeros(one):
        one = getattr(one, "_value_specs", [one])[0]  # of the first replica; TensorFlow's name
        shape = [1 if size is None else size for size in one.shape]
        return np.zeros(shape, one.dtype.as_numpy_dtype)

    return keras.tree.map_structure(zeros, spec)


def is_from_keras(thing):
    """Whether Keras itself defines a function or class, or the class of an object."""
    module = getattr(thing, "__module__", None) or type(thing).__module__
    return module.split(".")[0] == "keras"


def set_path(variable, path):
    """Gives a variable another path, by which patterns and tables know it."""
    variable._path = path


def is_seed(variable):
    """Whether a variable is the state of a `keras.random.SeedGenerator`."""
    return variable.name == "seed_generator_state"


def mask_of(tensor):
    """The Keras mask that a tensor carries, or None."""
    return get_keras_mask(tensor)


def set_mask(tensor, mask):
    """Gives a tensor a Keras mask, unless it is None."""
    if mask is not None:
        set_keras_mask(tensor, mask)


def computes_mask(layer):
    """Whether a layer has its own `compute_mask`."""
    return type(layer).compute_mask is not keras.layers.Layer.compute_mask


def masked_weights(sample_weight, mask):
    """Combines weights and a mask as Keras does for a loss: 0 where masked; None for neither."""
    if mask is None:
        return sample_weight
    dtype = keras.config.floatx()
    return apply_mask(sample_weight, mask, dtype=dtype, reduction="mean_with_sample_weight")


def of_one_rank(y, outputs):
    """Targets and outputs as `compile` passes them to a function: of one rank.

    A last axis of 1 that only one of them has is added to the other or removed.
    """
    return squeeze_or_expand_to_same_rank(y, outputs)


def losses_of(model):
    """The Keras losses of a compiled model's outputs, once it is built."""
    compiled = model._compile_loss
    return [] if compiled is None else [one.loss for one in compiled._flat_losses]


@contextlib.contextmanager
def losses_replaced(model, replace):
    """Makes a compiled model compute its losses by other functions inside the context.

    Keras has no other place between the loss of one output and the sum over outputs.

    Args:
        model: a compiled model whose losses are built.
        replace: function of (index, loss) that returns a function of (y_true, y_pred,
            sample_weight).
    """
    compiled = model._compile_loss
    if compiled is None:
        yield
        return
    before = compiled._flat_losses
    compiled._flat_losses = [
        one._replace(loss=replace(i, one.loss)) for i, one in enumerate(before)
    ]
    try:
        yield
    finally:
        compiled._flat_losses = before
