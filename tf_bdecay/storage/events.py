"""TensorBoard's event files: appended to in complete records, and cut back when a run resumes."""

import io
import pathlib
import socket
import time

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import metadata as layout_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata
from tensorboard.plugins.text import metadata as text_metadata
from tensorboard.summary.writer.record_writer import RecordWriter

from tf_bdecay.storage.files import atomic_append, atomic_write

EPOCH_TAG = "epoch/"


class Events:
    """An event file. What is written is buffered until `flush` appends it atomically.

    TensorBoard's own writer writes in a thread at times of its own, and stays broken after an
    error. A checkpoint must know that all events before it are on the disk.

    Args:
        folder: where the event files are; created if missing.
    """

    def __init__(self, folder):
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
        count = len(list(folder.iterdir()))  # keeps starts within one second apart, and in order
        self.path = folder / f"{name}.{count:04d}"
        self._buffer, self._begun = io.BytesIO(), False
        self._described = set()
        self._write(event_pb2.Event(file_version="brain.Event:2"))

    def scalars(self, update, values, description=None):
        """Writes many scalars at once.

        Args:
            update: the number of the update they belong to.
            values: dict of tag to number.
            description: function of a tag that returns TensorBoard's description of it, as Markdown
                or ""; called when a tag is written for the first time.
        """
        scalars = [_scalar(tag, float(value), bool(description)) for tag, value in values.items()]
        if description:
            for scalar in scalars:
                if scalar.tag not in self._described:
                    self._described.add(scalar.tag)
                    metadata = scalar_metadata.create_summary_metadata(
                        display_name="", description=description(scalar.tag)
                    )
                    scalar.metadata.CopyFrom(metadata)
        self._write(event_pb2.Event(step=update, summary=summary_pb2.Summary(value=scalars)))

    def text(self, tag, markdown):
        """Writes a page of text."""
        metadata = text_metadata.create_summary_metadata(display_name=tag, description="")
        self._string(tag, metadata, markdown.encode(errors="backslashreplace"))

    def charts(self, categories):
        """Writes which scalars TensorBoard's page of custom scalars draws together.

        Args:
            categories: dict of a category's title to its charts, a dict of a chart's title to the
                regular expressions of its tags.
        """
        layout = layout_pb2.Layout(
            category=[
                layout_pb2.Category(
                    title=title,
                    chart=[
                        layout_pb2.Chart(
                            title=name, multiline=layout_pb2.MultilineChartContent(tag=tags)
                        )
                        for name, tags in charts.items()
                    ],
                )
                for title, charts in categories.items()
            ]
        )
        metadata = layout_metadata.create_summary_metadata()
        self._string(layout_metadata.CONFIG_SUMMARY_TAG, metadata, layout.SerializeToString())

    def image(self, step, tag, png):
        """Writes a picture; TensorBoard reads its size from the PNG itself.

        Args:
            step: number of the step that it belongs to.
            tag: name under which TensorBoard lists it.
            png: bytes of the file.
        """
        height, width = (int.from_bytes(png[i : i + 4], "big") for i in (20, 16))
        picture = summary_pb2.Summary.Image(
            height=height, width=width, colorspace=4, encoded_image_string=png
        )
        value = summary_pb2.Summary.Value(tag=tag, image=picture)
        self._write(event_pb2.Event(step=step, summary=summary_pb2.Summary(value=[value])))

    def restarted(self, update):
        """Tells a running TensorBoard to forget what it saw beyond an update."""
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(event_pb2.Event(step=update + 1, session_log=start))

    def flush(self):
        """Writes everything buffered so far to the disk; keeps it buffered if that fails."""
        content = self._buffer.getvalue()
        if content:
            atomic_append(self.path, content, create=not self._begun)
            self._begun = True
            self._buffer = io.BytesIO()

    def _string(self, tag, metadata, content):
        tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=[content])
        value = summary_pb2.Summary.Value(tag=tag, metadata=metadata, tensor=tensor)
        self._write(event_pb2.Event(summary=summary_pb2.Summary(value=[value])))

    def _write(self, event):
        event.wall_time = time.time()
        RecordWriter(self._buffer).write(event.SerializeToString())


def cut_back(folder, update, ended, say=lambda sentence: None):
    """Rewrites the event files without what a resumed run will write again.

    A record that a kill cut short at the end of a file is dropped too. Damage elsewhere costs only
    the events that it hit, not those behind it. It is reported once, as the file is sound then.

    Args:
        folder: of the event files; need not exist.
        update: updates done by the checkpoint; scalars beyond it are dropped. At 0, all files are
            removed.
        ended: updates done when its last complete epoch ended; an epoch's scalars beyond it are
            dropped.
        say: called with a sentence for each file that is damaged.
    """
    for path in _files(folder):
        if not update:
            path.unlink()
            continue
        content, damage = io.BytesIO(), []
        for event in _read(path, damage):
            if _is_kept(event, update, ended):
                RecordWriter(content).write(event.SerializeToString())
        if damage:
            say(_sentence(path, damage))
        atomic_write(path, lambda file, content=content: file.write(content.getvalue()))


def read(folder):
    """All values of a folder's event files, in the order of the files.

    Args:
        folder: of the event files.

    Returns:
        List of (tag, step, value): a float, or bytes for a page of text or a layout of charts.
    """
    return [
        (value.tag, event.step, _content(value))
        for path in _files(folder)
        for event in _read(path)
        for value in event.summary.value
    ]


def _scalar(tag, number, described):
    """A scalar; one with a description is a tensor, or TensorBoard's fast loader would drop it."""
    if not described:
        return summary_pb2.Summary.Value(tag=tag, simple_value=number)
    tensor = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=[number])
    tensor.tensor_shape.SetInParent()
    return summary_pb2.Summary.Value(tag=tag, tensor=tensor)


def _content(value):
    if not value.HasField("tensor"):
        return value.simple_value
    return (value.tensor.string_val or value.tensor.float_val)[0]


def _files(folder):
    return sorted(pathlib.Path(folder).glob("events.out.tfevents.*"))


def _read(path, damage=None):
    """Yields the sound events of a file.

    Args:
        path: of the file.
        damage: list to which (offset, bytes, last update before it) of each damaged stretch is
            added, except for a record at the end that a kill cut short.
    """
    damage = [] if damage is None else damage
    end, update = 0, 0  # of what was read so far
    for begin, record in _records(path):
        try:
            event = event_pb2.Event.FromString(record)
        except DecodeError:
            continue
        if begin > end:
            damage.append((end, begin - end, update))
        end, update = begin + len(record) + _FRAME, max(update, event.step)
        yield event
    size = path.stat().st_size
    if end < size and not _is_cut_short(path.read_bytes(), end):
        damage.append((end, size - end, update))


# A record is its length (8 bytes), a checksum of it (4), the data, and a checksum of these (4).
_HEADER, _FRAME = 12, 16


def _records(path):
    """Yields the offset and the data of each record whose checksums are right."""
    offset = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            yield offset, record
            offset += len(record) + _FRAME
    except tf.errors.DataLossError:  # TensorFlow reads no further, so search byte by byte
        content = path.read_bytes()
        while offset < len(content):
            data = _data(content, offset)
            if data is not None:
                yield offset, data
            offset += 1 if data is None else len(data) + _FRAME


def _data(content, offset):
    """The data of the record that begins at an offset; None if no sound one does."""
    length = _length(content, offset)
    if length is None or offset + length + _FRAME > len(content):
        return None
    end = offset + _HEADER + length
    data = content[offset + _HEADER : end]
    return data if content[end : end + 4] == _checksum(data) else None


def _length(content, offset):
    """The length of the record that begins at an offset; None if none does."""
    header, check = content[offset : offset + 8], content[offset + 8 : offset + _HEADER]
    length = int.from_bytes(header, "little")
    plausible = len(check) == 4 and length < 2**40  # spares most checksums, which take time
    return length if plausible and check == _checksum(header) else None


def _checksum(data):
    return masked_crc32c(data).to_bytes(4, "little")


def _is_cut_short(content, offset):
    """Whether the file ends within the record that begins at an offset."""
    length = _length(content, offset)
    left = len(content) - offset
    return left < _HEADER or (length is not None and left < length + _FRAME)


def _sentence(path, damage):
    (offset, _, update), lost = damage[0], sum(size for _, size, _ in damage)
    return (
        f"Warning: {path} is damaged from byte {offset} on, after the events of update {update}: "
        f"{lost} bytes of events are lost, all others are kept."
    )


def _is_kept(event, update, ended):
    tags = [value.tag for value in event.summary.value]
    epoch = bool(tags) and tags[0].startswith(EPOCH_TAG)
    restart = event.HasField("session_log")
    return not restart and event.step <= (ended if epoch else update)
