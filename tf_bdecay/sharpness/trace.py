"""Tr(H) by Hutchinson's estimator, and the density of H's eigenvalues by Lanczos quadrature."""

import dataclasses
import math

import numpy as np

from tf_bdecay.errors import require
from tf_bdecay.sharpness import inputs
from tf_bdecay.sharpness.curvature import hessian
from tf_bdecay.sharpness.lanczos import lanczos, ritz
from tf_bdecay.sharpness.memory import default_budget
from tf_bdecay.sharpness.result import Result
from tf_bdecay.sharpness.session import SILENT

LEAST_PROBES = 8  # before a standard error is trusted to stop the sampling


@dataclasses.dataclass(frozen=True)
class TraceResult(Result):
    """Tr(H), by variable the trace of its diagonal block.

    Attributes:
        probes: number of probe vectors.
        tolerance: standard error over absolute value that was asked for, or None.
        samples: float64 [probes, variables], <v, H v> of every probe by variable.
    """

    probes: int
    tolerance: float | None
    samples: np.ndarray = dataclasses.field(repr=False)

    symbol, name = "Tr(H)", "Trace of the Hessian"

    @property
    def converged(self):
        """Whether the tolerance was met; True where none was asked for."""
        return self.tolerance is None or bool(
            self.standard_error <= self.tolerance * abs(self.total)
        )

    @property
    def log(self):
        """Natural logarithm of the trace; None at or below 0, and within its error of 0."""
        return math.log(self.total) if self.total > self.standard_error else None

    def _remark(self):
        remark = f"; {self.probes} probes"
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
):
    """Trace of the Hessian of the mean loss, whole and by layer, with standard errors.

        Tr(H_ll) = E_v <v_l, (H v)_l>      v of independent +1 and -1 (Hutchinson, Rademacher)

    One product H v serves all layers at once: their traces are no dearer than the total.

    Args:
        model, loss, data: as in `connectivity`.
        num_probes: number of probe vectors v, at least 2; one product each.
        seed: of the probes; probe i depends on (seed, i) alone.
        tolerance: stop, after 8 probes or more, when the total's standard error is within this
            fraction of its absolute value. `num_probes` is then the most.
        session: as in `connectivity`.
        **arguments: `training`, `examples_at_once`, `memory_gb`, `full_precision`, `roles`, as in
            `hessian`.

    Returns:
        A `TraceResult`.

    Raises:
        BadInput: as in `hessian`; numbers out of range.
    """
    inputs.check_count("num_probes", num_probes, least=2)
    inputs.check_count("seed", seed, least=0)
    if tolerance is not None:
        inputs.check_positive("tolerance", tolerance)
    operator = hessian(model, loss, data, **arguments)
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
        **_shares(operator, np.array(rows), float(loss_kept)),
        probes=len(rows),
        tolerance=tolerance,
        samples=np.array(rows),
    )


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


def _shares(operator, rows, loss):
    """What every result has, from samples by probe and variable."""
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


@dataclasses.dataclass(frozen=True)
class SpectrumResult(Result):
    """Density of the Hessian's eigenvalues; its shares are those of the trace.

    Attributes:
        nodes, weights: lists of float64 [steps] arrays, one a probe: the quadrature's nodes and
            weights, which sum to 1.
        parameters: the size of the Hessian.
    """

    nodes: list = dataclasses.field(repr=False)
    weights: list = dataclasses.field(repr=False)
    parameters: int

    symbol, name = "Tr(H)", "Spectrum of the Hessian, trace"

    def density(self, grid=None, width=None):
        """Density of the eigenvalues, smoothed.

            phi(t) = mean over probes of sum_i w_i N(t; theta_i, width^2)

        Args:
            grid: float64 array of t; by default 1,024 points over the range of the nodes.
            width: standard deviation of the Gaussian; by default 1 % of the range.

        Returns:
            (grid, phi), phi in units of 1/t; its integral is 1.
        """
        low = min(n.min() for n in self.nodes)
        high = max(n.max() for n in self.nodes)
        extent = (high - low) or max(abs(high), 1.0)
        width = extent / 100 if width is None else width
        grid = np.linspace(low - 5 * width, high + 5 * width, 1024) if grid is None else grid
        nodes, weights = np.concatenate(self.nodes), np.concatenate(self.weights)
        bells = np.exp(-0.5 * ((grid[:, None] - nodes) / width) ** 2)
        return grid, bells @ weights / (len(self.nodes) * width * math.sqrt(2 * math.pi))

    def moment(self, power):
        """Mean over the eigenvalues of eigenvalue^power, and its standard error.

        Returns:
            (mean, standard error); the error is NaN for one probe.
        """
        each = [w @ n**power for n, w in zip(self.nodes, self.weights, strict=True)]
        error = np.std(each, ddof=1) / len(each) ** 0.5 if len(each) > 1 else np.nan
        return float(np.mean(each)), float(error)

    @property
    def extremes(self):
        """The smallest and the largest node: estimates of the extreme eigenvalues from inside."""
        return float(min(n.min() for n in self.nodes)), float(max(n.max() for n in self.nodes))

    def _remark(self):
        low, high = self.extremes
        return f"; eigenvalues from {low:.4g} to {high:.4g}, {len(self.nodes)} probes"

    def _facts(self):
        grid, density = self.density()
        return {
            "probes": len(self.nodes),
            "parameters": self.parameters,
            "extremes": list(self.extremes),
            "nodes": [list(map(float, n)) for n in self.nodes],
            "weights": [list(map(float, w)) for w in self.weights],
            "grid": list(map(float, grid)),
            "density": list(map(float, density)),
        }


def hessian_spectrum(
    model, loss, data, steps=80, num_probes=2, seed=0, *, session=SILENT, **arguments
):
    """Density of the Hessian's eigenvalues, by stochastic Lanczos quadrature.

    Of each Rademacher probe v, the Lanczos matrix T of H: its eigenvalues are the nodes, the
    squares of its eigenvectors' first entries the weights, exact for the moments up to 2 steps - 1
    of the measure that v sees (Ubaru, Chen and Saad, 2017; Ghorbani et al., 2019).
    Reorthogonalization is full, so it
    holds `steps` vectors of all parameters.

    Args:
        model, loss, data: as in `connectivity`.
        steps: Lanczos steps a probe, one product each; 80 to 90 resolve a network's spectrum.
        num_probes: number of probes.
        seed: of the probes, which are those of `hessian_trace`.
        session: as in `connectivity`.
        **arguments: as in `hessian_trace`.

    Returns:
        A `SpectrumResult`.

    Raises:
        BadInput: as in `hessian`; numbers out of range; more memory than the budget.
    """
    inputs.check_count("steps", steps)
    inputs.check_count("num_probes", num_probes)
    inputs.check_count("seed", seed, least=0)
    operator = hessian(model, loss, data, **arguments)
    steps = min(steps, operator.shape[0])
    memory_gb = arguments.get("memory_gb")
    budget = default_budget() if memory_gb is None else memory_gb * 1e9
    needed = steps * operator.shape[0] * operator.dtype.itemsize
    require(
        needed <= budget,
        f"{steps} Lanczos vectors of {operator.shape[0]:,} parameters take {needed / 1e9:.3g} GB, "
        f"which is more than the memory budget: take fewer steps, or allow more memory. "
        f"Received: steps={steps}, memory_gb={budget / 1e9:.3g}",
    )
    kept = session.restore("spectrum") or {}
    done = len([name for name in kept if name.startswith("nodes")])
    state = dict(kept)
    for i in range(done, num_probes):
        nodes, weights, row = _quadrature(operator, seed, i, steps, session, num_probes)
        state |= {f"nodes{i}": nodes, f"weights{i}": weights, f"row{i}": row}
        state["loss"] = np.array(operator.loss)
        session.keep("spectrum", lambda kept=dict(state): kept)
    rows = np.array([state[f"row{i}"] for i in range(num_probes)])
    return SpectrumResult(
        **_shares(operator, rows, float(state["loss"])),
        nodes=[state[f"nodes{i}"] for i in range(num_probes)],
        weights=[state[f"weights{i}"] for i in range(num_probes)],
        parameters=operator.shape[0],
    )


def _quadrature(operator, seed, index, steps, session, num_probes):
    """Nodes and weights of a probe, and its share of the trace by variable."""
    probe, row = rademacher(seed, index, operator), None
    done = 0

    def multiply(vector):
        nonlocal row, done
        product = operator.matvec(vector)
        if row is None:
            row = operator.shares(vector, product) * operator.shape[0]  # |v|^2 = parameters
        done += 1
        session.progress(index * steps + done, num_probes * steps)
        return product

    nodes, vectors = ritz(*lanczos(multiply, probe, steps)[:2])
    return nodes, vectors[0] ** 2, row
