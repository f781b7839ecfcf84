"""Flags of main.py: absl flags over an ml_collections config, and sentences for what is wrong."""

import dataclasses
import pathlib
import re

from absl import flags
from ml_collections import ConfigDict, config_flags

from tf_bdecay.distribution.cluster import STRATEGIES
from tf_bdecay.errors import BadInput, require, unknown
from tf_bdecay.planning import formulas
from tf_bdecay.training import schema
from tf_bdecay.training.config import flatten, misplaced
from tf_bdecay.training.config_file import load_config, split_off

RESUME = ("auto", "never")

# How absl defines it, name, default, help.
FLAGS = (
    (flags.DEFINE_string, "workdir", None, "the run's folder; runs/EXPERIMENT-VARIANT-seedN"),
    (flags.DEFINE_integer, "seed", None, "the same as --config.seed"),
    (flags.DEFINE_string, "strategy", "none", ", ".join(STRATEGIES) + " (tpu is untried)"),
    (flags.DEFINE_string, "devices", "", "such as GPU:0,GPU:1; all by default. --plan: 1..4096"),
    (flags.DEFINE_integer, "logical_devices", 0, "cut the CPU into so many, to try mirrored"),
    (flags.DEFINE_string, "workers", "", "multi_worker: HOST:PORT of each; else TF_CONFIG says it"),
    (flags.DEFINE_integer, "worker_index", None, "which of --workers this process is, from 0"),
    (flags.DEFINE_float, "start_timeout", 300.0, "seconds to wait for workers that do not come"),
    (flags.DEFINE_string, "tpu", "", "name or address of a TPU; that of TPU_NAME by default"),
    (flags.DEFINE_string, "data_dir", None, "folder with the prepared CIFAR sets"),
    (flags.DEFINE_boolean, "download", False, "download the data set where it is missing"),
    (
        flags.DEFINE_string,
        "resume",
        "auto",
        "auto: from the newest checkpoint; never: refuse",
    ),
    (
        flags.DEFINE_boolean,
        "deterministic",
        False,
        "turn on TensorFlow's op determinism",
    ),
    (flags.DEFINE_boolean, "dry_run", False, "print the resolved experiment and stop"),
    (flags.DEFINE_boolean, "plan", False, "print a plan by number of --devices, and stop"),
    (flags.DEFINE_float, "memory_gb", None, "--plan: memory of a device, in 10^9 bytes"),
    (flags.DEFINE_float, "bandwidth_gbps", None, "--plan: 10^9 bytes a second it sends"),
    (flags.DEFINE_float, "flops", None, "--plan: operations a second that it achieves"),
)


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line says.

    Attributes:
        config: the ConfigDict, overrides and seed applied.
        workdir: path of the run's folder.
        dry_run: whether to print the resolved experiment and stop.
        strategy, devices, logical_devices: for `strategies.make`.
        data_dir, download: for `data.load`.
        resume: "auto" goes on from the newest checkpoint that is whole, from the beginning where
            there never was one; "never" refuses a workdir that has any.
        deterministic: whether to turn on TensorFlow's op determinism.
        plan: whether to print a plan on paper by number of devices and stop.
        memory_gb, bandwidth_gbps, flops: of a device, for the plan; None for not known.
        workers, worker_index: for `cluster.find`.
        start_timeout: seconds to wait for workers that do not come.
        tpu: for `strategies.make`.
    """

    config: ConfigDict
    workdir: pathlib.Path
    dry_run: bool
    strategy: str
    devices: str
    logical_devices: int
    data_dir: str | None
    download: bool
    resume: str
    deterministic: bool
    plan: bool
    memory_gb: float | None
    bandwidth_gbps: float | None
    flops: float | None
    workers: str = ""
    worker_index: int | None = None
    start_timeout: float = 300.0
    tpu: str = ""


def parse(arguments, root):
    """Parses the command line.

    Args:
        arguments: list of strings, without the program's name.
        root: the folder that has `configs/`.

    Returns:
        `Options`. The config's values have their types; whether they are right is `config.check`'s
        business.

    Raises:
        BadInput: an unknown flag, key, config file or variant, or a value of the wrong type.
    """
    spec, rest = split_off(arguments)
    config = load_config(spec, root)
    _check_keys(rest, flatten(config))
    values = _parsed(config, rest)
    if values.strategy not in STRATEGIES:
        raise unknown("strategy", values.strategy, STRATEGIES)
    if values.resume not in RESUME:
        raise unknown("value of --resume", values.resume, RESUME)
    _check_plan(values)
    require(
        not values.logical_devices or values.strategy != "none",
        f"--logical_devices={values.logical_devices} has no effect without a strategy: add "
        "--strategy=mirrored.",
    )
    _check_workers(values)
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
        **{field.name: values[field.name].value for field in dataclasses.fields(Options)[2:]},
    )


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


def _check_plan(values):
    """Raises `BadInput` for flags that only a plan has, and for those that it has not."""
    hardware = [values.memory_gb, values.bandwidth_gbps, values.flops]
    if values.plan:
        formulas.parse_devices(values.devices or formulas.DEFAULT_DEVICES)
        formulas.check_hardware(*hardware)
        for name in ("dry_run", "logical_devices"):
            require(
                not values[name].value,
                f"--plan runs nothing and takes no --{name}: leave one of them out.",
            )
        require(
            values.strategy == "none",
            "--plan counts devices by --devices=1..4096 and takes no strategy. Received: "
            f"--strategy={values.strategy}",
        )
        return
    for name, value in zip(("memory_gb", "bandwidth_gbps", "flops"), hardware, strict=True):
        require(value is None, f"--{name} is of a plan on paper: add --plan, or leave it out.")
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
        raise misplaced(found[1], flat)


def _parsed(config, arguments):
    """Parses the flags into a FlagValues of their own, overrides into the config.

    absl's global flags stay out of it: dozens of them come with the libraries.
    """
    argv = ["main.py", *arguments]
    values = flags.FlagValues()
    for define, name, default, text in FLAGS:
        define(name, default, text, flag_values=values)
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
        f"main.py takes flags only, such as --workdir=DIR. Received: {' '.join(rest)}",
    )
    return values


def _wrong_type(message, config):
    """The error for "flag --NAME=VALUE: why"."""
    found = re.match(r"flag --([^=]*)=(.*?): ", message, re.DOTALL)
    if not found:
        return BadInput(f"The command line cannot be read: {message}.")
    name, value = found.groups()
    flat = flatten(config)
    key = schema.keys(flat).get(name.removeprefix("config."))
    kinds = {flags.DEFINE_integer: int, flags.DEFINE_float: float, flags.DEFINE_boolean: bool}
    plain = {n: schema.Key(kinds.get(define, str), text) for define, n, _, text in FLAGS}
    key = key if name.startswith("config.") else plain.get(name)
    must = key.right if key else "something else"
    return BadInput(f"--{name} must be {must}. Received: {value!r}")
