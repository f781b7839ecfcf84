"""A table of what an optimizer will do with every variable, to read before training."""

from typing import NamedTuple

import keras

from tf_bdecay.errors import require, shown
from tf_bdecay.frameworks import keras_private
from tf_bdecay.optim.arguments import check_roles, multipliers
from tf_bdecay.optim.base import DecayByRole, unwrapped
from tf_bdecay.optim.lamb import Lamb
from tf_bdecay.roles import roles_of
from tf_bdecay.terminal.plain_text import rendered


class Row(NamedTuple):
    """One variable of a `Description`.

    Attributes:
        variable: its label.
        shape: its shape.
        role: kernel, bias, gamma, beta or other.
        partner: label of a beta's gamma or a gamma's beta, or "".
        decay: the coefficient while decay is on.
        rule: "always", "never", or when: "if r >= 0.1".
        on: whether it decays now; None before the first decision of an adaptive policy.
        adapted: whether it has a trust ratio of its own.
        rate: what the learning rate is multiplied by.
    """

    variable: str
    shape: tuple
    role: str
    partner: str
    decay: float
    rule: str
    on: bool | None
    adapted: bool
    rate: float = 1.0


class Description(NamedTuple):
    """One `Row` per variable; `str()` renders them as a table."""

    policy: str
    rows: tuple

    def __str__(self):
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, title=self.policy, title_justify="left")
        rated = any(row.rate != 1 for row in self.rows)
        columns = ("variable", "shape", "role", "partner", "decay", "now", "adapted", "rate")
        for name in columns if rated else columns[:-1]:
            table.add_column(name, no_wrap=True)
        for row in self.rows:
            decay = "0" if row.rule == "never" else f"{row.decay:g} {row.rule}"
            now = {None: "undecided", True: f"{row.decay:g}", False: "0"}[row.on]
            shape = "x".join(map(str, row.shape)) or "scalar"
            adapted = "yes" if row.adapted else "no"
            rate = [f"x{row.rate:g}"] if rated else []
            table.add_row(row.variable, shape, row.role, row.partner, decay, now, adapted, *rate)
        width = 80 + 2 * max((len(row.variable) for row in self.rows), default=0)
        return f"{rendered(table, width=width)}\n{self._summary()}"

    def _summary(self):
        count = {}
        for row in self.rows:
            count[row.role] = count.get(row.role, 0) + 1
        pairs = sum(row.role == "beta" and bool(row.partner) for row in self.rows)
        roles = ", ".join(f"{n} {role}" for role, n in count.items())
        return f"{len(self.rows)} variables: {roles}; {pairs} gamma-beta pairs."


def describe(model, weight_decay=None, layer_adaptation=None, optimizer=None) -> Description:
    """Shows every trainable variable's role, partner, decay, adaptation and rate.

    Args:
        model: a built Keras model. If it is compiled with an optimizer of tf_bdecay and no argument
            below is given, that optimizer is described: once it is built, with its own roles and
            its last decision.
        weight_decay: a `tf_bdecay.decay` policy; None for that of the optimizer, or `Lamb`'s
            default if there is none.
        layer_adaptation: as in `Lamb` and `Lars`; None likewise.
        optimizer: one of tf_bdecay that your own training loop applies; it is described instead of
            the compiled one.

    Returns:
        A `Description`: rows to work with, and a table by `str()`.

    Raises:
        BadInput: the model is not built; a policy that has nothing to decide; another optimizer.
    """
    compiled = _ours(getattr(model, "optimizer", None) if optimizer is None else optimizer)
    require(
        not isinstance(weight_decay, keras.optimizers.Optimizer),
        "An optimizer is described by its name: describe(model, optimizer=optimizer).",
    )
    require(
        compiled is not None or optimizer is None,
        "`optimizer` of describe must be one of tf_bdecay, such as tf_bdecay.Lamb. "
        f"Received: optimizer={shown(optimizer)}",
    )
    settings = compiled or Lamb()
    if weight_decay is not None or layer_adaptation is not None:
        compiled, settings = None, _changed(settings, weight_decay, layer_adaptation)
    # Never build the user's optimizer here: under a strategy, that must happen in its scope.
    indices = None
    if compiled is not None and compiled.built:
        indices = keras_private.indices_of(compiled, model.trainable_variables)
    if indices is None or None in indices:
        roles = roles_of(model, settings.role_overrides)
        indices = range(len(roles))
    else:
        roles = compiled.roles
    check_roles(settings.weight_decay, settings.policy_is_default, roles)
    decided = roles is getattr(compiled, "roles", None) and compiled.totals()["updates"] > 0
    on = compiled.decision().decay_on if decided else [None] * len(roles.pairs)
    rows = tuple(_rows(settings, roles, on))
    return Description(repr(settings.weight_decay), tuple(rows[i] for i in indices))


def _ours(optimizer):
    """An optimizer of tf_bdecay, also from inside a LossScaleOptimizer; None for any other."""
    optimizer = unwrapped(optimizer)
    return optimizer if isinstance(optimizer, DecayByRole) else None


def _changed(optimizer, weight_decay, layer_adaptation):
    """An optimizer to describe: like the one given, but with the arguments that are not None.

    It is a `Lamb` if an adaptation is requested and the optimizer has none.
    """
    policy = "default" if optimizer.policy_is_default else optimizer.weight_decay
    arguments = {
        "weight_decay": policy if weight_decay is None else weight_decay,
        "roles": optimizer.role_overrides,
        "rate_multipliers": optimizer.rate_multipliers,
    }
    own = getattr(optimizer, "layer_adaptation", None)
    if own is None and layer_adaptation is None:
        return type(optimizer)(**arguments)
    kind = type(optimizer) if own else Lamb
    return kind(layer_adaptation=layer_adaptation or own, **arguments)


def _rows(optimizer, roles, on_by_pair):
    """Yields the `Row` of every variable; `on_by_pair` has a boolean or None for each pair."""
    policy = optimizer.weight_decay
    decided = dict(zip((p.beta for p in roles.pairs), on_by_pair, strict=True))
    rates = multipliers(optimizer.rate_multipliers, roles)
    for variable in roles.variables:
        coefficient = policy.coefficient(variable)
        if variable.overwritten or not policy.may_decay(variable):
            rule, on = "never", False
        elif policy.adaptive and variable.index in decided:
            threshold = getattr(policy, "threshold", None)
            rule = "if decided" if threshold is None else f"if r >= {threshold:g}"
            on = decided[variable.index]
            on = None if on is None else bool(on)
        else:
            rule, on = "always", True
        partner = "" if variable.partner is None else roles.variables[variable.partner].label
        yield Row(
            variable.label,
            variable.shape,
            variable.role,
            partner,
            coefficient,
            rule,
            on,
            optimizer.adapts(variable) and not variable.overwritten,
            float(rates[variable.index]),
        )
