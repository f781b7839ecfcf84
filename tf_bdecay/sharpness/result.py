"""What a measurement of connectivity sharpness gives back."""

import dataclasses
import io

from tf_bdecay.sharpness.kinds import KINDS


@dataclasses.dataclass(frozen=True)
class Share:
    """One variable's share of the sharpness.

    Attributes:
        variable: its label, unique.
        layer: label of its layer, unique among layers.
        kind: one of `tf_bdecay.sharpness.kinds.KINDS`.
        value: its C, in units of the loss.
    """

    variable: str
    layer: str
    kind: str
    value: float


@dataclasses.dataclass(frozen=True)
class ConnectivityResult:
    """Connectivity sharpness of a network, split over variables, layers and kinds (eq. 11).

    Attributes:
        loss: mean loss of the examples, without regularisation.
        gradients: list of tensors, gradient of that mean, in the order of
            `model.trainable_variables`.
        shares: a `Share` for each of them, in that order.
        bias_ratio: dict of the label of a normalization layer to its r = C(beta) / C(gamma)
            (sec. 4.2). It is the r of training only if measured with `training=True`.
        examples: number of examples.
        per_example: True for C (eq. 4), False for C_m with m = `examples`.
        training: whether the network ran in training mode.
    """

    loss: float
    gradients: list = dataclasses.field(repr=False)
    shares: tuple = dataclasses.field(repr=False)
    bias_ratio: dict
    examples: int
    per_example: bool
    training: bool

    @property
    def total(self):
        """Sharpness of the whole network, in units of the loss."""
        return sum(share.value for share in self.shares)

    @property
    def by_variable(self):
        """Dict of variable label to its share, in the order of the trainable variables."""
        return {share.variable: share.value for share in self.shares}

    @property
    def by_layer(self):
        """Dict of layer label to the sum over its variables."""
        return self._sums("layer")

    @property
    def by_kind(self):
        """Dict of the kinds of Table 2 that the network has to their sums, "Total" last."""
        sums = self._sums("kind")
        return {**{kind: sums[kind] for kind in KINDS if kind in sums}, "Total": self.total}

    def _sums(self, partition):
        sums = {}
        for share in self.shares:
            part = getattr(share, partition)
            sums[part] = sums.get(part, 0.0) + share.value
        return sums

    @property
    def title(self):
        """What was measured, in one line."""
        symbol = "C" if self.per_example else f"C_m, m = {self.examples}"
        mode = "training" if self.training else "inference"
        return (
            f"Connectivity sharpness {symbol}: {self.total:.4g} "
            f"({self.examples} examples, {mode} mode, loss {self.loss:.4g})"
        )

    def __str__(self):
        from rich import box
        from rich.console import Console, Group
        from rich.table import Table

        kinds = Table("kind", box=box.SIMPLE_HEAD)
        layers = Table("layer", box=box.SIMPLE_HEAD)
        for table in (kinds, layers):
            table.add_column("C" if self.per_example else "C_m", justify="right")
            table.add_column("share", justify="right")
        layers.add_column("r of training" if self.training else "r", justify="right")
        for kind, value in self.by_kind.items():
            kinds.add_row(kind, f"{value:.3e}", self._percent(value))
        left = dict(self.bias_ratio)
        for layer, value in self.by_layer.items():
            ratio = f"{left.pop(layer):.3g}" if layer in left else ""
            layers.add_row(layer, f"{value:.3e}", self._percent(value), ratio)
        for pair, ratio in left.items():  # several pairs in one layer have labels of their own
            layers.add_row(pair, "", "", f"{ratio:.3g}")
        page = io.StringIO()
        Console(file=page, width=160).print(Group(kinds, layers))
        return "\n".join([self.title, *(line.rstrip() for line in page.getvalue().splitlines())])

    def _percent(self, value):
        return f"{value / self.total:.1%}" if self.total else ""
