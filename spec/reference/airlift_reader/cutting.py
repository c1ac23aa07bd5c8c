"""Where files are cut into chunks (F-60 to F-72)."""

from . import limits
from .manifest import GGUF, MINCDC, NPY, SAFETENSORS, SINGLE
from .tensors import gguf_regions, npy_regions, safetensors_regions

_SINGLE_LEN_MAX = 64 * limits.KIB
_MINCDC_LEN_MIN = 32 * limits.KIB
_MINCDC_LEN_MAX = 96 * limits.KIB
_STEP_LEN = limits.MIB
_NEAR_LEN = 64 * limits.KIB


def cut(data):
    """The profile and the chunk lengths of a file's bytes (F-60)."""
    if len(data) <= _SINGLE_LEN_MAX:
        return SINGLE, [len(data)] if data else []
    for profile, find_regions in (
        (SAFETENSORS, safetensors_regions),
        (GGUF, gguf_regions),
        (NPY, npy_regions),
    ):
        starts = find_regions(data)
        if starts is not None:
            return profile, _cut_regions(starts, len(data))
    return MINCDC, _cut_mincdc(data)


def _cut_mincdc(data):
    """F-63: each cut where the hash of the four bytes before it is least."""
    chunk_lens = []
    begin = 0
    while begin < len(data):
        chunk_len = _mincdc_len(data, begin)
        chunk_lens.append(chunk_len)
        begin += chunk_len
    return chunk_lens


def _mincdc_len(data, begin):
    left = len(data) - begin
    if left <= _MINCDC_LEN_MIN:
        return left
    best_len, best_hash = 0, 1 << 32
    for length in range(_MINCDC_LEN_MIN, min(_MINCDC_LEN_MAX, left) + 1):
        end = begin + length
        window = int.from_bytes(data[end - 4 : end], "little")
        found = (window * 0x915F77F5 + 0x34636463) & 0xFFFFFFFF
        if found < best_hash:
            best_len, best_hash = length, found
    return best_len


def _cut_regions(starts, file_len):
    """F-71: cuts at region starts and at steps from them, but for near ones."""
    cuts = [0]
    ends = starts[1:] + [file_len]
    for start, end in zip(starts, ends):
        if start > 0 and start - cuts[-1] >= _NEAR_LEN:
            cuts.append(start)
        for place in range(start + _STEP_LEN, end, _STEP_LEN):
            if end - place >= _NEAR_LEN:
                cuts.append(place)
    cuts.append(file_len)
    return [second - first for first, second in zip(cuts, cuts[1:])]
