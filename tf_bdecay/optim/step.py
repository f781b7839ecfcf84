"""One update of all variables, in the order of Algorithm 1.

`update` states that order. Its steps are the pure functions below, which an engine runs:
`whole_tensors` lets them return new tensors, `tensorflow_engine` compiles them block by block and
writes in place. In `decide`, r_l switches the decay of beta.
"""

import keras
import numpy as np
from keras import ops

from tf_bdecay.errors import require
from tf_bdecay.optim.blocks import gather_by_variable
from tf_bdecay.optim.formulas import clip_by_global_norm_scale
from tf_bdecay.sensitivity import bias_ratio, connection_sensitivity


def update(engine, gradients, learning_rate, overwrites=()):
    """Updates all variables and counters; a skipped update only counts the skip.

    Args:
        engine: the `Engine` that holds the state and runs the functions.
        gradients: list of gradients of the variables that have one, summed over replicas.
        learning_rate: scalar eta.
        overwrites: list of new values of the variables in `engine.replaced`.
    """
    layout, done = engine.layout, engine.value("iterations")
    gradients = engine.reduce(gradients)  # of the global batch's mean loss, one per block
    sums = [engine.norms(n, gradients[n]) for n in range(len(layout.blocks))]  # C_m, ||g||^2
    decision = engine.judge(sums)  # r_l >= R, before any clipping
    scalars = engine.scalars(learning_rate, done)  # eta, 1 - beta^t

    def move():
        trust_ratios = [
            # clip, direction, decay, trust ratio, write
            engine.move(
                n, gradients[n], layout.decay(block, decision["decay_on"]), decision, scalars
            )
            for n, block in enumerate(layout.blocks)
        ]
        engine.write(counted(engine, decision, learning_rate))
        engine.write({"trust_ratio": gather_by_variable(layout.blocks, trust_ratios)})
        engine.overwrite(overwrites)

    def average():
        for n in range(len(engine.optimizer.averages)):
            engine.average(n, done)

    accepted = True
    if engine.optimizer.skip_nonfinite:
        accepted = decision["finite"]
        for value in overwrites:
            accepted = ops.logical_and(accepted, ops.all(ops.isfinite(value)))
    engine.branch(accepted, move, lambda: engine.write(skipped(engine)))
    if engine.optimizer.averages:
        engine.branch(accepted, average, lambda: None)


def norms(block, gradient, parameter, with_squares):
    """Sums over a block that an update needs before any variable moves.

    Args:
        block: the `Block`.
        gradient, parameter: the block's tensors.
        with_squares: whether to return ||g||^2 as well.

    Returns:
        List of tensors [number of variables of the block]: C_m, which is ||g theta||_1 (eq. 4 with
        the gradient of the batch), and ||g||^2 if `with_squares`.
    """
    (product,) = connection_sensitivity([gradient], [parameter])
    sums = [block.sums(ops.abs(product))]
    return [*sums, block.square_sums(gradient)] if with_squares else sums


def decide(layout, sensitivity, present):
    """r_l of every normalization layer, and whether its beta decays (sec. 4.2).

        r_l = C(beta_l) / C(gamma_l)        lambda_beta_l = lambda_beta if r_l >= R else 0

    A pair that lacks a gradient (a variable was frozen later) has ratio 0 and no adaptive decay.

    Args:
        layout: the `Layout`, whose policy decides.
        sensitivity: tensor [V], C_m of every variable.
        present: indices of the variables that have a gradient.

    Returns:
        Tensors [L]: r_l, dimensionless, and booleans.

    Raises:
        BadInput: the policy gives something else than booleans, or not one for each pair.
    """
    betas, gammas = layout.betas, layout.gammas
    ratio = bias_ratio(ops.take(sensitivity, betas), ops.take(sensitivity, gammas))
    complete = np.isin(gammas, list(present)) & np.isin(betas, list(present))
    if not complete.all():
        ratio = ops.where(complete, ratio, ops.zeros_like(ratio))
    decays = layout.coefficients[betas] != 0
    if layout.policy.adaptive:
        decays = decays & complete
    return ratio, ops.logical_and(_asked(layout.policy, ratio), decays)


def _asked(policy, ratio):
    """What a policy, which may be a user's own, decides: booleans [L], or one for all."""
    on = ops.convert_to_tensor(policy.decide(ratio))
    dtype = keras.backend.standardize_dtype(on.dtype)
    require(
        dtype == "bool" and tuple(on.shape) in ((), tuple(ratio.shape)),
        f"`decide` of the decay policy {type(policy).__name__} must give a boolean for each of the "
        f"{ratio.shape[0]} gamma-beta pairs. Received: {dtype} of shape {tuple(on.shape)}",
    )
    return on


def judge(optimizer, sums, ratio, on, present):
    """Everything that an update decides before any variable moves.

    Finiteness is tested on the sums of |g theta|. A sum is not finite if g or theta is not (0 * inf
    is NaN) or if their product overflows float32. Where theta is not finite, neither C_m nor the
    trust ratio has a value. Variables without a gradient take no part in the test, whatever they
    contain, because they stay as they are; their C_m is 0.

    Args:
        optimizer: the built optimizer.
        sums: list of what `norms` returned for each block.
        ratio, on: r_l and the decision in force, which `source="probe"` keeps.
        present: as in `decide`.

    Returns:
        Dict of tensors: `sensitivity` [V]; `bias_ratio` and `decay_on` [L]; `finite`; `clip`, the
        factor that limits the norm of all gradients, or None; `gradient_norm` [V], ||g|| of each
        variable, or None.
    """
    layout = optimizer.layout
    sensitivity = gather_by_variable(layout.blocks, [s[0] for s in sums])
    absent = _absent(range(len(layout.roles)), present)
    if absent.any():  # theirs is 0 * theta, which is NaN if theta is not finite
        sensitivity = ops.where(absent, ops.zeros_like(sensitivity), sensitivity)
    if layout.policy.source != "probe":
        ratio, on = decide(layout, sensitivity, present)
    clip = gradient_norm = None
    if optimizer.global_clipnorm is not None:
        squares = ops.concatenate([s[1] for s in sums])
        clip = clip_by_global_norm_scale(squares, optimizer.global_clipnorm)
    if optimizer.gradient_norms:
        gradient_norm = ops.sqrt(gather_by_variable(layout.blocks, [s[1] for s in sums]))
    return {
        "sensitivity": sensitivity,
        "bias_ratio": ratio,
        "decay_on": on,
        "finite": ops.all(ops.isfinite(sensitivity)),
        "clip": clip,
        "gradient_norm": gradient_norm,
    }


def moved(optimizer, block, present, parameter, gradient, slots, decay, clip, scalars):
    """New theta, slots and trust ratios of a block; variables without a gradient stay as they are.

    Args:
        optimizer: the built optimizer, whose `rule` is applied.
        block: the `Block`.
        present: as in `decide`.
        parameter, gradient: its tensors.
        slots: tuple of its moments.
        decay: lambda of each of its variables, or None where all are 0.
        clip: factor of the gradient, or None.
        scalars: from the optimizer's `scalars`.
    """
    if clip is not None:
        gradient = gradient * ops.cast(clip, gradient.dtype)
    scalars = [ops.cast(scalar, block.compute_dtype) for scalar in scalars]
    theta, new_slots, ratios = optimizer.rule(block, parameter, gradient, slots, decay, scalars)
    absent = _absent(block.indices, present)
    if absent.any():
        keep = block.spread(absent)
        ratios = ops.where(absent, ops.ones_like(ratios), ratios)
        theta = ops.where(keep, parameter, theta)
        new_slots = [ops.where(keep, old, new) for old, new in zip(slots, new_slots, strict=True)]
    return theta, tuple(new_slots), ratios


def _absent(indices, present):
    """Marks those of the variables that have no gradient."""
    return np.isin(list(indices), list(present), invert=True)


def averaged(optimizer, weight, kept, updates_done, moves=True):
    """Updates a variable's moving average, and overwrites the variable with it when that is due.

    Args:
        optimizer: the built optimizer.
        weight, kept: the variable and its average.
        updates_done: scalar; at 0 the average begins as the variable itself.
        moves: whether the variable has a gradient; one without (frozen later) stays as it is.
    """
    momentum = optimizer.ema_momentum * ops.cast(updates_done > 0, weight.dtype)  # first: theta
    kept = momentum * kept + (1 - momentum) * weight
    if optimizer.ema_overwrite_frequency and moves:
        overwrite = ops.equal((updates_done + 1) % optimizer.ema_overwrite_frequency, 0)
        weight = ops.where(overwrite, kept, weight)
    return weight, kept


def counted(engine, decision, learning_rate):
    """The small state after an update: the decision and all counters."""
    on, done = decision["decay_on"], engine.value("iterations")
    switched = ops.logical_and(ops.not_equal(on, engine.value("decay_on")), done > 0)
    eta = ops.cast(learning_rate, "float32")
    norms = {k: v for k, v in decision.items() if k == "gradient_norm" and v is not None}
    return {
        **norms,
        "iterations": done + 1,
        "bias_ratio": decision["bias_ratio"],
        "decay_on": on,
        "sensitivity": decision["sensitivity"],
        "decay_on_updates": engine.value("decay_on_updates") + ops.cast(on, done.dtype),
        "switches": engine.value("switches") + ops.cast(switched, done.dtype),
        "learning_rate_sum": engine.value("learning_rate_sum") + eta,
        "skipped_in_a_row": ops.zeros_like(engine.value("skipped_in_a_row")),
    }


def skipped(engine):
    """The counters after a skipped update; everything else stays as it was."""
    return {name: engine.value(name) + 1 for name in ("skipped_updates", "skipped_in_a_row")}
