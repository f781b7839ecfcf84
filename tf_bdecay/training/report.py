"""What a finished run says: the numbers, the mechanism behind them, and a picture of the curves."""

import math

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.console import Group
from rich.table import Table

# A beta that starts at 0 and is adapted is seeded at about the first learning rate and ends at 1e-6
# to 1e-5; one that trains ends at 1e-2 and above.
BETA_MOVED = 1e-4


def root_mean_square(arrays):
    """Root of the mean square over all elements of several arrays; NaN if there are none."""
    arrays = list(arrays)
    count = sum(a.size for a in arrays)
    total = sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays)
    return math.sqrt(total / count) if count else math.nan


def mechanism(optimizer, variables):
    """Whether and where decay acted, from the optimizer's state.

    Args:
        optimizer: of the finished run.
        variables: the model's trainable variables.

    Returns:
        Dict: `updates`, `skipped_updates`, `learning_rate_sum`, `beta_rms`, `gamma_rms`,
        `decay_on_fraction` of all layer-updates, `switches`, and `layers`: a dict by layer of `r`
        (C_m of training, at the last update), `decay_on_fraction`, `switches`, `beta_rms`.
    """
    roles, totals, decision = optimizer.roles, optimizer.totals(), optimizer.decision()
    updates = max(totals["updates"], 1)
    values = [v.numpy() for v in variables]
    layers = {}
    for i, pair in enumerate(roles.pairs):
        layers[pair.layer] = {
            "r": float(decision.bias_ratio[i]),
            "decay_on_fraction": float(totals["decay_on_updates"][i] / updates),
            "switches": int(totals["switches"][i]),
            "beta_rms": root_mean_square([values[pair.beta]]),
        }
    fractions = [layer["decay_on_fraction"] for layer in layers.values()]
    return {
        "updates": totals["updates"],
        "skipped_updates": totals["skipped_updates"],
        "learning_rate_sum": totals["learning_rate_sum"],
        "beta_rms": root_mean_square(values[i] for i in roles.indices("beta")),
        "gamma_rms": root_mean_square(values[i] for i in roles.indices("gamma")),
        "decay_on_fraction": float(np.mean(fractions)) if fractions else math.nan,
        "switches": int(totals["switches"].sum()),
        "layers": layers,
    }


def warnings_of(result, adaptive):
    """What makes a result mean less than it seems, as sentences.

    Args:
        result: from `mechanism`.
        adaptive: whether the policy switches.
    """
    found = []
    layers = result["layers"]
    still = [name for name, layer in layers.items() if layer["beta_rms"] < BETA_MOVED]
    if still:
        which = "beta" if len(still) == len(layers) else f"beta of {', '.join(still)}"
        found.append(
            f"{which} never moved (root mean square below {BETA_MOVED:g}): decaying it or not is "
            "one and the same run; see optimizer.layer_adaptation and the sum of eta."
        )
    if adaptive and layers and not result["switches"]:
        on = "on" if result["decay_on_fraction"] > 0.5 else "off"
        found.append(
            f"beta decay was {on} in every layer at every update: no layer ever switched, so this "
            "is not a test of adaptive decay; see decay.threshold beside the r by layer."
        )
    if result["skipped_updates"]:
        found.append(f"{result['skipped_updates']} updates were skipped: gradients not finite.")
    return found


def render(result):
    """The end table, to be printed by rich.

    Args:
        result: dict of a finished run, as in result.json.
    """
    summary = Table(box=box.SIMPLE_HEAD, show_header=False)
    summary.add_column(style="bold")
    summary.add_column(justify="right")
    rows = [
        ("test accuracy (last epoch)", f"{result['test_accuracy']:.2%}"),
        ("test loss", f"{result['test_loss']:.4f}"),
        ("updates", f"{result['updates']:,}"),
        ("sum of eta", f"{result['learning_rate_sum']:.3f}"),
    ]
    if result["layers"]:
        rows += [
            ("RMS of beta", f"{result['beta_rms']:.4g}"),
            ("RMS of gamma", f"{result['gamma_rms']:.4g}"),
            ("beta decay on, of layer-updates", f"{result['decay_on_fraction']:.1%}"),
        ]
    for row in rows:
        summary.add_row(*row)
    parts = [summary]
    if result["layers"]:
        parts.append(_layers(result["layers"]))
    parts += [f"Warning: {sentence}" for sentence in result["warnings"]]
    return Group(*parts)


def _layers(layers):
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("layer", no_wrap=True)
    for name in ("r at the end", "decay on", "switches", "RMS of beta"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, layer in layers.items():
        table.add_row(
            name,
            f"{layer['r']:.4f}",
            f"{layer['decay_on_fraction']:.1%}",
            str(layer["switches"]),
            f"{layer['beta_rms']:.4g}",
        )
    return table


def draw(path, epochs, layers, split, threshold=None):
    """Draws loss and accuracy by epoch, r by layer over updates, and how many layers decay.

    Args:
        path: of the PNG.
        epochs: data frame of metrics.csv.
        layers: data frame of layers.csv.
        split: "test" or "validation", what the epochs were evaluated on.
        threshold: R, drawn as a line; None for none.
    """
    figure = Figure(figsize=(11, 7), layout="constrained")
    (loss, accuracy), (ratio, fraction) = figure.subplots(2, 2)
    for axis, name in ((loss, "loss"), (accuracy, "accuracy")):
        axis.plot(epochs["epoch"], epochs[name], label="training")
        seen = epochs.dropna(subset=[f"{split}_{name}"])
        axis.plot(seen["epoch"], seen[f"{split}_{name}"], label=split)
        axis.set(xlabel="epoch", ylabel=name, yscale="log" if name == "loss" else "linear")
        axis.legend()
    names = list(dict.fromkeys(layers["layer"]))
    for i, name in enumerate(names):
        rows = layers[layers["layer"] == name]
        shown = rows["r"].replace([0.0, math.inf], math.nan)  # a logarithm has neither
        shade = 0.1 + 0.8 * i / max(len(names) - 1, 1)
        ratio.plot(rows["update"], shown, color=(shade, 0.2, 1 - shade), linewidth=0.8)
    ratio.set(xlabel="update", ylabel="r of training, first layer blue to last red", yscale="log")
    if threshold and math.isfinite(threshold):
        ratio.axhline(threshold, color="black", linestyle="--", label=f"R = {threshold:g}")
        ratio.legend()
    on = layers.groupby("update")["decay_on"].mean()
    fraction.plot(on.index, on.to_numpy())
    fraction.set(xlabel="update", ylabel="share of layers with beta decay on", ylim=(-0.02, 1.02))
    figure.savefig(path, dpi=120)
