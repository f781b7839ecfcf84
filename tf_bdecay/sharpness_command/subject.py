"""What is measured: a model with its weights, and examples."""

import dataclasses
import importlib
import re
import sys

import keras
import numpy as np
from ml_collections import ConfigDict

from tf_bdecay import data as sets
from tf_bdecay.data.augment import standardise
from tf_bdecay.distribution import strategies
from tf_bdecay.errors import BadInput, require
from tf_bdecay.sharpness_command import flags, losses
from tf_bdecay.storage import checkpoints
from tf_bdecay.training import parts
from tf_bdecay.training.trainer import Trainer

__import__("tf_bdecay.layers")  # both register classes that saved models have
__import__("tf_bdecay.optim")


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model, a loss and examples.

    Attributes:
        model: the built Keras model.
        loss: callable.
        from_logits: whether the model gives logits; None for unknown.
        x, y: arrays.
        words: dict of what to tell a person: model, data, loss, parameters.
    """

    model: object
    loss: object
    from_logits: bool | None
    x: np.ndarray
    y: np.ndarray
    words: dict


def load(source, data, options, strategy=None):
    """Loads what the command line names.

    Args:
        source: the `Source` of the model.
        data: from `source.check_data`.
        options: the `Options`.
        strategy: a `tf.distribute.Strategy` to make the model under, or None.

    Returns:
        A `Subject`.

    Raises:
        BadInput: something that cannot be loaded, or does not fit together.
    """
    _import(options.imports)
    fisher_rao = any(m.name == "fisher_rao" for m in options.measures)
    loss, from_logits = losses.make(source, options.loss, options.from_logits, fisher_rao)
    own = own_images(source, options.data_dir) if _own(source, data) else None
    with strategies.scope(strategy):
        model = _saved(source) if source.saved else _from_checkpoint(source, own, options.data_dir)
    if data.endswith(".npz"):
        pair, words = _arrays(data), data
    else:
        images = own or sets.load(data, data_dir=options.data_dir)
        split = options.split or "train"
        pair, words = _images(images, split), f"{data}, {split} split"
    x, y = _chosen(pair, options.examples, words)
    _check_fit(model, loss, x, y, words)
    count = parts.trainable_parameters(model)
    return Subject(
        model=model,
        loss=loss,
        from_logits=from_logits,
        x=x,
        y=y,
        words={
            "model": f"{source.name} ({source.weights.name}, {count:,} trainable parameters)",
            "data": f"{words}, {len(x):,} of {len(pair[0]):,} examples",
            "loss": getattr(loss, "name", None) or getattr(loss, "__name__", "loss"),
        },
    )


def _own(source, data):
    return source.workdir and data == source.config["data.name"]


def own_images(source, data_dir):
    """The `ImageSet` of a run: divided and standardised as it was in training."""
    config = source.config
    return sets.load(
        config["data.name"],
        data_dir=data_dir,
        seed=config["seed"],
        validation=config["data.validation"],
    )


def _import(modules):
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")  # as for `python -m`, from wherever this is called
    for name in modules:
        try:
            importlib.import_module(name)
        except Exception as error:  # whatever the user's module raises
            raise BadInput(
                f"--import={name} cannot be imported ({type(error).__name__}: {_line(error)}): "
                "name a module as in `import MODULE`, in this folder or installed."
            ) from error


def _saved(source):
    """The model in a .keras file. Its optimizer is not asked for."""
    try:
        return keras.models.load_model(source.weights, compile=False)
    except Exception as error:  # Keras raises many kinds, over many lines
        found = re.search(r"Could not locate (?:class|function) '([^']+)'", _whole(error))
        if found:
            raise BadInput(
                f"The model {source.weights} has {found[1]!r}, which is not known here: register "
                "it by @keras.saving.register_keras_serializable() in a module, and name that by "
                "--import=MODULE."
            ) from error
        raise BadInput(
            f"The model {source.weights} cannot be loaded ({type(error).__name__}: "
            f"{_line(error)}): load it by keras.models.load_model to see why."
        ) from error


def _from_checkpoint(source, images, data_dir):
    """The model of a run that is not finished, with the weights of its newest checkpoint."""
    images = images or own_images(source, data_dir)
    nested = ConfigDict()
    for path, value in source.config.items():
        section, _, key = path.rpartition(".")
        target = nested
        if section:
            if section not in nested:
                nested[section] = ConfigDict()
            target = nested[section]
        target[key] = value
    model = parts.make_model(nested, images)
    read_weights(source.weights, Trainer(model.input, model.output))
    return model


def read_weights(path, model):
    """Assigns the weights of a training checkpoint, and leaves its optimizer alone.

    Raises:
        BadInput: the checkpoint is damaged, or of another architecture. No variable has changed.
    """
    arrays, _ = checkpoints.read(path)
    ours = {label: array for label, array in arrays.items() if label.startswith("model/")}
    checkpoints.assign(path, ours, checkpoints.state_of(model, _NoOptimizer))


class _NoOptimizer:
    variables = ()


def _images(images, name):
    require(
        name != "validation" or images.validation is not None,
        f"--split=validation: no images of {images.name} were set aside for validation "
        "(config.data.validation=0): use --split=train or test.",
    )
    return images.split(name), (images.mean, images.deviation)


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
    except Exception as error:  # zipfile and NumPy raise a dozen kinds over bytes that are not so
        raise BadInput(
            f"--data={path} cannot be read as an .npz file ({_line(error)}): make it by "
            "np.savez(FILE, x=x, y=y) of plain arrays."
        ) from error
    require(
        x.ndim and y.ndim and len(x) == len(y) and len(x),
        f"x and y of --data={path} must hold as many examples as each other, at least one, along "
        f"their first axis. Received: shapes {list(x.shape)} and {list(y.shape)}",
    )
    return x, y


def _chosen(pair, asked, words):
    """The first examples of a fixed permutation, standardised if they are images."""
    whole = len(pair[0])
    require(
        asked is None or asked <= whole,
        f"--examples={asked} is more than there are: {words} has {whole:,}.",
    )
    count = min(whole, flags.MOST_EXAMPLES) if asked is None else asked
    chosen = np.random.default_rng(0).permutation(whole)[:count]
    if not isinstance(pair[0], sets.Split):
        return pair[0][chosen], pair[1][chosen]
    split, statistics = pair
    return standardise(split.images[chosen], *statistics).numpy(), split.labels[chosen]


def _check_fit(model, loss, x, y, words):
    """Raises `BadInput` where the examples are not what the model or the loss takes."""
    shape = getattr(model, "input_shape", None)
    if isinstance(shape, tuple):
        require(
            len(shape) == x.ndim
            and all(a in (None, b) for a, b in zip(shape[1:], x.shape[1:], strict=True)),
            f"The model takes examples of shape {_shape(shape[1:])}. Received: {words}, of shape "
            f"{_shape(x.shape[1:])}",
        )
    outputs = getattr(model, "output_shape", None)
    if losses.takes_class_numbers(loss) and isinstance(outputs, tuple):
        classes = outputs[-1]
        require(
            y.dtype.kind in "iu" and y.min() >= 0 and (classes is None or y.max() < classes),
            f"Labels must be whole numbers of the model's {classes} classes, from 0. Received: "
            f"{y.dtype} from {y.min()} to {y.max()} in {words}",
        )


def _shape(sizes):
    return "x".join("any" if n is None else str(n) for n in sizes) or "scalar"


def _whole(error):
    """Text of an error and of what it came from."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def _line(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
