"""Frames decoded: stored, zstd, planes (F-80 to F-95)."""

import sys
from array import array

import zstandard

from . import limits
from .errors import damaged
from .zstd_header import check_zstd_frame

STORED, ZSTD, PLANES = 0, 1, 2

_PLANE_IS_STORED = 1 << 31
_WORD_TYPES = {2: "H", 4: "I", 8: "Q"}


def decode_frame(codec, param, stored, raw_len, where):
    """The raw bytes of a frame whose stored bytes are proven (F-82)."""
    is_known = (codec, param) in ((STORED, 0), (ZSTD, 0)) or (
        codec == PLANES and param in _WORD_TYPES
    )
    if not is_known:
        raise damaged("F-80", where, f"codec {codec} with parameter {param}")
    if not 1 <= raw_len <= limits.FRAME_RAW_LEN_MAX:
        raise damaged("F-10", where, f"a frame of {raw_len} bytes")
    fits = len(stored) == raw_len if codec == STORED else len(stored) < raw_len
    if not fits:
        raise damaged("F-81", where, f"{raw_len} bytes stored in {len(stored)}")
    if codec == STORED:
        return stored
    if codec == ZSTD:
        return _decode_zstd(stored, raw_len, where)
    return _decode_planes(param, stored, raw_len, where)


def _decode_zstd(data, content_len, where):
    """One zstd frame of exactly `content_len` bytes; judged before it is decoded."""
    check_zstd_frame(data, content_len, where)
    try:
        content = zstandard.ZstdDecompressor().decompress(
            data, max_output_size=content_len, allow_extra_data=False
        )
    except zstandard.ZstdError as cause:
        raise damaged("F-95", where, f"zstd: {cause}") from None
    if len(content) != content_len:
        raise damaged("F-95", where, f"zstd: {len(content)} bytes")
    return content


def _decode_planes(word_len, data, raw_len, where):
    """Planes, least significant first, then the bytes behind the last word."""
    plane_len = raw_len // word_len
    words = bytearray(plane_len * word_len)
    offset = 0
    for plane_index in range(word_len):
        here = f"{where}, plane {plane_index}"
        header = data[offset : offset + 4]
        start = int.from_bytes(header, "little")
        stored_len = start & (_PLANE_IS_STORED - 1)
        offset += 4
        stored = data[offset : offset + stored_len]
        offset += stored_len
        if len(header) != 4 or len(stored) != stored_len:
            raise damaged("F-84", here, "ends early")
        if start & _PLANE_IS_STORED:
            if stored_len != plane_len:
                raise damaged("F-85", here, f"stored with {stored_len} bytes")
            plane = stored
        else:
            if stored_len >= plane_len:
                raise damaged("F-85", here, "not shorter than the plane")
            plane = _decode_zstd(stored, plane_len, here)
        words[plane_index::word_len] = plane
    tail = data[offset:]
    if len(tail) != raw_len % word_len:
        raise damaged("F-86", where, f"{len(tail)} bytes behind the last plane")
    return _rotate_right(words, word_len) + tail


def _rotate_right(data, word_len):
    """Each little-endian word rotated right by one bit, which undoes F-83."""
    words = array(_WORD_TYPES[word_len])
    words.frombytes(bytes(data))
    if sys.byteorder == "big":
        words.byteswap()
    top = word_len * 8 - 1
    for i, word in enumerate(words):
        words[i] = word >> 1 | (word & 1) << top
    if sys.byteorder == "big":
        words.byteswap()
    return words.tobytes()
