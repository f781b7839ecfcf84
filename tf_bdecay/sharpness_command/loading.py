"""Loads the model, the loss and the examples that the command line names, with TensorFlow."""

import dataclasses
import importlib
import sys

import numpy as np

from tf_bdecay.distribution import strategies
from tf_bdecay.errors import BadInput, first_line
from tf_bdecay.sharpness_command import examples, losses
from tf_bdecay.sharpness_command.subject import images_of
from tf_bdecay.training.building import initial, parts

_UNKNOWN = ", and name that by --import=MODULE"


@dataclasses.dataclass(frozen=True)
class Loaded:
    """A model, a loss and examples in memory.

    Attributes:
        model: the built Keras model.
        loss: callable.
        from_logits: whether the model outputs logits; None if unknown.
        x, y: arrays.
        order: int array, the index of each example in the data.
        source: the name of the data.
        words: dict of texts for the user: model, data, loss.
    """

    model: object
    loss: object
    from_logits: bool | None
    x: np.ndarray
    y: np.ndarray
    order: np.ndarray
    source: str
    words: dict


def load(subject, data, options, strategy=None, images=None):
    """Loads what the command line names.

    Args:
        subject: the `Subject` of the model.
        data: from `subject.check_data`.
        options: the `Options`.
        strategy: a `tf.distribute.Strategy` under which to make the model, or None.
        images: from `subject.images_of`, if they are loaded already.

    Returns:
        A `Loaded`.

    Raises:
        BadInput: something cannot be loaded, or does not fit together.
    """
    _import(options.imports)
    fisher_rao = any(m.name == "fisher_rao" for m in options.measures)
    loss, from_logits = losses.make_loss(subject, options.loss, options.from_logits, fisher_rao)
    if images is None:
        images = images_of(subject, data, options.data_dir)
    x, y, order, of, words = examples.read(data, options, images)
    with strategies.scope(strategy):
        model = initial.network_of(subject.source, x.shape[1:], _UNKNOWN)
    examples.check_fit(model, loss, x, y, words)
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
            "model": f"{subject.name} ({subject.source.file.name}, {count:,} trainable parameters)",
            "data": f"{words}, {len(x):,} of {of:,} examples",
            "loss": getattr(loss, "name", None) or getattr(loss, "__name__", "loss"),
        },
    )


def _import(modules):
    if "" not in sys.path and "." not in sys.path:
        sys.path.insert(0, "")  # as `python -m` does, however this was started
    for name in modules:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:  # a user's module may raise anything
            raise BadInput(
                f"--import={name} cannot be imported ({type(error).__name__}: "
                f"{first_line(error)}): name a module as in `import MODULE`, in this folder or "
                "installed."
            ) from error
