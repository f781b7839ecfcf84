"""Images in memory or in files, and the batches of training and evaluation as `tf.data` streams.

The streams need TensorFlow, which is loaded when they are first asked for; `load` does not.
"""

from tf_bdecay.batches import updates_per_epoch
from tf_bdecay.data.catalog import load
from tf_bdecay.data.image_set import Augmentation, ImageSet, Split
from tf_bdecay.data.pictures.picture_set import named_failures
from tf_bdecay.data.strong import StrongAugmentation

__all__ = [
    "Augmentation",
    "ImageSet",
    "Split",
    "StrongAugmentation",
    "evaluation_batches",
    "load",
    "named_failures",
    "training_batches",
    "updates_per_epoch",
]


def __getattr__(name):
    if name in ("evaluation_batches", "training_batches"):
        from tf_bdecay.data import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'tf_bdecay.data' has no attribute {name!r}")
