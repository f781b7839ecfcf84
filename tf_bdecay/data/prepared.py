"""CIFAR as tensorflow-datasets prepared it, read without TensorFlow."""

import io
import os

import numpy as np

from tf_bdecay.data.image_set import Split
from tf_bdecay.data.pictures.layouts import tfrecord
from tf_bdecay.errors import BadInput, first_line, require
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
    path = os.path.join(folder, name)
    extras.check("Reading CIFAR", "PIL", "google_crc32c")
    try:
        found = tfrecord.recognise(path) if os.path.isdir(path) and not download else None
        if found is not None:
            return _split(found, "train"), _split(found, "test")
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{name} in {folder} cannot be read: put the folder back, or prepare it again. "
            f"Received: {first_line(error)}"
        ) from error
    raise BadInput(
        f"{name} is not prepared in {folder}, and is downloaded with TensorFlow alone: name the "
        "folder that has it with --data_dir, or prepare it where TensorFlow is, with `tf-bdecay "
        f"train --config={name}_resnet18 --data_dir=DIR --download --dry_run`, and copy that "
        "folder."
    )


def _split(found, split):
    from PIL import Image

    require(split in found.splits, f"It has no {split} split.")
    records, images = found.splits[split], []
    for index in range(len(records)):
        with Image.open(io.BytesIO(records.read(index))) as image:
            images.append(np.asarray(image))
    return Split(np.stack(images), records.labels)
