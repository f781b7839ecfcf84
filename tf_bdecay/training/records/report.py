"""The report of a finished run: its numbers, the mechanism behind them, and its curves."""

import math

import numpy as np
from matplotlib.figure import Figure
from rich import box
from rich.console import Group
from rich.table import Table

from tf_bdecay.callbacks import decisions
from tf_bdecay.gradient_noise import in_words, sentence
from tf_bdecay.terminal.figures import COLOURS, STYLES, marker, over, save_picture, verbatim

# If betas have a trust ratio, one that starts at 0 is seeded at about the first learning rate and
# ends at 1e-6 to 1e-5; one that trains ends at 1e-2 and above.
BETA_MOVED = 1e-4


def root_mean_square(arrays):
    """Root of the mean square over all elements of several arrays; NaN if there are none."""
    arrays = list(arrays)
    count = sum(a.size for a in arrays)
    total = sum(float(np.sum(np.square(a, dtype=np.float64))) for a in arrays)
    return math.sqrt(total / count) if count else math.nan


def mechanism(optimizer):
    """Whether and where decay acted, from the optimizer's state.

    Args:
        optimizer: the finished run's.

    Returns:
        Dict: `updates`, `skipped_updates`, `learning_rate_sum`, `beta_rms`, `gamma_rms`,
        `decay_on_fraction` of all layer-updates, `switches`, and `layers`: a dict by layer of `r`
        (C_m of training, at the last update), `decay_on_fraction`, `switches`, `beta_rms`.
    """
    roles, totals, decision = optimizer.roles, optimizer.totals(), optimizer.decision()
    values, shares = [v.numpy() for v in roles.keras_variables], decisions.decay_share(totals)
    layers = {}
    for i, pair in enumerate(roles.pairs):
        layers[pair.layer] = {
            "r": float(decision.bias_ratio[i]),
            "decay_on_fraction": float(shares[i]),
            "switches": int(totals["switches"][i]),
            "beta_rms": root_mean_square([values[pair.beta]]),
        }
    return {
        "updates": totals["updates"],
        "skipped_updates": totals["skipped_updates"],
        "learning_rate_sum": totals["learning_rate_sum"],
        "beta_rms": root_mean_square(values[i] for i in roles.indices("beta")),
        "gamma_rms": root_mean_square(values[i] for i in roles.indices("gamma")),
        "decay_on_fraction": float(shares.mean()) if layers else math.nan,
        "switches": int(totals["switches"].sum()),
        "layers": layers,
    }


def warnings_of(result, adaptive):
    """Sentences on what makes a result mean less than it seems.

    Args:
        result: from `mechanism`.
        adaptive: whether the policy switches decay on and off.
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
    """The final table, to be printed by rich.

    Args:
        result: dict of a finished run, as in result.json.
    """
    summary = Table(box=box.SIMPLE_HEAD, show_header=False)
    summary.add_column(style="bold")
    summary.add_column(justify="right")
    ends = {"": "", "_precise": ", precise statistics", "_average": ", averaged weights"}
    rows = []
    for end, words in ends.items():
        if f"test_accuracy{end}" not in result:
            continue
        accuracy = f"test accuracy{words or ' (last epoch)'}"
        rows.append((accuracy, f"{result[f'test_accuracy{end}']:.2%}"))
        if f"test_top5_accuracy{end}" in result:
            top5 = f"test top-5 accuracy{words}"
            rows.append((top5, f"{result[f'test_top5_accuracy{end}']:.2%}"))
        rows.append((f"test loss{words}", f"{result[f'test_loss{end}']:.4f}"))
        if f"test_crossentropy{end}" in result:
            plain = f"test cross-entropy, labels not smoothed{words}"
            rows.append((plain, f"{result[f'test_crossentropy{end}']:.4f}"))
    rows += [
        ("updates", f"{result['updates']:,}"),
        ("sum of eta", f"{result['learning_rate_sum']:.3f}"),
    ]
    if result["layers"]:
        rows += [
            ("RMS of beta", f"{result['beta_rms']:.4g}"),
            ("RMS of gamma", f"{result['gamma_rms']:.4g}"),
            ("beta decay on, of layer-updates", f"{result['decay_on_fraction']:.1%}"),
        ]
    if "gradient_noise_scale" in result:
        rows += [
            ("gradient noise scale over the run", in_words(result["gradient_noise_scale_of_run"])),
            ("gradient noise scale at the end", in_words(result["gradient_noise_scale"])),
        ]
    for row in rows:
        summary.add_row(*row)
    parts = [summary]
    if "gradient_noise_scale" in result:
        parts.append(_noise(result))
    if result["layers"]:
        parts.append(_layers(result["layers"]))
    parts += [f"Warning: {sentence}" for sentence in result["warnings"]]
    return Group(*parts)


def _noise(result):
    """A sentence on what the noise scale says about the run's batch size."""
    scale, batch = result["gradient_noise_scale_of_run"], result["gradient_noise_batch"]
    if math.isnan(scale):
        return "No gradient noise scale was measured: no update had parts to compare."
    said = sentence(batch, scale)
    return f"By the gradient noise scale over the run {said}."


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


def draw(path, epochs, layers, result, threshold=None):
    """Draws loss and accuracy by epoch, r by layer over updates, and how many layers decay.

    Args:
        path: of the PNG.
        epochs: data frame of metrics.csv.
        layers: data frame of layers.csv.
        result: dict of the finished run, as in result.json: for the title and the final test.
        threshold: R, drawn as a line; None for none.
    """
    names = list(dict.fromkeys(layers["layer"]))
    figure = Figure(figsize=(14, 9 if names else 5), layout="constrained")
    figure.suptitle(verbatim(_title(result)), fontsize=13)
    rows = figure.subfigures(2, 1, height_ratios=(4, 5)) if names else [figure]
    loss, accuracy, *share = rows[0].subplots(1, 3 if names else 2)
    _evaluations(loss, "loss", epochs, result)
    _evaluations(accuracy, "accuracy", epochs, result)
    smoothed = "test_crossentropy" in result  # a metric of its own where the loss is smoothed
    what = "loss of smoothed labels (nats)" if smoothed else "loss (cross-entropy, nats)"
    loss.set(ylabel=what, yscale="log")
    accuracy.set(ylabel="accuracy (%)")
    if names:
        _decaying(share[0], layers)
        _ratios(rows[1].subplots(), layers, names, threshold)
    save_picture(figure, path, dpi=110)


def run_name(result):
    """The name of a run in pictures."""
    return f"{result['experiment']}, variant {result['variant']}, seed {result['seed']}"


def _title(result):
    """The run's name and its test accuracy."""
    found = f"test accuracy {result['test_accuracy']:.2%}"
    if "test_accuracy_precise" in result:
        found += f" (moving statistics), {result['test_accuracy_precise']:.2%} (precise)"
    return f"{run_name(result)}\n{found}"


def _evaluations(axis, name, epochs, result):
    """Loss or accuracy by epoch in training and evaluation, and of the test at the end."""
    factor = 100 if name == "accuracy" else 1
    two = f"test_{name}_precise" in result  # a network without normalization has one evaluation
    style = dict(color=COLOURS[0], marker=marker(epochs))
    axis.plot(epochs["epoch"], factor * epochs[name], label="training", **style)
    for column in epochs.columns:
        split, _, statistics = column.partition(f"_{name}")
        if split not in ("test", "validation") or column == split:
            continue
        seen = epochs.dropna(subset=[column])
        kind = f", {statistics.strip('_') or 'moving'} statistics" if two else ""
        style = dict(color=COLOURS[1], marker=marker(seen))
        if statistics == "_average":
            kind, style["color"], style["linestyle"] = ", averaged weights", COLOURS[3], "--"
        axis.plot(seen["epoch"], factor * seen[column], label=split + kind, **style)
    end = factor * result[f"test_{name}"]
    label = "test at the end" + ", moving statistics" * two
    style = dict(color=COLOURS[2], marker="*", markersize=12, linestyle="", zorder=3)
    style["markerfacecolor"] = "none"  # lets the end of the curve show through
    axis.plot([result["epochs"]], [end], label=label, clip_on=False, **style)
    over(axis, "epoch")
    # Above the axes: inside them, curves may come anywhere.
    above = dict(loc="lower left", bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2, frameon=False)
    axis.legend(ncols=2, fontsize=8, columnspacing=1.2, **above)


def _decaying(axis, layers):
    """The share of layers whose beta decays, over updates."""
    on = 100 * layers.groupby("update")["decay_on"].mean()
    axis.plot(on.index, on.to_numpy(), color=COLOURS[0], marker=marker(on))
    axis.set(ylabel="layers with beta decay on (%)", ylim=(-2, 102))
    over(axis, "update")


def _ratios(axis, layers, names, threshold):
    """r by layer over updates: a colour per stage, a line style per layer in it."""
    stages = {}
    for name in names:
        stages.setdefault(name.split("_")[0], []).append(name)
    for i, members in enumerate(stages.values()):
        for j, name in enumerate(members):
            rows = layers[layers["layer"] == name]
            shown = rows["r"].replace([0.0, math.inf], math.nan)  # a logarithm has neither
            style = dict(color=COLOURS[i % len(COLOURS)], linestyle=STYLES[j % len(STYLES)])
            style["marker"] = marker(rows)
            axis.plot(rows["update"], shown, linewidth=1.3, label=verbatim(name), **style)
    if threshold and math.isfinite(threshold):
        label = f"R = {threshold:g}: decay at and above"
        axis.axhline(threshold, color="black", linewidth=2, label=label)
    axis.set(ylabel="r = C(beta) / C(gamma) of training", yscale="log")
    positive = layers["r"][(layers["r"] > 0) & np.isfinite(layers["r"])]
    if len(positive):  # a beta starts at 0: the rise from there would fill most of the picture
        axis.set_ylim(bottom=max(positive.min(), positive.median() / 20) / 1.5)
    axis.set_title("r by normalization layer, one colour per stage", fontsize=11)
    over(axis, "update")
    columns = math.ceil(len(names) / 24)
    axis.legend(
        loc="upper left", bbox_to_anchor=(1.0, 1.02), ncols=columns, fontsize=8, handlelength=3.5
    )
