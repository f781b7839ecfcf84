"""The folder of one run: what it holds, and the refusal to mix two experiments in it.

config.json    the resolved experiment     checkpoints/   the newest k and the best
versions.json  of every start              tensorboard/   event files
metrics.csv    a row per epoch             result.json    once it is finished
layers.csv     a row per layer and summary curves.png
pictures.json  classes, splits, what was skipped, of a run on pictures in files; training.png
model.keras    and, with them:             confusion.png, mistakes.png
variables.csv, with log.variables; model_average.keras, with ema.momentum
evaluation.json, with --eval_only
"""

import contextlib
import math
import os
import pathlib
import tempfile

from tf_bdecay.errors import BadInput, require, shown
from tf_bdecay.storage import checkpoints
from tf_bdecay.storage.files import (
    fits,
    json_ready,
    locked,
    read_json,
    write_json,
)
from tf_bdecay.training.run_folder import pictures_record
from tf_bdecay.training.run_folder.starts import Starts

ANOTHER = "choose another --workdir"  # for a file that is not as a run left it
_UNSET = "(not there)"

# Where a run's data are, how its batches are cut and what is kept, but not what it computes: these
# may differ each time it resumes.
FREE = (
    "data.source",  # pictures.json says whether they are the same pictures
    "micro_batch_size",
    "log.checkpoint_every",
    "log.checkpoint_updates",
    "log.checkpoint_minutes",
    "log.checkpoints_kept",
    "log.on_save_error",
)


_FOLDERS = ("checkpoints", "tensorboard")
_FILES = (
    *("config.json", "versions.json", "metrics.csv", "layers.csv", "variables.csv"),
    "pictures.json",
    *("result.json", ".lock"),
)


_AT_THE_END = (
    *("model.keras", "model_average.keras", "evaluation.json", "errors.log"),
    *("curves.png", "confusion.png", "mistakes.png", "training.png"),
)


def _is_measured(value):
    """Whether a value is a number, or the word for one that JSON lacks: "nan"."""
    return fits(value, (int, float)) or value in ("nan", "inf", "-inf")


def not_finite(result):
    """The measured values of a result that are not finite, in words; "" if all are finite."""
    measured = {
        name: value for name, value in result.items() if name.startswith(("test_", "validation_"))
    }
    wrong = [
        f"{name}={value}"
        for name, value in measured.items()
        if _is_measured(value) and not math.isfinite(float(value))
    ]
    return ", ".join(wrong)


class Workdir:
    """The paths of a run and its state. Creating this object writes nothing.

    Args:
        path: the folder; it need not exist.
        config: dict of dotted path to value, the resolved experiment.
        defaults: dict of dotted path to default, for keys that did not exist when an older run
            began.

    Raises:
        BadInput: the folder belongs to another experiment or to something else, or cannot be
            written.
    """

    def __init__(self, path, config, defaults=()):
        self.path = pathlib.Path(path)
        self.config = json_ready(config)
        self._defaults = json_ready(dict(defaults))
        self._check_writable()
        if self.path.is_dir() and any(not _unstarted(f.name) for f in self.path.iterdir()):
            self._check_kinds()
            self._check_same()

    @property
    def checkpoints(self):
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def tensorboard(self):
        """The folder of event files."""
        return self.path / "tensorboard"

    @property
    def result(self):
        """The result of a finished run, or None."""
        file = self.path / "result.json"
        return read_json(file, {"test_accuracy": _is_measured}, ANOTHER) if file.exists() else None

    def check_new(self):
        """Raises `BadInput` if there is a checkpoint, damaged or not: for `--resume=never`."""
        require(
            not self.checkpoints.exists() or not any(self.checkpoints.iterdir()),
            f"--workdir={self.path} has checkpoints, from which --resume=never does not go on: "
            "choose another --workdir, or --resume=auto.",
        )

    def check_export(self, path):
        """Raises `BadInput` if an exported model would get in the way of the run's files.

        Args:
            path: the export's folder, which must be new or empty when the run is finished.
        """
        export, own = (pathlib.Path(os.path.realpath(folder)) for folder in (path, self.path))
        names = (*_FOLDERS, *_FILES, *_AT_THE_END)
        require(
            not own.is_relative_to(export)
            and not any(map(export.is_relative_to, map(own.joinpath, names))),
            f"--export={path} must be a folder that the run in --workdir={self.path} has no files "
            f"in: name another, such as {self.path / 'export'}.",
        )

    @contextlib.contextmanager
    def lock(self, warn=lambda sentence: None):
        """Creates the folder and locks other processes out of it while the context lasts.

        Args:
            warn: called with a sentence if the file system has no locks.

        Raises:
            BadInput: another run uses it.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path, f"--workdir={self.path} is in use by another run", warn):
            yield

    @property
    def starts(self):
        """The record of the run's starts."""
        return Starts(self.path, ANOTHER)

    @property
    def begun(self):
        """Whether there is a result or a checkpoint, so that a run would not start anew."""
        return self.result is not None or checkpoints.newest(self.checkpoints) is not None

    def open(self, start):
        """Creates the folder and its config.json if they do not exist, and records a start.

        Args:
            start: dict of what to record besides the versions, such as the strategy.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "config.json").exists():
            write_json(self.path / "config.json", self.config)
        self.starts.add(start)

    def check_pictures(self, record, resumes):
        """Records a run's pictures, or checks that a resumed run still has the same.

        Args:
            record: dict of property, such as "classes", to JSON value.
            resumes: whether the run resumes.

        Raises:
            BadInput: it resumes with other pictures.
        """
        file = self.path / pictures_record.FILE
        if resumes and file.exists():
            pictures_record.check_same(self.path, record, ANOTHER)
        else:
            write_json(file, json_ready(record))

    def _check_writable(self):
        existing = self.path
        try:
            while not existing.exists() and existing != existing.parent:
                existing = existing.parent
            folder = existing.is_dir()
            if folder:  # for root, os.access says yes to everything
                tempfile.TemporaryFile(dir=existing).close()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", error)
            raise BadInput(
                f"--workdir={self.path} cannot be used ({why}): choose another."
            ) from error
        require(folder, f"--workdir={self.path}: {existing} is not a folder: choose another.")

    def _check_kinds(self):
        for name in (*_FOLDERS, *_FILES):
            path, folder = self.path / name, name in _FOLDERS
            require(
                not path.exists() or path.is_dir() == folder,
                f"{path} is {'not a' if folder else 'a'} folder: choose another --workdir.",
            )

    def _check_same(self):
        file = self.path / "config.json"
        require(
            file.exists(),
            f"--workdir={self.path} is not empty and holds no run of tf_bdecay: choose another.",
        )
        before = read_json(file, dict, ANOTHER)
        before = before and {**self._defaults, **before}
        differing = [
            f"{shown(key, 100)[1:-1]} is {_word(there)} there and {_word(here)} here"
            for key in {**before, **self.config}
            if key not in FREE
            for there, here in [(before.get(key, _UNSET), self.config.get(key, _UNSET))]
            if there != here
        ]
        more = f" (and {len(differing) - 4} more)" if len(differing) > 4 else ""
        require(
            not differing,
            f"--workdir={self.path} holds another experiment: {', '.join(differing[:4])}{more}; "
            "choose another --workdir.",
        )


def _word(value):
    return value if isinstance(value, str) and len(value) < 100 else shown(value, 100)


def _unstarted(name):
    """Whether a file may exist before a run's config does: a kill may come at any moment."""
    return name == ".lock" or (name.startswith(".") and name.endswith(".part"))
