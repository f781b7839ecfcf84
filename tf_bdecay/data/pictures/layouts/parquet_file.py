"""One parquet file: where its groups of rows are, and the columns that pictures are in."""

import json
import os

from tf_bdecay.data.pictures.layouts.names import listed, printable
from tf_bdecay.errors import BadInput, first_line, require, shown
from tf_bdecay.frameworks import extras

# What people call the columns, the likelier first.
_PICTURES = ("image", "img", "picture", "images", "image_bytes", "bytes", "jpg", "jpeg", "png")
_LABELS = ("label", "labels", "fine_label", "class", "cls", "target", "category", "y")


class ParquetFile:
    """One file: its footer, which tells where the groups are, is read once."""

    def __init__(self, path):
        """Reads a file's footer.

        Raises:
            BadInput: it has none that can be read.
        """
        extras.check("A parquet file", "pyarrow")
        import pyarrow.parquet as pq

        self.path = path
        try:
            self.size = os.path.getsize(path)
            self._footer = pq.read_metadata(path)
            self.schema = self._footer.schema.to_arrow_schema()
        except Exception as error:
            raise self._damaged(error, "has no footer that can be read") from error
        self.groups = [
            self._footer.row_group(i).num_rows for i in range(self._footer.num_row_groups)
        ]

    def column(self, name, group=None):
        """A column of one group, or of all, as arrow's `ChunkedArray`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            require(
                os.path.getsize(self.path) == self.size,
                f"{printable(self.path)} has changed since it was opened: pictures must stay as "
                "they are while they are trained on.",
            )
            with pq.ParquetFile(
                self.path,
                metadata=self._footer,
                memory_map=True,
                page_checksum_verification=True,
            ) as file:
                groups = range(len(self.groups)) if group is None else [group]
                return file.read_row_groups(list(groups), [name], use_threads=False).flatten()[0]
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{printable(self.path)} is gone since it was opened."
            ) from error
        except (OSError, ValueError, pa.ArrowException) as error:
            if isinstance(error, BadInput):
                raise
            where = "" if group is None else f" {group}"
            raise self._damaged(error, f"is damaged in its row group{where}") from error

    def _damaged(self, error, what):
        return BadInput(
            f"{printable(self.path)} {what}: the file is cut short or damaged; copy it again. "
            f"Received: {type(error).__name__}: {first_line(error)}"
        )

    def columns(self):
        """Finds the columns of pictures and of labels.

        Returns:
            (pictures, label, names): of the two columns, "image.bytes" and "label", and a list of
            the classes' names; None where the file has none.

        Raises:
            BadInput: no such column, or several of which none has a usual name.
        """
        import pyarrow.types as kinds

        features = self._features()
        pictures, labels = {}, {}
        for field in self.schema:
            feature, kind = features.get(field.name, {}), field.type
            if kinds.is_struct(kind) and kind.get_field_index("bytes") >= 0:
                pictures[field.name] = f"{field.name}.bytes"
            elif kinds.is_binary(kind) or kinds.is_large_binary(kind):
                pictures[field.name] = field.name
            elif kinds.is_integer(kind) or kinds.is_string(kind) or kinds.is_large_string(kind):
                labels[field.name] = feature.get("names")
        named = [name for name in labels if features.get(name, {}).get("_type") == "ClassLabel"]
        picture = self._choose("pictures, as bytes,", pictures, _PICTURES, pictures)
        label = self._choose("labels, whole numbers or words,", labels, _LABELS, named)
        return pictures[picture], label, labels[label]

    def _choose(self, what, found, usual, instead):
        chosen = [name for word in usual for name in found if name.lower() == word][:1]
        chosen = chosen or list(instead)
        require(
            len(chosen) == 1,
            f"{printable(self.path)} must have a column of {what} that is called "
            f"{shown(usual[0])}. Received: {listed(self.schema.names)}",
        )
        return chosen[0]

    def _features(self):
        """What the hub's library wrote of the columns, by name."""
        try:
            written = json.loads((self.schema.metadata or {})[b"huggingface"])
            return dict(written["info"]["features"])
        except (KeyError, TypeError, ValueError):  # another library wrote the file
            return {}
