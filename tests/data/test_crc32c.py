"""CRC-32C against the RFC's examples, and its mask."""

import sys

import pytest

from tf_bdecay.data import crc32c
from tf_bdecay.errors import BadInput

pytestmark = pytest.mark.any_backend


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
    assert crc32c.checksum(content) == expected


def test_the_mask_is_that_of_a_known_record():
    # The length of a TFRecord's first record of 24 bytes, as TensorFlow writes it.
    assert crc32c.masked((24).to_bytes(8, "little")) == 0x224B7FA3


def test_without_the_package_a_sentence_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(BadInput, match="a TFRecord needs google-crc32c, which is not installed: "):
        crc32c.masked(b"123456789")
