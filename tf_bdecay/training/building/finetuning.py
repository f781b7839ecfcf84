"""Freezes layers, for further training from weights that are already good.

A frozen layer's variables do not belong to the optimizer: they have no role, no moments and no
decay. As in Keras, a frozen normalization layer normalizes by its moving statistics in training,
too, and these do not change.
"""

import math

import keras

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput, require
from tf_bdecay.frameworks import keras_private


def freeze(model, text):
    """Freezes the layers that match patterns, before the model is compiled.

    Args:
        model: a functional model; its layers change.
        text: patterns separated by commas. Each is a regular expression for a layer's whole name or
            for its beginning up to a "_": "stage1" matches stage1_block1_conv1 and the rest of the
            stage.

    Raises:
        BadInput: a pattern that is not a regular expression or matches no layer with weights, or
            all layers frozen.
    """
    layers = [layer for layer in model.layers if layer.trainable_variables]
    names = [layer.name for layer in layers]
    chosen = set()
    for pattern in map(str.strip, text.split(",")):
        patterns.check(pattern, "config.finetune.frozen")
        hits = [name for name in names if patterns.matches(rf"(?:{pattern})(?:_.*)?", name)]
        stages = list(dict.fromkeys(name.split("_")[0] for name in names))
        require(
            hits,
            f"The pattern {pattern!r} in config.finetune.frozen matches no layer with weights; the "
            f"stages are {', '.join(stages)}, of layers such as {', '.join(names[:4])}.",
        )
        chosen.update(hits)
    if len(chosen) == len(layers):
        raise BadInput(
            f"config.finetune.frozen={text} freezes all {len(layers)} layers: leave one to train, "
            f"such as {names[-1]}."
        )
    for layer in layers:
        if layer.name in chosen:
            layer.trainable = False


def frozen(model):
    """The frozen layers of a model that have weights, in the model's order."""
    own = keras_private.own_trainable_variables
    return [layer for layer in model.layers if own(layer) and not layer.trainable]


def leaves_a_pair(model):
    """Whether a normalization layer still trains, with the gamma and beta that decide."""
    normal = (x for x in model.layers if isinstance(x, keras.layers.BatchNormalization))
    return any(layer.trainable for layer in normal)


def words(model):
    """A description of what is frozen in a model; "" for nothing."""
    layers = frozen(model)
    if not layers:
        return ""
    normal = [x for x in layers if isinstance(x, keras.layers.BatchNormalization)]
    count = sum(math.prod(v.shape) for layer in layers for v in layer.weights)
    names = [layer.name for layer in layers]
    some = ", ".join(names if len(names) <= 4 else [*names[:2], "...", names[-1]])
    text = f"{len(layers)} layers ({some}) with {count:,} parameters are not trained"
    if normal:
        text += f"; {len(normal)} of them normalize by their moving statistics, which stay"
    return text
