"""Model, loss and examples in memory: what needs TensorFlow of what the command line names."""

import dataclasses
import importlib
import inspect
import re
import sys

import keras
import numpy as np
from ml_collections import ConfigDict

from tf_bdecay import data as sets
from tf_bdecay.data.augment import standardise
from tf_bdecay.distribution import strategies
from tf_bdecay.errors import BadInput, require
from tf_bdecay.sharpness import objective
from tf_bdecay.sharpness_command.flags import MOST_EXAMPLES
from tf_bdecay.storage import checkpoints
from tf_bdecay.training import parts
from tf_bdecay.training.trainer import SmoothedCrossentropy, Trainer

__import__("tf_bdecay.layers")  # both register classes that saved models have
__import__("tf_bdecay.optim")


_CROSSENTROPIES = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
    "binary_focal_crossentropy": keras.losses.BinaryFocalCrossentropy,
}


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model, a loss and examples, in memory.

    Attributes:
        model: the built Keras model.
        loss: callable.
        from_logits: whether the model gives logits; None for unknown.
        x, y: arrays.
        order: int array, where in the data each example stands.
        source: what the data are called.
        words: dict of what to tell a person: model, data, loss, parameters.
    """

    model: object
    loss: object
    from_logits: bool | None
    x: np.ndarray
    y: np.ndarray
    order: np.ndarray
    source: str
    words: dict


def load(subject, data, options, strategy=None):
    """Loads what the command line names.

    Args:
        subject: the `Subject` of the model.
        data: from `subject.check_data`.
        options: the `Options`.
        strategy: a `tf.distribute.Strategy` to make the model under, or None.

    Returns:
        A `Loaded`.

    Raises:
        BadInput: something that cannot be loaded, or does not fit together.
    """
    _import(options.imports)
    fisher_rao = any(m.name == "fisher_rao" for m in options.measures)
    loss, from_logits = make_loss(subject, options.loss, options.from_logits, fisher_rao)
    own = own_images(subject, options.data_dir) if _own(subject, data) else None
    with strategies.scope(strategy):
        model = (
            _saved(subject) if subject.saved else _from_checkpoint(subject, own, options.data_dir)
        )
    if data.endswith(".npz"):
        pair, words = _arrays(data), data
    else:
        images = own or sets.load(data, data_dir=options.data_dir)
        split = options.split or "train"
        pair, words = _images(images, split), f"{data}, {split} split"
    x, y, order = _chosen(pair, options.examples, words)
    _check_fit(model, loss, x, y, words)
    count = parts.trainable_parameters(model)
    return Loaded(
        model=model,
        loss=loss,
        from_logits=from_logits,
        x=x,
        y=y,
        order=order,
        source=words,
        words={
            "model": f"{subject.name} ({subject.weights.name}, {count:,} trainable parameters)",
            "data": f"{words}, {len(x):,} of {len(pair[0]):,} examples",
            "loss": getattr(loss, "name", None) or getattr(loss, "__name__", "loss"),
        },
    )


def _own(subject, data):
    return subject.workdir and data == subject.config["data.name"]


def own_images(subject, data_dir):
    """The `ImageSet` of a run: divided and standardised as it was in training."""
    config = subject.config
    return sets.load(
        config["data.name"],
        data_dir=data_dir,
        seed=config["seed"],
        validation=config["data.validation"],
        images=config.get("data.images"),
        downsample=config.get("data.downsample", 1),
    )


def _import(modules):
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")  # as for `python -m`, from wherever this is called
    for name in modules:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # whatever the user's module raises
            raise BadInput(
                f"--import={name} cannot be imported ({type(error).__name__}: {_line(error)}): "
                "name a module as in `import MODULE`, in this folder or installed."
            ) from error


def _saved(subject):
    """The model in a .keras file. Its optimizer is not asked for."""
    try:
        return keras.models.load_model(subject.weights, compile=False)
    except Exception as error:  # Keras raises many kinds, over many lines
        found = re.search(r"Could not locate (?:class|function) '([^']+)'", _with_causes(error))
        if found:
            raise BadInput(
                f"The model {subject.weights} has {found[1]!r}, which is not known here: register "
                "it by @keras.saving.register_keras_serializable() in a module, and name that by "
                "--import=MODULE."
            ) from error
        raise BadInput(
            f"The model {subject.weights} cannot be loaded ({type(error).__name__}: "
            f"{_line(error)}): load it by keras.models.load_model to see why."
        ) from error


def _from_checkpoint(subject, images, data_dir):
    """The model of a run that is not finished, with the weights of its newest checkpoint."""
    images = images or own_images(subject, data_dir)
    nested = ConfigDict()
    for path, value in subject.config.items():
        section, _, key = path.rpartition(".")
        target = nested
        if section:
            if section not in nested:
                nested[section] = ConfigDict()
            target = nested[section]
        target[key] = value
    try:
        model = parts.make_model(nested, images)
    except BadInput:
        raise
    except Exception as error:  # a config.json that anybody may have written
        raise BadInput(
            f"{subject.path}/config.json describes no model ({type(error).__name__}: "
            f"{_line(error)}): name another --model."
        ) from error
    read_weights(subject.weights, Trainer(model.input, model.output))
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


def make_loss(subject, name, from_logits, fisher_rao):
    """The loss to measure, and whether the model gives logits.

    Args:
        subject: the `Subject` of the model.
        name: of a Keras loss; None for the compiled one.
        from_logits: what the command line says, or None.
        fisher_rao: whether that must be known.

    Returns:
        The loss, and True, False or None for unknown.

    Raises:
        BadInput: an unknown name; no compiled loss; a cross-entropy that does not say what it
            takes; a flag that contradicts the loss.
    """
    if name is not None:
        loss = _by_name(name, from_logits)
    elif subject.workdir:
        loss = SmoothedCrossentropy(subject.config["label_smoothing"])
    else:
        loss = _compiled(subject)
    says = _says(loss)
    require(
        from_logits in (None, says) or says is None,
        f"The model was compiled with a loss of {'logits' if says else 'probabilities'}: leave "
        f"--{'' if from_logits else 'no'}from_logits out, or give the --loss that you mean beside "
        "it.",
    )
    from_logits = says if from_logits is None else from_logits
    require(
        not fisher_rao or from_logits is not None,
        f"The Fisher-Rao norm is of class probabilities, and the loss {_name_of(loss)} does not "
        "say whether the model gives logits: add --from_logits or --nofrom_logits, or leave "
        "fisher_rao out of --measures.",
    )
    return loss, from_logits


def _takes_class_numbers(loss):
    """Whether targets are numbers of classes."""
    return isinstance(loss, SmoothedCrossentropy) or "sparse" in _name_of(loss)


def _by_name(name, from_logits):
    loss = objective.resolve_loss(name)
    short = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    if short not in _CROSSENTROPIES:
        return loss
    require(
        from_logits is not None,
        f"The name {name} does not say whether the model gives logits or probabilities: add "
        "--from_logits or --nofrom_logits.",
    )
    return _CROSSENTROPIES[short](from_logits=from_logits)


def _compiled(subject):
    """The loss in a saved model, made without its optimizer and metrics."""
    loss = (subject.config.get("compile_config") or {}).get("loss")
    require(
        loss is not None,
        f"{subject.path} was saved without a loss: give --loss, the name of one.",
    )
    if isinstance(loss, list) and len(loss) == 1:
        loss = loss[0]
    require(
        isinstance(loss, str) or (isinstance(loss, dict) and "class_name" in loss),
        f"{subject.path} was compiled with a loss for each of several outputs: give --loss, the "
        "name of one for the whole.",
    )
    if isinstance(loss, str):
        return objective.resolve_loss(loss)
    try:
        return objective.resolve_loss(keras.saving.deserialize_keras_object(loss))
    except Exception as error:  # Keras raises many kinds over a function it does not know
        of_function = loss.get("config")
        name = of_function if isinstance(of_function, str) else loss["class_name"]
        raise BadInput(
            f"The loss that {subject.path} was compiled with, {name}, is not known here: register "
            "it by @keras.saving.register_keras_serializable() and name its module by "
            "--import=MODULE, or give --loss, the name of one of Keras."
        ) from error


def _says(loss):
    """Whether a loss takes logits: True, False, or None where it does not say."""
    found = getattr(loss, "from_logits", None)
    if isinstance(found, bool):
        return found
    function = objective.function_of(loss)
    if function is objective.crossentropy:
        return False
    if function in [getattr(keras.losses, name) for name in _CROSSENTROPIES]:
        return inspect.signature(function).parameters["from_logits"].default
    return None


def _name_of(loss):
    return getattr(loss, "name", None) or getattr(loss, "__name__", None) or type(loss).__name__


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


def _chosen(pair, asked, words):
    """The first examples of a fixed permutation, standardised if they are images, and their order.

    Returns:
        x, y, and the index of each example in the data.
    """
    count = len(pair[0])
    require(
        asked is None or asked <= count,
        f"--examples={asked} is more than there are: {words} has {count:,}.",
    )
    first = min(count, MOST_EXAMPLES) if asked is None else asked
    chosen = np.random.default_rng(0).permutation(count)[:first]
    if not isinstance(pair[0], sets.Split):
        return pair[0][chosen], pair[1][chosen], chosen
    split, statistics = pair
    return standardise(split.images[chosen], *statistics).numpy(), split.labels[chosen], chosen


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
    if _takes_class_numbers(loss) and isinstance(outputs, tuple):
        classes = outputs[-1]
        require(
            (y == np.trunc(y)).all() and y.min() >= 0 and (classes is None or y.max() < classes),
            f"Labels must be whole numbers of the model's {classes} classes, from 0. Received: "
            f"{y.dtype} from {y.min()} to {y.max()} in {words}",
        )


def _shape(sizes):
    return "x".join("any" if n is None else str(n) for n in sizes) or "scalar"


def _with_causes(error):
    """Text of an error and of what it came from."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)


def _line(error):
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
