"""Initial weights from a file: variables are matched by their paths and shapes.

They include moving statistics; the optimizer starts anew. Only the head, the last dense layer, may
have other classes.
"""

import dataclasses
import re

import numpy as np

from tf_bdecay.errors import BadInput, require
from tf_bdecay.storage import checkpoint_file
from tf_bdecay.training.run_folder import pictures_record
from tf_bdecay.training.run_folder.weights import RIGHT, Source

_MODEL = "model/"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """What was assigned to a model.

    Attributes:
        source: the `Source`.
        variables: number of variables assigned.
        head: the name of the layer that kept its new weights, or "".
        words: why it kept them; without such a layer, a remark on the classes, or "".
    """

    source: Source
    variables: int
    head: str = ""
    words: str = ""

    def __str__(self):
        found = f"{self.variables} variables of {self.source.file}"
        words = f"{self.head} starts anew ({self.words})" if self.head else self.words
        return f"{found}; {words}" if words else found


def load(source, model, new_head=True, classes=None):
    """Assigns weights to a model's variables of the same paths and shapes.

    Args:
        source: from `weights.find`.
        model: the built functional model.
        new_head: whether the model's head keeps its new weights if the classes differ.
        classes: the class names here, in order; None if only their number is known.

    Returns:
        A `Loaded`.

    Raises:
        BadInput: the file cannot be read, a variable does not fit, or the classes differ without
            `new_head`. Then nothing has changed.
    """
    differing, note = pictures_record.compared(pictures_record.classes_of(source.file), classes)
    require(
        new_head or not differing,
        f"The weights of {source.file} were trained on other classes ({differing}): give data of "
        "the same classes, in the same order.",
    )
    network = network_of(source, model.input_shape[1:])
    arrays = {path: variable.numpy() for path, variable in _by_path(network).items()}
    ours = _by_path(model)
    head, words = _other_head(arrays, ours, model, differing) if new_head else ("", "")
    kept = {path for path in ours if head and path.startswith(f"{head}/")}
    _check(source, arrays, ours, kept)
    for path, variable in ours.items():
        if path not in kept:
            variable.assign(arrays[path])
    return Loaded(source, len(ours) - len(kept), head, words or note)


def network_of(source, image_shape, unknown=""):
    """The network of a file of weights, with these weights.

    Args:
        source: from `weights.find`.
        image_shape: [height, width, ...] of the images that the network of a checkpoint is to take:
            its weights fit any size, but determine channels and classes.
        unknown: as in `saved.load`.

    Returns:
        A Keras model, not compiled.

    Raises:
        BadInput: the file cannot be read, its weights do not fit the config of its run, or they are
            for images and the shape is not.
    """
    from tf_bdecay.training.building import parts, saved

    if not source.is_checkpoint:
        return saved.load(source.file, unknown)
    try:
        arrays, _ = checkpoint_file.read(source.file)
    except checkpoint_file.Damaged as error:
        raise BadInput(f"{str(error).rstrip('.')}: name another one, or its workdir.") from error
    arrays = {label: a for label, a in arrays.items() if label.startswith(_MODEL)}
    bias = [a for label, a in arrays.items() if re.fullmatch(r"model/\d+/bias", label)]
    kernel = next((a for a in arrays.values() if a.ndim == 4), None)
    require(
        bias and kernel is not None,
        f"The checkpoint {source.file} is of no network of tf_bdecay: {RIGHT}.",
    )
    require(
        len(image_shape) == 3,
        f"The network of {source.file} takes images of [height, width, channels]. Received: "
        f"examples of shape {list(image_shape)}",
    )
    shape = (*image_shape[:2], kernel.shape[2])
    file = source.run / "config.json"
    network = parts.recorded_model(source.config, len(bias[-1]), shape, file, f"{RIGHT}.")
    checkpoint_file.assign(source.file, arrays, checkpoint_file.state_of(network))
    return network


def _by_path(model):
    """Dict of path to variable: weights and moving statistics, without seeds."""
    from tf_bdecay.roles.assignment import unique_labels

    weights = model.weights
    return dict(zip(unique_labels([v.path for v in weights]), weights, strict=True))


def _other_head(arrays, ours, model, differing):
    """The name of the last layer and how its classes differ; ("", "") if they do not."""
    head = model.layers[-1].name
    own = {path: v for path, v in ours.items() if path.startswith(f"{head}/")}
    fits = own.keys() <= arrays.keys() and all(
        arrays[path].shape[:-1] == tuple(v.shape)[:-1] for path, v in own.items()
    )
    counts = {(arrays[path].shape[-1:], tuple(v.shape)[-1:]) for path, v in own.items() if fits}
    if len(counts) != 1:
        return "", ""
    (there,), (here,) = counts.pop()
    if there != here:
        return head, f"{there} classes there, {here} here"
    return (head, differing) if differing else ("", "")


def _check(source, arrays, ours, kept):
    """Raises `BadInput` unless all variables are there, finite and, except for `kept`, fit."""
    start = f"The weights of {source.file} do not fit this network: "
    lacking, more = ([p for p in a if p not in b] for a, b in ((ours, arrays), (arrays, ours)))
    said = [
        f"{_listed(paths)} {'is' if len(paths) == 1 else 'are'} {words}"
        for paths, words in ((lacking, "not among them"), (more, "unknown here"))
        if paths
    ]
    require(not said, f"{start}{'; '.join(said)}.")
    other = [
        f"{path} is {list(arrays[path].shape)} there and {list(ours[path].shape)} here"
        for path in ours
        if path not in kept and arrays[path].shape != tuple(ours[path].shape)
    ]
    rest = f" (and {len(other) - 3} more)" if len(other) > 3 else ""
    require(not other, f"{start}{'; '.join(other[:3])}{rest}.")
    wild = [path for path in arrays if not np.isfinite(arrays[path].astype("float64")).all()]
    require(
        not wild, f"The weights of {source.file} are not all finite: {_listed(wild)} has others."
    )


def _listed(paths):
    more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
    return f"{', '.join(paths[:3])}{more}"
