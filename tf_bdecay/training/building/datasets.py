"""The data of a config: images in memory, or pictures in files."""

from tf_bdecay import data
from tf_bdecay.data.pictures import loading
from tf_bdecay.data.strong_augmentation import MAGNITUDE, StrongAugmentation
from tf_bdecay.errors import require, shown

_OF_BATCHES = (
    *("name", "augment", "remainder"),
    *("randaugment", "randaugment_magnitude", "mixup", "cutmix"),
)


def load(flat, data_dir=None, download=False):
    """The `ImageSet` or `PictureSet` of a config.

    Args:
        flat: dict of dotted path to value, of a config that passed `checks.check`, or of a run.
        data_dir: the folder of prepared data sets; None for the library's default.
        download: whether a missing data set may be downloaded.

    Raises:
        BadInput: data that are missing or cannot be used.
    """
    if flat["data.name"] == "pictures":
        return pictures(flat, data_dir, download)
    return data.load(
        flat["data.name"],
        data_dir=data_dir,
        download=download,
        seed=flat["seed"],
        validation=flat["data.validation"],
        images=flat.get("data.images"),  # these two are not in every run's config
        downsample=flat.get("data.downsample", 1),
    )


def pictures(flat, data_dir=None, download=False):
    """The `PictureSet` of a config whose data are pictures in files.

    Args:
        flat: dict of dotted path to value, of a config that passed `checks.check`.
        data_dir, download: must be left unset: they are for known sets.

    Raises:
        BadInput: no source, one that cannot be used, or one with a single class.
    """
    start = "data."
    said = {p.removeprefix(start): value for p, value in flat.items() if p.startswith(start)}
    said = {name: value for name, value in said.items() if name not in _OF_BATCHES}
    require(
        said["source"] is not None,
        "Which pictures to train on? Set --config.data.source=PATH, a folder of class folders or "
        "another layout that docs/pictures.md lists.",
    )
    require(
        not data_dir and not download,
        "Pictures are where config.data.source says: leave --data_dir and --download out.",
    )
    found = loading.load(seed=flat["seed"], **said)
    require(
        found.num_classes > 1,
        f"Pictures must be of two classes or more to train on. Received in {said['source']}: "
        f"{shown(found.classes[0])} alone",
    )
    return found


def strong_augmentation(config):
    """The `StrongAugmentation` of a config's training batches.

    Args:
        config: a ConfigDict that passed `checks.check`.
    """
    said = config.data
    magnitude = said.randaugment_magnitude
    return StrongAugmentation(
        operations=said.randaugment,
        magnitude=MAGNITUDE if magnitude is None else magnitude,
        mixup=said.mixup,
        cutmix=said.cutmix,
    )
