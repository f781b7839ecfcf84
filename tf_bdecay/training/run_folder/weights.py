"""Finds the file of weights that a path stands for: a saved model, a run's, or a checkpoint."""

import dataclasses
import functools
import os
import pathlib
import zipfile

from tf_bdecay.errors import require, shown
from tf_bdecay.storage import checkpoints
from tf_bdecay.storage.files import read_json, sha256_of

RIGHT = "name a workdir of tf_bdecay, a checkpoint in one, or a saved model FILE.keras"
_CONFIG = "config.json"


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of weights.

    Attributes:
        given: the path as it was given.
        file: path of the file with the weights.
        run: folder of the run that they belong to; None for a saved model that was itself named.
        config: the run's config, dict of dotted path to value, from which the network of a
            checkpoint is built; None without a run.
    """

    given: str
    file: pathlib.Path
    run: pathlib.Path | None = None
    config: dict | None = None

    @property
    def is_checkpoint(self):
        """Whether the file is a checkpoint, which does not contain the network."""
        return _is_checkpoint(self.file)

    @functools.cached_property
    def digest(self):
        """The first 16 hexadecimal digits of the file's SHA-256."""
        return sha256_of(self.file)[:16]

    def record(self):
        """What a workdir records about the weights: dict of JSON values."""
        path, file = os.path.abspath(self.given), os.path.abspath(self.file)
        return {"path": path, "file": file, "sha256": self.digest}


def find(path, flag="--init_from", warn=print):
    """Finds the file of weights that a path stands for.

    Args:
        path: of a `.keras` file; of a workdir, finished (its model.keras) or not (its newest
            checkpoint that is not damaged); or of a checkpoint in a workdir.
        flag: the flag that has the path, for messages.
        warn: called with a sentence for each damaged checkpoint that an older one replaces.

    Returns:
        A `Source`.

    Raises:
        BadInput: it is none of these, or a workdir without weights so far.
    """
    given, path = str(path), pathlib.Path(path)
    there = given and os.path.exists(path)  # unlike pathlib's, False for text that is no path
    right = "name the folder of a run, or --init_from=PATH" if flag == "--workdir" else RIGHT
    require(there, f"{flag}={shown(given, 300)[1:-1]} is not there: {right}.")
    if path.is_dir():
        return _of_run(given, path, flag, warn)
    if zipfile.is_zipfile(path) and not _is_checkpoint(path):
        return Source(given, path)
    require(
        _is_checkpoint(path),
        f"{flag}={given} is neither a model that Keras saved nor a checkpoint: {RIGHT}.",
    )
    run = path.absolute().parent.parent
    require(
        (run / _CONFIG).is_file(),
        f"{flag}={given} is a checkpoint outside of its run: {run / _CONFIG}, which says what its "
        f"variables are, is not there; {RIGHT}.",
    )
    return Source(given, path, run, _config_of(run, flag))


def _is_checkpoint(path):
    return path.suffix == ".npz"


def _of_run(given, path, flag, warn):
    require(
        (path / _CONFIG).is_file(),
        f"{flag}={given} is a folder without config.json, so no workdir of tf_bdecay: {RIGHT}.",
    )
    return Source(given, weights_in(path, flag, warn), path, _config_of(path, flag))


def _config_of(run, flag):
    return read_json(run / _CONFIG, {"model.name": str}, f"choose another {flag}")


def weights_in(folder, flag, warn=print):
    """A run's file of weights: model.keras if the run is finished, else its newest checkpoint.

    Args:
        folder: the run's folder, a `pathlib.Path`.
        flag: the flag that has the path, for the message.
        warn: as in `find`.

    Raises:
        BadInput: there is none yet, or every checkpoint is damaged.
    """
    if (folder / "result.json").is_file() and (folder / "model.keras").is_file():
        return folder / "model.keras"
    newest = checkpoints.newest_sound(folder / "checkpoints", warn)
    require(
        newest is not None,
        f"{flag}={folder} has neither a finished model nor a checkpoint yet: wait for its first.",
    )
    return newest
