"""Checks optimizers' arguments: what would silently go wrong is refused, with an alternative."""

import warnings
from collections.abc import Callable, Mapping

import keras
import numpy as np

from tf_bdecay import patterns
from tf_bdecay.decay import DecayPolicy
from tf_bdecay.errors import check_flag, check_number, require, shown, unknown
from tf_bdecay.roles import ROLES

# For type checkers: what `learning_rate` may be.
Rate = float | keras.optimizers.schedules.LearningRateSchedule | Callable[[], float]

KERAS_ARGUMENTS = ("use_ema", "ema_momentum", "ema_overwrite_frequency", "loss_scale_factor")

_LOCAL = "it clips each replica's local gradient: use global_clipnorm, which clips the reduced one"
_REFUSED = {
    "gradient_accumulation_steps": "Keras feeds micro-steps to the schedule and fails under a "
    "strategy: accumulate inside the train step, and apply once an update",
    "clipnorm": _LOCAL,
    "clipvalue": _LOCAL,
}


def keras_arguments(kind, arguments):
    """Checks the arguments that go to Keras' base optimizer unchanged, and returns them.

    Args:
        kind: name of the optimizer's class, for the message.
        arguments: dict of the arguments that the optimizer itself does not have.

    Raises:
        BadInput: an argument that is unknown, out of range or would silently do the wrong thing.
    """
    for name, value in arguments.items():
        if name in _REFUSED:
            require(
                value is None,
                f"{kind} does not take `{name}`: {_REFUSED[name]}. Received: {name}={shown(value)}",
            )
        elif name not in KERAS_ARGUMENTS:
            raise unknown(f"argument of {kind}", name, KERAS_ARGUMENTS)
        elif name == "use_ema":
            check_flag(name, value, of=kind)
        elif name == "ema_momentum":
            check_number(name, value, of=kind, most=1)
        elif name == "loss_scale_factor" and value is not None:
            check_number(name, value, of=kind, above=0)
    return {name: value for name, value in arguments.items() if name not in _REFUSED}


def overrides(kind, roles):
    """The roles that were given by pattern, as a dict.

    Raises:
        BadInput: `roles` is not a dict.
    """
    require(
        roles is None or isinstance(roles, Mapping),
        f"`roles` of {kind} must be a dict of regular expressions to roles, such as "
        f"{{'my_norm/scale': 'gamma'}}. Received: roles={shown(roles)}",
    )
    return dict(roles or {})


def policy(kind, weight_decay):
    """The policy that was given, or that a config describes.

    Raises:
        BadInput: a bare number, None or anything else that does not say which variables decay.
    """
    if isinstance(weight_decay, dict):
        weight_decay = keras.saving.deserialize_keras_object(weight_decay)
    require(
        isinstance(weight_decay, DecayPolicy),
        f"`weight_decay` of {kind} must be a policy that says which variables decay: for example "
        "tf_bdecay.decay.NoBiasDecay(0.01) for kernels only, FullDecay(0.01) for all, NoDecay() "
        f"for none. Received: weight_decay={shown(weight_decay)}",
    )
    return weight_decay


def multipliers(by_name, roles):
    """Multiplier of each variable's learning rate.

    Args:
        by_name: dict of a role, or a regular expression on paths, to a number >= 0. A pattern takes
            precedence over a role, and a later pattern over an earlier one.
        roles: the `Roles` of the variables.

    Returns:
        float64 array [V], 1 for a variable that nothing names.

    Raises:
        BadInput: no variable has the role or a path that matches the pattern.
    """
    found = np.ones(len(roles), "float64")
    for role in by_name.keys() & set(ROLES):
        indices = roles.indices(role)
        require(
            indices,
            f"No trainable variable has the role {role!r}, which is in `rate_multipliers`; the "
            f"roles here are {', '.join(r for r in ROLES if roles.indices(r))}.",
        )
        found[indices] = by_name[role]
    paths, places = [v.path for v in roles.variables], [v.places for v in roles.variables]
    for pattern, value in by_name.items():
        if pattern not in ROLES:
            hits = patterns.matching(pattern, paths, "`rate_multipliers`", ROLES, places)
            found[hits] = value
    return found


def check_roles(policy, is_default, roles):
    """Checks a policy against the variables, and warns of betas that it cannot decide.

    Args:
        policy: the `DecayPolicy`.
        is_default: whether it is the optimizer's default, not the user's choice.
        roles: the `Roles` of the variables to be updated.

    Raises:
        BadInput: the user chose an adaptive policy, and no layer has both gamma and beta; or what
            the policy itself refuses.
    """
    policy.check(roles.variables)
    if not policy.adaptive:
        return
    if not roles.pairs:
        sentence = (
            "Adaptive beta decay has nothing to decide: no layer of this model has both a "
            f"trainable gamma and a trainable beta among its {len(roles)} variables."
        )
        require(
            is_default,
            f"{sentence} Use tf_bdecay.decay.NoBiasDecay, BiasDecay or another fixed policy.",
        )
        warnings.warn(
            f"{sentence} The default policy decays its kernels and biases only.", stacklevel=4
        )
    elif roles.unpaired:
        names = ", ".join(roles.variables[i].label for i in roles.unpaired)
        decays = {str(policy.coefficient(roles.variables[i])) for i in roles.unpaired}
        warnings.warn(
            f"Betas without a gamma have no ratio r; they decay by {'; '.join(sorted(decays))}: "
            f"{names}.",
            stacklevel=4,
        )
