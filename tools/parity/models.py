"""Checks that our ImageNet networks give torchvision's and timm's logits for the same weights.

    make parity-models

Random weights and statistics of torchvision's resnet18 and resnet50 and of timm's resnet50d are
converted for our networks of the same design. The logits of the same images must agree to 1e-4 of
the largest, in inference and in training mode. PyTorch is in an environment of its own
(requirements-torch.txt).
Exit codes: 0 all agree, 1 some differ, 2 the comparison cannot run.
"""

import argparse
import os
import pathlib
import re
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import keras
import numpy as np
from rich.table import Table

from tf_bdecay import models
from tools.parity import elsewhere

LIMIT = 1e-4
ARGUMENTS = {"resnet18": {"stem": "imagenet"}, "resnet50": {}, "resnet50_d": {}}
# Names of layers in torchvision and timm, and our names for them.
_LAYERS = (
    (r"conv1", r"stem_conv"),
    (r"bn1", r"stem_bn"),
    (r"layer(\d)\.(\d)\.(conv|bn)(\d)", r"stage\1_block\2_\3\4"),
    (r"layer(\d)\.(\d)\.downsample\.0", r"stage\1_block\2_shortcut_conv"),
    (r"layer(\d)\.(\d)\.downsample\.1", r"stage\1_block\2_shortcut_bn"),
    (r"fc", r"logits"),
)
_LAYERS_D = (
    *((rf"conv1\.{n}", name) for n, name in ((0, "stem_conv1"), (3, "stem_conv2"))),
    *((rf"conv1\.{n}", name) for n, name in ((1, "stem_bn1"), (4, "stem_bn2"))),
    (r"conv1\.6", r"stem_conv3"),
    (r"bn1", r"stem_bn3"),
    (r"layer(\d)\.(\d)\.downsample\.1", r"stage\1_block\2_shortcut_conv"),
    (r"layer(\d)\.(\d)\.downsample\.2", r"stage\1_block\2_shortcut_bn"),
    *(rule for rule in _LAYERS if "downsample" not in rule[0] and "stem" not in rule[1]),
)
_OF_A_NORM = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
_OF_OTHERS = {"weight": "kernel", "bias": "bias"}


def converted(name, theirs):
    """Converts PyTorch's weights to our paths and layouts.

    Args:
        name: our name of the network.
        theirs: dict of PyTorch's name to an array; kernels are [out, in, height, width] or
            [out, in].

    Returns:
        Dict of path to array; kernels are [height, width, in, out] or [in, out].

    Raises:
        KeyError: no rule matches a name.
    """
    ours = {}
    for key, value in theirs.items():
        layer, _, leaf = key.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        path = _layer(name, layer)
        leaf = (_OF_A_NORM if re.search(r"_bn\d*$", path) else _OF_OTHERS)[leaf]
        axes = {4: (2, 3, 1, 0), 2: (1, 0)}.get(value.ndim, (0,))
        ours[f"{path}/{leaf}"] = value.transpose(axes)
    return ours


def _layer(name, theirs):
    for pattern, path in _LAYERS_D if name.endswith("_d") else _LAYERS:
        if match := re.fullmatch(pattern, theirs):
            found = match.expand(path)
            # They count blocks from 0, we count from 1.
            return re.sub(r"block(\d)", lambda m: f"block{int(m[1]) + 1}", found)
    raise KeyError(theirs)


def compare(name, found):
    """The table's rows for one network, and whether all agree.

    Args:
        name: our name of the network.
        found: dict of what models_torch.py wrote about it.
    """
    theirs = {k.removeprefix("weights|"): v for k, v in found.items() if k.startswith("weights|")}
    ours, rows, agree = converted(name, theirs), [], True
    for side in sorted(int(k.split("|")[1]) for k in found if k.startswith("images|")):
        keras.backend.clear_session()
        x = found[f"images|{side}"]
        model = models.build(
            name,
            num_classes=1000,
            input_shape=x.shape[1:],
            normalization="batch",
            **ARGUMENTS[name],
        )
        assert {v.path for v in model.variables} == ours.keys()
        for variable in model.variables:
            variable.assign(ours[variable.path])
        parameters = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
        for mode in ("logits", "training"):
            logits = keras.ops.convert_to_numpy(model(x, training=mode == "training"))
            expected = found[f"{mode}|{side}"]
            difference = np.abs(logits - expected).max() / np.abs(expected).max()
            agree &= bool(difference < LIMIT)
            how = "inference" if mode == "logits" else "training"
            said = f"{difference:.1e}" + ("" if difference < LIMIT else " DIFFERS")
            rows.append((name, f"{parameters:,}", str(side), how, said))
    return rows, agree


def theirs(python):
    """What models_torch.py writes, as a dict by network."""
    by_network = {}
    for key, value in elsewhere.arrays_of(
        "models_torch.py", python, "torchvision", "parity-models"
    ).items():
        name, _, rest = key.partition("|")
        by_network.setdefault(name, {})[rest] = value
    return by_network


def main():
    """Prints the table and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    elsewhere.add_python(parser, "--torch_python", ".venv-torch", "PyTorch")
    found = theirs(parser.parse_args().torch_python)
    table = Table("network", "trainable parameters", "side of images", "mode", "largest difference")
    agree = True
    for name in ARGUMENTS:
        rows, same = compare(name, found[name])
        agree &= same
        for row in rows:
            table.add_row(*row)
    heading = f"Difference from torchvision's and timm's logits, over the largest; limit {LIMIT:g}"
    return elsewhere.verdict(heading, table, agree)


if __name__ == "__main__":
    sys.exit(main())
