"""Finds the layer object that owns a variable; a Keras variable has no pointer to its layer."""

import gc

import keras

from tf_bdecay.frameworks import keras_private


def owners_of(variables, layers=()):
    """The layer that owns each variable, by identity.

    An optimizer gets only variables, both from `fit` and from `load_model`, and their paths are
    neither unique nor permanent. So we ask all layers that are alive in this process, which the
    garbage collector lists (0.1 s for half a million objects). The answer does not depend on who
    asks.

    Args:
        variables: list of variables.
        layers: more layers to ask, which the collector may not list (`gc.freeze`).

    Returns:
        List of layers, None for a variable that no layer owns. If several layers hold a variable,
        the one that created it counts, then the one that holds most of these variables.
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
    """All layer objects, including models, that are alive in this process."""
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
