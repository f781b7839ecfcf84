"""How data are cut: an epoch into batches, these into replicas, micro-batches and ghost batches.

    B = n K m,    m = j g        n replicas, K micro-batches of m examples, ghost batches of g
    B = n m,      g = k m        if k neighbouring replicas share a ghost batch, and k divides n

All checks that one size divides another are here, and give the same error sentence.
"""

import math

from tf_bdecay.errors import BadInput, check_count, require, unknown

NAMES = ("batch_size", "micro_batch_size", "ghost_batch_size")
REMAINDERS = ("drop", "keep")


def updates_per_epoch(num_examples, batch_size, remainder) -> int:
    """The number of batches that an epoch is cut into.

    Args:
        num_examples: n >= 1.
        batch_size: global batch B, at most n.
        remainder: "drop": floor(n / B); an epoch leaves out n mod B examples, which differ from
            epoch to epoch. "keep": ceil(n / B); the last batch may be smaller.

    Returns:
        An int.

    Raises:
        BadInput: an argument has the wrong type or is out of range.
    """
    check_count("num_examples", num_examples)
    check_count("batch_size", batch_size)
    if remainder not in REMAINDERS:
        raise unknown("remainder", remainder, REMAINDERS)
    require(
        batch_size <= num_examples,
        f"`batch_size` must be at most the number of examples, {num_examples}. Received: "
        f"batch_size={batch_size}",
    )
    whole, rest = divmod(int(num_examples), int(batch_size))
    return whole + (remainder == "keep" and rest > 0)


def evaluation_batch_size(num_examples, asked, replicas):
    """The largest batch size up to `asked` at which every replica gets a part of every batch.

    TensorFlow gives each replica ceil(n / replicas) of n examples while there are any left, and its
    convolutions fail on an empty part.

    Args:
        num_examples: number of examples in the split.
        asked: the evaluation batch size of the config.
        replicas: number of replicas that share a batch.

    Returns:
        The batch size.

    Raises:
        BadInput: there is no such size.
    """

    def shared(n):
        return math.ceil(n / replicas) * (replicas - 1) < n

    for size in range(min(asked, num_examples), 0, -1):
        rest = num_examples % size
        if shared(size) and (rest == 0 or shared(rest)):
            return size
    raise BadInput(
        f"No evaluation batch of up to config.evaluation_batch_size={asked} images gives each of "
        f"{replicas} replicas a part of every batch of {num_examples} images: choose a larger one."
    )


def bounds(examples, index, count):
    """Where a part of a batch begins and ends: n i // c and n (i + 1) // c.

    Args:
        examples: n, the size of the whole batch; an int or an integer tensor.
        index: i, the number of the part.
        count: c, the number of parts.

    Returns:
        The first example and the one after the last. Parts are consecutive, do not overlap and
        leave nothing out; they have equal sizes if c divides n.
    """
    return examples * index // count, examples * (index + 1) // count


def share_ghost_batches(part, replicas, ghost_batch):
    """Whether neighbouring replicas share ghost batches, each of them holding a part of one.

    Args:
        part: B / n >= 1, examples of a replica.
        replicas: n.
        ghost_batch: g.
    """
    return part < ghost_batch and ghost_batch % part == 0 and replicas % (ghost_batch // part) == 0


def check_cut(
    batch, replicas=1, micro_batch=None, ghost_batch=1, names=NAMES, otherwise="", shared=True
):
    """Checks that a global batch can be cut into replicas, micro-batches and ghost batches.

        >>> check_cut(8192, replicas=4, micro_batch=256, ghost_batch=32)
        2048

    Args:
        batch: B, examples of an update.
        replicas: n, the number of replicas that share it.
        micro_batch: m; None for all that a replica has.
        ghost_batch: g; 1 for none.
        names: what the caller's settings for B, m and g are called.
        otherwise: what else would help, for the sentence.
        shared: whether replicas may share ghost batches: they may if all batches have one size,
            which is then known before the graph runs.

    Returns:
        B / n, examples of a replica.

    Raises:
        BadInput: a size does not divide another.
    """
    batch_name, micro_name, ghost_name = names
    share, rest = divmod(batch, replicas)
    whole = micro_batch is None and share and not rest
    if shared and whole and share_ghost_batches(share, replicas, ghost_batch):
        return share
    check_divides({"replicas": replicas, ghost_name: ghost_batch}, batch_name, batch, otherwise)
    if micro_batch is not None:
        check_divides({ghost_name: ghost_batch}, micro_name, micro_batch)
        whole = batch_name if replicas == 1 else f"a replica's part of {batch_name}"
        check_divides({micro_name: micro_batch}, whole, share, otherwise, step=ghost_batch)
    return share


def check_divides(parts, whole, size, otherwise="", step=1):
    """Raises `BadInput` unless parts divide a whole that is not empty.

    Args:
        parts: dict of name to int >= 1; their product must divide the whole.
        whole: name of what is divided.
        size: int, its size.
        otherwise: what else would help, for the sentence.
        step: number of which a single part must be a multiple, for the suggested values.
    """
    if size < 1:
        raise BadInput(undivided({}, whole, size) + f"{size}")
    if size % math.prod(parts.values()):
        raise BadInput(undivided(parts, whole, size, otherwise, step) + f"{size}")


def undivided(parts, whole, size, otherwise="", step=1):
    """The sentence of `check_divides`, without its end: the size received.

    Args:
        parts, whole, otherwise, step: as in `check_divides`.
        size: size of the whole; None if only the running graph knows it.
    """
    parts = {name: n for name, n in parts.items() if n > 1}
    unit = math.prod(parts.values())
    received = f" Received: {whole}" + (" = " if " " in whole else "=")
    if not parts:
        wants = f"{whole} must not be empty"
        return f"{wants[0].upper()}{wants[1:]}.{received}"
    said = " x ".join(f"{name}={n}" for name, n in parts.items())
    fits = f"use a multiple of {unit}"
    if size is not None:
        fits += f", such as {_either(n for n in (size // unit * unit, size // unit * unit + unit))}"
        if len(parts) == 1 and (near := _nearest_divisors(size, unit, step)):
            fits += f", or {next(iter(parts))}={near}"
    fits += f", or {otherwise}" if otherwise else ""
    return f"{said} must divide {whole}: {fits}.{received}"


def divisors(size):
    """The whole numbers that divide a size >= 1, ascending."""
    small = [d for d in range(1, math.isqrt(size) + 1) if size % d == 0]
    return small + [size // d for d in reversed(small) if d * d != size]


def _nearest_divisors(size, near, step):
    """In words, the divisors next to `near`, multiples of `step` within a factor of 2 of it."""
    found = [d for d in divisors(size) if d % step == 0 and near <= 2 * d <= 4 * near]
    below, above = [d for d in found if d < near][-1:], [d for d in found if d > near][:1]
    return _either(d for d in below + above if d > 1)


def _either(numbers):
    return " or ".join(str(n) for n in numbers if n > 0)
