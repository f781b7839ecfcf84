"""CSV files of a run that may be resumed: no row twice, none missing."""

import csv
import io
import pathlib

from tf_bdecay.storage.files import atomic_append, atomic_write


class Table:
    """A CSV file whose rows are buffered until `flush`.

    Args:
        path: of the file.
        columns: its header.
        key: the column that counts updates, by which a resumed run drops what it will write again.
        after: the number of updates from which this run resumes; rows beyond it are dropped.
    """

    def __init__(self, path, columns, key="update", after=0):
        self.path = pathlib.Path(path)
        self.columns = list(columns)
        self._rows = []
        kept = []
        if self.path.exists():
            with open(self.path, newline="") as file:
                rows = [row for row in csv.DictReader(file) if None not in row.values()]
            kept = [row for row in rows if int(row[key]) <= after]
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(kept)
        atomic_write(self.path, lambda file: file.write(text.getvalue().encode()))

    def add(self, **row):
        """Adds a row; a column that is not given stays empty."""
        self._rows.append(row)

    def flush(self):
        """Brings the rows added since the last call to the disk; they stay where that fails."""
        if not self._rows:
            return
        text = io.StringIO()
        csv.DictWriter(text, self.columns).writerows(self._rows)
        atomic_append(self.path, text.getvalue().encode())
        self._rows = []
