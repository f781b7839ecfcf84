"""Small sets for the tests, and the augmentation in NumPy."""

import numpy as np

from tf_bdecay.data import Augmentation, ImageSet, Split


def split_of(count, shape=(6, 5, 3), first_label=0, seed=0):
    """Random images whose labels number them, so that a batch tells which examples it has."""
    images = np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)
    return Split(images, np.arange(first_label, first_label + count))


def image_set_of(count=10, test=7, shape=(6, 5, 3), padding=2, flip=True, validation=0):
    """An `ImageSet` of random images."""
    channels = shape[-1]
    return ImageSet(
        name="noise",
        num_classes=count + test + validation,
        train=split_of(count, shape),
        test=split_of(test, shape, first_label=count, seed=1),
        mean=(0.5, 0.4, 0.3)[:channels],
        deviation=(0.25, 0.2, 0.3)[:channels],
        augmentation=Augmentation(padding, flip),
        validation=split_of(validation, shape, count + test, seed=2) if validation else None,
    )


def crop_and_flip(image, offset, flip, padding):
    """One image padded with black, cropped at an offset and mirrored if told to."""
    height, width = image.shape[:2]
    padded = np.pad(image, [(padding, padding), (padding, padding), (0, 0)])
    row, column = offset
    cropped = padded[row : row + height, column : column + width]
    return cropped[:, ::-1] if flip else cropped


def standardise(images, image_set):
    """In float64."""
    mean, deviation = np.float64(image_set.mean), np.float64(image_set.deviation)
    return (images.astype(np.float64) / 255 - mean) / deviation


def prepare_cifar10(folder, seed=0):
    """Images of noise as tensorflow-datasets lays out CIFAR-10, and what is in them, by split."""
    return _prepare("cifar10", folder, seed, {"label": 10})


def prepare_cifar100(folder, seed=0):
    """Images of noise as tensorflow-datasets lays out CIFAR-100, and what is in them, by split."""
    return _prepare("cifar100", folder, seed, {"label": 100, "coarse_label": 20})


def _prepare(name, folder, seed, classes):
    import tensorflow_datasets as tfds

    draw = np.random.default_rng(seed)
    splits = {
        split: [
            {
                "id": f"{split}_{i}",
                "image": draw.integers(0, 256, (32, 32, 3), dtype=np.uint8),
                **{label: i % count for label, count in classes.items()},
            }
            for i in range(examples)
        ]
        for split, examples in (("train", 200), ("test", 100))
    }
    labels = {label: tfds.features.ClassLabel(num_classes=n) for label, n in classes.items()}
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="3.0.2",
        features=tfds.features.FeaturesDict(
            {
                "id": tfds.features.Text(),
                "image": tfds.features.Image(shape=(32, 32, 3)),
                **labels,
            }
        ),
        split_datasets={split: list(enumerate(examples)) for split, examples in splits.items()},
        data_dir=folder,
    )
    return splits
