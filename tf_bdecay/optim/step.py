"""One update as pure functions: all old state and the reduced gradients to all new state.

In METHOD's order: `measure` each block, `decide`, clipping and the optimizer's rule in
`update_block`, constraints in `weights_of`, `average`, `count`. `step` is their plain composition;
`tensorflow_engine` composes them too, and assigns block by block.
"""

import numpy as np
from keras import ops

from tf_bdecay.optim import blocks
from tf_bdecay.optim.formulas import clip_by_global_norm_scale


def step(optimizer, state, gradients, learning_rate, present):
    """All new state of an update, or the old one and its count where the gradients are not finite.

    Args:
        optimizer: a built `DecayByRole`: its plan, settings and `update_block`.
        state: structure of tensors, as `DecayByRole` keeps it.
        gradients: list of reduced gradients of those variables that have one.
        learning_rate: scalar eta.
        present: tuple of the indices of these variables, ascending.

    Returns:
        The new state, structured as the old one.
    """
    plan = optimizer.plan
    gradients = plan.join(filled(optimizer, gradients, present, state["parameters"]))
    parameters = plan.join(state["parameters"])
    sums = [
        measure(optimizer, *of_block)
        for of_block in zip(plan.blocks, gradients, parameters, strict=True)
    ]
    decision = decide(optimizer, sums, state["bias_ratio"], state["decay_on"], present)

    def updated():
        scalars = terms(optimizer, learning_rate, state["iterations"])
        weights, slots, trust = list(state["parameters"]), [], []
        for n, block in enumerate(plan.blocks):
            theta, new_slots, ratios = update_block(
                optimizer,
                block,
                present,
                parameters[n],
                gradients[n],
                state["slots"][n],
                plan.decay(block, decision["decay_on"]),
                decision["scale"],
                scalars,
            )
            slots.append(new_slots)
            trust.append(ratios)
            for i, value in zip(block.indices, weights_of(optimizer, block, theta), strict=True):
                weights[i] = value
        averages = []
        for n, (i, _) in enumerate(optimizer.averages):
            weights[i], new = average(
                optimizer, weights[i], state["averages"][n], state["iterations"]
            )
            averages.append(new)
        return {
            **count(state, decision, learning_rate),
            "parameters": weights,
            "slots": tuple(slots),
            "averages": averages,
            "trust_ratio": blocks.gather_by_variable(plan.blocks, trust),
        }

    if not optimizer.skip_nonfinite:
        return updated()
    return ops.cond(decision["finite"], updated, lambda: {**state, **skip(state)})


def filled(optimizer, gradients, present, parameters):
    """One gradient for every variable, 0 for those that have none, free of `loss_scale_factor`."""
    if optimizer.loss_scale_factor is not None:
        gradients = [g / optimizer.loss_scale_factor for g in gradients]
    given = dict(zip(present, gradients, strict=True))
    return [given[i] if i in given else ops.zeros_like(p) for i, p in enumerate(parameters)]


def measure(optimizer, block, gradient, parameter):
    """What an update must know of all gradients before it begins.

    Returns:
        List of tensors [number of variables]: ||g theta||_1, and ||g||^2 where they are clipped.
    """
    sums = [optimizer.plan.sensitivity(block, gradient, parameter)]
    if optimizer.global_clipnorm is not None:
        sums.append(block.square_sums(gradient))
    return sums


def decide(optimizer, sums, ratio, on, present):
    """The decision of an update, from what was measured of each block.

    "Finite" is tested on the sums of |g theta|, which are not where g is not (0 * inf is NaN), or
    theta is not, or their product leaves float32.

    Args:
        optimizer: as in `step`.
        sums: list of what `measure` returned, one a block.
        ratio, on: r_l and the decision in force, which `source="probe"` keeps.
        present: as in `step`.

    Returns:
        Dict of tensors: `sensitivity` [V], `bias_ratio` and `decay_on` [L], `finite`, and the
        `scale` of clipping or None.
    """
    plan = optimizer.plan
    sensitivity = blocks.gather_by_variable(plan.blocks, [s[0] for s in sums])
    if optimizer.weight_decay.source != "probe":
        ratio, on = plan.decide(sensitivity, present)
    scale = None
    if optimizer.global_clipnorm is not None:
        squares = ops.concatenate([s[1] for s in sums])
        scale = clip_by_global_norm_scale(squares, optimizer.global_clipnorm)
    return {
        "sensitivity": sensitivity,
        "bias_ratio": ratio,
        "decay_on": on,
        "finite": ops.all(ops.isfinite(sensitivity)),
        "scale": scale,
    }


def terms(optimizer, learning_rate, updates_done):
    """The optimizer's own `terms` of the update after so many."""
    dtype = optimizer.plan.compute_dtype
    return optimizer.terms(ops.cast(learning_rate, dtype), ops.cast(updates_done + 1, dtype))


def update_block(optimizer, block, present, parameter, gradient, slots, decay, scale, scalars):
    """New theta, slots and trust ratios of a block; those without a gradient stay as they are.

    Args:
        optimizer, present: as in `step`.
        block, parameter, gradient, slots, decay: as in the optimizer's own `update_block`.
        scale: of clipping, or None.
        scalars: from `terms`.
    """
    if scale is not None:
        gradient = gradient * ops.cast(scale, gradient.dtype)
    scalars = [ops.cast(scalar, block.compute_dtype) for scalar in scalars]
    theta, new_slots, ratios = optimizer.update_block(
        block, parameter, gradient, slots, decay, scalars
    )
    absent = np.array([i not in present for i in block.indices])
    if absent.any():
        keep = block.spread(absent)
        theta = ops.where(keep, parameter, theta)
        new_slots = [ops.where(keep, old, new) for old, new in zip(slots, new_slots, strict=True)]
    return theta, tuple(new_slots), ratios


def weights_of(optimizer, block, theta):
    """One tensor a variable of a block's new theta, in its dtype and through its constraint."""
    return [
        optimizer.constrained(i, ops.cast(value, block.dtype))
        for i, value in zip(block.indices, block.split(theta), strict=True)
    ]


def average(optimizer, weight, kept, updates_done):
    """A variable and its moving average; the former overwritten by the latter when it is time."""
    momentum = optimizer.ema_momentum * ops.cast(updates_done > 0, weight.dtype)  # first: theta
    kept = momentum * kept + (1 - momentum) * weight
    if optimizer.ema_overwrite_frequency:
        overwrite = ops.equal((updates_done + 1) % optimizer.ema_overwrite_frequency, 0)
        weight = ops.where(overwrite, kept, weight)
    return weight, kept


def count(state, decision, learning_rate):
    """The small state after an update: the decision and all that is counted."""
    on, done = decision["decay_on"], state["iterations"]
    switched = ops.logical_and(ops.not_equal(on, state["decay_on"]), done > 0)
    return {
        "iterations": done + 1,
        "bias_ratio": decision["bias_ratio"],
        "decay_on": on,
        "sensitivity": decision["sensitivity"],
        "decay_on_updates": state["decay_on_updates"] + ops.cast(on, done.dtype),
        "switches": state["switches"] + ops.cast(switched, done.dtype),
        "learning_rate_sum": state["learning_rate_sum"] + ops.cast(learning_rate, "float32"),
        "skipped_updates": state["skipped_updates"],
        "skipped_in_a_row": ops.zeros_like(state["skipped_in_a_row"]),
    }


def skip(state):
    """The counts after an update that is skipped; all else stays as it was."""
    return {
        "skipped_updates": state["skipped_updates"] + 1,
        "skipped_in_a_row": state["skipped_in_a_row"] + 1,
    }
