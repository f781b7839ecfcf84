"""What the headers of a JPEG or PNG say of it, in some microseconds: nothing is decoded.

An ordinary picture is one that every decoder reads to the same pixels: 8 bits, grey or three
colours, whole, not to be turned. What is not surely ordinary is called not ordinary.

Sources: ITU-T T.81 (JPEG), the PNG specification (third edition), Exif 2.32.
"""

import re
import struct

_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(="|>)([0-9])')  # as Pillow looks for it
_TURNED = range(2, 9)
_PNG = b"\x89PNG\r\n\x1a\n"
# Sampling of brightness; colour has 1 x 1. Releases of the decoder differ in the others.
_SAMPLINGS = (0x11, 0x21, 0x22)


def look(content):
    """The size of a JPEG or PNG by its header, and whether it is ordinary.

    Args:
        content: bytes of a file.

    Returns:
        (height, width, ordinary), or None for another format and where the header is unclear.
    """
    try:
        if content[:3] == b"\xff\xd8\xff":
            return _jpeg(content)
        if content[:8] == _PNG:
            return _png(content)
    except (struct.error, IndexError):  # cut off
        pass
    return None


def _jpeg(content):
    place, ordinary, rgb = 2, True, False
    while True:
        if content[place] != 0xFF:
            return None
        marker = content[place + 1]
        if marker == 0xFF:  # filling
            place += 1
            continue
        if marker in (0x00, 0x01, 0xD9, 0xDA) or 0xD0 <= marker <= 0xD7:
            return None
        (length,) = struct.unpack_from(">H", content, place + 2)
        start, end = place + 4, place + 2 + length
        if marker == 0xE1:
            ordinary &= not _turned_by(content[start:end])
        elif marker == 0xEE and content[start : start + 5] == b"Adobe":
            rgb = content[start + 11] == 0
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            break
        place = end
    bits, height, width, components = struct.unpack_from(">BHHB", content, start)
    ordinary &= marker in (0xC0, 0xC1, 0xC2) and bits == 8 and height > 0 and not rgb
    table = content[start + 6 : start + 6 + 3 * components]
    if components == 3:
        numbered = table[0::3] == b"\x01\x02\x03"
        ordinary &= numbered and table[1] in _SAMPLINGS and table[4] == table[7] == 0x11
    else:
        ordinary &= components == 1
    # The end may be followed by what a camera put there, and is before that.
    return height, width, ordinary and content.rfind(b"\xff\xd9", end) > 0


def _turned_by(segment):
    """Whether a JPEG's APP1 segment turns it, or may."""
    if segment.startswith(_EXIF):
        return _turned_by_exif(segment[len(_EXIF) :])
    return segment.startswith(_XMP) and _turned_by_xmp(segment)


def _turned_by_xmp(text):
    found = _XMP_ORIENTATION.search(text)
    return found is not None and int(found[2]) in _TURNED


def _turned_by_exif(block):
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(block[:4])
    if order is None:
        return True
    try:
        (place,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, place)
        for entry in range(place + 2, place + 2 + 12 * entries, 12):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", block, entry)
            if tag == 0x0112:
                return (kind, count) != (3, 1) or value in _TURNED
    except struct.error:
        return True
    return False


def _png(content):
    length, name, width, height, bits, colour = struct.unpack_from(">I4sIIBB", content, 8)
    if (length, name) != (13, b"IHDR"):
        return None
    ordinary = bits == 8 and colour in (0, 2)
    place, unpack = 8, struct.Struct(">I4s").unpack_from
    while ordinary and name != b"IEND":
        length, name = unpack(content, place)
        start, place = place + 8, place + 12 + length
        if name == b"IDAT":
            continue
        if name in (b"tRNS", b"acTL"):
            ordinary = False
        elif name == b"eXIf":
            ordinary = not _turned_by_exif(content[start : start + length])
        elif name in (b"tEXt", b"zTXt", b"iTXt"):
            ordinary = not _turned_by_text(content[start : start + length])
    return height, width, ordinary and place <= len(content)


def _turned_by_text(text):
    """Whether a PNG's text turns it, or may."""
    if text.startswith(b"Raw profile type exif"):
        return True
    packed = text[18:19] != b"\0"
    return text.startswith(b"XML:com.adobe.xmp\0") and (packed or _turned_by_xmp(text))
