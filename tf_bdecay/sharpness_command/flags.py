"""Flags of `python -m tf_bdecay.sharpness`, and error sentences about them."""

import dataclasses
import math

from tf_bdecay.data import catalog
from tf_bdecay.data.image_set import SPLITS
from tf_bdecay.distribution import strategy_flags
from tf_bdecay.distribution.cluster import STRATEGIES as ALL_STRATEGIES
from tf_bdecay.errors import require, unknown
from tf_bdecay.sharpness import registry
from tf_bdecay.storage.paths import local
from tf_bdecay.terminal import flag_reading
from tf_bdecay.terminal.flag_reading import TRACEBACK, Flag

PROGRAM = "python -m tf_bdecay.sharpness"
# A measurement runs in one process: several workers would each measure and write everything.
STRATEGIES = tuple(name for name in ALL_STRATEGIES if name != "multi_worker")
BATCH_SIZE = 512  # m of C_m in all our tables (docs/method.md)
MOST_EXAMPLES = 10_000  # the same in all our tables

# The help text of a flag says what a default of None means.
_FLAGS = (
    Flag(str, "model", None, "a workdir of tf_bdecay, a checkpoint in one, or a model FILE.keras"),
    Flag(
        list,
        "import",
        [],
        "modules to import first, which register the model's own layers",
    ),
    Flag(
        str,
        "data",
        None,
        f"{', '.join(catalog.NAMES)}, or FILE.npz with arrays x and y; the workdir's own set",
    ),
    Flag(str, "data_dir", None, "folder with the prepared CIFAR sets"),
    Flag(str, "split", None, f"{', '.join(SPLITS)} (train)"),
    Flag(
        int,
        "examples",
        None,
        f"the first n of a fixed permutation (seed 0); all, at most {MOST_EXAMPLES:,}",
    ),
    Flag(
        str,
        "loss",
        None,
        "name of a Keras loss; the one the model was compiled with",
    ),
    Flag(
        bool,
        "from_logits",
        None,
        "whether the model gives logits; what the loss says",
    ),
    Flag(
        list,
        "measures",
        list(registry.DEFAULT),
        f"some of those below, or all ({','.join(registry.DEFAULT)})",
    ),
    Flag(int, "batch_size", None, f"m of C_m ({BATCH_SIZE})"),
    Flag(
        bool,
        "training",
        False,
        "measure C_m in training mode, with the statistics of each mini-batch",
    ),
    Flag(int, "probes", None, "of the trace, at most (64)"),
    Flag(
        float,
        "tolerance",
        None,
        "stop the trace at this relative standard error (none)",
    ),
    Flag(int, "eigenvalues", None, "how many of the largest (1)"),
    Flag(float, "eigenvalue_tolerance", None, "residual over eigenvalue (0.001)"),
    Flag(int, "steps", None, "Lanczos steps of the spectrum (80)"),
    Flag(int, "spectrum_probes", None, "of the spectrum (2)"),
    Flag(int, "tangent_probes", None, "of tangent (4)"),
    Flag(float, "rho", None, "radius of sam (0.05) or asam (0.5)"),
    Flag(int, "seed", 0, "of probes and start vectors (0)"),
    Flag(float, "memory_gb", None, "memory to stay within (a quarter of what is free)"),
    *strategy_flags.table(STRATEGIES),
    Flag(str, "out", None, "folder of the results; sharpness/NAME-DIGEST"),
    TRACEBACK,
)
_MOST = 10**12  # the largest whole number accepted
_NAMES = [flag.name for flag in _FLAGS]
_OPTIONS = [n for n in _NAMES if any(n in m.options for m in registry.MEASURES.values())]

# Smallest values of the options that can be checked before there is a model.
_LEAST = {
    "examples": 1,
    "batch_size": 1,
    "probes": 2,
    "eigenvalues": 1,
    "steps": 1,
    "spectrum_probes": 1,
    "tangent_probes": 2,
    "seed": 0,
}
_POSITIVE = ("tolerance", "eigenvalue_tolerance", "rho", "memory_gb")

_PAGE = """\
Measures the sharpness of a network: whole, by layer, by kind and by variable, with standard errors.

  {program} --model=runs/digits_resnet18-adaptive-seed0
  {program} --model=model.keras --data=examples.npz --loss=mse --measures=C,C_m
  {program} --model=RUN --data_dir=DIR --examples=2000 --measures=all

Flags, with their defaults at the end
{flags}

Measures
{measures}

Images of a named set are standardised as in training and not augmented; the arrays of FILE.npz are
taken as they are. The results are result.json, table.csv and pictures in --out. After Ctrl-C the
same command goes on; once it is finished, it prints what is there. By default the name of --out
has a digest of the command, the weights and the data, so that other ones have other folders.

Exit codes: 0 done; 1 a file or stdout could not be written, or an error that errors.log in --out,
or --traceback, explains; 2 input that cannot be used; 130 interrupted (SIGINT), 143 terminated
(SIGTERM), 129 hung up (SIGHUP), these with all that is finished kept. A second signal ends at
once."""


@dataclasses.dataclass(frozen=True)
class Options:
    """The parsed command line.

    Attributes:
        model: path of a workdir, of a checkpoint in one, or of a .keras file.
        imports: modules to import.
        data, data_dir, split, examples: which examples; None where the command line is silent.
        loss, from_logits: None for what the model was compiled with.
        measures: list of `Measure`.
        options: dict of the options given for the measures, without from_logits and training.
        training: whether C_m is measured in training mode.
        seed: of probes and start vectors.
        memory_gb: None for the default.
        strategy, devices, logical_devices: for `strategies.make`.
        out: None for the default.
    """

    model: str
    imports: list
    data: str | None
    data_dir: str | None
    split: str | None
    examples: int | None
    loss: str | None
    from_logits: bool | None
    measures: list
    options: dict
    training: bool
    seed: int
    memory_gb: float | None
    strategy: str
    devices: str
    logical_devices: int
    out: str | None


def help_page(program=PROGRAM):
    """The text of --help.

    Args:
        program: the name of the command.
    """
    names = [(m.name, m.doc) for m in registry.MEASURES.values()]
    measures = flag_reading.columns(names, 24)
    return _PAGE.format(program=program, flags=flag_reading.lines(_FLAGS, 24), measures=measures)


def parse(arguments, program=PROGRAM):
    """Parses the command line, without TensorFlow.

    Args:
        arguments: list of strings, without the program's name.
        program: the program's name.

    Returns:
        `Options`.

    Raises:
        BadInput: an unknown flag, a value of the wrong type or out of range, or flags that
            contradict each other.
    """
    found, rest = flag_reading.read(_FLAGS, arguments, program)
    require(
        not rest,
        f"{program} takes flags only, such as --model=FILE.keras. Received: {' '.join(rest)}",
    )
    values = found.flag_values_dict()
    require(
        values["model"],
        "Say what to measure: --model=WORKDIR of tf_bdecay, a checkpoint in one, or FILE.keras.",
    )
    values |= {n: local(f"--{n}", values[n]) for n in ("model", "data", "out") if values[n]}
    _check_numbers(values)
    if values["split"] is not None and values["split"] not in SPLITS:
        raise unknown("split", values["split"], SPLITS)
    strategy_flags.check(found, STRATEGIES)
    require(values["out"] != "", "--out is empty: name a folder, or leave it out.")
    chosen = registry.chosen([name.strip() for name in values["measures"]])
    given = {name: values[name] for name in _OPTIONS if values[name] is not None}
    from_logits = given.pop("from_logits", None)  # a loss by name needs it, whatever is measured
    seed = given.pop("seed")  # it is harmless to measures that draw nothing
    registry.check_options(chosen, given, lambda name: f"--{name}")
    _check_training(values["training"], chosen)
    return Options(
        imports=values["import"],
        measures=chosen,
        options=given,
        from_logits=from_logits,
        seed=seed,
        **{
            name: values[name]
            for name in (f.name for f in dataclasses.fields(Options))
            if name in values and name not in ("measures", "from_logits", "seed")
        },
    )


def _check_training(training, chosen):
    names = [m.name for m in chosen]
    require(
        not training or names == ["C_m"],
        "--training measures C_m of mini-batches as training sees them; every other measure is in "
        "inference mode, where examples are independent of each other: add --measures=C_m. "
        f"Received: --measures={','.join(names)}",
    )


def _check_numbers(values):
    for name, least in _LEAST.items():
        value = values[name]
        require(
            value is None or value >= least,
            f"--{name} must be a whole number >= {least}. Received: {value}",
        )
        require(
            value is None or value <= _MOST,
            f"--{name} must be a whole number <= {_MOST}. Received: one of more digits",
        )
    for name in _POSITIVE:
        value = values[name]
        require(
            value is None or 0 < value < math.inf,
            f"--{name} must be a number > 0. Received: {value}",
        )
