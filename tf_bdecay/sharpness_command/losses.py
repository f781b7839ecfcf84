"""The loss that the command line names, or that a model was compiled with."""

import inspect
import re

import keras

from tf_bdecay.errors import BadInput, require
from tf_bdecay.sharpness.over_examples import objective
from tf_bdecay.training.building.losses import SmoothedCrossentropy

_CROSSENTROPIES = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
    "binary_focal_crossentropy": keras.losses.BinaryFocalCrossentropy,
}


def make_loss(subject, name, from_logits, fisher_rao):
    """The loss to measure, and whether the model outputs logits.

    Args:
        subject: the `Subject` of the model.
        name: the name of a Keras loss; None for the compiled one.
        from_logits: what the command line says, or None.
        fisher_rao: whether the latter must be known.

    Returns:
        The loss, and True, False or, if unknown, None.

    Raises:
        BadInput: an unknown name; no compiled loss; a cross-entropy that does not say whether it
            takes logits; a flag that contradicts the loss.
    """
    if name is not None:
        loss = _by_name(name, from_logits)
    elif subject.run:
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


def takes_class_numbers(loss):
    """Whether the targets are class numbers."""
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
    """The loss in a saved model's config, without its optimizer and metrics."""
    loss = (subject.config.get("compile_config") or {}).get("loss")
    require(
        loss is not None,
        f"{subject.source.given} was saved without a loss: give --loss, the name of one.",
    )
    if isinstance(loss, list) and len(loss) == 1:
        loss = loss[0]
    require(
        isinstance(loss, str) or (isinstance(loss, dict) and "class_name" in loss),
        f"{subject.source.given} was compiled with a loss for each of several outputs: give "
        "--loss, the name of one for the whole.",
    )
    if isinstance(loss, str):
        return objective.resolve_loss(loss)
    try:
        return objective.resolve_loss(keras.saving.deserialize_keras_object(loss))
    except Exception as error:  # Keras raises many kinds for a function that it does not know
        of_function = loss.get("config")
        name = of_function if isinstance(of_function, str) else loss["class_name"]
        raise BadInput(
            f"The loss that {subject.source.given} was compiled with, {name}, is not known here: "
            "register it by @keras.saving.register_keras_serializable() and name its module by "
            "--import=MODULE, or give --loss, the name of one of Keras."
        ) from error


def _says(loss):
    """Whether a loss takes logits: True, False, or None if it does not say."""
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
