"""The experiment's file that --config names: where it is, and the config that it makes."""

import pathlib
import runpy

from ml_collections import ConfigDict

from tf_bdecay.errors import BadInput, require, unknown

DEFAULT_CONFIG = "configs/digits_resnet18.py"


def split_off(arguments):
    """The value of --config, the last one given or the default, and the other arguments."""
    spec, rest, waiting = DEFAULT_CONFIG, [], False
    for argument in arguments:
        if waiting:
            spec, waiting = argument, False
        elif argument in ("--config", "-config"):
            waiting = True
        elif argument.startswith(("--config=", "-config=")):
            spec = argument.partition("=")[2]
        else:
            rest.append(argument)
    require(not waiting and spec, f"--config needs a file, such as --config={DEFAULT_CONFIG}.")
    return spec, rest


def load_config(spec, root):
    """The ConfigDict of `FILE` or `FILE:VARIANT`, before any override.

    Raises:
        BadInput: no such file or variant, or a file that does not make a config.
    """
    path, _, variant = spec.partition(":")
    file = _find(path, root)
    try:
        get_config = runpy.run_path(str(file))["get_config"]
        config = get_config(variant) if variant else get_config()
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(
            f"The config file {path} does not make a config: {type(error).__name__}: {error}."
        ) from error
    require(
        isinstance(config, ConfigDict),
        f"get_config of {path} must return an ml_collections ConfigDict. Received: {config!r}",
    )
    return config


def config_files(root):
    """Paths of the experiments, relative to the root."""
    files = sorted(pathlib.Path(root, "configs").glob("*.py"))
    return [f"configs/{f.name}" for f in files if f.stem not in ("__init__", "common")]


def _find(path, root):
    for file in (pathlib.Path(path), pathlib.Path(root, path)):
        if file.is_file():
            return file.resolve()
    raise unknown("config file", path, config_files(root))
