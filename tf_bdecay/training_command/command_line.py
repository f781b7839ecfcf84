"""The command line of training, from the table of its flags.

Overrides of keys, --config.KEY=VALUE, are ml_collections' flags. What is wrong is a sentence.
"""

import dataclasses
import pathlib
import re

from absl import flags
from ml_collections import ConfigDict, config_flags

from tf_bdecay.distribution.cluster import STRATEGIES
from tf_bdecay.errors import BadInput, require, shown, unknown
from tf_bdecay.training import config as configs
from tf_bdecay.training import keys
from tf_bdecay.training.key import Key
from tf_bdecay.training_command.flag_table import FLAGS, RESUME

_HARDWARE = ("memory_gb", "bandwidth_gbps", "flops")
_OF_A_PLAN = ("plan", "devices", *_HARDWARE, "noise_scale", "seed", "traceback")
_DEFINE = {
    str: flags.DEFINE_string,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    bool: flags.DEFINE_boolean,
}

_OPTIONS = [flag for flag in FLAGS if flag.name not in ("workdir", "seed")]
Options = dataclasses.make_dataclass(
    "Options",
    [("config", ConfigDict), ("workdir", pathlib.Path)]
    + [(flag.name, flag.kind, dataclasses.field(default=flag.default)) for flag in _OPTIONS],
    frozen=True,
)
Options.__doc__ = """What the command line says: the config, its overrides and --seed applied, the
path of the run's folder, and the value of every other flag under the flag's name."""


def parse(arguments, root, program="main.py"):
    """Parses the command line.

    Args:
        arguments: list of strings, without the program's name.
        root: the folder that has `configs/`.
        program: the name that sentences give the command.

    Returns:
        `Options`. The config's values have their types; whether they are right is `config.check`'s
        business.

    Raises:
        BadInput: an unknown flag, key, config file or variant, or a value of the wrong type.
    """
    spec, rest = split_off(arguments)
    config = configs.load(spec, root)
    flat = configs.flatten(config)
    _check_keys(rest, flat)
    rest = [_negated(argument, flat) for argument in rest]
    values = _parsed(config, rest, program)
    _check_values(rest, flat)
    if values.strategy not in STRATEGIES:
        raise unknown("strategy", values.strategy, STRATEGIES)
    if values.resume not in RESUME:
        raise unknown("value of --resume", values.resume, RESUME)
    _check_plan(values)
    require(
        0 <= values.logical_devices <= 1024,
        "--logical_devices must be a whole number in [0, 1024]. Received: "
        f"{values.logical_devices}",
    )
    require(
        not values.logical_devices or values.strategy != "none",
        f"--logical_devices={values.logical_devices} has no effect without a strategy: add "
        "--strategy=mirrored.",
    )
    _check_workers(values)
    _check_weights(values)
    require(
        values.seed is None or not _given("config.seed", rest) or values.seed == config.seed,
        f"--seed={values.seed} and --config.seed={config.seed} set the same thing: give one.",
    )
    if values.seed is not None:
        config.seed = values.seed
    name = f"{config.experiment}-{config.variant}-seed{config.seed}"
    return Options(
        config=config,
        workdir=pathlib.Path("runs", name) if values.workdir is None else _path(values.workdir),
        **{flag.name: values[flag.name].value for flag in _OPTIONS},
    )


def split_off(arguments):
    """The value of --config, the last one given or the default, and the other arguments."""
    spec, rest, waiting = configs.DEFAULT_CONFIG, [], False
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
        not waiting and spec, f"--config needs a file, such as --config={configs.DEFAULT_CONFIG}."
    )
    return spec, rest


def _check_workers(values):
    """Raises `BadInput` for flags that the strategy does not have."""
    require(
        not values.logical_devices or values.strategy not in ("multi_worker", "tpu", "auto"),
        f"--logical_devices={values.logical_devices} is for --strategy=mirrored and does not go "
        f"with --strategy={values.strategy}: a worker's CPU is one device.",
    )
    require(
        not values.devices or values.strategy not in ("multi_worker", "tpu", "auto"),
        f"--devices={values.devices} does not go with --strategy={values.strategy}, which takes "
        "all that it finds: leave one of them out.",
    )
    require(
        not values.tpu or values.strategy in ("tpu", "auto"),
        f"--tpu={values.tpu} needs --strategy=tpu.",
    )
    require(
        0 < values.start_timeout < 1e7,
        f"--start_timeout must be a number of seconds > 0. Received: {values.start_timeout}",
    )


def _check_weights(values):
    """Raises `BadInput` for flags of which one would leave another without effect."""
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
    """Raises `BadInput` for flags that only a plan has, and for those that it has not."""
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


def _path(workdir):
    require(workdir, "--workdir is empty: name a folder, or leave it out for runs/EXPERIMENT-...")
    return pathlib.Path(workdir)


def _given(name, arguments):
    return any(re.match(rf"--?(no)?{re.escape(name)}(=|$)", a) for a in arguments)


def _check_keys(arguments, flat):
    """Raises `BadInput` for an override of a key that the config does not have."""
    for argument in arguments:
        found = re.match(r"--?(?:no)?config\.([^=]*)", argument)
        if not found or found[1] in flat:
            continue
        inside = [path for path in flat if path.startswith(f"{found[1]}.")]
        require(
            not inside,
            f"config.{found[1]} is a section: set its keys one by one: {', '.join(inside)}.",
        )
        raise configs.misplaced(found[1], flat)


def _negated(argument, flat):
    """`--noconfig.KEY` as what it means, `--config.KEY=false`."""
    found = re.fullmatch(r"--?noconfig\.([^=]*)(=.*)?", argument, re.DOTALL)
    if not found:
        return argument
    right = keys.table(flat)[found[1]].kind is bool and found[2] is None
    require(right, f"{shown(argument)[1:-1]} negates a value: write --config.{found[1]}=VALUE.")
    return f"--config.{found[1]}=false"


def _check_values(arguments, flat):
    """Raises `BadInput` for flags that would take another flag for their value, and for numbers in
    other digits than ASCII's, which Python would read.
    """
    kinds = {flag.name: flag.kind for flag in FLAGS}
    kinds.update({f"config.{path}": key.kind for path, key in keys.table(flat).items()})
    for argument, after in zip(arguments, [*arguments, ""][1:], strict=True):
        name, equals, value = argument.lstrip("-").partition("=")
        bare = argument.startswith("-") and not equals and kinds.get(name) in (str, int, float)
        require(
            not bare or not after.startswith("--"),
            f"--{name} needs a value and is followed by another flag: write --{name}=VALUE.",
        )
        value = value if equals else after
        numeric = argument.startswith("-") and kinds.get(name) in (int, float)
        require(
            not numeric or (value.isascii() and "_" not in value),
            f"--{name} must be a number in the digits 0 to 9. Received: {shown(value)}",
        )


def _parsed(config, arguments, program):
    """Parses the flags into a FlagValues of their own, overrides into the config.

    absl's global flags stay out of it: dozens of them come with the libraries.
    """
    argv = [program, *arguments]
    values = flags.FlagValues()
    for flag in FLAGS:
        _DEFINE[flag.kind](flag.name, flag.default, flag.doc, flag_values=values)
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=argv)
        rest = values(argv)[1:]
    except flags.UnrecognizedFlagError as error:
        name = error.flagname
        raise unknown("flag", f"--{name}", [f"--{n}" for n in (*values, "help")]) from error
    except flags.IllegalFlagValueError as error:
        raise _wrong_type(str(error), config) from error
    except flags.Error as error:
        raise BadInput(f"The command line cannot be read: {str(error).rstrip('.')}.") from error
    require(
        not rest,
        f"{program} takes flags only, such as --workdir=DIR. Received: "
        f"{shown(' '.join(rest))[1:-1]}",
    )
    return values


def _wrong_type(message, config):
    """The error for "flag --NAME=VALUE: why"."""
    found = re.match(r"flag --([^=]*)=(.*?): ", message, re.DOTALL)
    if not found:
        return BadInput(f"The command line cannot be read: {message}.")
    name, value = found.groups()
    if name.startswith("config."):
        key = keys.table(configs.flatten(config)).get(name.removeprefix("config."))
    else:
        flag = next((flag for flag in FLAGS if flag.name == name), None)
        key = flag and Key(flag.kind, flag.default, flag.doc)
    must = key.right if key else "something else"
    return BadInput(f"--{name} must be {must}. Received: {shown(value)}")


def asks_for_traceback(arguments):
    """Whether one of them is --traceback; known before the others are understood."""
    return any(a in ("--traceback", "-traceback", "--traceback=true") for a in arguments)
