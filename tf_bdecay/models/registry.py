"""Models by name, as configs and flags give them."""

import inspect

from tf_bdecay.errors import unknown
from tf_bdecay.models.blocks import OPTIONS
from tf_bdecay.models.resnet import resnet18, resnet50, resnet50_d
from tf_bdecay.models.vgg import vgg11, vgg19_bn

MODELS = {
    "resnet18": resnet18,
    "resnet50": resnet50,
    "resnet50_d": resnet50_d,
    "vgg11": vgg11,
    "vgg19_bn": vgg19_bn,
}


def names():
    """The names that `build` knows."""
    return list(MODELS)


def build(name, /, **kwargs):
    """Builds a model by name.

    Args:
        name: one of `names()`.
        **kwargs: the arguments of the function of that name.

    Returns:
        A functional `keras.Model` that gives float32 logits.

    Raises:
        BadInput: an unknown name, or an unknown or bad argument.
    """
    if name not in MODELS:
        raise unknown("model", name, names())
    own = [p for p in inspect.signature(MODELS[name]).parameters if p != "options"]
    valid = [*own, *OPTIONS]
    for argument in kwargs:
        if argument not in valid:
            raise unknown(f"argument of {name}", argument, valid)
    return MODELS[name](**kwargs)
