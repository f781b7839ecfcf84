"""The folder of results: which measurement owns it, what is finished, and what can be resumed.

settings.json   what is measured                 connectivity.png   C by layer and kind
result.json     every figure, once all are done  ratio.png          r by normalization layer
table.csv       the same as a table              spectrum.png       density of the eigenvalues
partial/        finished measures, partial sums  layers.png         share by layer of each measure
"""

import contextlib
import hashlib
import json
import pathlib
import shutil

import numpy as np

from tf_bdecay.errors import require
from tf_bdecay.sharpness.results import plain_result
from tf_bdecay.storage.files import atomic_write, locked, read_json, versions, write_json
from tf_bdecay.terminal.plain_text import plain_console, rendered

_SETTINGS, _RESULT = "settings.json", "result.json"
_OWN = {_SETTINGS, _RESULT, "table.csv", "partial"}
_SAID = 60  # most characters of a setting in a sentence
_NAME = 40  # most characters of the model's name in the default folder's name
_LEAST_WIDTH = 200  # of the tables, where a line may be wider than the screen


def default_path(name, settings):
    """sharpness/NAME-DIGEST: the same command on the same weights finds its folder again."""
    text = json.dumps(settings, sort_keys=True)
    return pathlib.Path(
        "sharpness", f"{name[:_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    )


class Folder:
    """The folder of one measurement. Nothing is written before `open`.

    Files in it may have been changed by anybody. A partial result that is not as this command left
    it is measured again; a finished result that is not is refused.

    Args:
        path: the folder; it need not exist.
        settings: dict of JSON values that decide the numbers.

    Raises:
        BadInput: the folder belongs to another measurement or to something else.
    """

    def __init__(self, path, settings):
        self.path = pathlib.Path(path)
        self.settings = json.loads(json.dumps(settings))
        require(
            self.path.is_dir() or not (self.path.exists() or self.path.is_symlink()),
            f"--out={self.path} is a file: name a folder.",
        )
        if self.path.is_dir() and any(f.name[0] != "." for f in self.path.iterdir()):
            self._check_same()

    @property
    def result(self):
        """The finished result, or None.

        Raises:
            BadInput: the file is not as this command writes it.
        """
        file = self.path / _RESULT
        if not file.exists():
            return None
        value = read_json(file, dict, "choose another --out")
        measures = value.get("measures")
        right = isinstance(measures, dict) and measures
        require(
            right and all(plain_result.is_complete(each) for each in measures.values()),
            f"{file} is not as this command writes it: choose another --out.",
        )
        return value

    @contextlib.contextmanager
    def open(self):
        """Creates the folder and locks other processes out of it while the context lasts.

        If the context ends with an error and nothing was kept, the folder is left as it was before:
        a refused measurement claims no folder.

        Raises:
            BadInput: another process uses the folder.
        """
        made = [p for p in (self.path, *self.path.parents) if not p.exists()]
        before = {name for name in (_SETTINGS, "partial") if (self.path / name).exists()}
        (self.path / "partial").mkdir(parents=True, exist_ok=True)
        with locked(self.path, f"--out={self.path} is in use by another process"):
            write_json(self.path / _SETTINGS, self.settings)
            try:
                yield
            except BaseException:
                if not before:
                    self._leave(made)
                raise

    def measured(self, name):
        """The plain result of a finished measure, or None."""
        try:
            kept = json.loads((self.path / "partial" / f"{name}.json").read_text())
            value, digest = kept["result"], kept["digest"]
        except Exception:  # it is missing or damaged in some way: the measure is taken again
            return None
        right = digest == self._digest(name, _canonical(value)) and plain_result.is_complete(value)
        return value if right else None

    def keep_measured(self, name, values):
        """Keeps the result of a finished measure, in place of its partial state."""
        kept = {"digest": self._digest(name, _canonical(values)), "result": values}
        write_json(self.path / "partial" / f"{name}.json", kept)
        self._state(name).unlink(missing_ok=True)

    def state(self, name):
        """The last state that `keep_state` kept, a dict of name to array, or None."""
        try:
            with np.load(self._state(name), allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            digest = str(arrays.pop("digest"))
        except Exception:  # it is missing or damaged in some way: the measure starts again
            return None
        return arrays if digest == self._digest(name, *_pieces(arrays)) else None

    def keep_state(self, name, arrays):
        """Keeps the state of an unfinished measure atomically."""
        arrays = {key: np.asarray(array) for key, array in arrays.items()}
        digest = self._digest(name, *_pieces(arrays))
        atomic_write(self._state(name), lambda file: np.savez(file, **arrays, digest=digest))

    def finish(self, result):
        """Writes the result, which marks the measurement as done, and removes partial results."""
        write_json(self.path / _RESULT, result)
        shutil.rmtree(self.path / "partial")

    def _state(self, name):
        return self.path / "partial" / f"{name}.npz"

    def _digest(self, name, *pieces):
        """A digest that ties what is kept for a measure to these settings and to its content."""
        others = {key: value for key, value in self.settings.items() if key != "measures"}
        found = hashlib.sha256(_canonical([name, others]))
        for piece in pieces:
            found.update(piece)
        return found.hexdigest()

    def _leave(self, made):
        """Removes what `open` made, if nothing was kept in it."""
        with contextlib.suppress(OSError):
            (self.path / "partial").rmdir()  # only if it is empty
            for name in (_SETTINGS, ".lock"):
                (self.path / name).unlink(missing_ok=True)
            for path in made:
                path.rmdir()

    def _check_same(self):
        file = self.path / _SETTINGS
        if not file.is_file() and not (set(f.name for f in self.path.iterdir()) - {"partial"}):
            return  # killed before the settings were written
        require(
            file.is_file(),
            f"--out={self.path} is not empty and holds no measurement: choose another.",
        )
        for name in _OWN - {"partial"}:
            require(
                not (self.path / name).is_dir(),
                f"{self.path / name} is a folder, and not of this command: choose another --out.",
            )
        before = read_json(file, dict, "choose another --out")
        finished = (self.path / _RESULT).exists()
        differing = [
            f"{_said(key)} ({_said(before.get(key))} there, {_said(self.settings.get(key))} here)"
            for key in sorted({*before, *self.settings})
            # An unfinished measurement may resume with other measures: each is kept separately.
            if before.get(key) != self.settings.get(key) and (finished or key != "measures")
        ]
        more = f" and {len(differing) - 5} more" if len(differing) > 5 else ""
        require(
            not differing,
            f"--out={self.path} holds another measurement: {', '.join(differing[:5])}{more}; "
            "choose another --out, or leave it out.",
        )


def _said(value):
    if value is None:
        return "default"
    text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= _SAID else f"{text[:_SAID]}..."


def _canonical(value):
    return json.dumps(value, sort_keys=True).encode()


def _pieces(arrays):
    """The bytes of named arrays, each after its name, dtype and shape."""
    for name in sorted(arrays):
        array = arrays[name]
        yield f"{name} {array.dtype} {array.shape}".encode()
        yield array.tobytes()


def write_all(folder, words, results):
    """Writes table, pictures and result; the result last, because it marks all as done.

    Args:
        folder: the `Folder`, opened.
        words: dict of texts about model and data.
        results: dict of measure to plain result.

    Returns:
        The result, as written to result.json.
    """
    import pandas as pd

    from tf_bdecay.sharpness.results import pictures

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
    """Prints a result: the title of each measure, then the tables by layer and by kind.

    Args:
        result: from result.json.
        console: a `rich.console.Console`; stdout by default.
    """
    console = console or plain_console()
    console.print()
    for each in result["measures"].values():
        _say(console, each["title"])
    # The screen wraps lines that are too long; rich would cut cells short and lose their ends.
    width = max(console.width, _LEAST_WIDTH)
    for line in rendered(*plain_result.tables(result["measures"]), width=width).split("\n"):
        _say(console, line)


def _say(console, line):
    console.print(line, soft_wrap=True, highlight=False, markup=False)


def _write_bytes(path, content):
    atomic_write(path, lambda file: file.write(content))
