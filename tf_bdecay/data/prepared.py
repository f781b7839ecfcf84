"""CIFAR as tensorflow-datasets prepared it, read without TensorFlow.

A set is one file of TFRecords a split, whose images are PNGs. The records' checksums are not looked
at: a PNG has its own.
"""

import io
import os
import pathlib
import struct

import numpy as np

from tf_bdecay.data import tfrecords
from tf_bdecay.data.image_set import Split
from tf_bdecay.errors import BadInput
from tf_bdecay.frameworks import extras


def read(name, data_dir=None, download=False):
    """The training and test images, in the order in which TensorFlow reads them.

    Args:
        name: "cifar10" or "cifar100".
        data_dir: folder of prepared sets; None for tensorflow-datasets' own.
        download: must be False: a set is downloaded and prepared with TensorFlow.

    Returns:
        (train, test): a `Split` each.

    Raises:
        BadInput: a set that is not there or cannot be read, or a download asked for.
    """
    folder = os.path.expanduser(
        data_dir or os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    )
    versions = sorted(pathlib.Path(folder, name).glob("*.*.*/dataset_info.json"), key=_version)
    if download or not versions:
        raise BadInput(
            f"{name} is not prepared in {folder}, and is downloaded with TensorFlow alone: name "
            "the folder that has it with --data_dir, or prepare it where TensorFlow is, with "
            f"`tf-bdecay train --config={name}_resnet18 --data_dir=DIR --download --dry_run`, and "
            "copy that folder."
        )
    return _split(name, versions[-1].parent, "train"), _split(name, versions[-1].parent, "test")


def _version(path):
    return [int(part) if part.isdigit() else -1 for part in path.parent.name.split(".")]


def _split(name, folder, split):
    extras.check("Reading pictures", "PIL")
    from PIL import Image

    images, labels = [], []
    try:
        (path,) = folder.glob(f"{name}-{split}.tfrecord-00000-of-00001")
        for record in tfrecords.records(path.read_bytes()):
            example = tfrecords.features(record)
            with Image.open(io.BytesIO(example["image"])) as image:
                images.append(np.asarray(image))
            labels.append(example["label"])
        return Split(np.stack(images), np.array(labels, np.int64))
    except (OSError, ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise BadInput(
            f"The {split} split of {name} in {folder} cannot be read: put the folder back, or "
            f"prepare it again. Received: {type(error).__name__}: {error}"
        ) from error
