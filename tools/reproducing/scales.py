"""How large a reproduction is: the paper's own size, CIFAR on CPU cores, or a test of the tool."""

import dataclasses

from tf_bdecay.errors import unknown

# TensorFloat-32 is not in a config: products of float32 are rounded, and nothing else.
PRECISIONS = ("float32", "tf32", "mixed_bfloat16")
IMAGENET = "imagenet"  # pictures in files, by --source: Table 5, and a column of Table 3


@dataclasses.dataclass(frozen=True)
class Scale:
    """One size at which all tables and figures can be made.

    Attributes:
        name: as --scale has it.
        batches: images of an update by role: small, middle, large; the paper's 512, 2k, 8k.
        datasets: the data sets that stand for the paper's CIFAR-10 and CIFAR-100.
        overrides: dict of dotted path to value, of every run.
        sgd: the same, of runs with SGD besides.
        examples: of the training split on which sharpness is measured, at most.
        m: images of a mini-batch of C_m.
        probes: of Tr(H).
        seeds: of a table, by default.
        words: what it is, for the pages.
        precision: out of `PRECISIONS`, in which layers compute.
        backend: of Keras, by which runs train.
        imagenet_batches, imagenet: `batches` and `overrides` of ImageNet's runs.
        imagenet_images: to train on.
    """

    name: str
    batches: dict
    datasets: tuple
    overrides: dict
    sgd: dict
    examples: int
    m: int
    probes: int
    seeds: int
    words: str
    precision: str = "float32"
    backend: str = "tensorflow"
    imagenet_batches: dict = dataclasses.field(default_factory=dict)
    imagenet: dict = dataclasses.field(default_factory=dict)
    imagenet_images: int = 0

    @property
    def all_datasets(self):
        """`datasets`, and ImageNet where the scale has it."""
        return (*self.datasets, IMAGENET) if self.imagenet_batches else self.datasets

    @property
    def folder(self):
        """The name of the folder of its results: of one backend and precision alone."""
        parts = ((self.backend, "tensorflow"), (self.precision, "float32"))
        return "-".join([self.name, *(part for part, usual in parts if part != usual)])

    def command(self, name):
        """The command that makes something at this scale."""
        backend = f"KERAS_BACKEND={self.backend} " if self.backend != "tensorflow" else ""
        more = f" --precision={self.precision}" if self.precision != "float32" else ""
        return f"{backend}python tools/reproduce.py {name} --scale={self.name}{more}"


SCALES = {
    scale.name: scale
    for scale in (
        Scale(
            "paper",
            {"small": 512, "middle": 2048, "large": 8192},
            ("cifar10", "cifar100"),
            {"log.checkpoint_every": 10, "log.variables": True},
            {},
            examples=10_000,
            m=512,
            probes=64,
            seeds=3,
            words="the paper's: CIFAR at 32x32, 200 epochs, width 64",
            imagenet_batches={"small": 1024, "large": 32_768},
            imagenet_images=1_281_167,
        ),
        Scale(
            "cpu",
            {"small": 64, "middle": 256, "large": 1024},
            ("cifar10", "cifar100"),
            {
                "data.images": 10_240,
                "data.downsample": 2,
                "model.width": 16,
                "epochs": 100,
                "learning_rate.base_batch": 1024,
                "log.evaluate_every": 10,
                "log.checkpoint_every": 25,
                "log.checkpoints_kept": 1,
                "log.variables": True,
            },
            {},
            examples=2048,
            m=512,
            probes=16,
            seeds=3,
            words="10,240 CIFAR images at 16x16 (means of 2x2), 100 epochs, width 16; batches of "
            "64, 256 and 1,024 stand for 512, 2k and 8k",
        ),
        Scale(
            "smoke",
            {"small": 64, "middle": 128, "large": 448},
            ("digits",),
            {
                "model.width": 4,
                "epochs": 2,
                "learning_rate.base_batch": 448,
                "log.summaries_every": 1,
                "log.variables": True,
            },
            {"learning_rate.warmup_epochs": 1},
            examples=128,
            m=64,
            probes=2,
            seeds=1,
            words="a test of the tool: scikit-learn's digits, width 4, two epochs; its numbers "
            "mean nothing",
            imagenet_batches={"small": 64, "large": 448},
            imagenet={
                "data.size": 32,
                "data.least_area": 0.35,
                "model.width": 4,
                "epochs": 1,
                "learning_rate.base_batch": 448,
                "evaluation_batch_size": 64,
            },
            imagenet_images=1438,  # tools/make_pictures.py writes this many
        ),
    )
}


def get(name, precision="float32", backend="tensorflow"):
    """The scale of a name, in a precision, trained by a backend.

    Raises:
        BadInput: no such scale or precision.
    """
    if name not in SCALES:
        raise unknown("scale", name, SCALES)
    if precision not in PRECISIONS:
        raise unknown("precision", precision, PRECISIONS)
    found = dataclasses.replace(SCALES[name], backend=backend)
    if precision == "float32":
        return found
    more = {"precision": precision} if precision == "mixed_bfloat16" else {}
    return dataclasses.replace(
        found,
        overrides={**found.overrides, **more},
        imagenet={**found.imagenet, **more},
        words=f"{found.words}; computed in {precision}",
        precision=precision,
    )
