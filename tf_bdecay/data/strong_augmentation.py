"""The settings of stronger augmentation: RandAugment, MixUp, CutMix. Needs no TensorFlow."""

import dataclasses
import importlib.metadata
import importlib.util

from tf_bdecay.batches import check_divides
from tf_bdecay.errors import check_count, check_number, require

MAGNITUDE = 0.3  # the 9 of 30 that Cubuk et al. give ResNet50 on ImageNet
_LIBRARY, _MODULE = "keras-cv", "keras_cv"


@dataclasses.dataclass(frozen=True)
class StrongAugmentation:
    """Augmentation of training batches beyond crops and flips.

    All draws follow from (seed, epoch, index of the picture) or, for mixing, from (seed, epoch,
    update): a run resumes to the same bits, on any number of replicas and workers.

    Attributes:
        operations: number of RandAugment's operations on each picture; None for no RandAugment.
        magnitude: how strong they are, in [0, 1], as keras-cv counts it.
        mixup: alpha of MixUp, whose weights come from Beta(alpha, alpha); None for no MixUp.
        cutmix: alpha of CutMix; None for no CutMix. With both, each batch is mixed by one of them,
            drawn with equal chances.

    Raises:
        BadInput: on construction, for a value out of range.
    """

    operations: int | None = None
    magnitude: float = MAGNITUDE
    mixup: float | None = None
    cutmix: float | None = None

    def __post_init__(self):
        if self.operations is not None:
            check_count("operations", self.operations)
        check_number("magnitude", self.magnitude, most=1.0)
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            if value is not None:
                check_number(name, value, above=0)

    @property
    def mixes(self):
        """Whether pictures and their labels are mixed."""
        return self.mixup is not None or self.cutmix is not None

    def check_parts(self, batch_name, batch, parts, otherwise=""):
        """Raises `BadInput` if a pair of mixed pictures would be split between two parts.

        Args:
            batch_name: the caller's name for the batch.
            batch: number of pictures of a global batch.
            parts: number of replicas that share it.
            otherwise: what else would help, for the sentence.
        """
        if self.mixes and parts > 1:
            pairs = {"replicas": parts, "pictures that are mixed": 2}
            check_divides(pairs, batch_name, batch, otherwise)

    def check_pictures(self, name, channels):
        """Raises `BadInput` if RandAugment is asked for and cannot work.

        Args:
            name: of the data set.
            channels: of its pictures.
        """
        if self.operations is None:
            return
        require(
            channels == 3,
            f"RandAugment changes colours and needs pictures of 3 channels, and those of {name} "
            f"have {channels}: leave it out.",
        )
        require(
            _installed(),
            f"RandAugment is {_LIBRARY}'s, which is not installed: pip install "
            "'tf_bdecay[augment]', or leave it out.",
        )

    def versions(self):
        """Dict of library to version, for the libraries that batches depend on."""
        if self.operations is None or not _installed():
            return {}
        return {_LIBRARY: importlib.metadata.version(_LIBRARY)}

    def words(self):
        """The augmentation in words, for a report."""
        found = []
        if self.operations is not None:
            what = f"{self.operations} operation{'s' * (self.operations > 1)} a picture"
            by = "".join(f", by {name} {version}" for name, version in self.versions().items())
            found.append(f"RandAugment ({what}, magnitude {self.magnitude:g}{by})")
        mixing = [
            f"{name} (alpha {alpha:g})"
            for name, alpha in (("MixUp", self.mixup), ("CutMix", self.cutmix))
            if alpha is not None
        ]
        if mixing:
            found.append(
                " or ".join(mixing) + " of two pictures each; training accuracy is the "
                "share of a label that the predicted class has"
            )
        return ", then ".join(found)


def _installed():
    return importlib.util.find_spec(_MODULE) is not None
