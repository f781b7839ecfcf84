"""The density of the Hessian's eigenvalues, by stochastic Lanczos quadrature."""

import dataclasses
import math

import numpy as np

from tf_bdecay.errors import check_count, check_number
from tf_bdecay.sharpness.curvature.given import measured
from tf_bdecay.sharpness.curvature.lanczos import lanczos, ritz
from tf_bdecay.sharpness.curvature.trace import other_than_hessian, rademacher, sampled
from tf_bdecay.sharpness.over_examples.memory import check_vectors
from tf_bdecay.sharpness.results.result import Result
from tf_bdecay.sharpness.session import SILENT


@dataclasses.dataclass(frozen=True)
class SpectrumResult(Result):
    """Density of the Hessian's eigenvalues; the shares are those of the trace.

    Attributes:
        nodes, weights: lists with one float64 [steps] array per probe: the quadrature's nodes, and
            its weights, which sum to 1.
        parameters: the size of the Hessian.
        of: the matrix that was measured: the Hessian, or an operator that was given.
    """

    nodes: list = dataclasses.field(repr=False)
    weights: list = dataclasses.field(repr=False)
    parameters: int
    of: str = "Hessian"

    symbol, name = "Tr(H)", "Spectrum of the Hessian, trace"

    def density(self, grid=None, width=None):
        """Density of the eigenvalues, smoothed.

            phi(t) = mean over probes of sum_i w_i N(t; theta_i, width^2)

        Args:
            grid: float64 array of t; by default 1,024 points over the range of the nodes.
            width: standard deviation of the Gaussian, above 0; by default 1 % of the range.

        Returns:
            (grid, phi), phi in units of 1/t; its integral is 1.

        Raises:
            BadInput: a width that is not a number above 0.
        """
        if width is not None:
            check_number("width", width, above=0)
        width = self._width() if width is None else width
        low, high = self.extremes
        grid = np.linspace(low - 5 * width, high + 5 * width, 1024) if grid is None else grid
        nodes, weights = np.concatenate(self.nodes), np.concatenate(self.weights)
        bells = np.exp(-0.5 * ((np.asarray(grid)[:, None] - nodes) / width) ** 2)
        return grid, bells @ weights / (len(self.nodes) * width * math.sqrt(2 * math.pi))

    def _width(self):
        """The default standard deviation of `density`."""
        low, high = self.extremes
        return ((high - low) or max(abs(high), 1.0)) / 100

    def moment(self, power):
        """Mean of eigenvalue^power over the eigenvalues, and its standard error.

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
        found = f"; eigenvalues from {low:.4g} to {high:.4g}, {len(self.nodes)} probes"
        return found + other_than_hessian(self.of)

    def _facts(self):
        grid, density = self.density()
        return {
            "probes": len(self.nodes),
            "parameters": self.parameters,
            "extremes": list(self.extremes),
            "nodes": [list(map(float, n)) for n in self.nodes],
            "weights": [list(map(float, w)) for w in self.weights],
            "width": self._width(),
            "grid": list(map(float, grid)),
            "density": list(map(float, density)),
        }


def hessian_spectrum(
    model, loss, data, steps=80, num_probes=2, seed=0, *, session=SILENT, **arguments
) -> SpectrumResult:
    """Density of the Hessian's eigenvalues, by stochastic Lanczos quadrature.

    For each Rademacher probe v, Lanczos builds a tridiagonal matrix T of H. The eigenvalues of T
    are the nodes; the squares of its eigenvectors' first entries are the weights. The quadrature is
    exact for the moments up to 2 steps - 1 of the measure that v sees (Ubaru, Chen and Saad, 2017;
    Ghorbani et al., 2019). Reorthogonalization is full, so `steps` vectors of all parameters are
    held in memory.

    Args:
        model, loss, data: as in `connectivity`.
        steps: Lanczos steps per probe, one product each; 80 to 90 resolve a network's spectrum.
        num_probes: number of probes.
        seed: of the probes, which are those of `hessian_trace`.
        session: as in `connectivity`.
        **arguments: as in `hessian_trace`.

    Returns:
        A `SpectrumResult`.

    Raises:
        BadInput: as in `hessian`; numbers out of range; more memory than the budget.

    Example:

        grid, density = tf_bdecay.sharpness.hessian_spectrum(model, loss, (x, y)).density()
        plt.semilogy(grid, density)
    """
    check_count("steps", steps)
    check_count("num_probes", num_probes)
    check_count("seed", seed, least=0)
    operator = measured(model, loss, data, **arguments)
    steps = min(steps, operator.shape[0])
    what = "Lanczos vectors", "take fewer steps, or "
    check_vectors(steps, operator, what, arguments.get("memory_gb"))
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
        **sampled(operator, rows, float(state["loss"])),
        nodes=[state[f"nodes{i}"] for i in range(num_probes)],
        weights=[state[f"weights{i}"] for i in range(num_probes)],
        parameters=operator.shape[0],
        of=operator.of,
    )


def _quadrature(operator, seed, index, steps, session, num_probes):
    """Nodes and weights of a probe, and its estimate of the trace by variable."""
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
