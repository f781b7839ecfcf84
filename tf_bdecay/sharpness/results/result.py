"""The result of a measurement: a total and its exact split over variables, layers and kinds."""

import dataclasses
import functools
import json

import numpy as np

from tf_bdecay.errors import unknown
from tf_bdecay.sharpness.partition import Partition
from tf_bdecay.sharpness.results.plain_result import data_frame
from tf_bdecay.terminal.plain_text import rendered, with_error

_LEVELS = ("variable", "layer", "kind")


@dataclasses.dataclass(frozen=True)
class Result:
    """A measure of a network, split over its variables, layers and kinds.

    The shares add up exactly over each split (eq. 11, and its analogue for every other measure).

    Attributes:
        partition: the `Partition` of the trainable variables.
        shares: float64 [variables], the share of each variable.
        errors: float64 [groups of the partition], standard errors; NaN where there is none.
        loss: mean loss of the examples, without regularisation.
        examples: number of examples.
        training: whether the network ran in training mode.
    """

    partition: Partition = dataclasses.field(repr=False)
    shares: np.ndarray = dataclasses.field(repr=False)
    errors: np.ndarray = dataclasses.field(repr=False)
    loss: float
    examples: int
    training: bool

    symbol = ""  # of the measure, in tables
    name = ""  # of the measure, in sentences

    @property
    def total(self):
        """The measure of the whole network."""
        return float(self._sums[-1])

    @property
    def standard_error(self):
        """Standard error of the total; NaN for a measure that samples nothing."""
        return float(self.errors[-1])

    @property
    def by_variable(self):
        """Dict of variable label to its share, in the order of the trainable variables."""
        return self._level("variable", self._sums)

    @property
    def by_layer(self):
        """Dict of layer label to the sum over its variables."""
        return self._level("layer", self._sums)

    @property
    def by_kind(self):
        """Dict of each kind of Table 2 in the network to its sum, with "Total" last."""
        return self._level("kind", self._sums)

    def standard_errors(self, level):
        """Standard errors of the shares.

        Args:
            level: "variable", "layer" or "kind".

        Returns:
            Dict like `by_variable`, `by_layer` or `by_kind`; NaN where there is none.

        Raises:
            BadInput: another level.
        """
        if level not in _LEVELS:
            raise unknown("level", level, _LEVELS)
        return self._level(level, self.errors)

    def to_pandas(self):
        """A DataFrame of all groups: measure, level, name, value, standard_error and share."""
        groups = self.partition.groups
        return data_frame(self.symbol, groups, self._sums, self.errors, self._sums[-1])

    def to_dict(self):
        """All figures as numbers, words, lists and dicts that JSON can hold."""
        return {
            "measure": self.symbol,
            "name": self.name,
            "total": _json_number(self.total),
            "standard_error": _json_number(self.standard_error),
            "loss": _json_number(self.loss),
            "examples": self.examples,
            "training": self.training,
            **self._facts(),
            **{
                key: {
                    name: {"value": _json_number(value), "standard_error": _json_number(error)}
                    for (name, value), error in zip(
                        self._level(level, self._sums).items(),
                        self._level(level, self.errors).values(),
                        strict=True,
                    )
                }
                for key, level in (
                    ("by_variable", "variable"),
                    ("by_layer", "layer"),
                    ("by_kind", "kind"),
                )
            },
        }

    def to_json(self):
        """`to_dict` as JSON text; a number that is not finite is null."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    @property
    def title(self):
        """What was measured, in one line."""
        mode = "training" if self.training else "inference"
        return (
            f"{self.name} {self.symbol}: {_total(self.total, self.standard_error)} "
            f"({self.examples} examples, {mode} mode, loss {self.loss:.4g}){self._remark()}"
        )

    def __str__(self):
        return f"{self.title}\n{rendered(*self.tables(), width=160)}"

    def tables(self):
        """Two `rich` tables, by kind and by layer."""
        from rich import box
        from rich.table import Table

        made = []
        for level in ("kind", "layer"):
            table = Table(level, box=box.SIMPLE_HEAD)
            table.add_column(self._share_symbol(), justify="right")
            with_errors = np.isfinite(self.errors).any()
            if with_errors:
                table.add_column("+-", justify="right")
            table.add_column("share", justify="right")
            more = self._more_columns() if level == "layer" else {}
            for heading in more:
                table.add_column(heading, justify="right")
            errors = self.standard_errors(level)
            for name, value in self._level(level, self._sums).items():
                cells = [f"{value:.3e}"]
                if with_errors:
                    cells.append(f"{errors[name]:.1e}" if np.isfinite(errors[name]) else "")
                cells.append(f"{value / self._sums[-1]:.1%}" if self._sums[-1] else "")
                table.add_row(name, *cells, *(column.pop(name, "") for column in more.values()))
            left = dict.fromkeys(name for column in more.values() for name in column)
            for name in left:  # several pairs in one layer have their own labels
                blanks = [""] * (len(table.columns) - 1 - len(more))
                table.add_row(name, *blanks, *(column.get(name, "") for column in more.values()))
            made.append(table)
        return made

    @functools.cached_property
    def _sums(self):
        return np.asarray(self.shares, "float64") @ self.partition.matrix

    def _level(self, level, values):
        return {
            name: float(value)
            for (of, name), value in zip(self.partition.groups, values, strict=True)
            if of == level
        }

    def _share_symbol(self):
        return self.symbol

    def _remark(self):
        """What the title says in addition."""
        return ""

    def _facts(self):
        """Dict of the figures that only this measure has."""
        return {}

    def _more_columns(self):
        """Dict of heading to a dict of layer label to text, for the table by layer."""
        return {}


@dataclasses.dataclass(frozen=True)
class ConnectivityResult(Result):
    """Connectivity sharpness: C of single examples (eq. 4), or C_m of mini-batches.

    Attributes:
        gradients: list of tensors, gradient of the mean loss, in the order of
            `model.trainable_variables`.
        bias_ratio: dict of the label of a normalization layer to its r = C(beta) / C(gamma)
            (sec. 4.2). It is the r of training only if measured with `training=True`.
        per_example: True for C, False for C_m.
        batch_size: m; 1 for C.
        left_out: number of examples that did not fill a mini-batch and were not measured.
        bias_ratio_errors: dict like `bias_ratio` of standard errors; NaN where there is none.
    """

    gradients: list = dataclasses.field(repr=False)
    bias_ratio: dict
    per_example: bool
    batch_size: int
    left_out: int = 0
    bias_ratio_errors: dict = dataclasses.field(default_factory=dict)

    name = "Connectivity sharpness"

    @property
    def symbol(self):
        return "C" if self.per_example else "C_m"

    @property
    def title(self):
        m = "" if self.per_example else f", m = {self.batch_size}"
        return super().title.replace(f"{self.symbol}:", f"{self.symbol}{m}:", 1)

    def _remark(self):
        left = self.left_out
        return f"; {left} examples that fill no mini-batch were left out" if left else ""

    def _facts(self):
        return {
            "batch_size": self.batch_size,
            "left_out": self.left_out,
            "bias_ratio": {layer: _json_number(r) for layer, r in self.bias_ratio.items()},
            "bias_ratio_errors": {k: _json_number(e) for k, e in self.bias_ratio_errors.items()},
        }

    def _more_columns(self):
        heading = "r of training" if self.training else "r"
        errors = self.bias_ratio_errors
        return {heading: {k: with_error(r, errors.get(k)) for k, r in self.bias_ratio.items()}}


def _total(value, error):
    return f"{value:.4g} +- {error:.1g}" if np.isfinite(error) else f"{value:.4g}"


def _json_number(value):
    """A float that JSON can hold, or None."""
    return float(value) if np.isfinite(value) else None
