"""CRC-32C (Castagnoli), the checksum of TFRecords, and how they mask it.

`google_crc32c` is used where it is installed: some 10 microseconds for a picture. Otherwise NumPy,
in half a millisecond: a checksum is linear over bits, so lanes of 32 bytes are summed side by
side and their sums then combined in pairs (as zlib's `crc32_combine` does).

Source: RFC 3720, B.4; the mask is LevelDB's.
"""

import functools

import numpy as np

_REVERSED = 0x82F63B78  # the polynomial, its lowest bit first
_LANE = 32  # bytes


def masked(content):
    """The masked checksum of bytes, as a TFRecord has it: an int."""
    return mask(checksum(content))


def mask(crc):
    """Masks a CRC, so that the CRC of data that contain CRCs stays sound (LevelDB)."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def checksum(content):
    """The CRC-32C of bytes: an int."""
    if len(content) <= _LANE:
        return _by_bytes(content)
    library = _library()
    return library.value(content) if library else by_lanes(content)


@functools.cache
def _library():
    try:
        import google_crc32c
    except ImportError:
        return None
    return google_crc32c


def _by_bytes(content):
    table, crc = _byte_list(), 0xFFFFFFFF
    for byte in content:
        crc = table[(crc ^ byte) & 255] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def by_lanes(content):
    """The CRC-32C of at least 4 bytes with NumPy."""
    lanes = 1 << max(-(-len(content) // _LANE) - 1, 0).bit_length()
    padded = np.zeros(lanes * _LANE, np.uint8)  # zeros before all else change nothing
    start = len(padded) - len(content)
    padded[start:] = np.frombuffer(content, np.uint8)
    padded[start : start + 4] ^= 255  # what it begins with, all ones
    words = np.ascontiguousarray(padded.view("<u2").reshape(lanes, _LANE // 2).T)
    table, crc = _word_table(), np.zeros(lanes, np.int64)
    for word in words:
        crc = table.take((crc ^ word) & 0xFFFF, mode="wrap") ^ crc >> 16
    level = 0
    while len(crc) > 1:
        crc = _shifted(crc[0::2], level) ^ crc[1::2]
        level += 1
    return int(crc[0]) ^ 0xFFFFFFFF


def _shifted(crc, level):
    """Sums as if 32 * 2**level zeros came after."""
    tables = _shift_tables(level)
    first, *others = (tables[n].take(crc >> 8 * n & 255, mode="wrap") for n in range(4))
    return functools.reduce(np.bitwise_xor, others, first)


@functools.cache
def _byte_table():
    table = np.arange(256)
    for _ in range(8):
        table = table >> 1 ^ np.where(table & 1, _REVERSED, 0)
    return table


@functools.cache
def _byte_list():
    return _byte_table().tolist()


@functools.cache
def _word_table():
    table = np.arange(1 << 16)
    for _ in range(2):
        table = _byte_table()[table & 255] ^ table >> 8
    return table


@functools.cache
def _shift_tables(level):
    """int64 [4, 256]: what each byte of a sum becomes."""
    places = np.arange(256)
    tables = np.stack([places << 8 * byte for byte in range(4)]).astype(np.uint32)
    if level:
        return _shifted(_shifted(tables, level - 1), level - 1)
    for _ in range(_LANE // 2):
        tables = _word_table()[tables & 0xFFFF] ^ tables >> 16
    return tables
