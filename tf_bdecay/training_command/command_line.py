"""The command line of training: flags, from their table, and overrides of a config's keys."""

import dataclasses
import pathlib
import re

from ml_collections import ConfigDict

from tf_bdecay.distribution import strategy_flags
from tf_bdecay.errors import require, shown, unknown
from tf_bdecay.storage.paths import local
from tf_bdecay.terminal import flag_reading
from tf_bdecay.terminal.flag_reading import Flag
from tf_bdecay.training.config import config_file, keys
from tf_bdecay.training.config.checks import check_effect, misplaced
from tf_bdecay.training.config.dotted import flatten
from tf_bdecay.training_command.flag_table import FLAGS, RESUME

_HARDWARE = ("memory_gb", "bandwidth_gbps", "flops")
_OF_A_PLAN = ("plan", "devices", *_HARDWARE, "noise_scale", "seed", "traceback")
_PATHS = ("init_from", "export")
_CONFIG = Flag(str, "config", None, "the experiment")  # only its name: `split_off` reads its value

_OPTIONS = [flag for flag in FLAGS if flag.name not in ("workdir", "seed")]
Options = dataclasses.make_dataclass(
    "Options",
    [("config", ConfigDict), ("workdir", pathlib.Path)]
    + [(flag.name, flag.kind, dataclasses.field(default=flag.default)) for flag in _OPTIONS]
    + [("names_workdir", bool, dataclasses.field(default=False))],
    frozen=True,
)
Options.__doc__ = """What the command line says: the config, its overrides and --seed applied, the
path of the run's folder and whether it was given, and the value of every other flag under the
flag's name."""


def parse(arguments, root, program="main.py"):
    """Parses the command line.

    Args:
        arguments: list of strings, without the program's name.
        root: the folder that has `configs/`.
        program: the name of the command in sentences.

    Returns:
        `Options`. The config's values have their types; `checks.check` says whether they are right.

    Raises:
        BadInput: a flag, key, config file or variant is unknown, a value has the wrong type, or a
            key has no effect because of another.
    """
    spec, rest = split_off(arguments)
    config = config_file.load(spec, root)
    table = (*FLAGS, _CONFIG, *_overrides(rest, flatten(config)))
    values, stray = flag_reading.read(table, rest, program)
    require(
        not stray,
        f"{program} takes flags only, such as --workdir=DIR. Received: "
        f"{shown(' '.join(stray))[1:-1]}",
    )
    given = {name: values[name].value for name in values if values[name].present}
    with config.ignore_type():  # `checks.check` reports what is wrong
        config.update_from_flattened_dict(given, "config.")
    check_effect(flatten(config), [name.removeprefix("config.") for name in given])
    if values.resume not in RESUME:
        raise unknown("value of --resume", values.resume, RESUME)
    _check_plan(values)
    strategy_flags.check(values)
    _check_workers(values)
    _check_weights(values)
    require(
        values.seed is None or values.seed == given.get("config.seed", values.seed),
        f"--seed={values.seed} and --config.seed={config.seed} set the same thing: give one.",
    )
    if values.seed is not None:
        config.seed = values.seed
    name = f"{config.experiment}-{config.variant}-seed{config.seed}"
    return Options(
        config=config,
        workdir=pathlib.Path("runs", name) if values.workdir is None else _path(values.workdir),
        names_workdir=values.workdir is not None,
        **{flag.name: _value(flag.name, values[flag.name].value) for flag in _OPTIONS},
    )


def split_off(arguments):
    """The value of --config (the last one given, or the default), and the other arguments."""
    spec, rest, waiting = config_file.DEFAULT_CONFIG, [], False
    for argument in arguments:
        if waiting:
            spec, waiting = argument, False
        elif argument in ("--config", "-config"):
            waiting = True
        elif argument.startswith(("--config=", "-config=")):
            spec = argument.partition("=")[2]
        else:
            rest.append(argument)
    require(
        not waiting and spec,
        f"--config needs a file, such as --config={config_file.DEFAULT_CONFIG}.",
    )
    return spec, rest


def _check_workers(values):
    """Raises `BadInput` for a flag that the strategy has no use for, or a timeout out of range."""
    require(
        not values.tpu or values.strategy in ("tpu", "auto"),
        f"--tpu={values.tpu} needs --strategy=tpu.",
    )
    require(
        0 < values.start_timeout < 1e7,
        f"--start_timeout must be a number of seconds > 0. Received: {values.start_timeout}",
    )


def _check_weights(values):
    """Raises `BadInput` if one flag would leave another without effect."""
    both = "leave one of them out"
    for one, other, why in (
        ("dry_run", "eval_only", "evaluates nothing"),
        ("dry_run", "export", "trains nothing"),
        ("eval_only", "export", "trains nothing"),
    ):
        there = values[one].value and values[other].value not in (None, False)
        require(not there, f"--{one} {why} and does not go with --{other}: {both}.")
    require(
        not values.eval_only or values.init_from is None or values.workdir is None,
        f"--eval_only evaluates the weights of --workdir={values.workdir}, or of --init_from="
        f"{values.init_from}: {both}.",
    )


def _check_plan(values):
    """Raises `BadInput` for flags of a plan without --plan, and for others with it."""
    if values.plan:
        for flag in FLAGS:
            require(
                flag.name in _OF_A_PLAN or not values[flag.name].present,
                f"--plan runs nothing and takes no --{flag.name}: leave one of them out.",
            )
        return
    for name in (*_HARDWARE, "noise_scale"):
        require(
            values[name].value is None,
            f"--{name} is of a plan on paper: add --plan, or leave it out.",
        )
    require(
        not values.devices or not re.fullmatch(r"[\d.,]+", values.devices),
        f"--devices={values.devices} counts devices, which only --plan does: name devices, such as "
        "--devices=GPU:0,GPU:1.",
    )


def _value(name, value):
    return local(f"--{name}", value) if name in _PATHS and value else value


def _path(workdir):
    require(workdir, "--workdir is empty: name a folder, or leave it out for runs/EXPERIMENT-...")
    return pathlib.Path(local("--workdir", workdir))


def _overrides(arguments, flat):
    """The flags that override keys, `--config.KEY=VALUE`.

    Args:
        arguments: the command line.
        flat: dict of dotted path to value, the config before it is overridden.

    Raises:
        BadInput: the config does not have the key, or `--noconfig.KEY` negates a value.
    """
    table, found = keys.table(flat), {}
    for argument in arguments:
        override = re.match(r"--?(no)?config\.([^=]*)(=?)", argument)
        if not override:
            continue
        no, path, equals = override.groups()
        if path not in flat or path not in table:
            inside = [name for name in flat if name.startswith(f"{path}.")]
            require(
                not inside,
                f"config.{path} is a section: set its keys one by one: {', '.join(inside)}.",
            )
            raise misplaced(path, flat)
        key = table[path]
        require(
            not no or (key.kind is bool and not equals),
            f"{shown(argument)[1:-1]} negates a value: write --config.{path}=VALUE.",
        )
        right = key.right + f", or {flag_reading.UNSET}" * key.optional
        found[path] = Flag(key.kind, f"config.{path}", None, key.doc, right, key.optional)
    return found.values()
