"""CRC-32C (Castagnoli; RFC 3720, B.4), the checksum of TFRecords, and how they mask it."""

from tf_bdecay.frameworks import extras


def masked(content):
    """The masked checksum of bytes, as a TFRecord has it: an int."""
    return mask(checksum(content))


def mask(crc):
    """Masks a CRC, so that the CRC of data that contain CRCs stays sound (LevelDB)."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def checksum(content):
    """The CRC-32C of bytes: an int."""
    extras.check("The checksum of a TFRecord", "google_crc32c")
    import google_crc32c

    return google_crc32c.value(content)
