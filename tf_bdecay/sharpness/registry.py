"""The measures by their names in flags and callbacks. Importing this module needs no Keras."""

import dataclasses
from collections.abc import Callable

from tf_bdecay.errors import BadInput, require, unknown


@dataclasses.dataclass(frozen=True)
class Measure:
    """A measure: the function that computes it, and the options that it takes.

    Attributes:
        name: its name in `--measures`.
        function: the name of its function in `tf_bdecay.sharpness`.
        fixed: dict of the function's arguments that select this measure.
        options: dict of option name to the function's argument.
        doc: one line for --help.
    """

    name: str
    function: str
    fixed: dict
    options: dict
    doc: str

    def run(self, model, loss, data, options, session=None):
        """Runs the measurement.

        Args:
            model, loss, data: as in `connectivity`.
            options: dict of option to value; options of other measures are ignored.
            session: a `Session`, or None.

        Returns:
            A `Result`.
        """
        from tf_bdecay import sharpness

        known = {**self.options, **_COMMON}
        arguments = {known[name]: value for name, value in options.items() if name in known}
        if session is not None:
            arguments["session"] = session
        function: Callable = getattr(sharpness, self.function)
        return function(model, loss, data, **self.fixed, **arguments)

    def check(self, model, loss, data, options):
        """Raises the error that measuring would, if the first step (a chunk or a product) shows it.

        The measurement reuses the functions that are traced here. The check changes nothing.

        Args:
            model, loss, data, options: as in `run`.

        Raises:
            BadInput: whatever prevents the measurement, except weights or a loss that are not
                finite so far.
        """
        from tf_bdecay.sharpness.over_examples.inputs import reason
        from tf_bdecay.sharpness.over_examples.network import NotFinite
        from tf_bdecay.sharpness.session import Trial, TrialOver

        try:
            self.run(model, loss, data, options, Trial())
        except TrialOver:
            pass
        except NotFinite as error:
            if error.example is not None:
                raise
        except BadInput:
            raise
        except Exception as error:
            raise BadInput(f"{self.name} cannot be measured: {reason(error)}.") from error


# Options that every measure takes.
_COMMON = {
    name: name for name in ("examples_at_once", "memory_gb", "full_precision", "roles", "training")
}
_ALL = (
    Measure("C", "connectivity", {"per_example": True}, {}, "connectivity sharpness (eq. 4)"),
    Measure(
        "C_m",
        "connectivity",
        {"per_example": False},
        {"batch_size": "batch_size"},
        "the same of mini-batches of m",
    ),
    Measure(
        "trace",
        "hessian_trace",
        {},
        {"probes": "num_probes", "tolerance": "tolerance", "seed": "seed"},
        "Tr(H) of the mean loss, by Hutchinson's estimator",
    ),
    Measure(
        "eigenvalue",
        "hessian_top_eigenvalue",
        {},
        {"eigenvalues": "k", "eigenvalue_tolerance": "tolerance", "seed": "seed"},
        "lambda(H), the largest eigenvalue",
    ),
    Measure(
        "spectrum",
        "hessian_spectrum",
        {},
        {"steps": "steps", "spectrum_probes": "num_probes", "seed": "seed"},
        "density of H's eigenvalues, by Lanczos quadrature",
    ),
    Measure(
        "fisher_rao",
        "fisher_rao",
        {},
        {"from_logits": "from_logits"},
        "Fisher-Rao norm (eq. 8)",
    ),
    Measure(
        "tangent",
        "connectivity_tangent_trace",
        {},
        {"tangent_probes": "num_probes", "seed": "seed"},
        "trace of the connectivity tangent kernel (Kim et al.)",
    ),
    Measure(
        "sam",
        "perturbation",
        {"kind": "sam"},
        {"rho": "rho"},
        "rise of the loss in a ball of radius rho (Foret et al.)",
    ),
    Measure(
        "asam",
        "perturbation",
        {"kind": "asam"},
        {"rho": "rho"},
        "the same in a ball scaled by the weights (Kwon et al.)",
    ),
)
MEASURES = {measure.name: measure for measure in _ALL}
DEFAULT = ("C", "C_m", "trace", "eigenvalue", "fisher_rao")


def chosen(names, what="measure"):
    """Measures by name, each once, in the registry's order.

    Args:
        names: list of names; "all" for all.
        what: the word for a name in the error.

    Raises:
        BadInput: an unknown name, or no name.
    """
    for name in names:
        if name != "all" and name not in MEASURES:
            raise unknown(what, name, [*MEASURES, "all"])
    require(names, f"Name at least one {what}, out of: {', '.join(MEASURES)}.")
    return [m for name, m in MEASURES.items() if name in names or "all" in names]


def check_options(measures, options, spelt=str):
    """Refuses options that are unknown, unused or ambiguous with the chosen measures.

    Args:
        measures: list of `Measure`.
        options: dict of option to value.
        spelt: function that formats an option as the user wrote it.

    Raises:
        BadInput: an unknown option; one that no chosen measure takes; `rho` for both kinds of ball.
    """
    every = {name for m in _ALL for name in m.options}
    taken = {name for m in measures for name in m.options}
    for name in options:
        if name not in every and name not in _COMMON:
            raise unknown("option", spelt(name), [spelt(n) for n in sorted({*every, *_COMMON})])
        owners = [m.name for m in _ALL if name in m.options]
        require(
            name in taken or name in _COMMON,
            f"{spelt(name)} is of {' and '.join(owners)}, which the measures "
            f"{', '.join(m.name for m in measures)} leave out: add it to them, or leave the "
            "option out.",
        )
    both = {"sam", "asam"} <= {m.name for m in measures}
    require(
        not (both and "rho" in options),
        f"{spelt('rho')} is a length in weight space for sam and a relative one for asam: measure "
        "them one at a time, or leave it out for the radii that their authors use.",
    )
