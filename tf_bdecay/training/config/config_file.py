"""Config files: which there are, and the config that one of them makes."""

import contextlib
import importlib
import importlib.util
import os
import pathlib
import re
import runpy
import sys

from ml_collections import ConfigDict

from tf_bdecay.errors import BadInput, require, shown, unknown
from tf_bdecay.storage.paths import local
from tf_bdecay.training.config.checks import check_keys
from tf_bdecay.training.config.dotted import flatten

DEFAULT_CONFIG = "configs/digits_resnet18.py"
# The folder that has configs/: the package itself where it is installed, else the repository.
PACKAGE = pathlib.Path(__file__).resolve().parents[2]
ROOT = PACKAGE if (PACKAGE / "configs").is_dir() else PACKAGE.parent


def load(spec, root):
    """The ConfigDict of `NAME`, `FILE`, `NAME:VARIANT` or `FILE:VARIANT`, before any override.

    Args:
        spec: the name of an experiment in configs/, or the path of a file like those.
        root: the folder that has configs/.

    Raises:
        BadInput: no such file or variant, or a file whose config cannot be made, lacks a key or has
            one too many.
    """
    path, colon, variant = local("--config", spec).partition(":")
    require(variant or not colon, f"--config={spec} names no variant: leave the colon out.")
    file = _find(path, root)
    try:
        with _importable(file, pathlib.Path(root, "configs").resolve()):
            get_config = runpy.run_path(str(file))["get_config"]
            config = get_config(variant) if variant else get_config()
    except BadInput:
        raise
    except (Exception, SystemExit) as error:
        raise BadInput(
            f"The config file {path} does not make a config: {type(error).__name__}: "
            f"{shown(str(error))[1:-1]}."
        ) from error
    require(
        isinstance(config, ConfigDict),
        f"get_config of {path} must return an ml_collections ConfigDict. Received: {shown(config)}",
    )
    try:
        flat = flatten(config)
    except Exception as error:
        raise BadInput(f"The config of {path} cannot be read: {type(error).__name__}.") from error
    check_keys(flat)  # the keys that overrides and the run's name are taken from
    return ConfigDict(config)  # a frozen one takes no overrides


def files(root):
    """Dict of the experiments' names to their paths."""
    files = sorted(pathlib.Path(root, "configs").glob("*.py"))
    return {f.stem: f for f in files if f.stem not in ("__init__", "common")}


def variants(root):
    """Names of the variants that the experiments in configs/ have in common."""
    folder = pathlib.Path(root, "configs").resolve()
    with _importable(folder / "__init__.py", folder):
        return list(importlib.import_module("configs.common").VARIANTS)


@contextlib.contextmanager
def _importable(file, folder):
    """Inside, `from configs import common` of a config file finds configs/, to which in a wheel no
    path leads. A file of somebody else's may have a `configs` of theirs.
    """
    taken = {name: sys.modules[name] for name in sys.modules if name.partition(".")[0] == "configs"}
    there = "configs" in taken or importlib.util.find_spec("configs") is not None
    if there and file.parent != folder:
        yield
        return
    for name in taken:
        del sys.modules[name]
    spec = importlib.util.spec_from_file_location(
        "configs", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    sys.modules["configs"] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "configs"]:
            del sys.modules[name]
        sys.modules.update(taken)


def _find(path, root):
    if path in files(root):
        return files(root)[path].resolve()
    for file in (pathlib.Path(path), pathlib.Path(root, path)):
        if os.path.isfile(file):  # unlike pathlib's it says no of what can be no name
            return file.resolve()
    named = re.fullmatch(r"[\w-]*", path)
    raise unknown("config file", path, [n if named else f"configs/{n}.py" for n in files(root)])
