"""Hard pictures made plain: bytes that every decoder reads to the pixels that Pillow sees upright.

Ordinary JPEGs and PNGs pass as they are, after a look at their headers. All else that Pillow opens
is decoded here, turned upright by its EXIF or XMP, converted to RGB and written as a PNG, which
loses nothing more. As `convert("RGB")` has it, alpha is dropped: a transparent pixel has its own
colour, whatever that is, and no background is laid under it; so it is with palettes. Of 16 bits the
upper 8 are kept, in grey as in colour; of more bits, and of fractions, nobody knows what is white,
and they are refused. Of several pictures in a file the first is taken.
"""

import contextlib
import io

from tf_bdecay.data.pictures import headers
from tf_bdecay.errors import BadInput, first_line, shown
from tf_bdecay.frameworks import extras

MOST_PIXELS = 100_000_000
_BITS = 258  # TIFF's tag of the bits of each channel


def plain(content):
    """Bytes with the pixels of a picture, upright and RGB or grey, for any decoder.

    Args:
        content: bytes of the picture's file, in any format that Pillow opens.

    Returns:
        bytes: `content` itself where it is ordinary, otherwise a PNG.

    Raises:
        BadInput: no picture, cut short, or one of more than `MOST_PIXELS`, by its header already.
            The sentence has no subject: a caller puts the picture's place before it.
    """
    if _looked_at(content):
        return content
    picture = upright(content)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    return file.getvalue()


def check(content):
    """Decodes a picture whole, and so finds damage that its headers do not show.

    Args:
        content: as in `plain`.

    Raises:
        BadInput: as of `plain`.
    """
    _looked_at(content)
    upright(content)


def _looked_at(content):
    """Whether a picture is ordinary; `BadInput` where it claims to be too large."""
    seen = headers.look(content)
    if seen:
        _check_size(*seen[:2])
    return bool(seen and seen[2])


def upright(content):
    """Decodes a picture whole.

    Args:
        content: as in `plain`.

    Returns:
        Pillow's image, upright, in RGB, without what else its file says.

    Raises:
        BadInput: as of `plain`.
    """
    if not content:
        raise BadInput("is empty, where the bytes of a picture should be.")
    extras.check("Reading pictures", "PIL")
    import PIL
    from PIL import Image, ImageOps

    try:
        picture = Image.open(io.BytesIO(content))
    except Image.UnidentifiedImageError as error:
        raise BadInput(
            f"is no picture in a format that Pillow {PIL.__version__} opens: it begins with "
            f"{shown(bytes(content[:24]))}."
        ) from error
    except Image.DecompressionBombError as error:
        raise BadInput(f"is too large: {first_line(error)}.") from error
    except Exception as error:  # Pillow's readers raise what comes of the bytes
        raise _damaged(error) from error
    with picture:
        width, height = picture.size
        _check_size(height, width)
        if picture.format == "EPS":  # Ghostscript would run it
            raise BadInput("is PostScript, a program: save it as a JPEG or PNG.")
        bits = getattr(picture, "tag_v2", {}).get(_BITS, ())
        if picture.mode == "F" or max(bits, default=0) > 16:
            raise BadInput(
                f"has {'fractions' if picture.mode == 'F' else 'whole numbers of 32 bits'} for "
                "pixels, of which nobody knows what is white: save it with 8 or 16 bits a channel."
            )
        try:
            picture.load()
        except Exception as error:
            raise _damaged(error) from error
        # In place, so that what is broken after the orientation does not undo the turn. Where the
        # block of EXIF or XMP is broken before it, the picture is taken as stored.
        with contextlib.suppress(Exception):
            ImageOps.exif_transpose(picture, in_place=True)
        try:
            rgb = _rgb(picture)
        except Exception as error:
            raise _damaged(error) from error
    rgb.info = {}  # profiles and texts are not written again
    return rgb


def _rgb(picture):
    if picture.mode.startswith("I"):  # grey of 16 bits, which `convert` would clip at 255
        import numpy as np
        from PIL import Image

        values = np.clip(np.asarray(picture).astype(np.int64), 0, 2**16 - 1)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # straight to RGB, Pillow warns
    return picture.convert("RGB")


def _check_size(height, width):
    if height * width > MOST_PIXELS:
        raise BadInput(
            f"is too large: its header says {width} x {height} pixels, and at most "
            f"{MOST_PIXELS:,} are decoded: make it smaller."
        )


def _damaged(error):
    return BadInput(
        "is cut short or damaged, or of a kind that Pillow cannot decode "
        f"({type(error).__name__}: {first_line(error)}): replace it."
    )
