"""Describes a run (data, network, compilation) so that another run's folder is refused."""

import json

import keras
import numpy as np

from tf_bdecay.errors import BadInput, shown
from tf_bdecay.frameworks import keras_private
from tf_bdecay.optim.base import unwrapped
from tf_bdecay.storage.files import versions

# Entries that differ between processes, or that say nothing about what is computed.
_LEFT_OUT = ("name", "build_config", "shared_object_id", "registered_name", "module")
_COMPILED = ("optimizer", "loss", "loss_weights")


def record_of(model, source):
    """The record of a run that is beginning, a dict of JSON values.

    Args:
        model: built and compiled, as the user's program made it.
        source: the source of its data, from `epoch_sources`.

    Returns:
        Dict: `data`, `layers`, `compiled` and `versions`. The learning rate of an optimizer that
        has already trained in this process is left out: callbacks may have changed it.
    """
    try:
        config = model.get_compile_config() or {}
    except Exception:  # a custom loss or optimizer that cannot be serialized
        config = {}
    compiled = {name: config.get(name) for name in _COMPILED}
    fresh = int(np.asarray(unwrapped(model.optimizer).iterations.numpy())) == 0
    flat = {
        path: value
        for path, value in _flat(json.loads(json.dumps(compiled, default=_word))).items()
        if path.split(".")[-1] not in _LEFT_OUT
        and (fresh or not path.endswith("config.learning_rate"))
    }
    layers = [type(layer).__name__ for layer in keras_private.layers_of(model, include_self=False)]
    return {
        "data": {"kind": type(source).__name__, **source.record()},
        "layers": layers,
        "compiled": flat,
        "versions": {**versions(), "backend": keras.backend.backend()},
    }


def check_same(path, there, here):
    """Raises `BadInput` if a checkpoint is of another run.

    Args:
        path: of the checkpoint.
        there, here: the record in the checkpoint, and this run's.
    """
    found = []
    for part in ("data", "compiled"):
        for name in {**there[part], **here[part]}:
            if part == "compiled" and not (name in there[part] and name in here[part]):
                continue
            one, other = there[part].get(name), here[part].get(name)
            if one != other:
                found.append(f"{name} is {shown(one, 80)} there and {shown(other, 80)} here")
    if there["layers"] != here["layers"]:
        found.append(f"it has {len(there['layers'])} layers there and {len(here['layers'])} here")
        if len(there["layers"]) == len(here["layers"]):
            found[-1] = "its layers are of other classes there"
    if found:
        more = f" (and {len(found) - 3} more)" if len(found) > 3 else ""
        raise BadInput(
            f"The checkpoint {path} is of another run: {'; '.join(found[:3])}{more}. Go on with "
            "what it was made with, or give Resume another folder."
        )


def other_versions(there, here):
    """What has another version now, in words; "" if nothing has."""
    names = [n for n in there["versions"] if there["versions"][n] != here["versions"].get(n)]
    return ", ".join(
        f"{n} {there['versions'][n]} then and {here['versions'].get(n)} now" for n in names
    )


def _flat(value, path=""):
    """Dict of dotted path to value, for nested dicts."""
    if not isinstance(value, dict):
        return {path: value}
    found = {}
    for name, inner in value.items():
        found.update(_flat(inner, f"{path}.{name}" if path else str(name)))
    return found


def _word(value):
    return type(value).__name__
