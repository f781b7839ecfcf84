"""Finds the layer object that owns a variable, and its place in models: variables do not say."""

import gc

import keras

from tf_bdecay.frameworks import keras_private


def owners_of(variables, layers=(), living=None):
    """The layer that owns each variable, by identity.

    An optimizer gets only variables, both from `fit` and from `load_model`, and their paths are
    neither unique nor permanent. So we ask all layers that are alive in this process, which the
    garbage collector lists (0.1 s for half a million objects). The answer does not depend on who
    asks.

    Args:
        variables: list of variables.
        layers: more layers to ask, which the collector may not list (`gc.freeze`).
        living: what `living_layers` just gave; None to call it.

    Returns:
        List of layers, None for a variable that no layer owns. If several layers hold a variable,
        the one that created it counts, then the one that holds most of these variables.
    """
    position = {id(v): i for i, v in enumerate(variables)}
    candidates = {}
    for layer in _each_once(layers, living):
        own = [
            position[id(v)]
            for v in keras_private.own_trainable_variables(layer)
            if id(v) in position
        ]
        for i in own:
            candidates.setdefault(i, []).append((-len(own), min(own), layer))
    return [_owner(variable, candidates.get(i, [])) for i, variable in enumerate(variables)]


def places_of(variables, layers=(), living=None):
    """Where each variable stands in the models that hold it: paths that loading does not change.

    A `keras.Sequential` and a model with a `call` of its own put their names before the paths of
    what they build, and not of what was built before, as when they are loaded. So a place is the
    names of all layers from a model down to the owner, with "/" between them, and the variable's
    own. A functional model's name is in no path.

    Args:
        variables, layers, living: as in `owners_of`.

    Returns:
        List of tuples of str, one place for each outermost model and each way to the variable.
    """
    position = {id(v): i for i, v in enumerate(variables)}
    places = [{} for _ in variables]  # dicts, for their order
    seen = set()

    def walk(layer, names):
        if not keras_private.is_functional(layer):
            names = (*names, layer.name)
        if (id(layer), names) in seen:
            return
        seen.add((id(layer), names))
        for variable in keras_private.own_trainable_variables(layer):
            if id(variable) in position:
                places[position[id(variable)]]["/".join((*names, variable.name))] = None
        for inner in keras_private.inner_layers(layer):
            walk(inner, names)

    for layer in _each_once(layers, living):
        if isinstance(layer, keras.Model):
            walk(layer, ())
    return [tuple(p for p in found if not _ends_another(p, found)) for found in places]


def living_layers():
    """All layer objects, including models, that are alive in this process."""
    kinds = _subclasses(keras.layers.Layer)
    return [thing for thing in gc.get_objects() if type(thing) in kinds]


def _ends_another(place, places):
    return any(other.endswith(f"/{place}") for other in places)


def _each_once(layers, living):
    living = living_layers() if living is None else living
    return {id(layer): layer for layer in [*layers, *living]}.values()


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
