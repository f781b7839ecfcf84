"""Pictures that are spans of bytes in large files: archives and files of records."""

import contextlib
import os
import threading
import weakref

import numpy as np

from tf_bdecay.data.pictures.records import Records
from tf_bdecay.errors import BadInput

MOST_OPEN = 64  # files of a split at once, of the 256 that some systems give a process


class Names:
    """Many names in one piece of memory: as Python's strings they would take four times as much."""

    def __init__(self, names):
        encoded = [os.fsencode(name) for name in names]
        self.content = b"".join(encoded)
        self.ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))

    @classmethod
    def joined(cls, parts):
        """The names of several `Names`, one after another."""
        made = cls(())
        made.content = b"".join(part.content for part in parts)
        lengths = [np.diff(part.ends, prepend=0) for part in parts]
        made.ends = np.cumsum(np.concatenate(lengths), dtype=np.int64)
        return made

    def __len__(self):
        return len(self.ends)

    def __getitem__(self, index):
        if index >= len(self):  # which ends an iteration
            raise IndexError(index)
        start = self.ends[index - 1] if index else 0
        return os.fsdecode(self.content[start : self.ends[index]])


class Spans(Records):
    """Pictures by file, offset and length; a subclass says what a record is called.

    A file that cannot be read to its end gives one record more, in the place of the first that is
    lost: to read it raises what is wrong, so that a run stops there, or skips and counts it.
    """

    def __init__(self, files, file_of, offsets, lengths, labels, broken=None):
        """Takes the index.

        Args:
            files: list of (path, size in bytes as it was indexed).
            file_of: int [n], place in `files`.
            offsets, lengths: int64 [n], in bytes.
            labels: int64 [n].
            broken: dict of index to the sentence that `read` raises.
        """
        super().__init__(labels)
        self._files = files
        self._file_of = np.asarray(file_of, np.int32)
        self._offsets = np.asarray(offsets, np.int64)
        self._lengths = np.asarray(lengths, np.int64)
        self._broken = broken or {}
        self._open = OpenFiles()

    def path(self, index):
        """Path of the file that a picture is in."""
        return self._files[self._file_of[index]][0]

    def files(self):
        return [path for path, _ in self._files]

    def read(self, index):
        if index in self._broken:
            raise BadInput(self._broken[index])
        return self.span(index, int(self._offsets[index]), int(self._lengths[index]))

    def span(self, index, offset, length):
        """Bytes of the file that a record is in.

        Args:
            index: of the record.
            offset, length: of the bytes.

        Raises:
            OSError: the file is gone or cannot be read.
            BadInput: it has another size than when it was indexed.
        """
        path, size = self._files[self._file_of[index]]
        with self._open(path) as descriptor:
            now = os.fstat(descriptor).st_size
            if now != size:
                raise BadInput(
                    f"{self.where(index)}: the file has changed since it was indexed, from "
                    f"{size:,} to {now:,} bytes: pictures must stay as they are while they are "
                    "trained on."
                )
            return read_at(descriptor, offset, length)


def read_at(descriptor, offset, length):
    """Bytes of an open file; fewer at its end. Threads do not disturb each other.

    Args:
        descriptor: of the file.
        offset, length: of the bytes.
    """
    content = os.pread(descriptor, length, offset)
    while 0 < len(content) < length:  # a signal, or more than 2 GB
        more = os.pread(descriptor, length - len(content), offset + len(content))
        if not more:
            break
        content += more
    return content


class OpenFiles:
    """Files opened for reading and kept so, the most recently used `MOST_OPEN` of them."""

    def __init__(self, most=MOST_OPEN):
        self._most = most
        self._lock = threading.Lock()
        self._files = {}  # path to [descriptor, calls that use it], the oldest first
        weakref.finalize(self, _close, self._files)

    @contextlib.contextmanager
    def __call__(self, path):
        """The descriptor of a file, open as long as the context lasts."""
        with self._lock:
            file = self._files.pop(path, None)
            if file is None:
                file = [os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0)), 0]
            self._files[path] = file
            file[1] += 1
            idle = [key for key, (_, uses) in self._files.items() if not uses]
            for key in idle[: max(len(self._files) - self._most, 0)]:
                os.close(self._files.pop(key)[0])
        try:
            yield file[0]
        finally:
            with self._lock:
                file[1] -= 1


def _close(files):
    for descriptor, _ in files.values():
        os.close(descriptor)
    files.clear()
