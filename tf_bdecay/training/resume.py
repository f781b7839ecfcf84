"""Where a run goes on: the newest checkpoint that is whole, into the variables it belongs to."""

from tf_bdecay.training import checkpoints, shelf
from tf_bdecay.training.position import Position


def restore(folder, state, say, find=shelf.newest_good):
    """Assigns the newest whole checkpoint's values to the variables.

    Args:
        folder: of the checkpoints.
        state: from `checkpoints.state_of`.
        say: called with a line for a person: which checkpoint, and which are damaged.
        find: `shelf.newest_good`, or a function like it.

    Returns:
        The `Position`: the beginning where there never was a checkpoint.

    Raises:
        BadInput: no checkpoint is whole, or it is of another model, optimizer or format.
    """
    found = find(folder, lambda sentence: say(f"Warning: {sentence}"))
    if found is None:
        return Position()
    path, arrays, meta = found
    metrics = {label: arrays.pop(label) for label in list(arrays) if label.startswith("metric/")}
    checkpoints.assign(path, arrays, state)
    say(f"Going on from {path}, after update {meta['update']} and epoch {meta['epoch']}.")
    return Position(meta["update"], meta["epoch"], metrics, meta["watchers"], meta["best"])
