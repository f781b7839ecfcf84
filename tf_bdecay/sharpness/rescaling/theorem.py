"""Theorem 3.1 as a table: every measure before and after one unit of a network is rescaled."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tf_bdecay.errors import require, unknown
from tf_bdecay.frameworks import extras
from tf_bdecay.sharpness.ascent import perturbation
from tf_bdecay.sharpness.connectivity_sharpness import connectivity
from tf_bdecay.sharpness.curvature.eigenvalue import hessian_top_eigenvalue
from tf_bdecay.sharpness.curvature.trace import hessian_trace
from tf_bdecay.sharpness.fisher import fisher_rao
from tf_bdecay.sharpness.rescaling.graph import Graph
from tf_bdecay.sharpness.rescaling.rescale import reparameterize
from tf_bdecay.sharpness.tangent_kernel import connectivity_tangent_trace
from tf_bdecay.terminal.plain_text import rendered

# In the table's order: measure, and whether the theorem (or homogeneity) says it is invariant.
MEASURES = {
    "C": (connectivity, True),
    "C_m": (lambda *a, **k: connectivity(*a, per_example=False, **k), True),
    "FR^2": (fisher_rao, True),
    "Tr(CTK)": (connectivity_tangent_trace, True),
    "Tr(H)": (hessian_trace, False),
    "lambda(H)": (hessian_top_eigenvalue, False),
    "SAM": (lambda *a, **k: perturbation(*a, "sam", steps=0, **k), False),
    "ASAM": (lambda *a, **k: perturbation(*a, "asam", steps=0, **k), False),
}


@dataclasses.dataclass(frozen=True)
class Invariance:
    """Measures before and after a rescaling that keeps the network's function.

    Attributes:
        layer, unit, c: what was rescaled, and by which factor.
        before, after: dicts of measure to its `Result`.
    """

    layer: str
    unit: int
    c: float
    before: dict
    after: dict

    def ratios(self):
        """Dict of measure to after / before; NaN for 0 / 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                name: float(np.float64(self.after[name].total) / self.before[name].total)
                for name in self.before
            }

    def to_pandas(self):
        """A DataFrame with a row per measure: before, after, ratio, and whether it is invariant."""
        extras.check("A DataFrame", "pandas")
        import pandas as pd

        return pd.DataFrame(
            {
                "measure": list(self.before),
                "before": [r.total for r in self.before.values()],
                "after": [r.total for r in self.after.values()],
                "ratio": list(self.ratios().values()),
                "invariant": [MEASURES[name][1] for name in self.before],
            }
        )

    def __str__(self):
        from rich import box
        from rich.table import Table

        title = f"unit {self.unit} of {self.layer}: in by {self.c:g}, out by 1/{self.c:g} (eq. 9)"
        table = Table("measure", "before", "after", "after / before", "in theory", box=box.SIMPLE)
        for row in self.to_pandas().itertuples():
            theory = "the same" if row.invariant else "not invariant"
            numbers = f"{row.before:.6g}", f"{row.after:.6g}", f"{row.ratio:.6g}"
            table.add_row(row.measure, *numbers, theory)
        return rendered(title, table, width=100)


def invariance(
    model, loss, data, layer, unit=0, c=10.0, measures: Sequence[str] = tuple(MEASURES), **arguments
) -> Invariance:
    """Shows Theorem 3.1 on a model: measures it before and after one unit is rescaled.

        rho_(c,l,k): incoming weights and bias times c, outgoing weights times 1/c    (eq. 9)

    The network's function stays the same, and so do C, C_m, FR and Tr(CTK). Tr(H), lambda(H) and
    SAM's rise of the loss change. ASAM's rise nearly stays the same: its ball is rescaled with the
    weights, except for `eta`. The model's weights are restored exactly.

    Args:
        model, loss, data: as in `connectivity`.
        layer, unit, c: as in `reparameterize`.
        measures: names out of C, C_m, FR^2, Tr(CTK), Tr(H), lambda(H), SAM, ASAM.
        **arguments: `training`, `examples_at_once`, `memory_gb`, `full_precision`, as in
            `connectivity`.

    Returns:
        An `Invariance`, which prints as the table.

    Raises:
        BadInput: as in `reparameterize` and in the measures; an unknown measure.

    Example:

        print(tf_bdecay.sharpness.invariance(model, loss, (x, y), "hidden", unit=0, c=10))
    """
    measures = [measures] if isinstance(measures, str) else list(measures)
    require(measures, f"Name at least one measure, out of: {', '.join(MEASURES)}.")
    for name in measures:
        if name not in MEASURES:
            raise unknown("measure", name, MEASURES)
    Graph(model)  # refuses a model without a graph, before its weights are touched
    kept = [v.numpy() for v in model.weights]
    try:
        rescaling = reparameterize(model, layer, unit, c)
        after = _all(model, loss, data, measures, arguments)
    finally:
        for variable, value in zip(model.weights, kept, strict=True):
            variable.assign(value)
    before = _all(model, loss, data, measures, arguments)
    return Invariance(rescaling.layer, unit, float(c), before, after)


def _all(model, loss, data, measures, arguments):
    return {name: MEASURES[name][0](model, loss, data, **arguments) for name in measures}
