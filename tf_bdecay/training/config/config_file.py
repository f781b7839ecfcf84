"""Config files: lists them, and loads the config that one of them makes."""

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
# The folder that has configs/: the package itself if it is installed, else the repository.
PACKAGE = pathlib.Path(__file__).resolve().parents[2]
ROOT = PACKAGE if (PACKAGE / "configs").is_dir() else PACKAGE.parent


def load(spec, root):
    """The ConfigDict of `NAME`, `FILE`, `NAME:VARIANT` or `FILE:VARIANT`, before any override.

    Args:
        spec: the name of an experiment in configs/, or the path of a file like those.
        root: the folder that has configs/.

    Raises:
        BadInput: no such file or variant, a file that makes no config, or a config with a missing
            or unknown key.
    """
    path, variant = local("--config", spec), None
    if ":" in path and not _file(path, root):  # the path of a file may have colons
        path, _, variant = path.rpartition(":")
    require(variant != "", f"--config={spec} names no variant: leave the colon out.")
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
    check_keys(flat)  # overrides and the run's name rely on these keys
    return ConfigDict(config)  # a copy, because a frozen one takes no overrides


def files(root):
    """Dict of experiment name to path."""
    files = sorted(pathlib.Path(root, "configs").glob("*.py"))
    return {f.stem: f for f in files if f.stem not in ("__init__", "common")}


def variants(root):
    """Names of the variants that the experiments in configs/ have in common."""
    folder = pathlib.Path(root, "configs").resolve()
    with _importable(folder / "__init__.py", folder):
        return list(importlib.import_module("configs.common").VARIANTS)


@contextlib.contextmanager
def _importable(file, folder):
    """Inside, `from configs import common` in a config file finds our configs/, also in a wheel.

    In a wheel no path leads there. A `configs` of the user's own stays in place for their files.
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
    file = files(root).get(path) or _file(path, root)
    if file:
        return file.resolve()
    named = re.fullmatch(r"[\w-]*", path)
    raise unknown("config file", path, [n if named else f"configs/{n}.py" for n in files(root)])


def _file(path, root):
    """The file that a path names, here or in `root`; None for none."""
    places = pathlib.Path(path), pathlib.Path(root, path)
    # Unlike pathlib's, os.path.isfile is False for text that cannot be a path.
    return next((place for place in places if os.path.isfile(place)), None)
