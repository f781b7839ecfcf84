"""Tr(H), of the network and by layer, by Hutchinson's estimator."""

import dataclasses
import math

import numpy as np

from tf_bdecay.errors import check_count, check_number
from tf_bdecay.sharpness.curvature.given import measured
from tf_bdecay.sharpness.results.result import Result
from tf_bdecay.sharpness.session import SILENT

LEAST_PROBES = 8  # before a standard error is trusted to stop the sampling


@dataclasses.dataclass(frozen=True)
class TraceResult(Result):
    """Tr(H); the share of a variable is the trace of its diagonal block.

    Attributes:
        probes: number of probe vectors.
        tolerance: the requested ratio of standard error to absolute value, or None.
        samples: float64 [probes, variables], <v, H v> of every probe by variable.
        of: the matrix that was measured: the Hessian, or an operator that was given.
    """

    probes: int
    tolerance: float | None
    samples: np.ndarray = dataclasses.field(repr=False)
    of: str = "Hessian"

    symbol, name = "Tr(H)", "Trace of the Hessian"

    @property
    def converged(self):
        """Whether the tolerance was reached; True if none was requested."""
        return self.tolerance is None or bool(
            self.standard_error <= self.tolerance * abs(self.total)
        )

    @property
    def log(self):
        """Natural logarithm of the trace; None unless the trace exceeds its standard error."""
        return math.log(self.total) if self.total > self.standard_error else None

    def _remark(self):
        remark = f"; {self.probes} probes" + other_than_hessian(self.of)
        if not self.converged:
            remark += f", NOT within the tolerance of {self.tolerance:g}"
        return remark + ("" if self.log is not None else "; no logarithm: not clearly above 0")

    def _facts(self):
        return {
            "probes": self.probes,
            "tolerance": self.tolerance,
            "converged": self.converged,
            "log": self.log,
        }


def hessian_trace(
    model, loss, data, num_probes=64, seed=0, tolerance=None, *, session=SILENT, **arguments
) -> TraceResult:
    """Trace of the Hessian of the mean loss, total and by layer, with standard errors.

        Tr(H_ll) = E_v <v_l, (H v)_l>      v of independent +1 and -1 (Hutchinson, 1989)

    One product H v serves all layers: their traces cost no more than the total.

    Args:
        model, loss, data: as in `connectivity`.
        num_probes: number of probe vectors v, at least 2; each costs one product.
        seed: of the probes; probe i depends only on (seed, i).
        tolerance: stop, after 8 probes or more, once the total's standard error is within this
            fraction of its absolute value. `num_probes` is then the maximum.
        session: as in `connectivity`.
        **arguments: `training`, `examples_at_once`, `memory_gb`, `full_precision`, `roles`, as in
            `hessian`; `operator`, a symmetric `scipy.sparse.linalg.LinearOperator` on vectors of
            all parameters (a Gauss-Newton matrix, say), to measure in place of the Hessian.

    Returns:
        A `TraceResult`.

    Raises:
        BadInput: as in `hessian`; numbers out of range.

    Example:

        result = tf_bdecay.sharpness.hessian_trace(model, loss, (x, y), tolerance=0.05)
        result.total, result.standard_error, result.by_layer
    """
    check_count("num_probes", num_probes, least=2)
    check_count("seed", seed, least=0)
    if tolerance is not None:
        check_number("tolerance", tolerance, above=0)
    operator = measured(model, loss, data, **arguments)
    kept = session.restore("trace") or {"rows": np.zeros((0, len(operator.network.variables)))}
    rows = list(kept["rows"])
    loss_kept = kept.get("loss")
    while len(rows) < num_probes and not _enough(np.array(rows), tolerance):
        probe = rademacher(seed, len(rows), operator)
        rows.append(operator.shares(probe, operator.matvec(probe)))
        loss_kept = operator.loss
        state = {"rows": np.array(rows), "loss": np.array(loss_kept)}
        session.keep("trace", lambda state=state: state)
        session.progress(len(rows), num_probes)
    return TraceResult(
        **sampled(operator, np.array(rows), float(loss_kept)),
        probes=len(rows),
        tolerance=tolerance,
        samples=np.array(rows),
        of=operator.of,
    )


def other_than_hessian(of):
    """What a title adds if an operator other than the Hessian was measured."""
    return "" if of == "Hessian" else f", of the {of}"


def rademacher(seed, index, operator):
    """A vector of independent +1 and -1, of the operator's size and dtype."""
    rng = np.random.default_rng([seed, index])
    signs = rng.integers(0, 2, operator.shape[0], dtype=np.int8)
    return (2 * signs - 1).astype(operator.dtype)


def _enough(rows, tolerance):
    if tolerance is None or len(rows) < LEAST_PROBES:
        return False
    totals = rows.sum(1)
    return totals.std(ddof=1) / len(rows) ** 0.5 <= tolerance * abs(totals.mean())


def sampled(operator, rows, loss):
    """Fields that all results have, from samples [probes, variables] and the mean loss."""
    partition = operator.network.partition
    errors = (rows @ partition.matrix).std(0, ddof=1) / len(rows) ** 0.5 if len(rows) > 1 else None
    return dict(
        partition=partition,
        shares=rows.mean(0),
        errors=np.full(len(partition.groups), np.nan) if errors is None else errors,
        loss=loss,
        examples=operator.stream.count(),
        training=operator.network.training,
    )
