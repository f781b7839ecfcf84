"""A finished measure as plain values: what is kept, printed, drawn and written to the files.

They come from a result's `to_dict`, so that those of a measure that an earlier start finished are
as good as new ones.
"""

import json
import math

import numpy as np

THRESHOLD = 0.1  # R of the paper


def record(result, seconds):
    """The record of a `Result`.

    Args:
        result: of a measure.
        seconds: what it took.

    Returns:
        Dict of JSON values: those of `to_dict`, `title`, `seconds` and `partition`.
    """
    partition = result.partition
    values = {
        "title": result.title,
        "seconds": round(seconds, 3),
        **result.to_dict(),
        "partition": {
            "variables": list(partition.variables),
            "layers": list(partition.layers),
            "kinds": list(partition.kinds),
        },
    }
    # As it will come back from the file, NumPy's numbers made Python's.
    return json.loads(json.dumps(values, default=lambda number: number.item()))


def frame(name, record):
    """A record as the rows of table.csv: `Result.to_pandas`, with the name in --measures first."""
    import pandas as pd

    total = record["total"]
    rows = [
        (level, group, _number(cell["value"]), _number(cell["standard_error"]))
        for level in ("variable", "layer", "kind")
        for group, cell in record[f"by_{level}"].items()
    ]
    table = pd.DataFrame(rows, columns=["level", "name", "value", "standard_error"])
    table["share"] = table["value"] / total if total else math.nan
    table.insert(0, "asked", name)
    table.insert(1, "measure", record["measure"])
    return table


def heading(name, record):
    """How a table or picture calls a measure."""
    symbol = record["measure"]
    return f"{symbol}, quadrature" if name == "spectrum" else symbol


def ratios(records):
    """r by normalization layer, and what to call it.

    Args:
        records: dict of name to record.

    Returns:
        (dict of layer to r, which may be infinite; heading), or None.
    """
    for name in ("C", "C_m"):  # the r of reports is of C
        found = records.get(name)
        if found and found["bias_ratio"]:
            # JSON has no infinity; the only r that is not finite is C(gamma) = 0 < C(beta)
            r = {k: math.inf if v is None else v for k, v in found["bias_ratio"].items()}
            plain = "r" if name == "C" else "r of C_m"
            return r, "r of training" if found["training"] else plain
    return None


def by_kind_and_layer(record):
    """Shares by layer of each kind: dict of kind to float64 [layers], and the layers' labels."""
    partition = record["partition"]
    layers = list(record["by_layer"])
    values = [_number(cell["value"]) for cell in record["by_variable"].values()]
    found = {
        kind: np.zeros(len(layers)) for kind in record["by_kind"] if kind in partition["kinds"]
    }
    for layer, kind, value in zip(partition["layers"], partition["kinds"], values, strict=True):
        found[kind][layers.index(layer)] += value
    return found, layers


def tables(records):
    """Two `rich` tables of all measures: by layer, and by kind.

    Args:
        records: dict of name to record.
    """
    return [_table("layer", records, ratios(records)), _table("kind", records, None)]


def _table(level, records, r):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=f"By {level}", title_justify="left")
    table.add_column(level, no_wrap=True)
    for name, each in records.items():
        table.add_column(heading(name, each), justify="right", no_wrap=True)
    if r:
        table.add_column(r[1], justify="right", no_wrap=True)
    groups = next(iter(records.values()))[f"by_{level}"]
    ratio = dict(r[0]) if r else {}
    for group in groups:
        cells = [_cell(each[f"by_{level}"][group]) for each in records.values()]
        more = [f"{ratio.pop(group):.3g}" if group in ratio else ""] if r else []
        table.add_row(group, *cells, *more, style="bold" if group == "Total" else None)
    for group, value in ratio.items():  # several pairs in one layer have labels of their own
        table.add_row(group, *[""] * len(records), f"{value:.3g}")
    return table


def _cell(cell):
    value, error = cell["value"], cell["standard_error"]
    if value is None:
        return "?"
    return f"{value:.2e}" + (f" ±{error:.0e}" if error is not None else "")


def _number(value):
    return math.nan if value is None else value
