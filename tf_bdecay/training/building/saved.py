"""Loads networks from `.keras` files, with our classes registered."""

import os
import re
import zipfile

import keras

from tf_bdecay.errors import BadInput, first_line, require

_UNKNOWN = re.compile(r"Could not locate (?:class|function) '([^']+)'")


def load(path, unknown=""):
    """The network in a `.keras` file, without its optimizer.

    Args:
        path: of the file.
        unknown: what else to do about an unknown class: a phrase for the sentence on it.

    Returns:
        A Keras model, not compiled.

    Raises:
        BadInput: a file that Keras cannot read, or one with an unknown class.
    """
    require(  # Keras would say that such a file does not exist
        not os.path.isfile(path) or zipfile.is_zipfile(path),
        f"The model {path} cannot be loaded: it is empty, cut short or no file that Keras saved; "
        "put a complete one back.",
    )
    for module in ("layers", "optim", "schedules", "training.step.trainer"):
        __import__(f"tf_bdecay.{module}")  # registers classes that saved models have
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds, with messages of many lines
        found = _UNKNOWN.search(_with_causes(error))
        if found:
            raise BadInput(
                f"The model {path} has {found[1]!r}, which is not known here: register it by "
                f"@keras.saving.register_keras_serializable() in a module{unknown}."
            ) from error
        raise BadInput(
            f"The model {path} cannot be loaded ({type(error).__name__}: {first_line(error)}): "
            "load it by keras.models.load_model to see why."
        ) from error


def _with_causes(error):
    """The text of an error and of its causes."""
    texts = []
    while error is not None:
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    return "\n".join(texts)
