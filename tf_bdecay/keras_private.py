"""The only file that touches names that Keras keeps private; each says what has no public name."""


def layers_of(model, include_self=True):
    """All layers inside a model, nested ones too, each object once, in the order of creation.

    `model.layers` has the outer ones only, and not those that a layer of the user's own holds.
    """
    return list(model._flatten_layers(include_self=include_self, recursive=True))


def own_trainable_variables(layer):
    """The trainable variables that a layer made itself, without those of the layers inside it."""
    return list(layer._trainable_variables)
