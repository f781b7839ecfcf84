"""A table of what the optimizer will do with every variable, before it does it."""

import io
from typing import NamedTuple

from tf_bdecay.errors import require
from tf_bdecay.optim.base import DecayByRole
from tf_bdecay.optim.lamb import Lamb


class Row(NamedTuple):
    """One variable of a `Description`.

    Attributes:
        variable: its label.
        shape: its shape.
        role: kernel, bias, gamma, beta or other.
        partner: label of a beta's gamma or a gamma's beta, or "".
        decay: the coefficient while decay is on.
        rule: "always", "r >= R" or "never".
        on: whether it decays now; None before the first decision of an adaptive policy.
        adapted: whether it has a trust ratio of its own.
    """

    variable: str
    shape: tuple
    role: str
    partner: str
    decay: float
    rule: str
    on: bool | None
    adapted: bool


class Description(NamedTuple):
    """Rows by variable; `str()` is the table."""

    policy: str
    rows: tuple

    def __str__(self):
        from rich import box
        from rich.console import Console
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, title=self.policy, title_justify="left")
        for name in ("variable", "shape", "role", "partner", "decay", "now", "adapted"):
            table.add_column(name, no_wrap=True)
        for row in self.rows:
            decay = "0" if row.rule == "never" else f"{row.decay:g} {row.rule}"
            now = {None: "undecided", True: f"{row.decay:g}", False: "0"}[row.on]
            shape = "x".join(map(str, row.shape)) or "scalar"
            adapted = "yes" if row.adapted else "no"
            table.add_row(row.variable, shape, row.role, row.partner, decay, now, adapted)
        page = io.StringIO()
        Console(file=page, width=240).print(table)
        lines = [line.rstrip() for line in page.getvalue().splitlines()]
        return "\n".join([*lines, self._summary()])

    def _summary(self):
        count = {}
        for row in self.rows:
            count[row.role] = count.get(row.role, 0) + 1
        pairs = sum(row.role == "beta" and bool(row.partner) for row in self.rows)
        roles = ", ".join(f"{n} {role}" for role, n in count.items())
        return f"{len(self.rows)} variables: {roles}; {pairs} gamma-beta pairs."


def describe(model, weight_decay=None, layer_adaptation=None):
    """Tells every trainable variable's role, partner, decay and adaptation.

    Args:
        model: a built Keras model. If it is compiled with an optimizer of tf_bdecay and no policy
            is given, that optimizer is described, with its last decision.
        weight_decay: a `tf_bdecay.decay` policy; None for the compiled one, or else the default.
        layer_adaptation: as in `Lamb`; None for the compiled one, or else the default.

    Returns:
        A `Description`: rows to work with, and a table by `str()`.

    Raises:
        BadInput: the model is not built; a policy that has nothing to decide.
    """
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    given = weight_decay is not None or layer_adaptation is not None
    if given or not isinstance(optimizer, DecayByRole):
        require(model.built, f"The model {model.name!r} is not built: call it on data first.")
        optimizer = Lamb(
            weight_decay="default" if weight_decay is None else weight_decay,
            layer_adaptation=layer_adaptation or "kernels",
        )
    if not optimizer.built:
        optimizer.build(model)
    return Description(repr(optimizer.weight_decay), tuple(_rows(optimizer)))


def _rows(optimizer):
    roles, policy = optimizer.roles, optimizer.weight_decay
    decided = dict(zip((p.beta for p in roles.pairs), optimizer.decay_on.numpy(), strict=True))
    started = optimizer.totals()["updates"] > 0
    for variable in roles.variables:
        coefficient = policy.coefficient(variable)
        switched = policy.adaptive and variable.index in decided
        if coefficient == 0:
            rule, on = "never", False
        elif switched:
            threshold = getattr(policy, "threshold", None)
            rule = "if decided" if threshold is None else f"if r >= {threshold:g}"
            on = bool(decided[variable.index]) if started else None
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
            optimizer.adapts(variable),
        )
