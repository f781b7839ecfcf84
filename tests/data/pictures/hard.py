"""One file for each kind of picture that is hard to decode, and what it looks like upright."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="%d"/></x:xmpmeta>'


def pixels(height=14, width=22, channels=3, seed=0):
    """Smooth colours, so that a JPEG's pixels are near to them: uint8 [height, width, channels]."""
    draw = np.random.default_rng(seed)
    few = draw.integers(0, 256, (4, 5, channels), dtype=np.uint8)
    planes = [
        np.asarray(Image.fromarray(few[..., c]).resize((width, height), Image.BICUBIC))
        for c in range(channels)
    ]
    return np.stack(planes, -1) if channels > 1 else planes[0]


def saved(image, how, **options):
    """The bytes of a Pillow image, or of an array, in a format."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, how, **options)
    return file.getvalue()


def exif(orientation):
    """An EXIF block with an orientation, little-endian."""
    return b"Exif\0\0II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def with_segment(jpeg, marker, data):
    """A JPEG with a segment put before all others."""
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data + jpeg[2:]


def chunk(name, data):
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def with_chunk(png, name, data, last=False):
    """A PNG with a chunk put after its header, or before its end."""
    place = len(png) - 12 if last else 33
    return png[:place] + chunk(name, data) + png[place:]


def ordinary():
    """Dict of name to bytes that are plain as they are."""
    rgb, grey = pixels(), pixels(channels=1)
    jpeg, png = saved(rgb, "JPEG"), saved(rgb, "PNG")
    return {
        "jpeg": jpeg,
        "progressive": saved(rgb, "JPEG", progressive=True),
        "jpeg 4:4:4": saved(rgb, "JPEG", subsampling=0),
        "jpeg 4:2:2": saved(rgb, "JPEG", subsampling=1),
        "grey jpeg": saved(grey, "JPEG"),
        "jpeg upright by EXIF": with_segment(jpeg, 0xE1, exif(1)),
        "jpeg upright by XMP": with_segment(
            jpeg, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP % 1
        ),
        "jpeg with more behind": jpeg + bytes(50),
        "png": png,
        "grey png": saved(grey, "PNG"),
        "png upright by EXIF": with_chunk(png, b"eXIf", exif(1)[6:]),
        "png with a comment": with_chunk(png, b"tEXt", b"Comment\0none"),
    }


def hard():
    """Dict of name to bytes that are not plain, but pictures."""
    rgb, grey = pixels(), pixels(channels=1)
    jpeg, png = saved(rgb, "JPEG"), saved(rgb, "PNG")
    alpha, cmyk = pixels(channels=4), Image.fromarray(pixels(channels=4), "CMYK")
    palette = Image.fromarray(rgb).quantize(16)
    xmp = b"http://ns.adobe.com/xap/1.0/\0" + XMP % 6
    kinds = {f"EXIF {n}": saved(rgb, "JPEG", exif=exif(n)) for n in range(2, 9)}
    return kinds | {
        "turned by XMP": with_segment(jpeg, 0xE1, xmp),
        "broken EXIF": with_segment(jpeg, 0xE1, exif(6)[:12]),
        "EXIF of nonsense": with_segment(jpeg, 0xE1, b"Exif\0\0" + bytes(range(40))),
        "turned, and broken behind": with_segment(
            jpeg,
            0xE1,
            b"Exif\0\0II*\0"
            + struct.pack("<IHHHIHH", 8, 2, 0x0112, 3, 1, 6, 0)
            + struct.pack("<HHII", 0x8769, 4, 1, 99999),
        ),
        "cmyk": saved(cmyk, "JPEG"),
        "rgb jpeg": saved(rgb, "JPEG", keep_rgb=True),
        "mpo": saved(rgb, "MPO", save_all=True, append_images=[Image.fromarray(rgb[::-1])]),
        "turned png": with_chunk(png, b"eXIf", exif(6)[6:]),
        "png turned at its end": with_chunk(png, b"eXIf", exif(3)[6:], last=True),
        "png turned by XMP": with_chunk(png, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP % 8),
        "png of broken EXIF": with_chunk(png, b"eXIf", b"II*\0" + bytes(3)),
        "alpha": saved(alpha, "PNG"),
        "grey alpha": saved(alpha[..., :2].copy(), "PNG"),
        "one colour transparent": saved(rgb, "PNG", transparency=(1, 2, 3)),
        "palette": saved(palette, "PNG"),
        "transparent palette": saved(palette, "PNG", transparency=bytes(range(0, 256, 16))),
        "two colours": saved(Image.fromarray(grey).convert("1"), "PNG"),
        "16 bit grey": saved(grey.astype(np.uint16) * 257, "PNG"),
        "16 bit colour": deep_png(rgb),
        "gif": saved(palette, "GIF", save_all=True, append_images=[Image.new("P", (22, 14))]),
        "webp": saved(alpha, "WEBP", lossless=True, exact=True),
        "tiff": saved(rgb, "TIFF", compression="tiff_lzw"),
        "16 bit tiff": saved(grey.astype(np.uint16) * 257, "TIFF"),
        "bmp": saved(rgb, "BMP"),
    }


def deep_png(rgb):
    """A PNG of 16 bits a colour, whose upper 8 are an image's, by hand: Pillow writes none."""
    height, width, _ = rgb.shape
    rows = (rgb.astype(np.uint16) * 256 + 77).astype(">u2").reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def claims(how, height, width):
    """A small picture whose header claims another size."""
    if how == "PNG":
        png = saved(pixels(), "PNG")
        header = struct.pack(">II", width, height) + png[24:29]
        return png[:8] + chunk(b"IHDR", header) + png[33:]
    jpeg = saved(pixels(), "JPEG")
    place = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:place] + struct.pack(">HH", height, width) + jpeg[place + 4 :]
