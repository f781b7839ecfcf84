"""Which variable is a kernel, bias, gamma or beta, and which gamma belongs to which beta."""

from tf_bdecay.roles.assignment import roles_of, unique_labels
from tf_bdecay.roles.kinds import KINDS, kinds_of
from tf_bdecay.roles.variable_role import ROLES, Pair, Roles, VariableRole

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
