"""Packaging. TensorFlow itself is an extra: which build of it is right depends on the machine."""

import pathlib
import re

from setuptools import find_packages, setup

ROOT = pathlib.Path(__file__).resolve().parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "tf_bdecay/__init__.py").read_text())[1]
README = ROOT / "README.md"

# The lower ends are what the tests run with. Keras is held to one minor version, since a rule that
# ties gradients of several variables together has to override an optimizer's inner steps.
REQUIRES = [
    "absl-py>=2.1,<3",
    "importlib_resources>=6",  # tensorflow-datasets prepares sets with it and does not declare it
    "keras>=3.15,<3.16",
    "matplotlib>=3.11,<4",
    "ml_collections>=1.1,<2",
    "numpy>=2.4,<3",
    "pandas>=3.0,<4",
    "pillow>=12,<14",
    "pyarrow>=20",  # parquet files of pictures
    "rich>=15,<16",
    "scikit-learn>=1.9,<2",
    "scipy>=1.17,<2",
    "tensorboard>=2.20,<2.22",
    "tensorflow-datasets>=4.9.10,<5",
]

# Each of the first three provides the module `tensorflow`. Were one of them required above, a TPU
# host would get a second TensorFlow that overwrites files of the first; so name exactly one.
EXTRAS = {
    "cpu": ["tensorflow>=2.21,<2.22"],
    "gpu": ["tensorflow[and-cuda]>=2.21,<2.22"],
    "tpu": ["tensorflow-tpu>=2.20,<2.22"],  # untried
    "augment": ["keras-cv>=0.9,<0.10"],  # RandAugment's operations on pixels
    "jax": ["jax>=0.10,<0.11"],
}
EXTRAS["dev"] = [
    *EXTRAS["augment"],
    *EXTRAS["jax"],
    "hypothesis>=6.100,<7",
    "optax>=0.2.8,<0.3",
    "pytest>=9,<10",
    "pytest-xdist>=3.8,<4",
    "ruff>=0.17.6,<0.18",
]

setup(
    name="tf_bdecay",
    version=VERSION,
    description="Large-batch training for Keras: LAMB with adaptive beta decay",
    long_description=README.read_text() if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["tf_bdecay", "tf_bdecay.*"]),
    install_requires=REQUIRES,
    extras_require=EXTRAS,
)
