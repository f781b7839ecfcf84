"""The examples to measure on, from a named data set or an .npz file."""

import math

import numpy as np

from tf_bdecay import data as sets
from tf_bdecay.data.image_set import fixed_order
from tf_bdecay.data.pictures.picture_set import PictureSplit
from tf_bdecay.data.pipeline import chosen_examples
from tf_bdecay.errors import BadInput, first_line, require
from tf_bdecay.sharpness_command.flags import MOST_EXAMPLES
from tf_bdecay.sharpness_command.losses import takes_class_numbers

_MOST_BYTES = 10**9  # of pictures, unless --examples says how many


def read(data, options, images):
    """Reads the examples that the command line names: the first ones of a fixed permutation.

    Args:
        data: name of a data set, or path of an .npz file.
        options: the `Options`.
        images: the `ImageSet` or `PictureSet` of that name; None for an .npz file.

    Returns:
        x, y, the index of each example in the data, the number of examples in the data, and the
        name of the data.

    Raises:
        BadInput: data that cannot be read, or that hold fewer examples than were asked for.
    """
    if images is None:
        x, y = _arrays(data)
        chosen = _chosen(len(x), options.examples, MOST_EXAMPLES, data)
        return x[chosen], y[chosen], chosen, len(x), data
    name = options.split or "train"
    split, words = _split(images, name), f"{data}, {name} split"
    if isinstance(split, PictureSplit):
        most = min(MOST_EXAMPLES, max(1, _MOST_BYTES // (4 * math.prod(images.image_shape))))
        chosen = _chosen(len(split), options.examples, most, words)
    else:
        chosen = _chosen(len(split), options.examples, MOST_EXAMPLES, words)
    with sets.named_failures(images):
        x, y = chosen_examples(images, name, chosen)
    return x, y, chosen, len(split), words


def check_fit(model, loss, x, y, words):
    """Raises `BadInput` unless the model and the loss can take the examples."""
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, tuple):
        require(
            len(shape) == x.ndim
            and all(a in (None, b) for a, b in zip(shape[1:], x.shape[1:], strict=True)),
            f"The model takes examples of shape {_shape(shape[1:])}. Received: {words}, of shape "
            f"{_shape(x.shape[1:])}",
        )
    outputs = getattr(model, "output_shape", None)
    if takes_class_numbers(loss) and isinstance(outputs, tuple):
        classes = outputs[-1]
        require(
            (y == np.trunc(y)).all() and y.min() >= 0 and (classes is None or y.max() < classes),
            f"Labels must be whole numbers of the model's {classes} classes, from 0. Received: "
            f"{y.dtype} from {y.min()} to {y.max()} in {words}",
        )


def _split(images, name):
    require(
        name != "validation" or images.validation is not None,
        f"--split=validation: no images of {images.name} were set aside for validation "
        "(config.data.validation=0): use --split=train or test.",
    )
    return images.split(name)


def _arrays(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            lacking = [name for name in ("x", "y") if name not in file.files]
            require(
                not lacking,
                f"--data={path} must hold arrays x and y, as np.savez({path!r}, x=x, y=y) makes. "
                f"Received: {', '.join(file.files) or 'nothing'}",
            )
            x, y = file["x"], file["y"]
    except BadInput:
        raise
    except Exception as error:  # zipfile and NumPy raise a dozen kinds on bytes of other formats
        raise BadInput(
            f"--data={path} cannot be read as an .npz file ({first_line(error)}): make it by "
            "np.savez(FILE, x=x, y=y) of plain arrays."
        ) from error
    for name, array, kinds, what in (
        ("x", x, "biufSU", "numbers or words"),
        ("y", y, "biuf", "numbers"),
    ):
        require(
            array.dtype.kind in kinds,
            f"{name} of --data={path} must hold {what}. Received: an array of {array.dtype}",
        )
    require(
        x.ndim and y.ndim and len(x) == len(y) and len(x),
        f"x and y of --data={path} must hold as many examples as each other, at least one, along "
        f"their first axis. Received: shapes {list(x.shape)} and {list(y.shape)}",
    )
    return x, y


def _chosen(count, asked, most, words):
    """Indices of the examples asked for, or of at most `most`: the first of a fixed permutation."""
    require(
        asked is None or asked <= count,
        f"--examples={asked} is more than there are: {words} has {count:,}.",
    )
    return fixed_order(count)[: min(count, most) if asked is None else asked]


def _shape(sizes):
    return "x".join("any" if n is None else str(n) for n in sizes) or "scalar"
