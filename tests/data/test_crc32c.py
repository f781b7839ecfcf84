"""CRC-32C against the RFC's examples and a bit at a time."""

import numpy as np
import pytest

from tf_bdecay.data import crc32c

pytestmark = pytest.mark.any_backend


def bitwise(content):
    crc = 0xFFFFFFFF
    for byte in content:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
        (b"", 0),
    ],
    ids=range(6),
)
def test_the_examples_of_the_rfc(content, expected):
    assert crc32c.checksum(content) == expected == bitwise(content)
    if content:
        assert crc32c.by_lanes(content) == expected


@pytest.mark.parametrize("length", [4, 31, 32, 33, 63, 64, 65, 1023, 1025, 5000])
def test_any_length_is_summed(length):
    content = np.random.default_rng(length).bytes(length)
    assert crc32c.by_lanes(content) == crc32c.checksum(content) == bitwise(content)


def test_the_mask_is_that_of_a_known_record():
    # The length of a TFRecord's first record of 24 bytes, as TensorFlow writes it.
    assert crc32c.masked((24).to_bytes(8, "little")) == 0x224B7FA3
