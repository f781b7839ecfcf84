"""Reproduces the paper's tables and figures: trains the missing runs, measures, writes pages.

    python tools/reproduce.py table4 --scale=cpu --dataset=cifar100 --data_dir=DIR --seeds=8
    python tools/reproduce.py tuning --scale=cpu --dataset=cifar100 --data_dir=DIR
    python tools/reproduce.py all --scale=smoke

It makes any of these:

    table1 to table5, figure1 to figure7   those of the paper; `all` makes every one of them
    claims                                 the paper's claims, from all of these
    pages                                  every page, from the results that are there
    tuning            tunes kernel decay and peak rate for each arm of Table 4, first for the arms
                      without beta decay; tuning_baselines tunes only these
    tuning_others     tunes AdamW, LARS and SGD, after the arms without beta decay
    table4_added      Table 4 with beta decay added to the tuned large batch
    table4_tuned      Table 4 with each arm as tuned
    table6, table7    tables beyond the paper, at the tuned values

To train some rows of a table only (--row=? lists them):

    python tools/reproduce.py table7 --scale=cpu --row="label smoothing 0.1" --row="SAM 0.2"

Table 5 and a column of Table 3 need ImageNet, or at --scale=smoke any pictures:

    python tools/reproduce.py table5 --scale=paper --source=DIR --strategy=mirrored

Every finished run is a JSON file in OUT/SCALE/ and never runs again. Whenever the tool is stopped,
the same command continues. Exit codes: 0 done, or stopped by --minutes; 1 a run crashed; 2 a run,
or the command, was refused. Without TensorFlow, on a GPU if JAX has one:

    KERAS_BACKEND=jax python tools/reproduce.py table4 --scale=paper --minutes=9 --precision=tf32

This makes everything that needs no measured sharpness, hence not table1, table2, figure1, figure4
to figure7 and claims. --minutes then also stops a run in its middle, and the same command continues
it; unfinished runs are kept in TMPDIR. Results under JAX have a folder of their own, SCALE-jax.
"""

import functools
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from absl import flags

from tf_bdecay.errors import require, unknown
from tf_bdecay.terminal import outcome
from tools import commands

_SCALE = flags.DEFINE_string("scale", "smoke", "Scale of the runs: paper, cpu or smoke.")
_SEEDS = flags.DEFINE_integer("seeds", None, "Number N of seeds for each arm, 0 to N - 1.")
_DATASET = flags.DEFINE_string("dataset", None, "Use this data set only.")
_ROWS = flags.DEFINE_multi_string(
    "row", [], "Train this row only, named by its label; may be repeated."
)
_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder with the prepared CIFAR sets.")
_SOURCE = flags.DEFINE_string("source", None, "ImageNet, as in config.data.source of main.py.")
_STRATEGY = flags.DEFINE_string("strategy", None, "Strategy of runs on ImageNet, as in main.py.")
_MICRO = flags.DEFINE_integer("micro_batch_size", None, "Micro-batch size for ImageNet.")
_OUT = flags.DEFINE_string("out", "results", "Folder of the results.")
_JOBS = flags.DEFINE_integer("jobs", 1, "Number of runs at a time, each on one core.")
_MINUTES = flags.DEFINE_float(
    "minutes", None, "Start no run after so many minutes; under JAX also stop a run then."
)
_PRECISION = flags.DEFINE_string(
    "precision", "float32", "float32, tf32 (under JAX) or mixed_bfloat16; each has its own folder."
)
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Only list the missing runs.")


def main(rest):
    """Makes the tables and figures that the command line names; returns the exit code."""
    names = rest[1:]
    from tools.reproducing import page, plan, runner, scales, store

    scale = scales.get(_SCALE.value, _PRECISION.value, os.environ["KERAS_BACKEND"])
    require(names, f"Name what to make: {', '.join(plan.NAMES)}.")
    for name in names:
        if name not in plan.NAMES:
            raise unknown("table or figure", name, plan.NAMES)
    _check_numbers()
    _check_backend(names, plan.MEASURED, scales.IMAGENET)
    datasets = scale.datasets if _SOURCE.value is None else scale.all_datasets
    if _DATASET.value is not None:
        if _DATASET.value not in scale.all_datasets:
            raise unknown(f"dataset at scale {scale.name}", _DATASET.value, scale.all_datasets)
        datasets = (_DATASET.value,)
    pictures = _picture_flags(scales.IMAGENET in datasets)
    seeds = _SEEDS.value or scale.seeds
    results = store.Store(pathlib.Path(_OUT.value, scale.folder)).read()
    for remark in results.remarks:
        print(remark, flush=True)

    def wanted():
        return plan.runs(names, scale, datasets, seeds, results, _ROWS.value)

    def worker():
        say = functools.partial(print, flush=True)
        return runner.Runner(results, _DATA_DIR.value, pictures, _JOBS.value, _MINUTES.value, say)

    pending, codes = _trained(wanted, results, worker)
    if _DRY_RUN.value:
        for run in pending:
            cost = f"{run.updates:7,} updates, {run.images_drawn:11,} images"
            print(f"  {run.key}  {cost}  {run.label}")
        return 0
    pages = page.write(pathlib.Path(_OUT.value), scale, results.read())
    for path in pages:
        print(path)
    if codes:
        print(f"{len(pending)} runs are missing, some as they were refused or crashed: see above.")
        return outcome.BAD_INPUT if outcome.BAD_INPUT in codes else outcome.FAILED
    if pending:
        print(f"{len(pending)} runs are still missing: run the same command again.")
    return 0


def _trained(wanted, results, worker):
    """Trains what is wanted, with --dry_run nothing.

    Args:
        wanted: called for the runs that are wanted and sentences on what waits, anew each time: a
            search knows its next runs only when the previous ones are done.
        results: the `Store`.
        worker: called for the `Runner`, whose time runs from then, where one is needed.

    Returns:
        The runs that are then missing, and the exit codes of those that were refused or crashed.
    """
    trains, told, begun = None, set(), set()
    while True:
        made, waiting = wanted()
        for sentence in waiting:
            if sentence not in told:
                print(sentence, flush=True)
        told.update(waiting)
        pending = results.missing(made)
        print(f"{len(made)} runs are needed, {len(pending)} are missing.", flush=True)
        if _DRY_RUN.value or {run.key for run in pending} <= begun:
            return pending, trains.codes if trains else ()
        begun.update(run.key for run in pending)
        trains = trains or worker()
        trains.do(made)


def _picture_flags(imagenet):
    """The flags of main.py for runs on ImageNet."""
    given = {
        "--config.data.source": _SOURCE.value,
        "--strategy": _STRATEGY.value,
        "--config.micro_batch_size": _MICRO.value,
    }
    given = [f"{flag}={value}" for flag, value in given.items() if value is not None]
    require(
        imagenet or not given,
        "--source, --strategy and --micro_batch_size are for runs on ImageNet, of which there are "
        f"none at this --scale and --dataset. Received: {' '.join(given)}",
    )
    require(
        not imagenet or (_SOURCE.value is not None or _DRY_RUN.value),
        "Where is ImageNet? Set --source=DIR, in any layout that docs/pictures.md lists.",
    )
    return given


def _check_backend(names, measured, imagenet):
    """Raises `BadInput` for anything that Keras' backend cannot do."""
    backend = os.environ["KERAS_BACKEND"]
    require(
        backend in ("tensorflow", "jax"),
        f"KERAS_BACKEND must be tensorflow or jax. Received: KERAS_BACKEND={backend}",
    )
    require(
        backend == "jax" or _PRECISION.value != "tf32",
        "--precision=tf32 needs KERAS_BACKEND=jax: TensorFlow has no such switch here.",
    )
    require(
        backend == "tensorflow" or (_SOURCE.value is None and _DATASET.value != imagenet),
        f"Runs on {imagenet} need KERAS_BACKEND=tensorflow: leave --source out.",
    )
    without = [name for name in names if name in measured]
    require(
        backend == "tensorflow" or not without,
        f"{', '.join(without)} needs measures of sharpness, which need KERAS_BACKEND=tensorflow. "
        "Under KERAS_BACKEND=jax, name those that need none, such as table3, figure2 or tuning.",
    )


def _check_numbers():
    from tools.reproducing import runs

    for flag in (_SEEDS, _JOBS, _MINUTES):
        require(
            flag.value is None or flag.value > 0,
            f"--{flag.name} must be more than 0. Received: {flag.value}",
        )
    require(
        _SEEDS.value is None or _SEEDS.value <= runs.MOST_SEEDS,
        f"--seeds must be at most {runs.MOST_SEEDS}. Received: {_SEEDS.value}",
    )


if __name__ == "__main__":
    kept = "What is finished is kept: run the same command again."
    commands.run("reproduce.py", main, kept=lambda: kept)
