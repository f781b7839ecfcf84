"""`tf.train.Example`s in TFRecords, read and written without TensorFlow.

A file is a sequence of records: length n (8 bytes, little-endian), its checksum (4), n bytes,
their checksum (4). Each record is a protocol buffer: features by name, each a list of values.

Sources: tensorflow/core/lib/io/record_writer.h, tensorflow/core/example/example.proto, and the
encoding of protocol buffers.
"""

import struct

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # wire types
_BYTES_LIST, _INT_LIST = 1, 3  # fields of a Feature
HEAD, TAIL = 12, 4  # bytes of a record's frame before and behind
_AHEAD = 512  # bytes read at once where a feature begins: those of its name, and a number


def places(read, length):
    """Where an example's features are, found without reading the long ones.

    Args:
        read: function of (start, end) to those bytes of the example.
        length: of the example, in bytes.

    Returns:
        Dict of feature to its first value: an int, or the slice of the example that holds bytes.
        Features without values, or with floats, are left out.

    Raises:
        ValueError, IndexError: it is not such a protocol buffer.
    """
    found = {}
    window = read(0, min(length, 4 * _AHEAD))
    if not window:
        return found
    (_, start, end) = _field(window, 0)  # of the one field, the features
    if end != length:
        raise ValueError("no example: it has more than features")
    window_start = 0
    while start < end:
        if start + _AHEAD > window_start + len(window) < length:
            window_start = start
            window = read(start, min(start + 4 * _AHEAD, length))
        _, inside, after = _field(window, start - window_start)
        after += window_start
        if after > end:
            raise ValueError("no example: a feature is longer than it")
        _entry(window, window_start, inside, after, found)
        start = after
    return found


def _entry(window, window_start, inside, after, found):
    """Adds the feature of one entry, a name and a value, to `found`."""
    _, name_start, name_end = _field(window, inside)
    _, start, end = _field(window, name_end)
    if end + window_start != after:
        raise ValueError("no example: a feature is not a name and a value")
    if start == end:
        return
    kind, start, end = _field(window, start)
    if start == end:
        return
    name = window[name_start:name_end].decode()
    if kind == _BYTES_LIST:
        _, start, end = _field(window, start)
        if end + window_start > after:
            raise ValueError("no example: a value is longer than its feature")
        found[name] = slice(start + window_start, end + window_start)
    elif kind == _INT_LIST:
        tag, place = _varint(window, start)
        if tag & 7 == _BYTES:  # packed
            _, place = _varint(window, place)
        value = _varint(window, place)[0]
        found[name] = value - (1 << 64) if value >> 63 else value


def _field(message, place):
    """(number, start, end) of a field's value."""
    tag, place = _varint(message, place)
    kind = tag & 7
    if kind == _BYTES:
        length, place = _varint(message, place)
    elif kind == _VARINT:
        length = _varint(message, place)[1] - place
    elif kind in (_EIGHT, _FOUR):
        length = 8 if kind == _EIGHT else 4
    else:
        raise ValueError(f"no protocol buffer: wire type {kind}")
    return tag >> 3, place, place + length


def _varint(message, place):
    """An int in groups of 7 bits, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = message[place]
        value |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return value, place
        if shift > 63:
            raise ValueError("no protocol buffer: a number of more than 64 bits")


def written(features):
    """The bytes of an example.

    Args:
        features: dict of name to bytes, or to an int.
    """
    entries = []
    for name, value in features.items():
        if isinstance(value, bytes):
            feature = _block(_BYTES_LIST, _block(1, value))
        else:
            feature = _block(_INT_LIST, _block(1, _number(value)))
        entries.append(_block(1, _block(1, name.encode()) + _block(2, feature)))
    return _block(1, b"".join(entries))


def framed(record, masked):
    """A record with its length and checksums, as it stands in a file.

    Args:
        record: bytes.
        masked: function of bytes to their masked checksum.
    """
    length = struct.pack("<Q", len(record))
    sums = [struct.pack("<I", masked(part)) for part in (length, record)]
    return length + sums[0] + record + sums[1]


def _block(number, content):
    return _number(number << 3 | _BYTES) + _number(len(content)) + content


def _number(value):
    value, out = value & (1 << 64) - 1, bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
