"""Plain results: a finished measurement as JSON values, to keep, print, draw and write.

A plain result that is read back from a file is as good as a new one.
"""

import json
import math

import numpy as np

from tf_bdecay.frameworks import extras
from tf_bdecay.terminal.plain_text import with_error

THRESHOLD = 0.1  # R of the paper


def plain_result(result, seconds):
    """A `Result` as JSON values.

    Args:
        result: the `Result`.
        seconds: how long the measurement took.

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
    # As it will be read back from the file, with NumPy's numbers as Python's.
    return json.loads(json.dumps(values, default=lambda number: number.item()))


def is_complete(value):
    """Whether a value from a file is a plain result with all that tables and pictures read.

    Its partition may be missing: result.json leaves it out.
    """
    if not isinstance(value, dict):
        return False
    words = [value.get("title"), value.get("measure")]
    ratio, errors = value.get("bias_ratio", {}), value.get("bias_ratio_errors", {})
    levels = [value.get(f"by_{level}") for level in ("variable", "layer", "kind")]
    return (
        all(isinstance(word, str) for word in words)
        and isinstance(value.get("training"), bool)
        and _is_number(value.get("total"))
        and all(isinstance(each, dict) for each in (ratio, errors))
        and all(map(_is_number, [*ratio.values(), *errors.values()]))
        and ("bias_ratio" in value or value["measure"] not in ("C", "C_m"))
        and all(isinstance(level, dict) and all(map(_is_cell, level.values())) for level in levels)
    )


def _is_cell(value):
    return isinstance(value, dict) and all(
        name in value and _is_number(value[name]) for name in ("value", "standard_error")
    )


def _is_number(value):
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def data_frame(measure, groups, values, errors, total):
    """A DataFrame of groups: measure, level, name, value, standard_error and share.

    Args:
        measure: the measure's symbol.
        groups: (level, name) of each group.
        values, errors: numbers, one per group; NaN where there is none.
        total: the whole that the values are shares of; with 0 or None the shares are NaN.
    """
    extras.check("A DataFrame", "pandas")
    import pandas as pd

    table = pd.DataFrame({"measure": measure, "level": [level for level, _ in groups]})
    table["name"] = [name for _, name in groups]
    table["value"], table["standard_error"] = values, errors
    table["share"] = table["value"] / total if total else math.nan
    return table


def frame(name, result):
    """A measure's rows of table.csv: `Result.to_pandas`, preceded by its name in --measures."""
    cells = {
        (level, group): cell
        for level in ("variable", "layer", "kind")
        for group, cell in result[f"by_{level}"].items()
    }
    values, errors = (
        [_number_of_json(cell[key]) for cell in cells.values()]
        for key in ("value", "standard_error")
    )
    table = data_frame(result["measure"], list(cells), values, errors, result["total"])
    table.insert(0, "asked", name)
    return table


def heading(name, result):
    """What tables and pictures call a measure."""
    symbol = result["measure"]
    return f"{symbol}, quadrature" if name == "spectrum" else symbol


def ratios(results):
    """r by normalization layer, with its heading and standard errors.

    Args:
        results: dict of measure to plain result.

    Returns:
        (dict of layer to r, which may be infinite; heading; dict of layer to the standard error of
        r or None), or None if no result has an r.
    """
    for name in ("C", "C_m"):  # reports give the r of C
        found = results.get(name)
        if found and found["bias_ratio"]:
            # JSON has no infinity; r is not finite only if C(gamma) = 0 < C(beta).
            r = {k: math.inf if v is None else v for k, v in found["bias_ratio"].items()}
            plain = "r" if name == "C" else "r of C_m"
            heading = "r of training" if found["training"] else plain
            return r, heading, {k: found.get("bias_ratio_errors", {}).get(k) for k in r}
    return None


def by_kind_and_layer(result):
    """Each kind's shares by layer: dict of kind to float64 [layers], and the layers' labels."""
    partition = result["partition"]
    layers = list(result["by_layer"])
    values = [_number_of_json(cell["value"]) for cell in result["by_variable"].values()]
    found = {
        kind: np.zeros(len(layers)) for kind in result["by_kind"] if kind in partition["kinds"]
    }
    for layer, kind, value in zip(partition["layers"], partition["kinds"], values, strict=True):
        found[kind][layers.index(layer)] += value
    return found, layers


def tables(results):
    """Two `rich` tables of all measures: by layer, and by kind.

    Args:
        results: dict of measure to plain result.
    """
    return [_table("layer", results, ratios(results)), _table("kind", results, None)]


def _table(level, results, r):
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, title=f"By {level}", title_justify="left")
    table.add_column(level, no_wrap=True)
    for name, each in results.items():
        table.add_column(heading(name, each), justify="right", no_wrap=True)
    if r:
        table.add_column(r[1], justify="right", no_wrap=True)
    groups = next(iter(results.values()))[f"by_{level}"]
    ratio = {k: with_error(value, r[2][k]) for k, value in r[0].items()} if r else {}
    for group in groups:
        cells = [_cell(each[f"by_{level}"][group]) for each in results.values()]
        more = [ratio.pop(group, "")] if r else []
        table.add_row(group, *cells, *more, style="bold" if group == "Total" else None)
    for group, value in ratio.items():  # several pairs in one layer have their own labels
        table.add_row(group, *[""] * len(results), value)
    return table


def _cell(cell):
    value, error = cell["value"], cell["standard_error"]
    if value is None:
        return "?"
    return f"{value:.2e}" + (f" ±{error:.0e}" if error is not None else "")


def _number_of_json(value):
    return math.nan if value is None else value
