"""Packaging. TensorFlow itself is an extra: which build of it is right depends on the machine."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "tf_bdecay/__init__.py").read_text())[1]
README = ROOT / "README.md"

# As wide as tests showed: `make test-matrix`, docs/matrix.md. Keras has an upper end, since a rule
# that ties gradients of several variables together has to override an optimizer's inner steps.
REQUIRES = [
    "keras>=3.12,<3.16",
    "numpy>=2.1,<3",
]

# What the commands need besides TensorFlow, and files, tables and pictures of the callbacks and
# measures. tf_bdecay/frameworks/extras.py says who lacks what.
TRAIN = [
    "absl-py>=2.1,<3",
    "google-crc32c>=1.7,<2",  # checksums of TFRecords
    "importlib_resources>=6",  # tensorflow-datasets prepares sets with it and does not declare it
    "matplotlib>=3.10,<4",
    "ml_collections>=1.1,<2",
    "pandas>=2.2,<4",
    "pillow>=11,<14",
    "pyarrow>=18",  # parquet files of pictures
    "rich>=13,<16",
    "scikit-learn>=1.6,<2",
    "scipy>=1.14,<2",
    "tensorboard>=2.19,<2.22",
    "tensorflow-datasets>=4.9.8,<5",
]

# A machine to train on is one of cpu, gpu and tpu. Each of their TensorFlows provides the module
# `tensorflow`. Were one of them required above, a TPU host would get a second TensorFlow that
# overwrites files of the first; so name exactly one, or none where there is one already.
EXTRAS = {
    "train": TRAIN,
    "cpu": ["tensorflow>=2.19,<2.22", *TRAIN],
    "gpu": ["tensorflow[and-cuda]>=2.19,<2.22", *TRAIN],
    "tpu": ["tensorflow-tpu>=2.20,<2.22", *TRAIN],  # untried
    "augment": ["keras-cv>=0.9,<0.10"],  # RandAugment's operations on pixels
    "jax": ["jax>=0.7,<0.13"],
    "docs": ["mkdocs-material>=9.8,<10", "mkdocstrings[python]>=1.0,<2"],
}
EXTRAS["dev"] = [
    *EXTRAS["augment"],
    *EXTRAS["docs"],
    *EXTRAS["jax"],
    "hypothesis>=6.100,<7",
    "mypy>=1.15,<3",
    "optax>=0.2.8,<0.3",
    "pytest>=9,<10",
    "pytest-cov>=7,<8",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.17.6,<0.18",
]

setup(
    name="tf_bdecay",
    version=VERSION,
    description="Large-batch training for Keras: LAMB with adaptive beta decay",
    long_description=README.read_text() if README.exists() else "",
    long_description_content_type="text/markdown",
    author="The tf_bdecay authors",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="keras tensorflow optimizer lamb large-batch weight-decay sharpness hessian",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=[*find_packages(include=["tf_bdecay", "tf_bdecay.*"]), "tf_bdecay.configs"],
    package_dir={"tf_bdecay.configs": "configs"},  # in the wheel inside of the package
    package_data={"": ["py.typed", "*.pyi"]},
    entry_points={"console_scripts": ["tf-bdecay = tf_bdecay.commands:main"]},
    install_requires=REQUIRES,
    extras_require=EXTRAS,
)
