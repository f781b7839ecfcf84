"""The only file that touches names that Keras keeps private; each says what has no public name."""


def layers_of(model, include_self=True):
    """All layers inside a model, nested ones too, each object once, in the order of creation.

    `model.layers` has the outer ones only, and not those that a layer of the user's own holds.
    """
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def own_trainable_variables(layer):
    """The trainable variables that a layer made itself, without those of the layers inside it."""
    return list(layer._trainable_variables)


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
