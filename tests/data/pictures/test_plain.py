"""Hard pictures become plain ones with Pillow's upright pixels, or are refused in a sentence."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from tests.data.pictures import hard
from tf_bdecay.data.pictures import headers, plain
from tf_bdecay.errors import BadInput

pytestmark = [
    pytest.mark.any_backend,
    # Pillow's, of broken EXIF and of size.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning"),
]


def opened(content):
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


@pytest.mark.parametrize("name, content", hard.ordinary().items(), ids=lambda v: str(v)[:30])
def test_ordinary_pictures_pass_as_they_are(name, content):
    assert plain.plain(content) is content
    plain.check(content)


AS_STORED = ("broken EXIF", "EXIF of nonsense", "png of broken EXIF")


def upright(name, content):
    """What a hard picture looks like, by Pillow, or by hand where Pillow fails or clips."""
    if name in AS_STORED:
        return opened(content)
    if name == "turned, and broken behind":
        return np.rot90(opened(content), -1)
    if name.startswith("16 bit grey") or name == "16 bit tiff":
        return np.repeat(hard.pixels(channels=1)[..., np.newaxis], 3, -1)
    if name == "16 bit colour":
        return hard.pixels()
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB"))


@pytest.mark.parametrize("name, content", hard.hard().items(), ids=lambda v: str(v)[:30])
def test_hard_pictures_have_the_pixels_that_pillow_sees(name, content):
    made = plain.plain(content)
    np.testing.assert_array_equal(opened(made), upright(name, content))
    assert headers.look(made)[2] and plain.plain(made) is made
    plain.check(content)


@pytest.mark.parametrize("kind, what", [("float32", "fractions"), ("int32", "whole numbers of 32")])
def test_pixels_of_no_known_white_are_refused(kind, what):
    """They came out black."""
    file = io.BytesIO()
    Image.fromarray(np.ones((4, 5), kind)).save(file, "TIFF")
    for look in (plain.plain, plain.check):
        with pytest.raises(BadInput, match=f"^has {what}.*: save it with 8 or 16 bits a channel"):
            look(file.getvalue())


@pytest.mark.parametrize(
    "orientation, turn",
    [
        (2, lambda x: x[:, ::-1]),
        (3, lambda x: x[::-1, ::-1]),
        (4, lambda x: x[::-1]),
        (5, lambda x: x.swapaxes(0, 1)),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: x[::-1, ::-1].swapaxes(0, 1)),
        (8, lambda x: np.rot90(x)),
    ],
)
def test_each_orientation_is_turned_upright(orientation, turn):
    png = hard.with_chunk(hard.saved(hard.pixels(), "PNG"), b"eXIf", hard.exif(orientation)[6:])
    np.testing.assert_array_equal(opened(plain.plain(png)), turn(hard.pixels()))


def test_transparent_pixels_keep_their_own_colour():
    image = hard.pixels(channels=4)
    image[..., 3] = 0
    made = plain.plain(hard.saved(image, "PNG"))
    np.testing.assert_array_equal(opened(made), image[..., :3])


def test_a_palette_is_looked_up_also_where_it_is_transparent():
    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3), "P")
    colours = np.random.default_rng(0).integers(0, 256, (6, 3), dtype=np.uint8)
    picture.putpalette(colours.tobytes())
    for options in ({}, {"transparency": 2}, {"transparency": bytes([0, 9, 99, 200, 255, 0])}):
        made = plain.plain(hard.saved(picture, "PNG", **options))
        np.testing.assert_array_equal(opened(made), colours.reshape(2, 3, 3))


def test_a_large_transparent_gif_keeps_its_colours():
    frames = [Image.new("P", (22, 14), n) for n in range(2)]
    for frame in frames:
        frame.putpalette([10, 20, 30, 40, 50, 60])
    content = hard.saved(frames[0], "GIF", save_all=True, append_images=frames[1:], transparency=0)
    assert (opened(plain.plain(content)) == (10, 20, 30)).all()


def test_a_profile_is_not_written_again():
    content = hard.saved(hard.pixels(channels=4), "PNG", icc_profile=bytes(5000))
    assert b"iCCP" in content and b"iCCP" not in plain.plain(content)


JPEG, PNG = (hard.saved(hard.pixels(60, 80), how) for how in ("JPEG", "PNG"))


@pytest.mark.parametrize(
    "content, sentence",
    [
        (b"", "^is empty"),
        (b"not a picture\n", r"^is no picture in a format that Pillow .* opens: .*b'not a pict"),
        (bytes(100), r"^is no picture"),
        (b"version https://git-lfs.github.com/spec/v1\n", "b'version https://git-lfs"),
        (JPEG[:-300], "^is cut short or damaged, .*: replace it"),
        (JPEG[:-2], "^is cut short or damaged"),
        (JPEG[:30], "^is (cut short|no picture)"),
        (PNG[:-300], "^is cut short or damaged"),
        (PNG[:40], "^is (cut short|no picture)"),
        (hard.saved(hard.pixels(60, 80), "TIFF")[:-99], "^is cut short or damaged"),
        (hard.saved(hard.pixels(60, 80), "WEBP")[:-99], "^is (cut short|no picture)"),
        (hard.claims("JPEG", 20_000, 30_000), "^is too large: .* 30000 x 20000 .* 100,000,000"),
        (hard.claims("PNG", 20_000, 30_000), "^is too large: .* 30000 x 20000"),
        (hard.claims("PNG", 10_000, 10_001), "^is too large: .* 10001 x 10000"),
        (hard.claims("JPEG", 10_001, 10_000), "^is too large"),
        (
            b"BM" + bytes(12) + b"\x28\0\0\0\x40\x9c\0\0\x40\x9c\0\0\x01\0\x18\0" + bytes(24),
            "large",
        ),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "PostScript"),
    ],
    ids=range(17),
)
def test_what_is_no_picture_is_a_sentence(content, sentence):
    for call in (plain.plain, plain.check):
        with pytest.raises(BadInput, match=sentence) as caught:
            call(content)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 300


def test_verification_finds_what_headers_do_not_show():
    broken = bytearray(PNG)
    broken[len(PNG) // 2] ^= 0xFF
    assert plain.plain(bytes(broken)) == broken
    with pytest.raises(BadInput, match="cut short or damaged"):
        plain.check(bytes(broken))
