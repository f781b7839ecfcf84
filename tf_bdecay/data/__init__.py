"""Images in memory, and the batches of training and evaluation as `tf.data` streams."""

from tf_bdecay.data.catalog import load
from tf_bdecay.data.image_set import Augmentation, ImageSet, Split
from tf_bdecay.data.order import updates_per_epoch
from tf_bdecay.data.pipeline import evaluation_batches, training_batches

__all__ = [
    "Augmentation",
    "ImageSet",
    "Split",
    "evaluation_batches",
    "load",
    "training_batches",
    "updates_per_epoch",
]
