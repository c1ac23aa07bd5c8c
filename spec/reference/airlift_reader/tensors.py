"""The regions that a tensor table divides a file into (F-70, F-73 to F-76).

Each function returns the places where regions start, the first of them 0, or
None where the file is of another kind or its table is broken.
"""

import json

from . import limits

_JSON_TABLE_LEN_MAX = 16 * limits.MIB
_JSON_DEPTH_MAX = 64
_GGUF_TABLE_LEN_MAX = 64 * limits.MIB
_GGUF_TENSOR_COUNT_MAX = 2**20
_GGUF_DIMENSION_COUNT_MAX = 4
_GGUF_NEST_MAX = 4
_GGUF_STRING, _GGUF_ARRAY, _GGUF_U32 = 8, 9, 4
_GGUF_VALUE_LENS = {
    **dict.fromkeys((0, 1, 7), 1),
    **dict.fromkeys((2, 3), 2),
    **dict.fromkeys((4, 5, 6), 4),
    **dict.fromkeys((10, 11, 12), 8),
}


class _Broken(Exception):
    """The table breaks its rule, so the file is cut by mincdc."""


class _Object(list):
    """A JSON object as its members in order, a key twice included."""


class _Integer(str):
    """A JSON integer as it is spelled."""


def safetensors_regions(data):
    """F-73."""
    if data[8:9] != b"{":
        return None
    table_len = 8 + int.from_bytes(data[:8], "little")
    if table_len > _JSON_TABLE_LEN_MAX or table_len >= len(data):
        return None
    try:
        spans = sorted(_safetensors_spans(data[8:table_len]))
    except _Broken:
        return None
    end = 0
    for begin, next_end in spans:
        if begin != end:
            return None
        end = next_end
    if not spans or table_len + end != len(data):
        return None
    return [0] + [table_len + begin for begin, _ in spans]


def _safetensors_spans(text):
    """Begin and end of each tensor that has bytes."""
    for name, member in _parse_json(text):
        if name == "__metadata__":
            continue
        if not isinstance(member, _Object):
            raise _Broken
        types = [value for key, value in member if key == "dtype"]
        offsets = [value for key, value in member if key == "data_offsets"]
        if len(types) != 1 or len(offsets) != 1 or type(types[0]) is not str:
            raise _Broken
        if type(offsets[0]) is not list or len(offsets[0]) != 2:
            raise _Broken
        begin, end = (_offset(value) for value in offsets[0])
        if begin > end:
            raise _Broken
        if begin < end:
            yield begin, end


def _offset(value):
    """An integer below 2^64 that is written in digits alone."""
    if type(value) is not _Integer or not value.isdecimal() or len(value) > 20:
        raise _Broken
    if int(value) >= 1 << 64:
        raise _Broken
    return int(value)


def _parse_json(text):
    """F-76: what the json module reads, but for what `_check_json` refuses."""

    def no_constant(_):
        raise _Broken

    try:
        value = json.loads(
            text.decode("utf-8"),
            object_pairs_hook=_Object,
            parse_int=_Integer,
            parse_float=lambda _: None,
            parse_constant=no_constant,
        )
    except (ValueError, RecursionError):
        raise _Broken from None
    if not isinstance(value, _Object):
        raise _Broken
    _check_json(value, 1)
    return value


def _check_json(value, depth):
    """No half of a surrogate pair, and nothing nested too deep (F-76)."""
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise _Broken
    if not isinstance(value, list):
        return
    if depth > _JSON_DEPTH_MAX:
        raise _Broken
    for element in value:
        if isinstance(value, _Object):
            name, element = element
            _check_json(name, depth)
        _check_json(element, depth + 1)


def gguf_regions(data):
    """F-74."""
    if data[:4] != b"GGUF" or int.from_bytes(data[4:8], "little") not in (2, 3):
        return None
    try:
        offsets, table_len, alignment = _read_gguf(_Table(data[:_GGUF_TABLE_LEN_MAX]))
    except _Broken:
        return None
    first = -(-table_len // alignment) * alignment
    starts = sorted(first + offset for offset in offsets)
    if not starts or len(set(starts)) != len(starts) or starts[-1] >= len(data):
        return None
    return [0] + starts


class _Table:
    """Reads a GGUF table from behind the version."""

    def __init__(self, data):
        self.data = data
        self.offset = 8

    def bytes(self, count):
        begin = self.offset
        self.offset += count
        if self.offset > len(self.data):
            raise _Broken
        return self.data[begin : self.offset]

    def unsigned(self, width):
        return int.from_bytes(self.bytes(width), "little")

    def string(self):
        return self.bytes(self.unsigned(8))


def _read_gguf(table):
    """The tensor offsets, the table's length and the alignment."""
    tensor_count, pair_count = table.unsigned(8), table.unsigned(8)
    if tensor_count > _GGUF_TENSOR_COUNT_MAX:
        raise _Broken
    alignment = 32
    for _ in range(pair_count):
        key, kind = table.string(), table.unsigned(4)
        if key != b"general.alignment":
            _skip_value(table, kind, 0)
            continue
        if kind != _GGUF_U32:
            raise _Broken
        alignment = table.unsigned(4)
        if alignment.bit_count() != 1:
            raise _Broken
    offsets = []
    for _ in range(tensor_count):
        table.string()
        dimension_count = table.unsigned(4)
        if dimension_count > _GGUF_DIMENSION_COUNT_MAX:
            raise _Broken
        table.bytes(8 * dimension_count + 4)
        offsets.append(table.unsigned(8))
    if any(offset % alignment for offset in offsets):
        raise _Broken
    return offsets, table.offset, alignment


def _skip_value(table, kind, nest):
    """Skips a value; `nest` counts the arrays around it."""
    if kind in _GGUF_VALUE_LENS:
        table.bytes(_GGUF_VALUE_LENS[kind])
    elif kind == _GGUF_STRING:
        table.string()
    elif kind == _GGUF_ARRAY and nest < _GGUF_NEST_MAX:
        element_kind, count = table.unsigned(4), table.unsigned(8)
        if element_kind in _GGUF_VALUE_LENS:
            table.bytes(count * _GGUF_VALUE_LENS[element_kind])
        elif element_kind in (_GGUF_STRING, _GGUF_ARRAY):
            for _ in range(count):
                _skip_value(table, element_kind, nest + 1)
        else:
            raise _Broken
    else:
        raise _Broken


def npy_regions(data):
    """F-75."""
    if data[:6] != bytes.fromhex("934E554D5059") or data[6] not in (1, 2, 3):
        return None
    length_width = 2 if data[6] == 1 else 4
    text_begin = 8 + length_width
    header_len = text_begin + int.from_bytes(data[8:text_begin], "little")
    if header_len > _JSON_TABLE_LEN_MAX or header_len >= len(data):
        return None
    try:
        text = data[text_begin:header_len].decode("utf-8")
    except UnicodeDecodeError:
        return None
    _, key, behind = text.partition("'descr': '")
    if not text.startswith("{") or not key or "'" not in behind:
        return None
    return [0, header_len]
