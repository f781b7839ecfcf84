"""The checks of a config: names, types, ranges, and what does not go together.

Nothing here needs TensorFlow, so a wrong value is refused at once. A key that the chosen model,
optimizer, schedule or policy does not use is refused too: nothing is silently ignored.
"""

from tf_bdecay.batches import check_cut, check_divides
from tf_bdecay.errors import BadInput, nearest, require
from tf_bdecay.training.config import key_table, keys
from tf_bdecay.training.config.dotted import flatten

# Keys that have no effect while another key has certain values, and what to do instead. A config
# file may have both, because a default is nobody's wish; on the command line they are refused.
_IDLE = (
    (
        ("learning_rate.base_peak", "learning_rate.base_batch"),
        "learning_rate.peak",
        lambda peak: peak is not None,
        "set that in its place, or add --config.learning_rate.peak=unset",
    ),
    (
        ("learning_rate.initial", "learning_rate.power_warmup"),
        "learning_rate.warmup",
        lambda share: share == 0,
        "leave it out, or set a share above 0",
    ),
    (
        ("learning_rate.final", "learning_rate.power_decay"),
        "learning_rate.warmup",
        lambda share: share == 1,
        "leave it out, or set a share below 1",
    ),
    (
        ("model.ghost_batch_size",),
        "model.normalization",
        lambda kind: kind == "batch",
        "leave it out, or add --config.model.normalization=ghost",
    ),
    (
        ("data.flip", "data.least_area"),
        "data.augment",
        lambda augment: augment is False,
        "leave it out, or add --config.data.augment=true",
    ),
)

CUT_NAMES = ("config.batch_size", "config.micro_batch_size", "config.model.ghost_batch_size")


def ghost_batch_size(flat):
    """The ghost batch size, of which every part of a batch must be a multiple; 1 for none.

    Args:
        flat: dict of dotted path to value.
    """
    return flat["model.ghost_batch_size"] if flat.get("model.normalization") == "ghost" else 1


def check(config):
    """Checks a resolved config: names, types, ranges, and what does not go together.

    Args:
        config: a ConfigDict with overrides applied.

    Raises:
        BadInput: the first error found, in one sentence.
    """
    flat = flatten(config)
    check_keys(flat)
    for path, key in keys.table(flat).items():
        key.check(path, flat[path])
    _check_together(flat)


def check_keys(flat):
    """Checks that a config has exactly the keys of its choices, whatever their values.

    Args:
        flat: dict of dotted path to value.

    Raises:
        BadInput: the first key that is unknown, has no meaning or is missing.
    """
    table = keys.table(flat)
    for path in flat:
        if path not in table:
            raise misplaced(path, flat)
    for path, key in table.items():
        require(path in flat, f"The config lacks {path!r}: {key.doc}.")


def check_effect(flat, given):
    """Checks that every key that was set by hand has an effect.

    Args:
        flat: dict of dotted path to value, overrides applied.
        given: the paths that were overridden.

    Raises:
        BadInput: another key leaves one of them without effect.
    """
    for paths, other, idle, instead in _IDLE:
        for path in paths:
            require(
                path not in given or path not in flat or not idle(flat[other]),
                f"config.{path} has no effect with config.{other}={flat.get(other)}: {instead}.",
            )


def misplaced(path, flat):
    """The error for a key that is unknown, or that this config does not use.

    Args:
        path: the dotted path of the key.
        flat: dict of dotted path to value, the config without it.
    """
    for chooser, _, branches in keys.CHOICES.values():
        homes = [name for name, branch in branches.items() if path in branch]
        if homes:
            return BadInput(
                f"config.{path} has no meaning with config.{chooser}={flat[chooser]}, only with "
                f"{', '.join(homes)}: start from a config file or variant that has it, in place of "
                f"changing config.{chooser}."
            )
    valid = keys.table(flat)
    short = {name.rpartition(".")[2]: name for name in valid}
    guess = nearest(path, valid) or short.get(nearest(path.rpartition(".")[2], short))
    hint = f"did you mean {guess!r}? " if guess else ""
    return BadInput(f"Unknown config key {path!r}: {hint}--help lists them all.")


def _check_together(flat):
    batch, micro = flat["batch_size"], flat["micro_batch_size"]
    check_cut(batch, 1, micro, ghost_batch_size(flat), CUT_NAMES)
    require(
        micro in (None, batch) or flat.get("model.normalization") != "batch",
        "config.model.normalization=batch needs its batch whole: leave config.micro_batch_size "
        f"out, or use normalization=ghost. Received: config.micro_batch_size={micro}",
    )
    _check_pictures(flat)
    _check_randaugment(flat)
    _check_precision(flat)
    _check_sharpness_aware(flat)
    require(
        not flat["log.gradient_noise_scale"] or flat["sharpness_aware.kind"] == "none",
        "config.log.gradient_noise_scale compares gradients at the weights, and "
        f"config.sharpness_aware.kind={flat['sharpness_aware.kind']} takes them elsewhere: leave "
        "one of them out.",
    )
    _check_variant(flat)
    normalized = "model.normalization" in flat
    whole = flat.get("model.frozen") == "none"
    policy = flat["decay.policy"]
    require(
        policy != "adaptive" or (normalized and whole),
        f"config.decay.policy=adaptive decides by gamma and beta of each normalization layer, and "
        f"{flat['model.name']} has no such pair"
        + (f" with config.model.frozen={flat['model.frozen']}" if normalized else "")
        + ": start from the variant no_bias, bias or, to freeze, "
        "beta_frozen, gamma_frozen or bn_frozen.",
    )
    if policy == "adaptive":
        _check_probe(flat)
    if "learning_rate.warmup_epochs" in flat:
        require(
            flat["learning_rate.warmup_epochs"] <= flat["epochs"],
            f"config.learning_rate.warmup_epochs={flat['learning_rate.warmup_epochs']} is more "
            f"than config.epochs={flat['epochs']}.",
        )


def _check_pictures(flat):
    """Evaluation crops the middle of a picture, which must be large enough for that."""
    size, shorter = flat.get("data.size"), flat.get("data.shorter")
    require(
        shorter is None or shorter >= size,
        f"config.data.shorter must be at least config.data.size={size}. Received: {shorter}",
    )


def _check_randaugment(flat):
    """Refuses a magnitude without operations, and operations on colours for grey images."""
    operations, magnitude = flat["data.randaugment"], flat["data.randaugment_magnitude"]
    require(
        magnitude is None or operations is not None,
        "config.data.randaugment_magnitude has no meaning without config.data.randaugment, the "
        f"number of operations: set that, or leave it out. Received: {magnitude}",
    )
    require(
        operations is None or flat["data.name"] != "digits",
        "config.data.randaugment changes colours, and the digits are grey: leave it out. "
        f"Received: {operations}",
    )


def _check_precision(flat):
    """float16 needs an optimizer that skips updates whose gradients overflow."""
    require(
        flat["precision"] != "mixed_float16" or flat["optimizer.skip_nonfinite"],
        "config.precision=mixed_float16 scales the loss until gradients overflow, which are then "
        "skipped: config.optimizer.skip_nonfinite must be true.",
    )


def _check_sharpness_aware(flat):
    """Refuses `rho` and `eta` with a kind that does not use them."""
    kind = flat["sharpness_aware.kind"]
    for name, kinds in (("rho", ("sam", "asam")), ("eta", ("asam",))):
        value = flat[f"sharpness_aware.{name}"]
        require(
            value is None or kind in kinds,
            f"config.sharpness_aware.{name} has no meaning with config.sharpness_aware.kind="
            f"{kind}, only with {', '.join(kinds)}: leave it out, or set the kind. "
            f"Received: {value}",
        )


def _check_variant(flat):
    """The variant's name must say what is trained, because results are filed under it."""
    variant, policy = flat["variant"], flat["decay.policy"]
    frozen = flat.get("model.frozen", "none")
    if variant.endswith("_frozen"):
        require(
            f"{frozen}_frozen" == variant,
            f"The variant {variant} freezes by config.model.frozen="
            f"{variant.removesuffix('_frozen')}. Received: config.model.frozen={frozen}",
        )
        return
    require(
        frozen == "none" or policy == "adaptive",  # an adaptive policy is refused below
        f"config.model.frozen={frozen} is the variant {frozen}_frozen: start from it. Received: "
        f"variant {variant}",
    )
    require(
        variant not in key_table.POLICIES or variant == policy,
        f"config.variant={variant} is not what config.decay.policy={policy} trains: choose the "
        f"variant after the config file, as in --config=FILE:{policy}.",
    )


def _check_probe(flat):
    probed = flat["decay.source"] == "probe"
    for path in ("decay.probe_every", "decay.probe_examples"):
        require(
            bool(flat[path]) == probed,
            f"config.{path} must be {'>= 1' if probed else '0'} with config.decay.source="
            f"{flat['decay.source']}. Received: {flat[path]}",
        )
    if probed:
        ghost = {"config.model.ghost_batch_size": ghost_batch_size(flat)}
        check_divides(ghost, "config.decay.probe_examples", flat["decay.probe_examples"])
