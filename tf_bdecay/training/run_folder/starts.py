"""versions.json: what every start of a run recorded, and checks against it on a later start."""

import os
import pathlib

from tf_bdecay.errors import BadInput
from tf_bdecay.storage.files import fits, is_count, read_json, versions, write_json
from tf_bdecay.training.run_folder import weights


class Starts:
    """The starts of the run in a folder.

    Args:
        folder: the run's folder; it need not exist.
        otherwise: what the user can do if the file is damaged, for the message.
    """

    def __init__(self, folder, otherwise):
        self.folder, self._otherwise = pathlib.Path(folder), otherwise
        self._file = self.folder / "versions.json"

    def all(self):
        """All starts, a list of dicts in order.

        Raises:
            BadInput: the file is damaged.
        """
        if not self._file.exists():
            return []
        return read_json(self._file, [_is_start], self._otherwise)

    def add(self, start):
        """Records a start.

        Args:
            start: dict of what to record besides the versions, such as the strategy.
        """
        write_json(self._file, [*self.all(), {**start, **versions()}])

    def since_begin(self):
        """The starts since the run last began anew."""
        starts = self.all()
        begins = [i for i, start in enumerate(starts) if start.get("from", {}).get("update") == 0]
        return starts[begins[-1] :] if begins else starts

    def check_initial(self, given):
        """Checks that an existing run started from these weights.

        Args:
            given: the path of --init_from.

        Raises:
            BadInput: it started from other weights.
        """
        since = self.since_begin()
        record = since[0].get("init_from") if since else None
        path = os.path.abspath(given)  # as recorded then: the file may be gone or changed since
        if record and (path == record["path"] or _digest(given) == record["sha256"]):
            return
        began = record["path"] if record else "new weights"
        raise BadInput(
            f"--workdir={self.folder} holds a run that began from {began}, not from --init_from="
            f"{given}: choose another --workdir, or leave --init_from out to go on."
        )

    def check_deterministic(self, deterministic, say):
        """Warns if a run resumes with another --deterministic, because its bits may change.

        Starts that did not record the flag are ignored.

        Args:
            deterministic: the present value.
            say: called with a line for the user.
        """
        since = self.since_begin()
        if any(start.get("deterministic", deterministic) != deterministic for start in since):
            had, has = ("without", "with") if deterministic else ("with", "without")
            say(
                f"Warning: this run was {had} --deterministic before and goes on {has} it: its "
                "bits may differ from those of a run that was not interrupted."
            )


def _is_start(value):
    """Whether a value is a start as `Workdir.open` records it."""
    begin = value.get("from", {}) if isinstance(value, dict) else None
    initial = value.get("init_from") if isinstance(value, dict) else None
    return (
        isinstance(begin, dict)
        and (initial is None or fits(initial, {"path": str, "sha256": str}))
        and all(is_count(number) for number in begin.values())
        and isinstance(value.get("deterministic", False), bool)
    )


def _digest(path):
    """The digest of weights, or None if they are no longer there."""
    try:
        return weights.find(path, warn=lambda sentence: None).digest
    except (BadInput, OSError):
        return None
