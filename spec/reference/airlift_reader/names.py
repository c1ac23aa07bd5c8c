"""Names and paths (F-30 to F-37)."""

import re
import unicodedata

from . import limits
from .errors import untrusted

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")

# F-33, but for the last two code points of each plane.
_FORBIDDEN = (
    (0x0000, 0x001F),
    (0x003A, 0x003A),
    (0x005C, 0x005C),
    (0x007F, 0x009F),
    (0x00AD, 0x00AD),
    (0x034F, 0x034F),
    (0x061C, 0x061C),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x200B, 0x200F),
    (0x2028, 0x202E),
    (0x2060, 0x206F),
    (0x3164, 0x3164),
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE0FFF),
)

_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [name + digit for name in ("com", "lpt") for digit in "123456789¹²³"]
)


def is_name(text):
    """Whether `text` is a name (F-30)."""
    return _NAME.fullmatch(text) is not None


def _is_forbidden(character):
    point = ord(character)
    if point & 0xFFFE == 0xFFFE:
        return True
    return any(low <= point <= high for low, high in _FORBIDDEN)


def _ascii_lower(text):
    return "".join(c.lower() if "A" <= c <= "Z" else c for c in text)


def _check_segment(segment, where):
    """F-34 and F-35 for one segment."""
    if not 1 <= len(segment.encode()) <= limits.SEGMENT_LEN_MAX:
        raise untrusted("F-34", where, "a segment is empty or longer than 255 bytes")
    if segment in (".", ".."):
        raise untrusted("F-34", where, "a segment is a dot or two")
    if segment[-1] in ". ":
        raise untrusted("F-34", where, "a segment ends in a dot or a space")
    stem = segment.split(".")[0].rstrip(" ")
    if _ascii_lower(stem) in _DEVICES:
        raise untrusted("F-35", where, "a segment is a device name")
    if segment == ".uploads" or segment.endswith(".versions"):
        raise untrusted("F-35", where, "a segment is hidden by SeaweedFS")


def check_root_name(text, where):
    """The name of a root (F-30, F-34, F-35)."""
    if not is_name(text):
        raise untrusted("F-30", where, "the root is not a name")
    _check_segment(text, where)


def parse_path(data, is_file, where):
    """The path that `data` spells, as text (F-31 to F-36)."""
    if not 1 <= len(data) <= limits.PATH_LEN_MAX:
        raise untrusted("F-31", where, f"a path of {len(data)} bytes")
    try:
        path = data.decode("utf-8")
    except UnicodeDecodeError:
        raise untrusted("F-32", where, "a path is not UTF-8") from None
    if any(_is_forbidden(character) for character in path):
        raise untrusted("F-33", where, "a path has a forbidden character")
    segments = path.split("/")
    for segment in segments:
        _check_segment(segment, where)
    if not is_name(segments[0]):
        raise untrusted("F-36", where, "the first segment is not the name of a root")
    if is_file and len(segments) < 2:
        raise untrusted("F-36", where, "a file without a directory")
    return path


def twin_key(segment):
    """What twins have in common (F-37), by the Unicode version of this Python."""
    folded = unicodedata.normalize("NFKC", segment)
    # Character by character: str.lower judges a sigma by its neighbours.
    upper = "".join(character.upper() for character in folded)
    lower = "".join(character.lower() for character in upper)
    return unicodedata.normalize("NFKC", lower)
