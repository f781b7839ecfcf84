"""Which variable is a kernel, bias, gamma or beta, and which gamma belongs to which beta.

Variable paths are not unique in Keras and change on load, so a pair is a pair of positions in the
list of trainable variables, never a pair of names.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable

import keras

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput, shown, unknown
from tf_bdecay.frameworks import keras_private, quirks
from tf_bdecay.roles import scales
from tf_bdecay.roles.owners import living_layers, owners_of, places_of

ROLES = ("kernel", "bias", "gamma", "beta", "other")


@dataclasses.dataclass(frozen=True)
class VariableRole:
    """What one trainable variable is.

    Attributes:
        index: its position in the list of trainable variables.
        label: its path, made unique by a suffix where paths are equal.
        path: its Keras path as it stands.
        shape: tuple of ints.
        role: "kernel" (embeddings too), "bias", "gamma" (RMS and LayerScale scales too), "beta",
            or "other".
        layer: label of the layer that owns it, unique among layers.
        partner: the index of a beta's gamma or a gamma's beta; None where there is none.
        overwritten: whether its "gradient" is its new value, as for the scales of float8 training;
            no rule of an optimizer moves it.
        places: tuple of str, where it stands in each model that holds it: the names of all layers
            around it, which loading leaves as they are where it changes the path.
    """

    index: int
    label: str
    path: str
    shape: tuple
    role: str
    layer: str
    partner: int | None = None
    overwritten: bool = False
    places: tuple = ()

    def matches(self, pattern) -> bool:
        """Whether a regular expression matches its path or a place of it, whole or from a "/" on.

        A model that is loaded answers as the one that was saved.
        """
        return patterns.matches_any(pattern, (self.path, *self.places))


@dataclasses.dataclass(frozen=True)
class Pair:
    """A normalization layer's label, and the indices of its gamma and its beta."""

    layer: str
    gamma: int
    beta: int


@dataclasses.dataclass(frozen=True)
class Roles:
    """The roles of all trainable variables, in their order, and the gamma-beta pairs.

    Attributes:
        variables: tuple of `VariableRole`s.
        pairs: tuple of `Pair`s.
        keras_variables: tuple of the Keras variables themselves. Nothing else says whose roles they
            are, because a model's list of trainable variables changes once a layer is frozen.
    """

    variables: tuple
    pairs: tuple
    keras_variables: tuple = dataclasses.field(default=(), compare=False, repr=False)

    def __len__(self):
        return len(self.variables)

    def indices(self, role):
        """Positions of the variables of a role."""
        return [v.index for v in self.variables if v.role == role]

    @property
    def unpaired(self):
        """Positions of the betas that have no gamma, hence no r_l."""
        return [v.index for v in self.variables if v.role == "beta" and v.partner is None]

    def among(self, variables):
        """The roles of some of these variables, in the order given; matched by identity.

        Args:
            variables: list of Keras variables.

        Returns:
            `Roles`; a pair that lacks one of its variables is left out.

        Raises:
            BadInput: one of the variables has no role here.
        """
        position = {id(variable): i for i, variable in enumerate(self.keras_variables)}
        for variable in variables:
            if id(variable) not in position:
                raise BadInput(
                    f"`roles` must be of this model's {len(variables)} trainable variables: take "
                    f"roles_of(model). Received: roles of {len(self)}, without "
                    f"{_path(variable)!r}"
                )
        new = {position[id(variable)]: i for i, variable in enumerate(variables)}
        return Roles(
            variables=tuple(
                dataclasses.replace(role, index=i, partner=new.get(role.partner))
                for role, i in ((self.variables[old], i) for old, i in new.items())
            ),
            pairs=tuple(
                Pair(pair.layer, new[pair.gamma], new[pair.beta])
                for pair in self.pairs
                if pair.gamma in new and pair.beta in new
            ),
            keras_variables=tuple(variables),
        )


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
    roles = [_role_of_name(_path(v), tuple(v.shape)) for v in variables]
    _correct_by_layer(variables, owners, groups, roles)
    places = places_of(variables, layers, living)
    _apply_overrides(roles, [_path(v) for v in variables], places, overrides or {})
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


def _path(variable):
    return getattr(variable, "path", None) or variable.name.removesuffix(":0")


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
                f"The variable {_path(variable)!r} is listed twice among {len(variables)}: list "
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
        path = _path(variable)
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
            by_name = "other" if _leaf(_path(variables[i])) == "scale" else roles[i]
            roles[i] = found.get(id(variables[i]), by_name)


def _names_leave_open(layer):
    """Whether the names of a layer's own variables leave their roles open."""
    paths = [_path(v) for v in keras_private.own_trainable_variables(layer)]
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
    labels = unique_labels([_path(v) for v in variables])
    layers = unique_labels([_prefix(_path(variables[group[0]])) for group in groups])
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
                _path(v),
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
