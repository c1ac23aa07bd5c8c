"""The index of a pack (F-101 to F-108): where the bytes of its rows are."""

from dataclasses import dataclass, field

from . import digests, limits
from .errors import untrusted
from .fields import Fields
from .pack_table import check_sections, decode_sections

NEW, REPEAT, REFERENCE, BASE_REFERENCE = 1, 2, 3, 4


@dataclass
class Frame:
    """A frame record, where its stored bytes are, and its rows (of the pack)."""

    stored_len: int
    raw_len: int
    codec: int
    param: int
    digest: bytes
    payload_offset: int = 0
    rows: list = field(default_factory=list)


@dataclass
class Run:
    """A run record (F-102)."""

    kind: int
    base_index: int
    row_count: int
    target: int


@dataclass
class Place:
    """Where the bytes of one row are.

    `target` is a frame for new, a row of the pack for repeat, else an ordinal;
    `raw_offset` is where a new row begins in its frame.
    """

    kind: int
    target: int
    base_index: int = 0
    raw_offset: int = 0


@dataclass
class Index:
    """A decoded index."""

    frames: list
    runs: list
    places: list


def decode_index(data, rows, payload_len, base_count, where):
    """The index that `data` is, checked against the pack's rows.

    `rows` is a (digest, length) for each row of the pack. Rules that need
    other packs (F-106) or other manifests (F-107) are checked elsewhere.
    """
    fields = Fields(data, "F-101", where)
    fields.check(len(data) <= limits.INDEX_LEN_MAX, "the index is too long", "F-10")
    fields.check(fields.u16() == 1, "not version 1")
    fields.check(fields.u16() == digests.SUITE, "not suite 1", "F-20")
    frame_count, run_count = fields.u32(), fields.u32()
    section_count = fields.u16()
    fields.check(fields.u16() == 0, "reserved bytes are not zero")
    # Every frame and every run has a row of its own.
    fields.check(frame_count <= len(rows), "more frames than rows", "F-104")
    fields.check(run_count <= len(rows), "more runs than rows", "F-102")
    frames = [_decode_frame(fields) for _ in range(frame_count)]
    runs = [_decode_run(fields, base_count) for _ in range(run_count)]
    sections = decode_sections(fields, section_count)
    check_sections(sections, fields.bytes(fields.left()), where)
    _place_frames(frames, payload_len, where)
    if sum(run.row_count for run in runs) != len(rows):
        raise untrusted("F-102", where, "the runs do not have the pack's rows")
    _check_maximal(runs, where)
    places = _place_rows(runs, frames, rows, where)
    _check_frames(frames, rows, where)
    _check_repeats(places, rows, where)
    return Index(frames, runs, places)


def _decode_frame(fields):
    frame = Frame(
        fields.u32(), fields.u32(), fields.u8(), fields.u8(), b""
    )
    fields.check(fields.u16() == 0, "reserved bytes are not zero")
    frame.digest = fields.bytes(32)
    fits = 1 <= frame.raw_len <= limits.FRAME_RAW_LEN_MAX
    fields.check(fits, f"a frame of {frame.raw_len} bytes", "F-10")
    fits = 1 <= frame.stored_len <= frame.raw_len
    fields.check(fits, f"a frame stored in {frame.stored_len} bytes", "F-10")
    return frame


def _decode_run(fields, base_count):
    kind, zero, base_index = fields.u8(), fields.u8(), fields.u16()
    run = Run(kind, base_index, fields.u32(), fields.u64())
    fields.check(NEW <= kind <= BASE_REFERENCE, f"a run of kind {kind}", "F-102")
    fields.check(zero == 0, "reserved byte is not zero")
    fields.check(run.row_count >= 1, "a run without a row")
    if kind == BASE_REFERENCE:
        known = base_index < base_count
        fields.check(known, f"base {base_index} of {base_count}", "F-102")
    else:
        fields.check(base_index == 0, "a base in a run of another kind", "F-102")
    return run


def _place_frames(frames, payload_len, where):
    offset = 0
    for frame in frames:
        frame.payload_offset = offset
        offset += frame.stored_len
    if offset != payload_len:
        raise untrusted("F-102", where, "the frames are not the payload")


def _check_maximal(runs, where):
    """No two neighbouring runs could be one (F-103)."""
    for first, second in zip(runs, runs[1:]):
        if (first.kind, first.base_index) != (second.kind, second.base_index):
            continue
        if first.kind == NEW:
            joins = first.target == second.target
        else:
            joins = first.target + first.row_count == second.target
        if joins:
            raise untrusted("F-103", where, "two runs that could be one")


def _place_rows(runs, frames, rows, where):
    """A place for each row, and the rows of each frame (F-102)."""
    places = []
    frames_begun = 0
    raw_offsets = [0] * len(frames)
    for run in runs:
        for step in range(run.row_count):
            row = len(places)
            if run.kind != NEW:
                target = run.target + step
                if run.kind == REPEAT and target >= row:
                    raise untrusted("F-105", where, f"row {row} repeats no earlier row")
                places.append(Place(run.kind, target, run.base_index))
                continue
            if run.target >= len(frames):
                raise untrusted("F-102", where, f"no frame {run.target}")
            if run.target > frames_begun:
                raise untrusted("F-104", where, "frames are not in order of first row")
            frames_begun = max(frames_begun, run.target + 1)
            offset = raw_offsets[run.target]
            places.append(Place(NEW, run.target, raw_offset=offset))
            frames[run.target].rows.append(row)
            raw_offsets[run.target] += rows[row][1]
    return places


def _check_frames(frames, rows, where):
    """F-104 and F-108."""
    for number, frame in enumerate(frames):
        if not frame.rows:
            raise untrusted("F-104", where, f"frame {number} has no row")
        if sum(rows[row][1] for row in frame.rows) != frame.raw_len:
            raise untrusted("F-104", where, f"frame {number} is not as long as its rows")
        if len(frame.rows) == 1 and frame.codec == 0:
            if rows[frame.rows[0]][0] != frame.digest:
                raise untrusted("F-108", where, f"frame {number}: not its chunk's digest")


def _check_repeats(places, rows, where):
    """A row is a repeat if and only if an earlier row has its digest (F-105)."""
    first_rows = {}
    for row, (place, (digest, chunk_len)) in enumerate(zip(places, rows)):
        first = first_rows.get(digest)
        if place.kind == REPEAT:
            target_digest, target_len = rows[place.target]
            if (target_digest, target_len) != (digest, chunk_len):
                raise untrusted("F-107", where, f"row {row} repeats another chunk")
            if place.target != first:
                raise untrusted("F-105", where, f"row {row} does not repeat the first")
        elif first is not None:
            raise untrusted("F-105", where, f"row {row} is not a repeat of row {first}")
        else:
            first_rows[digest] = row
