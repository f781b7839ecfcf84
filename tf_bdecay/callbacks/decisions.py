"""What an update decided, as table rows and TensorBoard scalars."""

import math

import numpy as np

LAYER_COLUMNS = ("layer", "C_beta", "C_gamma", "r", "decay_on")
VARIABLE_COLUMNS = ("variable", "role", "C", "trust_ratio", "gradient_norm")
THRESHOLD_TAG = "r_threshold"
BEGIN = {"updates": 0, "decay_on_updates": 0}  # the totals before the first update
# The descriptions that TensorBoard shows, by the beginning of a tag.
_DESCRIPTIONS = {
    "r/": "C_m(beta) / C_m(gamma) of the layer, on the batch of the update: beta decays where it "
    "is at least R.",
    THRESHOLD_TAG: "R, the threshold of r.",
    "C_beta/": "Connectivity sharpness of beta, C_m, on the batch of the update.",
    "C_gamma/": "Connectivity sharpness of gamma, C_m, on the batch of the update.",
    "C/": "Connectivity sharpness C_m on the batch of the update, summed over variables of a kind.",
    "decay_on/": "Whether the beta of the layer decayed in the update: 1 or 0.",
    "decay_on_fraction": "Share of the layers whose beta decayed in the update.",
    "trust_ratio/": "||theta|| / ||u|| of the variable, by which the learning rate is multiplied.",
    "gradient_norm/": "||g|| of the variable's gradient in the update, before clipping.",
    "learning_rate": "eta of the update.",
}


def describe_tag(tag):
    """The description that TensorBoard shows for a tag of `scalars`, or ""."""
    return next((text for begin, text in _DESCRIPTIONS.items() if tag.startswith(begin)), "")


def layer_rows(optimizer, decision):
    """A row of `LAYER_COLUMNS` for every paired normalization layer.

    Args:
        optimizer: one of tf_bdecay, built.
        decision: its `Decision`.

    Returns:
        List of dicts.
    """
    return [
        dict(
            layer=pair.layer,
            C_beta=decision.sensitivity[pair.beta],
            C_gamma=decision.sensitivity[pair.gamma],
            r=decision.bias_ratio[i],
            decay_on=int(decision.decay_on[i]),
        )
        for i, pair in enumerate(optimizer.roles.pairs)
    ]


def decay_share(after, before=BEGIN):
    """Share of the updates between two `totals()` in which each paired beta decayed.

        share_l = (on_l' - on_l) / (t' - t)

    with t the updates done; a skipped update decides nothing.

    Args:
        after, before: dicts of `updates`, t, and `decay_on_updates`, on: [L], or a sum over layers.

    Returns:
        The share, in the shape of on; 0 if no update was done.
    """
    updates = after["updates"] - before["updates"]
    return (after["decay_on_updates"] - before["decay_on_updates"]) / max(updates, 1)


def variable_rows(optimizer, decision):
    """A row of `VARIABLE_COLUMNS` for every trainable variable, without what it lacks.

    Args:
        optimizer, decision: as in `layer_rows`.

    Returns:
        List of dicts.
    """
    rows = []
    for variable in optimizer.roles.variables:
        row = dict(variable=variable.label, role=variable.role)
        row["C"] = decision.sensitivity[variable.index]
        if optimizer.adapts(variable):
            row["trust_ratio"] = decision.trust_ratio[variable.index]
        if decision.gradient_norm is not None:
            row["gradient_norm"] = decision.gradient_norm[variable.index]
        rows.append(row)
    return rows


def scalars(optimizer, decision, kinds):
    """What TensorBoard shows of an update: a dict of tag to number.

    Args:
        optimizer, decision: as in `layer_rows`.
        kinds: kind of every trainable variable, from `tf_bdecay.roles.kinds_of`.
    """
    found = {}
    for row in layer_rows(optimizer, decision):
        layer = row.pop("layer")
        found.update({f"{name}/{layer}": value for name, value in row.items()})
    if decision.layers:
        found["decay_on_fraction"] = decision.decay_on.mean()
        threshold = getattr(optimizer.weight_decay, "threshold", None)
        if threshold is not None and math.isfinite(threshold):
            found[THRESHOLD_TAG] = threshold
    found.update(_by_kind(decision.sensitivity, kinds))
    for row in variable_rows(optimizer, decision):
        for name in ("trust_ratio", "gradient_norm"):
            if name in row:
                found[f"{name}/{row['variable']}"] = row[name]
    return found


def _by_kind(sensitivity, kinds):
    """C_m by kind (Table 2) and in total."""
    kinds = np.array(kinds)
    sums = {f"C/{kind}": sensitivity[kinds == kind].sum() for kind in dict.fromkeys(kinds)}
    return {**sums, "C/Total": sensitivity.sum()}
