"""Evaluations of existing weights: those at a run's end, and those in a file."""

from rich import box
from rich.table import Table

from tf_bdecay import data
from tf_bdecay.distribution import sharding
from tf_bdecay.storage.files import json_ready, write_json
from tf_bdecay.terminal.plain_text import plain_console
from tf_bdecay.training.building import initial
from tf_bdecay.training.fitting import loop

FILE = "evaluation.json"
_ENDS = {"": "moving", "_precise": "precise"}


def measured(experiment, split, callbacks=(), end=""):
    """Loss and metrics on a split, with the model's present weights and statistics.

    Args:
        experiment: the `Experiment`.
        split: "test" or "validation".
        callbacks: callbacks for the evaluation.
        end: the end of the names, such as "_precise".

    Returns:
        Dict of "test_accuracy" and the like to a float.
    """
    images = loop.evaluation_batches(experiment, split)
    found = experiment.trainer.evaluate(
        images, callbacks=list(callbacks), verbose=0, return_dict=True
    )
    return {f"{split}_{metric}{end}": value for metric, value in found.items()}


def both(experiment, split, precise):
    """`measured` with moving statistics, and with precise ones if there are any.

    Args:
        experiment, split: as in `measured`.
        precise: from `loop.precise_statistics`; None for moving statistics only.
    """
    found = measured(experiment, split)
    if precise:
        found |= measured(experiment, split, [precise], "_precise")
    return found


def evaluate(experiment, source, folder=None, console=None):
    """Evaluates weights from a file on the test images and, if set aside, the validation images.

    Args:
        experiment: the `Experiment`, whose weights change.
        source: a `weights.Source`.
        folder: where to write `evaluation.json`; None to write nothing.
        console: the `rich.console.Console` to print to; stdout by default.

    Returns:
        Dict of "test_accuracy", "test_accuracy_precise" and the like to a float.

    Raises:
        BadInput: the weights cannot be read, do not fit, or were trained on other classes.
    """
    classes = experiment.images.classes
    loaded = initial.load(source, experiment.model, new_head=False, classes=classes)
    precise = loop.precise_statistics(experiment)
    splits = ["test", *["validation"] * (experiment.images.validation is not None)]
    found = {}
    with data.named_failures(experiment.images):
        for split in splits:
            found |= both(experiment, split, precise)
    if sharding.is_leader(experiment.strategy):
        if folder is not None:
            content = {"weights": str(source.file), "sha256": source.digest, **found}
            write_json(folder / FILE, json_ready(content))
        console = console or plain_console()
        console.print(f"Evaluated {loaded}.", highlight=False, markup=False, soft_wrap=True)
        console.print(_table(found, splits, experiment))
        if folder is not None:
            line = f"The numbers are in {folder / FILE}."
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return found


def _table(found, splits, experiment):
    """The values as a table, with a row per split and kind of statistics."""
    smoothing = experiment.config.label_smoothing
    loss = f"loss, targets smoothed by {smoothing:g}" if smoothing else "cross-entropy"
    columns = {
        "accuracy": "top-1",
        "top5_accuracy": "top-5",
        "loss": loss,
        "crossentropy": "cross-entropy",
    }
    shown = {name: title for name, title in columns.items() if f"test_{name}" in found}
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("split", "images", "statistics"):
        table.add_column(name, justify="right" if name == "images" else "left", no_wrap=True)
    for name, title in shown.items():  # the title of a smoothed loss may take several lines
        table.add_column(title, justify="right", no_wrap=name != "loss")
    for split in splits:
        for end, words in _ENDS.items():
            if f"{split}_loss{end}" not in found:
                continue
            values = {name: found[f"{split}_{name}{end}"] for name in shown}
            cells = [f"{v:.2%}" if "accuracy" in n else f"{v:.4f}" for n, v in values.items()]
            count = f"{len(experiment.images.split(split)):,}"
            table.add_row(split, count, words, *cells)
    return table
