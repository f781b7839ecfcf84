"""What the headers of pictures tell without a decoder."""

import struct

import pytest

from tests.data.pictures import hard
from tf_bdecay.data.pictures import headers

pytestmark = pytest.mark.any_backend


def changed(content, place, byte):
    return content[:place] + bytes([byte]) + content[place + 1 :]


@pytest.mark.parametrize("name, content", hard.ordinary().items(), ids=lambda v: str(v)[:30])
def test_ordinary_pictures_are_seen_to_be_so(name, content):
    assert headers.look(content) == (14, 22, True)


@pytest.mark.parametrize("name, content", hard.hard().items(), ids=lambda v: str(v)[:30])
def test_hard_pictures_are_not_ordinary(name, content):
    ordinary = name == "mpo"  # its first picture is a JPEG that all read
    assert headers.look(content) in (None, (14, 22, ordinary))


@pytest.mark.parametrize(
    "offset, byte",
    [(0, 0xC9), (2, 12), (7, 0x12), (7, 0x41), (10, 0x21), (6, 0), (9, 5)],
    ids=["arithmetic", "12 bits", "4:4:0", "4:1:1", "odd colours", "numbers", "numbers too"],
)
def test_rare_jpegs_are_not_ordinary(offset, byte):
    # From the second byte of the marker: length (2), bits, height (2), width (2), components, then
    # number, sampling and table of each.
    content = hard.saved(hard.pixels(), "JPEG", subsampling=0)
    place = content.index(b"\xff\xc0") + 1
    at = {0: 0, 2: 3, 6: 9, 7: 10, 9: 12, 10: 13}[offset]
    assert headers.look(content)[2]
    assert not headers.look(changed(content, place + at, byte))[2]


def test_filling_before_a_marker_is_passed_over():
    content = hard.saved(hard.pixels(), "JPEG")
    assert headers.look(content[:2] + b"\xff\xff" + content[2:]) == (14, 22, True)


@pytest.mark.parametrize("how", ["JPEG", "PNG"])
def test_no_cut_is_ordinary(how):
    content = hard.saved(hard.pixels(), how)
    for length in range(len(content)):
        seen = headers.look(content[:length])
        assert seen is None or not seen[2]


def test_the_end_of_a_thumbnail_is_not_that_of_the_picture():
    content = hard.saved(hard.pixels(), "JPEG")
    with_thumbnail = hard.with_segment(content, 0xE1, hard.exif(1) + b"\xff\xd8\xff\xd9")
    assert headers.look(with_thumbnail)[2]
    assert not headers.look(with_thumbnail[:-10])[2]


def test_exif_of_either_byte_order_is_read():
    content = hard.saved(hard.pixels(), "JPEG")
    for turn in range(10):
        block = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, turn, 0, 0)
        assert headers.look(hard.with_segment(content, 0xE1, block))[2] == (turn in (0, 1, 9))


@pytest.mark.parametrize("content", [b"", b"\xff", b"GIF89a", b"text", b"\xff\xd8\xff\x01\0\0"])
def test_of_what_is_no_jpeg_or_png_nothing_is_said(content):
    assert headers.look(content) is None
