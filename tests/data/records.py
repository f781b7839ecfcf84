"""TFRecords of examples, put together by hand."""

import struct

from tf_bdecay.data import crc32c


def varint(value):
    """An int as protocol buffers have it."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number, content):
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(value, packed=True):
    """A feature of bytes, an int, floats or nothing."""
    if value is None:
        return b""
    if isinstance(value, bytes):
        return field(1, field(1, value))
    if isinstance(value, int):
        number = varint(value)
        return field(3, field(1, number) if packed else varint(1 << 3) + number)
    return field(2, field(1, struct.pack(f"<{len(value)}f", *value)))


def example(features, packed=True):
    """A serialized `tf.train.Example` of a dict."""
    entries = (
        field(1, field(1, name.encode()) + field(2, feature(value, packed)))
        for name, value in features.items()
    )
    return field(1, b"".join(entries))


def framed(record):
    """A record with its length and checksums."""
    length = struct.pack("<Q", len(record))
    sums = (struct.pack("<I", crc32c.masked(part)) for part in (length, record))
    return length + next(sums) + record + next(sums)
