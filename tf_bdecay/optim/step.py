"""One update as a pure function: all old state and the reduced gradients to all new state.

In METHOD's order: sensitivity, decision, clipping, the optimizer's rule, constraints, averages.
"""

import functools

import numpy as np
from keras import ops

from tf_bdecay.optim import packing


def step(optimizer, state, gradients, learning_rate, present):
    """All new state of an update, or the old one and its count where the gradients are not finite.

    "Finite" is tested on the sums of |g theta|, which are not where g is not (0 * inf is NaN), or
    theta is not, or their product leaves float32.

    Args:
        optimizer: a built `DecayByRole`: its plan, settings and `update_block`.
        state: structure of tensors, as `DecayByRole` keeps it.
        gradients: list of reduced gradients of those variables that have one.
        learning_rate: scalar eta.
        present: tuple of the indices of these variables, ascending.

    Returns:
        The new state, structured as the old one.
    """
    if optimizer.loss_scale_factor is not None:
        gradients = [g / optimizer.loss_scale_factor for g in gradients]
    given = dict(zip(present, gradients, strict=True))
    old = state["parameters"]
    full = [given[i] if i in given else ops.zeros_like(p) for i, p in enumerate(old)]
    gradients, parameters = optimizer.plan.join(full), optimizer.plan.join(old)
    sensitivity = optimizer.plan.sensitivity(gradients, parameters)
    update_all = functools.partial(
        _updated, optimizer, state, gradients, parameters, sensitivity, learning_rate, present
    )
    if not optimizer.skip_nonfinite:
        return update_all()
    finite = ops.all(ops.isfinite(sensitivity))
    return ops.cond(finite, update_all, functools.partial(_skipped, state))


def _updated(optimizer, state, gradients, parameters, sensitivity, learning_rate, present):
    """The new state of an update that is not skipped; `gradients` and `parameters` by block."""
    plan = optimizer.plan
    if optimizer.weight_decay.source == "probe":
        ratio, on = state["bias_ratio"], state["decay_on"]
    else:
        ratio, on = plan.decide(sensitivity, present)
    gradients = plan.clip(gradients, optimizer.global_clipnorm)
    updates = state["iterations"] + 1
    weights, slots, trust = list(state["parameters"]), [], []
    for n, block in enumerate(plan.blocks):
        before = (parameters[n], *state["slots"][n])
        p, new_slots, ratios = optimizer.update_block(
            block,
            before[0],
            gradients[n],
            before[1:],
            plan.decay(block, on),
            learning_rate,
            updates,
        )
        p, *new_slots = _keep_absent(block, present, before, (p, *new_slots))
        slots.append(tuple(new_slots))
        trust.append(ratios)
        for i, value in zip(block.indices, block.split(p), strict=True):
            weights[i] = optimizer.constrained(i, ops.cast(value, block.dtype))
    weights, averages = _averaged(optimizer, state, weights)
    switched = ops.logical_and(ops.not_equal(on, state["decay_on"]), state["iterations"] > 0)
    return {
        "iterations": updates,
        "parameters": weights,
        "slots": tuple(slots),
        "averages": averages,
        "bias_ratio": ratio,
        "decay_on": on,
        "sensitivity": sensitivity,
        "trust_ratio": packing.gather_by_variable(plan.blocks, trust),
        "decay_on_updates": state["decay_on_updates"] + ops.cast(on, updates.dtype),
        "switches": state["switches"] + ops.cast(switched, updates.dtype),
        "learning_rate_sum": state["learning_rate_sum"] + ops.cast(learning_rate, "float32"),
        "skipped_updates": state["skipped_updates"],
        "skipped_in_a_row": ops.zeros_like(state["skipped_in_a_row"]),
    }


def _skipped(state):
    """The state after an update that is skipped: as it was, and counted."""
    return {
        **state,
        "skipped_updates": state["skipped_updates"] + 1,
        "skipped_in_a_row": state["skipped_in_a_row"] + 1,
    }


def _keep_absent(block, present, before, after):
    """`after`, but `before` for the elements of variables that have no gradient."""
    absent = np.array([i not in present for i in block.indices])
    if not absent.any():
        return after
    keep = block.spread(absent)
    return tuple(ops.where(keep, old, new) for old, new in zip(before, after, strict=True))


def _averaged(optimizer, state, weights):
    """Weights and their moving averages, the former overwritten by the latter when it is time."""
    averages, done = [], state["iterations"]
    weights = list(weights)
    for n, (i, _) in enumerate(optimizer.averages):
        momentum = optimizer.ema_momentum * ops.cast(done > 0, weights[i].dtype)  # first: theta
        averages.append(momentum * state["averages"][n] + (1 - momentum) * weights[i])
        if optimizer.ema_overwrite_frequency:
            overwrite = ops.equal((done + 1) % optimizer.ema_overwrite_frequency, 0)
            weights[i] = ops.where(overwrite, averages[n], weights[i])
    return weights, averages
