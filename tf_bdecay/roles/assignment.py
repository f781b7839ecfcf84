"""Which variable is a kernel, bias, gamma or beta, and which gamma belongs to which beta.

Variable paths are not unique in Keras and change on load, so a pair is a pair of positions in the
list of trainable variables, never a pair of names.
"""

from collections import Counter
from collections.abc import Iterable

import keras

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput, shown, unknown
from tf_bdecay.frameworks import keras_private, quirks
from tf_bdecay.roles import scales
from tf_bdecay.roles.owners import living_layers, owners_of, places_of
from tf_bdecay.roles.variable_role import ROLES, Pair, Roles, VariableRole, path_of


@quirks.as_written
def roles_of(model_or_variables, overrides=None) -> Roles:
    """Assigns every trainable variable its role and every beta its gamma.

    A variable belongs to the layer object that owns it, whether a model or only variables are given
    (`owners.owners_of`). Evaluating a layer shows what it does with a scale (`scales`). If no layer
    is alive, consecutive variables with one path prefix and no repeated leaf name form a layer, and
    a pair must have one shape. Within a layer, gammas and betas pair in order if there are equally
    many of both; otherwise none of them pairs.

    Args:
        model_or_variables: a built `keras.Model` or `Layer`, or a list of variables.
        overrides: dict of regular expression to role, for custom layers with unusual names. A
            pattern matches as in `VariableRole.matches`.

    Returns:
        `Roles`, in the order of the trainable variables.

    Raises:
        BadInput: an override names no role, matches no variable, or matches a path that several
            variables share; the model is not built; a variable is listed twice.
    """
    layers = []
    if hasattr(model_or_variables, "trainable_variables"):
        if not model_or_variables.built:
            raise BadInput(
                f"The roles of {model_or_variables.name!r} need its variables: it is not built; "
                "call it on data or model.build(input_shape) first."
            )
        variables = list(model_or_variables.trainable_variables)
        layers = keras_private.layers_of(model_or_variables)
    else:
        given = model_or_variables
        variables = list(given) if isinstance(given, Iterable) else [given]
        if not all(hasattr(v, "shape") and hasattr(v, "name") for v in variables):
            raise BadInput(
                "Roles are of a built Keras model, or of a list of its trainable variables. "
                f"Received: {shown(given)}"
            )
    _check_once(variables)
    living = living_layers()
    owners = owners_of(variables, layers, living)
    groups = _groups(variables, owners)
    roles = [_role_of_name(path_of(v), tuple(v.shape)) for v in variables]
    _correct_by_layer(variables, owners, groups, roles)
    places = places_of(variables, layers, living)
    _apply_overrides(roles, [path_of(v) for v in variables], places, overrides or {})
    return _assemble(variables, roles, groups, owners, places)


def _role_of_name(path, shape):
    """The role that a variable's path and shape suggest.

    Keras' normalization layers call their vectors `gamma` and `beta`, except RMSNormalization,
    which has a `scale`. In attention layers, `scale` is a temperature.
    """
    leaf = path.rsplit("/", 1)[-1]
    if leaf in ("gamma", "beta"):
        return leaf
    if leaf == "scale" and shape and "attention" not in path:
        return "gamma"
    if leaf.endswith("bias"):
        return "bias"
    if leaf.endswith(("kernel", "embeddings")):
        return "kernel"
    return "other"


def unique_labels(names):
    """The names, in order, with `_2`, `_3`, ... appended to those that occurred before."""
    taken, labels = set(), []
    reserved = Counter(names)
    for name in names:
        label, n = name, 1
        while label in taken or (n > 1 and label in reserved):
            n += 1
            label = f"{name}_{n}"
        taken.add(label)
        labels.append(label)
    return labels


def _leaf(path):
    return path.rsplit("/", 1)[-1]


def _prefix(path):
    return path.rsplit("/", 1)[0] if "/" in path else path


def _check_once(variables):
    """Raises `BadInput` for a variable that is listed twice."""
    seen = set()
    for variable in variables:
        if id(variable) in seen:
            raise BadInput(
                f"The variable {path_of(variable)!r} is listed twice among {len(variables)}: list "
                "every variable once, and add up the gradients of one that is used twice."
            )
        seen.add(id(variable))


def _groups(variables, owners):
    """Lists of indices, one for each layer; variables that no layer owns are grouped by path."""
    by_layer = {}
    for i, owner in enumerate(owners):
        if owner is not None:
            by_layer.setdefault(id(owner), []).append(i)
    groups, seen, current, last = list(by_layer.values()), set(), None, None
    for i, variable in enumerate(variables):
        path = path_of(variable)
        if owners[i] is not None:
            continue
        if last != i - 1 or _prefix(path) != current or path in seen:
            groups.append([])
            seen, current = set(), _prefix(path)
        groups[-1].append(i)
        seen.add(path)
        last = i
    return sorted(groups)


def _correct_by_layer(variables, owners, groups, roles):
    """What the layer does with a variable overrides its name; an unexplained `scale` is "other"."""
    for group in groups:
        layer = owners[group[0]]
        if layer is None:
            continue
        found = {}
        if isinstance(layer, keras.layers.RMSNormalization):
            found = {id(layer.scale): "gamma"}
        elif _names_leave_open(layer):
            found = scales.roles_by_action(layer)
        for i in group:
            by_name = "other" if _leaf(path_of(variables[i])) == "scale" else roles[i]
            roles[i] = found.get(id(variables[i]), by_name)


def _names_leave_open(layer):
    """Whether the names of a layer's own variables leave their roles open."""
    paths = [path_of(v) for v in keras_private.own_trainable_variables(layer)]
    named = [_role_of_name(path, ()) for path in paths]  # with the shape (), `scale` is "other"
    return "other" in named and "kernel" not in named


def _apply_overrides(roles, paths, places, overrides):
    counts = Counter(paths)
    for pattern, role in overrides.items():
        if role not in ROLES:
            raise unknown(f"role for the pattern {pattern!r}", role, ROLES)
        hits = patterns.matching(pattern, paths, "`roles`", places=places)
        by_path = [paths[i] for i in hits if patterns.matches(pattern, paths[i])]
        shared = sorted({path for path in by_path if counts[path] > 1})
        if shared:
            raise BadInput(
                f"The pattern {pattern!r} in `roles` matches {shared[0]!r}, a path that "
                f"{counts[shared[0]]} variables share: give these layers names of their own."
            )
        for i in hits:
            roles[i] = role


def _assemble(variables, roles, groups, owners, places):
    labels = unique_labels([path_of(v) for v in variables])
    layers = unique_labels([_prefix(path_of(variables[group[0]])) for group in groups])
    layer_of, partner, pairs = {}, {}, []
    for layer, group in zip(layers, groups, strict=True):
        layer_of.update(dict.fromkeys(group, layer))
        gammas = [i for i in group if roles[i] == "gamma"]
        betas = [i for i in group if roles[i] == "beta"]
        alike = len(gammas) == len(betas) and not (
            owners[group[0]] is None
            and any(
                variables[g].shape != variables[b].shape for g, b in zip(gammas, betas, strict=True)
            )
        )
        if alike:
            for n, (gamma, beta) in enumerate(zip(gammas, betas, strict=True), start=1):
                partner[gamma], partner[beta] = beta, gamma
                pairs.append(Pair(layer if len(gammas) == 1 else f"{layer}/{n}", gamma, beta))
    return Roles(
        variables=tuple(
            VariableRole(
                i,
                labels[i],
                path_of(v),
                tuple(v.shape),
                roles[i],
                layer_of[i],
                partner.get(i),
                bool(getattr(v, "overwrite_with_gradient", False)),
                places[i],
            )
            for i, v in enumerate(variables)
        ),
        pairs=tuple(pairs),
        keras_variables=tuple(variables),
    )
