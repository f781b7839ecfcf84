"""What a trainable variable is, and the table of all of them with their gamma-beta pairs."""

import dataclasses

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput

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
                    f"{path_of(variable)!r}"
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


def path_of(variable):
    """A variable's path, of Keras' variables and TensorFlow's."""
    return getattr(variable, "path", None) or variable.name.removesuffix(":0")
