"""The names of a run's numbers in its tables, and their descriptions in TensorBoard."""

from tf_bdecay.callbacks import decisions, noise_scale
from tf_bdecay.storage.events import EPOCH_TAG
from tf_bdecay.training.building.metrics import METRICS

# TensorBoard's words for loss and metrics.
_WORDS = {"loss": "loss", **{name: metric.words for name, metric in METRICS.items()}}
_EPOCH = "By epoch, at the number of its last update: {} "
_ENDS = {
    "_precise": "with precise statistics of normalization layers, re-estimated at these weights.",
    "_average": "of the moving average of the weights, with statistics re-estimated for it.",
}


def shown_names(split, precise=False, average=False, metrics=("accuracy",)):
    """The run's names for what Keras calls `val_loss`, `val_accuracy` and so on.

        >>> shown_names("test", precise=True)
        {'val_loss': 'test_loss_precise', 'val_accuracy': 'test_accuracy_precise'}

    Args:
        split: "test" or "validation", what the epochs are evaluated on.
        precise: whether they are evaluated with precise statistics.
        average: whether the average of the weights is evaluated, too.
        metrics: names of the run's metrics.
    """
    end, names = "_precise" * precise, ("loss", *metrics)
    averages = {f"val_{name}_average": f"{split}_{name}_average" for name in names if average}
    return {f"val_{name}": f"{split}_{name}{end}" for name in names} | averages


def describe_tag(tag):
    """TensorBoard's description of one of our tags, or "" for another tag."""
    if tag.startswith(EPOCH_TAG):
        name = tag.removeprefix(EPOCH_TAG)
        if said := noise_scale.describe_tag(name):
            return _EPOCH.format(said)
        kind = max((kind for kind in _WORDS if kind in name), key=len, default=name)
        what = _WORDS.get(kind, name)
        if name in _WORDS:
            return _EPOCH.format(f"{what} of the training batches, each before its update.")
        ends = (text for end, text in _ENDS.items() if name.endswith(end))
        end = next(ends, "with moving statistics.")
        split = "test" if name.startswith("test") else "validation"
        return _EPOCH.format(f"{what} on the {split} images,") + end
    return decisions.describe_tag(tag) or noise_scale.describe_tag(tag)
