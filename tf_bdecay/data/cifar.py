"""CIFAR-10 and CIFAR-100 through tensorflow-datasets: 60,000 images, 32x32x3."""

import os

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from tensorflow_datasets.core import constants, read_only_builder

from tf_bdecay.data.image_set import Split
from tf_bdecay.errors import BadInput, first_line


def read(name, data_dir=None, download=False):
    """The 50,000 training and 10,000 test images, decoded; CIFAR-100 with its fine labels.

    Args:
        name: "cifar10" or "cifar100".
        data_dir: folder of prepared sets; None for tensorflow-datasets' own.
        download: whether a missing set is downloaded and prepared; without it, the network is never
            used.

    Returns:
        (train, test): a `Split` each.

    Raises:
        BadInput: a set that is missing, cannot be downloaded or cannot be read.
    """
    folder = os.path.expanduser(data_dir or constants.DATA_DIR)
    builder = _prepared(name, folder)
    if builder is None and download:
        _download(name, folder)
        builder = _prepared(name, folder)
    if builder is None:
        raise BadInput(
            f"{name} is not prepared in {folder}: name the folder that has it with --data_dir, or "
            f"download it with `tf-bdecay train --config={name}_resnet18 --data_dir={folder} "
            "--download --dry_run`."
        )
    return _decode(builder, "train"), _decode(builder, "test")


def _prepared(name, folder):
    """The builder of a prepared set, or None if it is not there."""
    try:
        # Not `tfds.builder`, which asks the network about missing sets.
        return read_only_builder.builder_from_files(name, data_dir=folder)
    except tfds.core.DatasetNotFoundError:
        return None


def _download(name, folder):
    try:
        tfds.builder(name, data_dir=folder).download_and_prepare()
    except (OSError, tfds.download.DownloadError, tf.errors.OpError) as error:
        raise BadInput(
            f"{name} could not be downloaded to {folder}: the network and a folder that can be "
            f"written are needed. Received: {first_line(error)}"
        ) from error


def _decode(builder, split):
    try:
        # All in one batch: a set is small compared with what training needs.
        whole = tfds.as_numpy(builder.as_dataset(split=split, batch_size=-1))
    except (AssertionError, OSError, ValueError, tf.errors.OpError) as error:
        raise BadInput(
            f"The {split} split of {builder.name} in {builder.data_dir} cannot be read: delete "
            f"that folder and prepare it again. Received: {first_line(error)}"
        ) from error
    return Split(whole["image"], whole["label"].astype(np.int64))
