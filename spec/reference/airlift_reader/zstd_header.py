"""A zstd frame judged before any decoder sees the bytes (F-90 to F-94).

The format is RFC 8878; the rules allow a part of it.
"""

from . import limits
from .errors import damaged

_MAGIC = bytes.fromhex("28B52FFD")
_BLOCK_LEN_MAX = 128 * limits.KIB


def check_zstd_frame(data, content_len, where):
    """`data` is one whole frame of `content_len` bytes, headers and blocks."""
    if data[:4] != _MAGIC or len(data) < 5:
        raise damaged("F-90", where, "does not begin as a zstd frame")
    descriptor = data[4]
    if descriptor & 0b0001_1111:
        raise damaged("F-91", where, "a frame with an option that is not allowed")
    is_single_segment = bool(descriptor & 0b0010_0000)
    content_width = (1 if is_single_segment else 0, 2, 4, 8)[descriptor >> 6]
    window_width = 0 if is_single_segment else 1
    header_len = 5 + window_width + content_width
    if len(data) < header_len:
        raise damaged("F-90", where, "the frame header ends early")
    content = data[5 + window_width : header_len]
    _check_content_len(content, content_len, where)
    window_len = content_len if is_single_segment else _window_len(data[5])
    if window_len > max(content_len, limits.KIB):
        raise damaged("F-93", where, f"a window of {window_len} bytes")
    _check_blocks(data, header_len, min(window_len, _BLOCK_LEN_MAX), where)


def _check_content_len(field, content_len, where):
    """The content size that the header states (F-92)."""
    if not field:
        raise damaged("F-92", where, "no content size")
    stated = int.from_bytes(field, "little")
    if len(field) == 2:
        stated += 256
    if stated != content_len:
        raise damaged("F-92", where, f"content size {stated}, {content_len} expected")


def _window_len(descriptor):
    """RFC 8878, 3.1.1.1.2."""
    base = 1 << (10 + (descriptor >> 3))
    return base + base // 8 * (descriptor & 7)


def _check_blocks(data, offset, block_len_max, where):
    """The blocks end with the last byte of `data` (F-94)."""
    is_last = False
    while not is_last:
        if offset + 3 > len(data):
            raise damaged("F-94", where, "a block header ends early")
        header = int.from_bytes(data[offset : offset + 3], "little")
        offset += 3
        is_last, kind, block_len = header & 1, header >> 1 & 3, header >> 3
        if kind == 3:
            raise damaged("F-94", where, "a block of the reserved type")
        if block_len > block_len_max:
            raise damaged("F-94", where, f"a block of {block_len} bytes")
        # A block of type 1 stores one byte, to be repeated.
        offset += 1 if kind == 1 else block_len
        if offset > len(data):
            raise damaged("F-94", where, "a block ends early")
    if offset != len(data):
        raise damaged("F-94", where, "bytes behind the last block")
