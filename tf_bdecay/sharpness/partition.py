"""The groups over which a measure is split: variables, layers, kinds, and the total (eq. 11)."""

import dataclasses
import functools

import numpy as np

from tf_bdecay.roles import KINDS, kinds_of


@dataclasses.dataclass(frozen=True)
class Partition:
    """The layer and the kind of each trainable variable, in the variables' order.

    Attributes:
        variables: tuple of labels, unique.
        layers: tuple of the label of each variable's layer, unique among layers.
        kinds: tuple of names out of `tf_bdecay.roles.KINDS`.
    """

    variables: tuple
    layers: tuple
    kinds: tuple

    @classmethod
    def of(cls, model, roles):
        """The partition of a model's trainable variables.

        Args:
            model: the Keras model.
            roles: its `Roles`.
        """
        return cls(
            variables=tuple(v.label for v in roles.variables),
            layers=tuple(v.layer for v in roles.variables),
            kinds=tuple(kinds_of(model, roles)),
        )

    @functools.cached_property
    def groups(self):
        """Tuple of (level, name): every variable, layer and kind, then ("kind", "Total")."""
        kinds = [kind for kind in KINDS if kind in self.kinds]
        return (
            *(("variable", name) for name in self.variables),
            *(("layer", name) for name in dict.fromkeys(self.layers)),
            *(("kind", name) for name in (*kinds, "Total")),
        )

    @functools.cached_property
    def matrix(self):
        """float64 [variables, groups] of 0 and 1: `shares @ matrix` gives the sums by group."""
        columns = {
            "variable": np.array(self.variables),
            "layer": np.array(self.layers),
            "kind": np.array(self.kinds),
        }
        return np.stack(
            [
                (columns[level] == name) | ((level, name) == ("kind", "Total"))
                for level, name in self.groups
            ],
            axis=1,
        ).astype("float64")
