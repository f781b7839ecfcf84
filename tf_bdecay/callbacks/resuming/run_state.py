"""Everything that the next update depends on: variables, metrics, history, callbacks.

Labels consist of owner and position: a second model in one process has other names.
"""

import json
import math
import numbers
from copy import deepcopy

import keras
import numpy as np

from tf_bdecay.distribution import replica_values
from tf_bdecay.errors import BadInput, first_line, require, shown
from tf_bdecay.frameworks import keras_private
from tf_bdecay.storage import checkpoint_file

_METRIC, _COPIES, _CALLBACK = "metric/", "copies/", "callback/"


def variables_of(model):
    """The variables of a built model and its optimizers, by label: seeds, slots, scales and all."""
    owners = {"model": model.variables, "optimizer": model.optimizer.variables}
    owners |= {f"{name} optimizer": o.variables for name, o in further_optimizers(model).items()}
    return {f"{o}/{i:04d}": v for o, own in owners.items() for i, v in enumerate(own)}


def further_optimizers(model):
    """Optimizers that a model or a part of it has besides its own, as in a GAN: dict by name.

    An inner model's own optimizer that was never built is left out: `fit` does not use it.

    Raises:
        BadInput: another one is not built; only the user's `train_step` knows its variables.
    """
    found, known = {}, {id(model.optimizer)}
    for i, layer in enumerate(keras_private.layers_of(model)):
        own = getattr(layer, "optimizer", None)
        if own is not None and not own.built:
            known.add(id(own))
        # Private attributes, in which Keras and TensorFlow list the others again, come last.
        for name, value in sorted(vars(layer).items(), key=lambda item: item[0].startswith("_")):
            held = value.values() if isinstance(value, dict) else value
            for j, one in enumerate(held if isinstance(value, (dict, list, tuple)) else [value]):
                if not isinstance(one, keras.optimizers.Optimizer) or id(one) in known:
                    continue
                require(
                    one.built,
                    f"Resume keeps the state of the optimizer in {layer.name!r}, attribute "
                    f"{name!r}, which must be built before `fit`: call its build(variables) with "
                    "those that it trains. Received: one that is not",
                )
                known.add(id(one))
                found[f"{i} {name} {j}"] = one
    return found


def snapshot(model, metrics):
    """Copies of all variables on the host.

    Args:
        model: built and compiled.
        metrics: whether to include the metrics of the epoch in progress.

    Returns:
        Dict of label to array. Where replicas' copies differ, as those of stock moving statistics
        do, it has all of them besides the first; of metrics it has every replica's.
    """
    if hasattr(model, "jax_state_sync"):  # JAX: the train function has the state
        model.jax_state_sync()
    found = {}
    for label, variable in variables_of(model).items():
        first, *others = replica_values.values_of(model, variable)
        found[label] = first
        if any(other.tobytes() != first.tobytes() for other in others):
            found[_COPIES + label] = np.stack([first, *others])
    if metrics:
        for i, variable in enumerate(model.metrics_variables):
            found[f"{_METRIC}{i:04d}"] = np.stack(replica_values.values_of(model, variable))
    return found


def assign(path, arrays, model):
    """Gives a model what `snapshot` copied, except the metrics.

    Args:
        path: of the checkpoint, for messages.
        arrays: dict of label to array; those of metrics and callbacks are ignored.
        model: built and compiled.

    Raises:
        BadInput: the arrays are of another model or optimizer; nothing is changed then.
    """
    variables = variables_of(model)
    mine = {k: a for k, a in arrays.items() if not k.startswith((_METRIC, _COPIES, _CALLBACK))}
    checkpoint_file.assign(path, mine, variables)
    for label, variable in variables.items():
        if _COPIES + label in arrays:
            replica_values.assign(model, variable, arrays[_COPIES + label])


def assign_metrics(path, arrays, model):
    """Gives a model the metrics of the epoch in progress, if the arrays have any."""
    kept = [arrays[k] for k in sorted(arrays) if k.startswith(_METRIC)]
    if not kept:
        return
    own = model.metrics_variables
    right = len(kept) == len(own) and all(
        a.shape[1:] == tuple(v.shape) for a, v in zip(kept, own, strict=False)
    )
    require(right, f"The checkpoint {path} is of a run with other metrics.")
    for variable, values in zip(own, kept, strict=True):
        replica_values.assign(model, variable, values)


def number_of(value):
    """A value of `logs` that JSON can hold, or None."""
    if isinstance(value, bool) or value is None or isinstance(value, (int, str)):
        return value
    if isinstance(value, numbers.Real) or (np.ndim(value) == 0 and hasattr(value, "dtype")):
        value = np.asarray(value).item()
        return value if isinstance(value, (int, float, str, bool)) else None
    return None


class Kept:
    """The state of callbacks that a resumed `fit` would otherwise reset.

    A callback with `get_state` and `set_state` returns a dict of JSON values and is given it back.
    Of any other callback, the attributes that have changed since `fit` began are kept, if they are
    numbers, strings, None, arrays, or lists of these.

    Args:
        callbacks: list of Keras callbacks, the same at every start.
    """

    def __init__(self, callbacks):
        self._callbacks = list(callbacks)
        self._before, self._names = [], [set() for _ in self._callbacks]

    def begin(self):
        """Notes their attributes, once all callbacks have begun.

        Raises:
            BadInput: the state that a callback returns is not JSON.
        """
        self._before = [deepcopy(_plain(c)) for c in self._callbacks]
        for callback in self._callbacks:
            if hasattr(callback, "get_state"):
                _check_json(callback)

    def names(self):
        """The names of their classes."""
        return [type(c).__name__ for c in self._callbacks]

    def snapshot(self):
        """A list of JSON values, one per callback, and a dict of label to array."""
        found, arrays = [], {}
        for i, callback in enumerate(self._callbacks):
            if hasattr(callback, "get_state"):
                found.append(callback.get_state())
                continue
            before = self._before[i]
            values = {
                name: value
                for name, value in _plain(callback).items()
                if name in self._names[i] or not _same(value, before.get(name, self))
            }
            found.append(
                {
                    name: _packed(value, f"{_CALLBACK}{i:02d}/{name}", arrays)
                    for name, value in values.items()
                }
            )
        return found, arrays

    def restore(self, states, arrays):
        """Gives them what `snapshot` returned."""
        for i, (callback, state) in enumerate(zip(self._callbacks, states, strict=True)):
            if hasattr(callback, "set_state"):
                callback.set_state(state)
                continue
            self._names[i] = set(state)
            for name, value in state.items():
                setattr(callback, name, _unpacked(value, arrays))


def _check_json(callback):
    try:
        json.dumps(callback.get_state())
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"{type(callback).__name__}.get_state must return JSON values, such as numbers and "
            f"lists ({first_line(error)})."
        ) from error


def _plain(callback):
    """The attributes of a callback that can be kept."""
    # Keras' callbacks that monitor a value may flip the sign of this in a `fit`'s first epoch.
    turned = {"min_delta"} if hasattr(callback, "monitor_op") else set()
    return {
        name: value
        for name, value in vars(callback).items()
        if name not in turned and _is_plain(value)
    }


def _is_plain(value):
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    if isinstance(value, np.ndarray):
        return value.dtype != object  # of which NumPy's files are not read
    return value is None or isinstance(value, (bool, str, numbers.Real))


def _same(one, other):
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    return type(one) is type(other) and one == other


def _packed(value, label, arrays):
    """A value as JSON; its arrays go into `arrays` under labels of their own."""
    if isinstance(value, (list, tuple)):
        parts = [_packed(v, f"{label}/{i:04d}", arrays) for i, v in enumerate(value)]
        return {"list": parts}
    if isinstance(value, np.ndarray):
        arrays[label] = value
        return {"array": label}
    return {"value": number_of(value)}


def _unpacked(packed, arrays):
    require(isinstance(packed, dict) and len(packed) == 1, f"No state: {shown(packed)}")
    ((kind, value),) = packed.items()
    if kind == "list":
        return [_unpacked(v, arrays) for v in value]
    return arrays[value] if kind == "array" else value
