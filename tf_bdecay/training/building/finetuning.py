"""Layers that are not trained: for training on from weights that are good already.

A frozen layer's variables are no variables of the optimizer: they have no role, no moments, no
decay. A frozen normalization layer normalizes by its moving statistics, which stay as they are, in
training too: as Keras has it.
"""

import math

import keras

from tf_bdecay import patterns
from tf_bdecay.errors import BadInput, require
from tf_bdecay.frameworks import keras_private


def freeze(model, text):
    """Freezes the layers that patterns match, before the model is compiled.

    Args:
        model: a functional model; its layers change.
        text: patterns with commas between them, each a regular expression for layers' whole names,
            or how they begin up to a "_": "stage1" for stage1_block1_conv1 and all others of it.

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
    """The layers with weights of a model that are frozen, in its order."""
    own = keras_private.own_trainable_variables
    return [layer for layer in model.layers if own(layer) and not layer.trainable]


def leaves_a_pair(model):
    """Whether a normalization layer is left to train, with the gamma and beta that decide."""
    normal = (x for x in model.layers if isinstance(x, keras.layers.BatchNormalization))
    return any(layer.trainable for layer in normal)


def words(model):
    """What is frozen in a model, for a person; "" for nothing."""
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
