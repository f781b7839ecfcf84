"""The data sets by name."""

import dataclasses
import numbers
from collections.abc import Callable

from tf_bdecay.data import digits, prepared
from tf_bdecay.data.image_set import (
    Augmentation,
    ImageSet,
    channel_statistics,
    first_of_permutation,
    set_aside,
    shrink,
)
from tf_bdecay.data.order import check_seed
from tf_bdecay.errors import require, unknown
from tf_bdecay.frameworks import extras


@dataclasses.dataclass(frozen=True)
class _Source:
    """Where a set comes from and how it is treated.

    Attributes:
        read: (data_dir, download, seed) -> (train, test).
        num_training: number of its training images, including validation's.
        shape: (height, width, channels) of an image.
        num_classes: of its labels.
        augmentation: of its training images.
        statistics: (mean, deviation) as published; None for those of the training images.
        classes: names of its classes, by label, or None.
        bundled: whether it comes with a library, so that no folder has it.
    """

    read: Callable
    num_training: int
    shape: tuple
    num_classes: int
    augmentation: Augmentation
    statistics: tuple | None = None
    classes: tuple | None = None
    bundled: bool = False


def _cifar(name):
    """The `read` of a CIFAR set, which uses TensorFlow only under its own backend."""

    def read(data_dir, download, seed):
        import keras  # takes seconds and loads TensorFlow; pictures in files need neither

        if keras.backend.backend() != "tensorflow":
            return prepared.read(name, data_dir, download)
        extras.check(name, "tensorflow", "tensorflow_datasets", "importlib_resources")
        from tf_bdecay.data import cifar

        return cifar.read(name, data_dir, download)

    return read


_CIFAR = Augmentation(padding=4, flip=True)
SOURCES = {
    "digits": _Source(
        lambda data_dir, download, seed: digits.read(seed),
        num_training=1438,
        shape=(8, 8, 1),
        num_classes=10,
        augmentation=Augmentation(padding=1, flip=False),  # mirroring changes what a digit is
        classes=tuple("0123456789"),
        bundled=True,
    ),
    "cifar10": _Source(
        _cifar("cifar10"),
        num_training=50_000,
        shape=(32, 32, 3),
        num_classes=10,
        augmentation=_CIFAR,
        statistics=((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        classes=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
    ),
    "cifar100": _Source(
        _cifar("cifar100"),
        num_training=50_000,
        shape=(32, 32, 3),
        num_classes=100,
        augmentation=_CIFAR,
        statistics=((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    ),
}
NAMES = tuple(SOURCES)


def classes_of(name):
    """Names of a set's classes, in the order of their labels; None if they are not known."""
    return SOURCES[name].classes if name in NAMES else None


def size_of(name):
    """The number of a set's training images, the shape of one, and the number of its classes.

    Nothing is read.
    """
    source = SOURCES[name]
    return source.num_training, source.shape, source.num_classes


def load(
    name, data_dir=None, download=False, seed=0, validation=0.0, *, images=None, downsample=1
) -> ImageSet:
    """Loads a data set into memory.

    Args:
        name: "digits" (comes with scikit-learn), "cifar10" or "cifar100".
        data_dir: folder of the sets that tensorflow-datasets prepared; None for its own default.
        download: whether a missing set may be downloaded, which only TensorFlow does.
        seed: in [0, 2^32); decides the digits' division into training and test, and which training
            images are set aside for validation.
        validation: fraction in [0, 1) of the training images that is set aside, by class.
        images: number of training images, including validation's: the first of a permutation that
            does not depend on `seed`; None for all of them.
        downsample: side of the squares of pixels that become one, their rounded mean. The crop's
            padding shrinks with the image, rounded up; published means and deviations stay.

    Returns:
        An `ImageSet`. Its `validation` is None where `validation` is 0.

    Raises:
        BadInput: an unknown name, a set that is missing or broken, or an argument out of range.
    """
    if not isinstance(name, str) or name not in SOURCES:
        raise unknown("dataset", name, NAMES)
    require(
        isinstance(validation, numbers.Real) and 0 <= validation < 1,
        f"`validation` must be a fraction in [0, 1). Received: validation={validation!r}",
    )
    check_seed(seed)
    source = SOURCES[name]
    require(
        not (source.bundled and data_dir),
        f"{name} comes with a library and is in no folder: leave data_dir out. Received: "
        f"data_dir={data_dir!r}",
    )
    require(
        not (source.bundled and download),
        f"{name} comes with a library and is not downloaded: leave download out. Received: "
        f"download={download!r}",
    )
    train, test = source.read(data_dir, download, seed)
    train = first_of_permutation(train, images)
    train, test = shrink(train, downsample), shrink(test, downsample)
    augmentation = dataclasses.replace(
        source.augmentation, padding=-(-source.augmentation.padding // downsample)
    )
    kept = None
    if validation:
        train, kept = set_aside(train, validation, seed, "validation")
    mean, deviation = source.statistics or channel_statistics(train.images)
    return ImageSet(
        name=name,
        num_classes=source.num_classes,
        train=train,
        test=test,
        validation=kept,
        mean=mean,
        deviation=deviation,
        augmentation=augmentation,
        classes=source.classes,
    )
