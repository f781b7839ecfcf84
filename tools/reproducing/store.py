"""Results of finished runs: one JSON file each, read back only where they are of the run asked."""

import dataclasses
import json
import pathlib
import re

from tf_bdecay.storage.files import atomic_write
from tools.reproducing import runs

FIELDS = {"key": str, "seed": int, "numerics": int, "status": str, "config": dict, "label": str}
DONE, FAILED = "done", "failed"


@dataclasses.dataclass
class Store:
    """The folder of a scale's results.

    Attributes:
        folder: its path; it need not exist.
        results: dict of key to what its file holds.
        remarks: sentences on files that are not used, and why.
    """

    folder: pathlib.Path
    results: dict = dataclasses.field(default_factory=dict)
    remarks: list = dataclasses.field(default_factory=list)

    def read(self):
        """Reads every file, and moves the damaged ones to `damaged/`; returns the store.

        A file of another version of the numerics, or of another table of keys, stays where it is.
        """
        self.results, self.remarks = {}, []
        for path in sorted(self.folder.glob("*.json")):
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                wrong = _damage(found)
            except (OSError, ValueError, RecursionError) as error:
                wrong = str(error)
            if wrong:
                self._set_apart(path, wrong)
                continue
            other = _otherness(found)
            if other:
                self.remarks.append(f"{path.name} {other}: not used.")
            else:
                self.results[found["key"]] = found
        return self

    def path(self, run):
        """Where the result of a run goes: a name to read, and the key."""
        words = re.sub(r"[^A-Za-z0-9_.=-]+", "-", run.label)
        return self.folder / f"{words}-{run.key}.json"

    def add(self, run, result):
        """Writes the result of a run; a file of that name that was not used is set apart."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.of(run) is None and self.path(run).exists():
            self._set_apart(self.path(run), "it was not used")
        content = json.dumps(result, separators=(",", ":")).encode() + b"\n"
        atomic_write(self.path(run), lambda file: file.write(content))
        self.results[run.key] = result

    def of(self, run):
        """The result of a run, or None."""
        return self.results.get(run.key)

    def missing(self, wanted):
        """Those of a list of runs whose results are not there, each once."""
        return list({run.key: run for run in wanted if self.of(run) is None}.values())

    def _set_apart(self, path, wrong):
        apart = self.folder / "damaged"
        apart.mkdir(exist_ok=True)
        path.replace(apart / path.name)
        self.remarks.append(f"{path.name} is damaged ({wrong}): moved to {apart.name}/, run again.")


def _damage(found):
    """What a result file lacks; "" for nothing."""
    if not isinstance(found, dict):
        return "not an object"
    for name, kind in FIELDS.items():
        if not isinstance(found.get(name), kind):
            return f"{name!r} is not there or not a {kind.__name__}"
    if found["status"] == DONE and not isinstance(found.get("test_accuracy"), float):
        return "'test_accuracy' is not there or not a float"
    return ""


def _otherness(found):
    """Why a whole result is not of a run that this version would do; "" where it is."""
    if found["numerics"] != runs.NUMERICS:
        return f"is of version {found['numerics']} of the numerics, not {runs.NUMERICS}"
    try:
        key = runs.key(found["config"], found["seed"])
    except Exception as error:  # a config that no table of keys knows
        return f"has a config of other keys ({error})"
    return "" if key == found["key"] else f"has a key that its config would not have now, {key}"
