"""Where a run goes on: the newest checkpoint that is whole, into the variables it belongs to."""

from tf_bdecay.storage import checkpoints, shelf
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


def compare(starts, deterministic, say):
    """Warns where a run goes on with another --deterministic than it had: its bits may change.

    Args:
        starts: `Workdir.starts`; of one that did not record it nothing is said.
        deterministic: as it is now.
        say: called with a line for a person.
    """
    begins = [i for i, start in enumerate(starts) if start.get("from", {}).get("update") == 0]
    since = starts[begins[-1] :] if begins else starts
    if any(start.get("deterministic", deterministic) != deterministic for start in since):
        had, has = ("without", "with") if deterministic else ("with", "without")
        say(
            f"Warning: this run was {had} --deterministic before and goes on {has} it: its bits "
            "may differ from those of a run that was not interrupted."
        )
