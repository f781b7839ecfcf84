"""Which variable is a kernel, bias, gamma or beta, and which gamma belongs to which beta."""

from tf_bdecay.roles.assignment import (
    ROLES,
    Pair,
    Roles,
    VariableRole,
    roles_of,
    unique_labels,
)
from tf_bdecay.roles.kinds import KINDS, kinds_of

__all__ = [
    "KINDS",
    "ROLES",
    "Pair",
    "Roles",
    "VariableRole",
    "kinds_of",
    "roles_of",
    "unique_labels",
]
