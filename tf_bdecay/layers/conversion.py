"""Copies a model, with ghost batch normalization in place of its batch normalization."""

import contextlib
import tempfile

import keras
from keras import ops

from tf_bdecay.errors import BadInput, check_count, first_line, require, shown, unknown
from tf_bdecay.frameworks import keras_private
from tf_bdecay.layers.ghost_batch_norm import PARTIAL, GhostBatchNormalization

_OWN_TRAINING = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics")
_INSTEAD = "tf_bdecay.layers.GhostBatchNormalization where the model is made"


def ghostify(model, ghost_batch_size=32, partial="error") -> keras.Model:
    """A copy of a model with every `BatchNormalization` replaced by `GhostBatchNormalization`.

    In training each `ghost_batch_size` consecutive examples are normalized by their own statistics
    (Hoffer et al., 2017). At inference the copy equals the model bit for bit; with one ghost batch
    per training batch it also trains as the model does. The copy has the model's weights, moving
    statistics and seeds, names and paths, order of layers and variables, shared layers, nested
    models, frozen parts and precisions. The model itself does not change and shares nothing with
    the copy.

    Args:
        model: a built functional or sequential model, which may contain other such models. Ghost
            batch normalization layers that it already has stay as they are.
        ghost_batch_size: int >= 1, examples in a ghost batch.
        partial: what happens to a training batch that `ghost_batch_size` does not divide: "error",
            or "smaller", which puts the examples left over into one smaller ghost batch.

    Returns:
        The copy, not compiled. A custom class is kept if it is made from inputs and outputs like
        `keras.Model` and does not override `call`; otherwise the copy is a plain model of the same
        graph.

    Raises:
        BadInput: an argument is out of range, the model has no batch normalization, or a part
            cannot be converted or copied: a model or layer whose own `call` uses batch
            normalization; training methods of the model's class that the copy would lose; batch
            normalization that is synchronized, renormalizing, masked or of a custom class; a layer
            that its `get_config` does not recreate.

    Example:

        base = keras.applications.ResNet50V2(weights=None)
        model = tf_bdecay.ghostify(base, ghost_batch_size=32)
        model.compile(tf_bdecay.Lamb(0.01), "sparse_categorical_crossentropy")
    """
    check_count("ghost_batch_size", ghost_batch_size, of="ghostify", what="a number of examples")
    if partial not in PARTIAL:
        raise unknown("value of `partial`", partial, PARTIAL)
    require(
        isinstance(model, keras.Model),
        f"ghostify takes a Keras model. Received: {type(model).__name__}",
    )
    require(
        _convertible(model),
        "ghostify replaces keras.layers.BatchNormalization, and this model has none. "
        f"Received: {_called(model)}",
    )
    own = [name for name in _OWN_TRAINING if _is_own(model, name)]
    require(
        not own or _keeps_class(model),
        f"ghostify makes a plain model of {_called(model)}, and its `{own and own[0]}` would be "
        "lost: give the class the constructor of keras.Model (inputs, outputs), or use "
        f"{_INSTEAD}.",
    )
    strategy = getattr(model, "distribute_strategy", None)  # TensorFlow's
    with strategy.scope() if strategy else contextlib.nullcontext():
        copies = _Copies({"ghost_batch_size": int(ghost_batch_size), "partial": partial})
        copy = copies.of(model)
        copies.take_state()
    return copy


class _Copies:
    """Copies layers and models, each of them once.

    Args:
        ghost: arguments that are added to those of the converted layers.
    """

    def __init__(self, ghost):
        self._ghost = ghost
        self._copies = {}  # by the id of the original
        self._models, self._layers = [], []  # (original, copy); a model comes after its parts

    def of(self, layer):
        """The copy of a layer or model; an operation, which has no state, is its own copy."""
        if not isinstance(layer, keras.Layer):
            return layer
        if id(layer) not in self._copies:
            model = isinstance(layer, keras.Model) and not _has_own_call(layer)
            with _policy(layer.dtype_policy if model else _policy_inside(layer)):
                copy = self._model(layer) if model else self._layer(layer)
            self._copies[id(layer)] = copy
            (self._models if model else self._layers).append((layer, copy))
        return self._copies[id(layer)]

    def take_state(self):
        """Copies the originals' state: variables, vocabularies, what is frozen.

        Raises:
            BadInput: a copy has other inner layers or variables than its original, or does not
                share a variable that its original shares.
        """
        layers = [pair for old, new in self._layers for pair in _with_inner(old, new)]
        # From the outside in, because freezing a model or layer freezes all that is in it.
        for old, new in [*reversed(self._models), *layers]:
            new.trainable = old.trainable
        twins = {}
        for old, new in self._layers:
            for one, other in _paired_variables(old, new):
                require(
                    twins.setdefault(id(one), other) is other,
                    f"ghostify copies a layer by its configuration, which does not say that "
                    f"{_called(old)} shares its variable {one.path!r} with another layer: use "
                    f"{_INSTEAD}.",
                )
                other.assign(ops.convert_to_numpy(one))
                other.trainable = one.trainable
                # If the original was made inside name scopes, the copy's path lacks them.
                keras_private.set_path(other, one.path)
        for old, new in layers:
            _take_assets(old, new)

    def _model(self, model):
        """Clones a model by way of a twin that holds the same layers but is not compiled.

        Keras' clone of a compiled model would be compiled, with an optimizer without its state.
        """
        graph = keras_private.graph_of(model)
        if isinstance(model, keras.Sequential):
            # `model.layers` omits the input layer.
            layers = [self.of(layer) for layer in (graph.layers[0], *model.layers)]
            copy = keras.Sequential(layers, name=model.name)
        else:
            kind = type(model) if _keeps_class(model) else keras.Model
            twin = kind(model.input, model.output, name=model.name)
            inputs = {id(i.output): self.of(i).output for i in graph.layers if _is_input(i)}
            inputs = keras.tree.map_structure(lambda x: inputs[id(x)], model.input)
            copy = keras.models.clone_model(twin, inputs, clone_function=self.of)
        copy.dtype_policy = model.dtype_policy
        return copy

    def _layer(self, layer):
        if _converts(layer):
            return self._converted(layer)
        inside = _convertible(layer)
        require(
            not inside,
            f"ghostify cannot reach {_called(inside[0]) if inside else ''}, which {_called(layer)} "
            f"uses in a way of its own{_unless_built(layer)}: use {_INSTEAD}.",
        )
        try:
            return _copied(layer)
        except Exception as error:  # a custom class may raise anything
            raise BadInput(
                f"ghostify copies a layer by its configuration, and {_called(layer)} cannot be "
                f"made from its own ({first_line(error)}): give it a `get_config` of which "
                "`from_config` makes it."
            ) from error

    def _converted(self, layer):
        why = ""
        if type(layer) is not keras.layers.BatchNormalization:
            why = "is of a class of one's own that may compute something else"
        elif layer.synchronized:
            why = "is synchronized: statistics of the whole batch are what ghost batches avoid"
        elif getattr(layer, "renorm", False):  # not in every version of Keras
            why = "has batch renormalization, which ghost batches have not"
        require(
            not why,
            f"ghostify cannot convert {_called(layer)}, which {why}: make the model with a plain "
            f"keras.layers.BatchNormalization, or use {_INSTEAD}.",
        )
        return GhostBatchNormalization.from_config({**layer.get_config(), **self._ghost})


def _converts(layer):
    """Whether a layer is batch normalization but not ghost batch normalization."""
    batch = isinstance(layer, keras.layers.BatchNormalization)
    return batch and not isinstance(layer, GhostBatchNormalization)


def _convertible(layer):
    """The layers inside a layer or model that are batch normalization."""
    return [inner for inner in keras_private.layers_of(layer) if _converts(inner)]


def _is_own(model, name):
    """Whether a model's class overrides a method of Keras' own class."""
    kind = keras.Sequential if isinstance(model, keras.Sequential) else keras_private.Functional
    return getattr(type(model), name) is not getattr(kind, name)


def _has_own_call(model):
    """Whether a model has no graph of layers, or computes something else."""
    return keras_private.graph_of(model) is None or _is_own(model, "call")


def _keeps_class(model):
    """Whether a model's class can be constructed from inputs and outputs alone."""
    functional = keras_private.graph_of(model) is model
    return functional and keras_private.takes_inputs_and_outputs(type(model))


def _is_input(layer):
    return isinstance(layer, keras.layers.InputLayer)


def _policy_inside(layer):
    """The dtype policy that a layer's inner layers share; the layer's own if they share none."""
    inner = keras_private.layers_of(layer, include_self=False)
    policies = {one.dtype_policy.name: one.dtype_policy for one in inner}
    return policies.popitem()[1] if len(policies) == 1 else layer.dtype_policy


@contextlib.contextmanager
def _policy(policy):
    """Sets the dtype policy of layers that are created inside the context without one."""
    before = keras.config.dtype_policy()
    if type(policy) is keras.DTypePolicy:  # that of a quantized layer fits this layer alone
        keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _copied(layer):
    """Recreates a layer from its configuration."""
    config = layer.get_config()
    if type(layer) is not keras.layers.Lambda:
        return type(layer).from_config(config)
    # A Lambda's configuration has the function's code, but not what the code refers to.
    return keras.layers.Lambda(
        layer.function,
        output_shape=keras_private.output_shape_of(layer),
        mask=layer.mask,
        arguments=layer.arguments,
        **{name: config[name] for name in ("name", "trainable", "dtype")},
    )


def _with_inner(old, new):
    """Pairs a layer with its copy and the layers inside them, from the outside in."""
    olds, news = (keras_private.layers_of(layer) for layer in (old, new))
    made, again = ([(type(one), one.dtype_policy.name) for one in of[1:]] for of in (olds, news))
    require(
        made == again,
        f"ghostify copies a layer by its configuration, of which {_called(old)} comes out with "
        "other layers inside: give it a `get_config` of which `from_config` makes it.",
    )
    return zip(olds, news, strict=True)


def _paired_variables(old, new):
    """Pairs the variables of a layer and of the layers inside it with those of its copy."""

    def kinds(layer):
        return [(v.name, tuple(v.shape), str(v.dtype)) for v in layer.variables]

    require(
        kinds(old) == kinds(new),
        f"ghostify copies a layer by its configuration, of which {_called(old)} comes out with "
        f"other variables: use {_INSTEAD}. Received: {shown(kinds(old))}, and of the copy "
        f"{shown(kinds(new))}",
    )
    return zip(old.variables, new.variables, strict=True)


def _take_assets(old, new):
    """Copies what a layer keeps besides its variables, in the way a saved model does."""
    if hasattr(old, "save_assets"):
        with tempfile.TemporaryDirectory() as folder:
            old.save_assets(folder)
            new.load_assets(folder)
    if hasattr(new, "finalize_state"):
        new.finalize_state()


def _called(layer):
    return f"{type(layer).__name__} {layer.name!r}"


def _unless_built(layer):
    unbuilt = isinstance(layer, keras.Sequential) and keras_private.graph_of(layer) is None
    return " as long as it is not built" if unbuilt else ""
