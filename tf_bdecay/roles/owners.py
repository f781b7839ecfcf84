"""Which layer object owns a variable: a Keras variable has no pointer to its layer."""

import gc

import keras

from tf_bdecay.frameworks import keras_private


def owners_of(variables, layers=()):
    """The layer that owns each variable, by identity.

    An optimizer gets variables alone, from `fit` as from `load_model`, and their paths are neither
    unique nor lasting. So all layers that live in this process are asked, which the garbage
    collector lists (0.1 s for half a million objects): whoever asks gets the same answer.

    Args:
        variables: list of variables.
        layers: layers to ask besides, of which the collector may not know (`gc.freeze`).

    Returns:
        List of layers, None for a variable that no layer owns. Of several that hold one variable,
        the one that made it, then the one with most of these variables.
    """
    position = {id(v): i for i, v in enumerate(variables)}
    candidates = {}
    for layer in {id(layer): layer for layer in [*layers, *living_layers()]}.values():
        own = [
            position[id(v)]
            for v in keras_private.own_trainable_variables(layer)
            if id(v) in position
        ]
        for i in own:
            candidates.setdefault(i, []).append((-len(own), min(own), layer))
    return [_owner(variable, candidates.get(i, [])) for i, variable in enumerate(variables)]


def living_layers():
    """All layer objects, models among them, that exist in this process."""
    kinds = _subclasses(keras.layers.Layer)
    return [thing for thing in gc.get_objects() if type(thing) in kinds]


def _subclasses(cls):
    found, left = set(), [cls]
    while left:
        kind = left.pop()
        if kind not in found:
            found.add(kind)
            left += type.__subclasses__(kind)
    return found


def _owner(variable, candidates):
    if len(candidates) > 1:
        maker = getattr(variable, "path", "").rpartition("/")[0]
        candidates = sorted(candidates, key=lambda c: (c[2].path != maker, *c[:2]))
    return candidates[0][2] if candidates else None
