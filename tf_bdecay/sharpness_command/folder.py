"""The folder of results: whose it is, what is finished in it, and what is kept in between.

settings.json   what is measured                 connectivity.png   C by layer and kind
result.json     every figure, once all are done  ratio.png          r by normalization layer
table.csv       the same as a table              spectrum.png       density of the eigenvalues
partial/        finished measures, partial sums  layers.png         share by layer of each measure
"""

import contextlib
import hashlib
import io
import json
import pathlib
import shutil

import numpy as np
from rich.console import Console

from tf_bdecay.errors import BadInput, require
from tf_bdecay.sharpness import plain_result
from tf_bdecay.storage.files import atomic_write, locked, versions, write_json

_SETTINGS, _RESULT = "settings.json", "result.json"
_NAME = 40  # characters of the model's name in the default folder's
_LEAST_WIDTH = 200  # of the tables where a line may be longer than the screen


def default_path(name, settings):
    """sharpness/NAME-DIGEST: the same command on the same weights finds its own folder again."""
    text = json.dumps(settings, sort_keys=True)
    return pathlib.Path(
        "sharpness", f"{name[:_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    )


class Folder:
    """The folder of one measurement. Nothing is written before `open`.

    Args:
        path: it need not exist.
        settings: dict of JSON values: what decides the numbers.

    Raises:
        BadInput: it belongs to another measurement or to something else.
    """

    def __init__(self, path, settings):
        self.path = pathlib.Path(path)
        self.settings = json.loads(json.dumps(settings))
        require(
            self.path.is_dir() or not self.path.exists(),
            f"--out={self.path} is a file: name a folder.",
        )
        if self.path.is_dir() and any(f.name[0] != "." for f in self.path.iterdir()):
            self._check_same()

    @property
    def result(self):
        """The finished result, or None."""
        file = self.path / _RESULT
        return _read(file) if file.is_file() else None

    @contextlib.contextmanager
    def open(self):
        """Makes the folder and keeps other processes out of it for as long as the context.

        Raises:
            BadInput: another process is in it.
        """
        (self.path / "partial").mkdir(parents=True, exist_ok=True)
        with locked(self.path, f"--out={self.path} is in use by another process"):
            write_json(self.path / _SETTINGS, self.settings)
            yield

    def measured(self, name):
        """The plain result of a measure that is finished, or None."""
        file = self.path / "partial" / f"{name}.json"
        return _read(file) if file.is_file() else None

    def keep_measured(self, name, values):
        """Keeps a finished measure, in place of its partial state."""
        write_json(self.path / "partial" / f"{name}.json", values)
        self._state(name).unlink(missing_ok=True)

    def state(self, name):
        """Dict of name to array that `keep_state` kept last, or None."""
        try:
            with np.load(self._state(name), allow_pickle=False) as file:
                return {key: file[key] for key in file.files}
        except FileNotFoundError:
            return None
        except Exception:  # damaged, which NumPy says in many ways: that measure starts again
            return None

    def keep_state(self, name, arrays):
        """Keeps the state of a measure under way, all of it or nothing."""
        atomic_write(self._state(name), lambda file: np.savez(file, **arrays))

    def finish(self, result):
        """Writes the result, which says that all is done, and drops what was kept for it."""
        write_json(self.path / _RESULT, result)
        shutil.rmtree(self.path / "partial")

    def _state(self, name):
        return self.path / "partial" / f"{name}.npz"

    def _check_same(self):
        file = self.path / _SETTINGS
        if not file.is_file() and not (set(f.name for f in self.path.iterdir()) - {"partial"}):
            return  # killed before the settings were written
        require(
            file.is_file(),
            f"--out={self.path} is not empty and holds no measurement: choose another.",
        )
        before = _read(file)
        differing = [
            f"{key} ({_said(before.get(key))} there, {_said(self.settings.get(key))} here)"
            for key in sorted({*before, *self.settings})
            if before.get(key) != self.settings.get(key)
        ]
        require(
            not differing,
            f"--out={self.path} holds another measurement: {', '.join(differing)}; choose another "
            "--out, or leave it out.",
        )


def _said(value):
    if isinstance(value, list):
        return ",".join(value)
    return "default" if value is None else value


def _read(path):
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is damaged ({error}): choose another --out.") from error
    require(isinstance(value, dict), f"{path} is not of this command: choose another --out.")
    return value


def write_all(folder, words, results):
    """Writes table, pictures and result; the result last, as it says that all is done.

    Args:
        folder: the `Folder`, opened.
        words: dict of what to tell of model and data.
        results: dict of measure to plain result.

    Returns:
        The result, as written to result.json.
    """
    import pandas as pd

    from tf_bdecay.sharpness import pictures

    partition = next(iter(results.values()))["partition"]
    result = {
        **words,
        "settings": folder.settings,
        "versions": versions(),
        "partition": partition,
        "measures": {
            name: {key: value for key, value in each.items() if key != "partition"}
            for name, each in results.items()
        },
    }
    table = pd.concat([plain_result.frame(name, each) for name, each in results.items()])
    _write_bytes(folder.path / "table.csv", table.to_csv(index=False).encode())
    caption = f"{words['model']}; {words['data']}"
    for name, figure in pictures.all_of(results, caption).items():
        _write_bytes(folder.path / name, pictures.png(figure))
    folder.finish(result)
    return result


def show(result, console=None):
    """Prints a result: the title line of each measure, then the tables by layer and by kind.

    Args:
        result: from result.json.
        console: a `rich.console.Console`; stdout by default.
    """
    console = console or Console()
    console.print()
    for each in result["measures"].values():
        _say(console, each["title"])
    page = io.StringIO()
    # A line that is longer than the screen is wrapped by it; a cell cut short would be lost.
    wide = Console(file=page, width=max(console.width, _LEAST_WIDTH))
    for table in plain_result.tables(result["measures"]):
        wide.print(table)
    for line in page.getvalue().splitlines():
        _say(console, line.rstrip())


def _say(console, line):
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def _write_bytes(path, content):
    atomic_write(path, lambda file: file.write(content))
