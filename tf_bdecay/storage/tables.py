"""CSV files of a run that may be resumed: no row is there twice, and missing ones are reported."""

import collections
import csv
import io
import itertools
import pathlib

from tf_bdecay.errors import BadInput, first_line, require, shown
from tf_bdecay.storage.files import atomic_append, atomic_write

_WORDS = ("layer", "variable", "kind")  # columns that hold no numbers


class Table:
    """A CSV file whose rows are buffered until `flush`.

    Args:
        path: of the file.
        columns: its header.
        key: the column that counts updates, by which a resumed run drops what it will write again.
        after: the number of updates from which this run resumes; rows beyond it are dropped.
        otherwise: what the user can do if the file cannot be used, for the message.

    Attributes:
        count: the number of rows in the file.

    Raises:
        BadInput: the existing file is not such a table.
    """

    def __init__(self, path, columns, key="update", after=0, otherwise="choose another folder"):
        self.path = pathlib.Path(path)
        self.columns = list(columns)
        self._rows = []
        kept = []
        if after and self.path.exists():
            try:
                header, rows = _rows(self.path, key)
                require(header == self.columns, f"its header is {shown(','.join(header))}")
                kept = [row for row in rows if int(row[key][:20]) <= after]
            except (ValueError, csv.Error) as error:
                raise BadInput(
                    f"{path} is damaged ({error}): put a complete one back, or {otherwise}."
                ) from error
        self._kept = collections.Counter(int(row[key]) for row in kept)
        self.count = len(kept)
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(kept)
        atomic_write(self.path, lambda file: file.write(text.getvalue().encode()))

    def add(self, **row):
        """Adds a row; a column that is not given stays empty."""
        self._rows.append(row)

    def lost(self, updates, rows=1):
        """Returns a sentence if rows written before the checkpoint are missing.

        Args:
            updates: the updates before the checkpoint that have rows.
            rows: the number of rows of an update.

        Returns:
            A sentence, or "" if none is missing.
        """
        lacking = sum(self._kept[update] < rows for update in updates)
        if not lacking:
            return ""
        return self._lacks(f"rows of {lacking} of the {len(updates)} updates")

    def lost_of(self, count):
        """`lost`, but judged by the number of rows that the file had at the checkpoint."""
        lacking = count - self.count
        return self._lacks(f"{lacking} of the {count} rows") if lacking > 0 else ""

    def _lacks(self, what):
        return (
            f"{self.path} lacks {what} that it had before the checkpoint: they are lost, and the "
            "run goes on without them."
        )

    def flush(self):
        """Writes the rows added since the last call to the disk; keeps them if that fails."""
        if not self._rows:
            return
        text = io.StringIO()
        csv.DictWriter(text, self.columns).writerows(self._rows)
        atomic_append(self.path, text.getvalue().encode())
        self.count += len(self._rows)
        self._rows = []


def set_aside(paths):
    """Renames an earlier run's tables, which a new run in their folder would overwrite.

    "layers.csv" becomes "layers-1.csv", or gets the first number that is free for all of them.

    Args:
        paths: of the tables of one run, as `pathlib.Path`s; a file may be missing.

    Returns:
        List of the new names of those that had rows.
    """
    full = [path for path in paths if path.exists() and path.read_bytes().count(b"\n") > 1]
    for number in itertools.count(1):
        new = [path.with_name(f"{path.stem}-{number}{path.suffix}") for path in full]
        if not any(path.exists() for path in new):
            break
    for path, aside in zip(full, new, strict=True):
        path.rename(aside)
    return [path.name for path in new]


def counts(tables):
    """Dict of each table's file name to its number of rows, for `lost_since` to compare."""
    return {table.path.name: table.count for table in tables}


def lost_since(tables, had):
    """Sentences for the tables that have fewer rows than `counts` found at the checkpoint."""
    said = (table.lost_of(had.get(table.path.name, 0)) for table in tables)
    return [sentence for sentence in said if sentence]


def frame(path, otherwise):
    """A table as a data frame, without an incomplete last row that a kill may have left.

    Args:
        path: of the file.
        otherwise: what the user can do if it is damaged, for the message.

    Raises:
        BadInput: it is not a table of a run, or has a word where a number belongs.
    """
    import pandas as pd

    try:
        header, rows = _rows(pathlib.Path(path), "update")
        found = pd.DataFrame(rows, columns=header)
        for name in (name for name in header if name not in _WORDS):
            found[name] = [_number(name, row[name]) for row in rows]
    except (OSError, ValueError, csv.Error) as error:
        raise BadInput(f"{path} is damaged ({first_line(error)}): {otherwise}.") from error
    return found


def _number(name, text):
    """The number in a cell of a column; NaN if the cell is empty."""
    try:
        return int(text) if text.isdigit() else float(text or "nan")
    except ValueError as error:
        raise ValueError(f"{name} is {shown(text)}") from error


def _rows(path, key):
    """The header, and the rows as dicts, of a table that a kill may have cut short.

    Raises:
        ValueError, csv.Error: it is not such a table, or somebody else changed it.
    """
    text = path.read_bytes().decode("utf-8")
    text = text[: text.rfind("\n") + 1]  # without a row that a kill cut short
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    require(key in header, f"its header is {shown(','.join(header))}")
    kept = []
    for number, cells in enumerate(rows, 2):
        row = dict(zip(header, cells, strict=False))
        right = len(cells) == len(header) and row[key].isascii() and row[key].isdigit()
        require(right, f"row {number} is {shown(','.join(cells))}")
        kept.append(row)
    return header, kept
