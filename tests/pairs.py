"""A pairwise cover of what one command line can ask for, and the pairs that are refused by design.

A fault of a combination is nearly always one of two values (Kuhn et al. 2004), so that a few dozen
rows, in which every pair of values occurs, stand for the thousands of products.
"""

import itertools
import random

UPDATES = 3  # of the run that `command` asks for

# The first value of every factor goes with every value of the others.
FACTORS = {
    "variant": ("no_bias", "adaptive", "full", "beta_frozen", "bn_frozen", "probe"),
    "strategy": ("none", "one_device", "mirrored", "multi_worker"),
    "data": ("digits", "cifar10", "cifar100"),
    "precision": ("float32", "mixed_bfloat16", "mixed_float16"),
    "statistics": ("unset", "precise", "moving"),
    "execution": ("plain", "jit_compile", "steps_per_execution"),
    "micro_batch": ("off", "on"),
    "model": ("resnet18", "vgg11"),
    "optimizer": ("lamb", "sgd"),
    "normalization": ("ghost", "batch"),
    "ascent": ("no_ascent", "sam", "asam"),
    "mixing": ("no_mixing", "mixed"),
    "average": ("no_average", "average"),
}

# Pairs of values that end with exit code 2, and what the sentence says.
_XLA = "config.jit_compile=true works with --strategy=none only"
_NO_LAYERS = "needs layers with gamma and beta, and vgg11 has none"
_NO_KEY = "has no meaning with config.model.name=vgg11"
REFUSED = {
    ("jit_compile", "one_device"): _XLA,
    ("jit_compile", "mirrored"): _XLA,
    ("jit_compile", "multi_worker"): _XLA,
    ("steps_per_execution", "multi_worker"): "must be 1 with --strategy=multi_worker",
    ("probe", "multi_worker"): "source=probe does not go with --strategy=multi_worker",
    ("vgg11", "adaptive"): _NO_LAYERS,
    ("vgg11", "probe"): _NO_LAYERS,
    ("vgg11", "beta_frozen"): _NO_LAYERS,
    ("vgg11", "bn_frozen"): _NO_LAYERS,
    ("vgg11", "precise"): _NO_KEY,
    ("vgg11", "moving"): _NO_KEY,
    ("vgg11", "batch"): _NO_KEY,
    ("vgg11", "sgd"): "start from a config file or variant that has it",
    ("batch", "on"): "config.model.normalization=batch needs its batch whole",
}
_REFUSED = {frozenset(pair) for pair in REFUSED}


def pairs(row):
    """The pairs of (factor, value) of a row, a dict of factor to value."""
    return set(itertools.combinations(sorted(row.items()), 2))


def refused(pair):
    """Whether a pair of (factor, value) is refused by design."""
    return frozenset(value for _, value in pair) in _REFUSED


def every_pair():
    """All pairs of values of two factors, in order, the refused ones left out."""
    return [
        pair
        for (one, values), (other, others) in itertools.combinations(sorted(FACTORS.items()), 2)
        for pair in itertools.product(((one, v) for v in values), ((other, v) for v in others))
        if not refused(pair)
    ]


def cover(factors=FACTORS, candidates=60):
    """Rows in which every pair occurs that is not refused: the greedy search of AETG.

    Each row is the best of some candidates; a candidate begins with a pair that is still missing,
    goes through the other factors in a random order and takes, of each, the value that brings the
    most missing pairs (Cohen et al. 1997).

    Returns:
        List of dicts of factor to value, the same at every call.
    """
    draw = random.Random(0)
    missing = dict.fromkeys(every_pair())  # a set that keeps its order
    rows = []
    while missing:
        found = [_candidate(factors, missing, draw) for _ in range(candidates)]
        row = max(found, key=lambda row: len(pairs(row) & missing.keys()))
        for pair in pairs(row):
            missing.pop(pair, None)
        rows.append({factor: row[factor] for factor in factors})
    return rows


def _candidate(factors, missing, draw):
    row = dict(draw.choice(list(missing)))
    rest = [factor for factor in factors if factor not in row]
    draw.shuffle(rest)
    for factor in rest:
        new = {}
        for value in factors[factor]:
            with_it = {tuple(sorted(((factor, value), item))) for item in row.items()}
            if not any(refused(pair) for pair in with_it):
                new[value] = len(with_it & missing.keys())
        most = max(new.values())
        row[factor] = draw.choice([value for value, count in new.items() if count == most])
    return row


def refused_rows():
    """A row for each refused pair, all else at its first value."""
    of_value = {value: factor for factor, values in FACTORS.items() for value in values}
    first = {factor: values[0] for factor, values in FACTORS.items()}
    return [{**first, **{of_value[value]: value for value in pair}} for pair in REFUSED]


def command(row, folder, workdir):
    """What a row is on the command line: the program's arguments, --strategy left out.

    Args:
        row: dict of factor to value.
        folder: where the prepared CIFAR sets are.
        workdir: of the run.

    Returns:
        List of strings. A run is one epoch of three updates.
    """
    data, model, sgd = row["data"], row["model"], row["optimizer"] == "sgd"
    digits = data == "digits"
    file = f"{data}_{model}"
    if model == "vgg11" and digits:
        file = "cifar10_vgg11"
    elif model == "resnet18" and sgd:
        file = "cifar10_resnet18_sgd"
    variant = "adaptive" if row["variant"] == "probe" else row["variant"]
    said = {
        "data.name": data,
        "epochs": 1,
        "batch_size": 448 if digits else 64,
        "model.width": 2,
        "precision": row["precision"],
        "log.summaries_every": 1,
    }
    if model == "resnet18" and row["normalization"] == "ghost":
        said["model.ghost_batch_size"] = 8
    if sgd:
        said["optimizer.name"] = "sgd"
        if model == "resnet18":
            said["learning_rate.warmup_epochs"] = 0
    if row["micro_batch"] == "on":
        said["micro_batch_size"] = 112 if digits else 16
    if row["variant"] == "probe":
        said |= {"decay.source": "probe", "decay.probe_every": 2, "decay.probe_examples": 32}
    if row["statistics"] != "unset":
        said["evaluation_statistics"] = row["statistics"]
    if row["normalization"] == "batch":
        said["model.normalization"] = "batch"
    if row["ascent"] != "no_ascent":
        said["sharpness_aware.kind"] = row["ascent"]
    if row["average"] == "average":
        said["ema.momentum"] = 0.5
    if row["mixing"] == "mixed":
        said |= {"data.mixup": 0.2, "data.cutmix": 1.0}
    if row["execution"] != "plain":
        said[row["execution"]] = {"jit_compile": "true", "steps_per_execution": 3}[row["execution"]]
    flags = [f"--config.{key}={value}" for key, value in said.items()]
    if not digits:
        flags.append(f"--data_dir={folder}")
    return [f"--config=configs/{file}.py:{variant}", *flags, f"--workdir={workdir}"]
