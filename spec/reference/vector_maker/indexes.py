"""Cases of the kind index (F-101 to F-108)."""

import struct

from blake3 import blake3

from .case import Case, flip, pieces, put_at
from .manifests import MIB, u
from .pack_tables import section_records

NEW, REPEAT, REFERENCE, BASE = 1, 2, 3, 4
# Where things are.
VERSION, SUITE, FRAMES, RUNS, SECTIONS, ZERO, FIRST = 0, 2, 4, 8, 12, 14, 16


def digest(seed):
    return blake3(bytes([seed])).digest()


def frame(stored, raw, codec=1, param=0, content=None):
    """A frame record; its digest is that of any stored bytes."""
    content = content or blake3(struct.pack("<II", stored, raw)).digest()
    return struct.pack("<IIBBH", stored, raw, codec, param, 0) + content


def run(kind, count, target, base=0):
    return struct.pack("<BBHIQ", kind, 0, base, count, target)


def index(frames, runs, sections=(), contents=None):
    """An index (F-101)."""
    counts = (1, 1, len(frames), len(runs), len(sections), 0)
    data = struct.pack("<HHIIHH", *counts) + b"".join(frames) + b"".join(runs)
    if contents is None:
        contents = b"".join(content for _, _, content in sections)
    return data + section_records(sections) + contents


# Rows by what they hold; each has 10 bytes.
ROWS = [1, 2, 3, 1, 2, 4, 5, 6]
GOOD_FRAMES = [frame(7, 20), frame(10, 10, 0, content=digest(2))]
GOOD_RUNS = [run(NEW, 1, 0), run(NEW, 1, 1), run(NEW, 1, 0), run(REPEAT, 2, 0),
             run(REFERENCE, 2, 90), run(BASE, 1, 7, 1)]
FRAME_LEN, RUN_LEN = 44, 16


def index_case(name, rule, class_name, about, data, rows=None, **keys):
    rows = ROWS if rows is None else rows
    table = [[digest(r).hex(), 10] if isinstance(r, int) else r for r in rows]
    keys = {"payload_length": 17, "base_count": 2, **keys}
    return Case("index", name, rule, class_name, about, {"index.bin": data}, rows=table, **keys)


def good(name, rule, about, data, rows=None, **keys):
    return index_case(name, rule, "accepted", about, data, rows, **keys)


def bad(name, rule, about, data, rows=None, **keys):
    return index_case(name, rule, "untrusted", about, data, rows, **keys)


def accepted():
    whole = index(GOOD_FRAMES, GOOD_RUNS)
    yield good("every-run", "F-102", "A run of each kind.", whole)
    yield good("empty", "F-101", "A pack of empty entries.", index([], []), [], payload_length=0)
    sections = [(3, 0, b"three"), (65_535, 0, b"")]
    yield good("sections", "F-58", "Two sections that nobody needs to know.",
               index(GOOD_FRAMES, GOOD_RUNS, sections))
    yield good("longest-frame", "F-81", "A frame of 4 MiB, stored in as many bytes.",
               index([frame(4 * MIB, 4 * MIB, 0, content=digest(1))], [run(NEW, 1, 0)]),
               [[digest(1).hex(), 4 * MIB]], payload_length=4 * MIB)
    same = [[digest(1).hex(), 10, 65_536]]
    repeats = pieces((index([frame(7, 10)], [run(NEW, 1, 0)])[:RUNS] + u(4, 65_536)
                      + index([frame(7, 10)], [run(NEW, 1, 0)])[SECTIONS:], 1),
                     (run(REPEAT, 1, 0), 65_535))
    yield good("most-rows", "F-10", "65,536 rows, each after the first a repeat of it.", repeats,
               same, payload_length=7)
    yield good("unknown-codec", "F-80", "A codec is judged when the frame is decoded.",
               index([frame(7, 10, 99, 99)], [run(NEW, 1, 0)]), [1], payload_length=7)
    yield good("frames-interleaved", "F-104", "Rows that alternate between two frames.",
               index([frame(7, 20), frame(8, 20)], [run(NEW, 1, f) for f in (0, 1, 0, 1)]),
               [1, 2, 3, 4], payload_length=15)
    yield good("repeats-not-joined", "F-103", "Repeats of one row, each a run of its own.",
               index([frame(7, 10)], [run(NEW, 1, 0), run(REPEAT, 1, 0), run(REPEAT, 1, 0)]),
               [1, 1, 1], payload_length=7)
    yield good("bases-not-joined", "F-103", "Neighbours in two bases are two runs.",
               index([], [run(BASE, 1, 5, 0), run(BASE, 1, 6, 1)]), [1, 2], payload_length=0)
    yield good("reference-then-repeat", "F-105", "A repeat of a row that is a reference.",
               index([], [run(REFERENCE, 1, 5), run(REPEAT, 1, 0)]), [1, 1], payload_length=0)


def structure_breaches():
    whole = index(GOOD_FRAMES, GOOD_RUNS)
    first_run = FIRST + 2 * FRAME_LEN
    yield bad("version-2", "F-101", "Version 2.", put_at(VERSION, u(2, 2))(whole))
    yield bad("suite-2", "F-20", "The reserved suite.", put_at(SUITE, u(2, 2))(whole))
    yield bad("zero-is-one", "F-101", "A one where a zero is due.", put_at(ZERO, u(2, 1))(whole))
    yield bad("frame-zero-is-one", "F-101", "A one where a zero of a frame is due.",
              put_at(FIRST + 10, u(2, 1))(whole))
    yield bad("run-zero-is-one", "F-101", "A one where a zero of a run is due.",
              put_at(first_run + 1, b"\1")(whole))
    yield bad("too-many-frames", "F-104", "A frame count of 2^32 - 1.",
              put_at(FRAMES, u(4, 2**32 - 1))(whole))
    yield bad("too-many-runs", "F-102", "A run count of 2^32 - 1.",
              put_at(RUNS, u(4, 2**32 - 1))(whole))
    yield bad("byte-behind", "F-101", "A byte behind the last run.", whole + b"\0")
    long = pieces((whole, 1), (b"\0", 8 * MIB + 1 - len(whole)))
    yield bad("too-long", "F-10", "An index of 8 MiB and one byte.", long)
    yield index_case("prefixes", "F-101", "untrusted", "Every beginning of a good index.", whole,
                     prefixes=True)
    yield bad("frame-raw-0", "F-10", "A frame of no raw bytes.",
              index([frame(7, 20), frame(0, 0)], GOOD_RUNS), payload_length=7)
    yield bad("frame-stored-0", "F-10", "A frame of no stored bytes.",
              index([frame(7, 20), frame(0, 10)], GOOD_RUNS), payload_length=7)
    yield bad("frame-raw-too-long", "F-10", "A frame of 4 MiB and one byte.",
              index([frame(7, 4 * MIB + 1)], [run(NEW, 2, 0)]),
              [[digest(1).hex(), 4 * MIB], [digest(2).hex(), 1]], payload_length=7)
    yield bad("frame-stored-longer", "F-10", "A frame stored in more bytes than it has.",
              index([frame(7, 20), frame(11, 10)], GOOD_RUNS), payload_length=18)
    for name, about, options in (
        ("sections-descend", "Sections in descending order.",
         {"sections": [(2, 0, b""), (1, 0, b"")]}),
        ("section-flag", "A section with a flag that version 1 has not.",
         {"sections": [(1, 2, b"")]}),
        ("section-digest", "A section whose content has another digest.",
         {"sections": [(1, 0, b"abc")], "contents": b"abd"}),
        ("section-cut", "A section whose content ends early.",
         {"sections": [(1, 0, b"abc")], "contents": b"ab"}),
        ("too-many-sections", "65 sections.", {"sections": [(k, 0, b"") for k in range(65)]}),
    ):
        data = index(GOOD_FRAMES, GOOD_RUNS, **options)
        # Content of another digest is not what is due (F-11).
        class_name = "damaged" if name == "section-digest" else "untrusted"
        yield index_case(name, "F-58", class_name, about, data)
    yield bad("empty-with-payload", "F-54", "A pack without rows that has a payload.",
              index([], []), [], payload_length=1)
    yield bad("empty-with-frame", "F-54", "A pack without rows that has a frame.",
              index([frame(7, 10)], []), [], payload_length=7)
    yield bad("empty-with-run", "F-54", "A pack without rows that has a run.",
              index([], [run(REFERENCE, 1, 7)]), [], payload_length=0)
    yield index_case("section-critical", "F-58", "refused",
                     "A critical section, and version 1 knows none.",
                     index(GOOD_FRAMES, GOOD_RUNS, [(1, 1, b"abc")]))


def run_breaches():
    def runs(*changed):
        return index(GOOD_FRAMES, changed)

    new = GOOD_RUNS[:3]
    rest = GOOD_RUNS[3:]
    yield bad("run-kind-0", "F-102", "A run of kind 0.", runs(*new, *rest[:2], run(0, 1, 7)))
    yield bad("run-kind-5", "F-102", "A run of kind 5.", runs(*new, *rest[:2], run(5, 1, 7)))
    yield bad("run-empty", "F-101", "A run of no row.", runs(*GOOD_RUNS, run(REFERENCE, 0, 7)))
    yield bad("run-base-in-reference", "F-102", "A base number in a reference.",
              runs(*new, rest[0], run(REFERENCE, 2, 90, 1), rest[2]))
    yield bad("run-base-in-new", "F-102", "A base number in a new run.",
              runs(run(NEW, 1, 0, 1), *new[1:], *rest))
    yield bad("base-that-is-not", "F-102", "A base that the head does not list.",
              runs(*new, *rest[:2], run(BASE, 1, 7, 2)))
    yield bad("base-without-bases", "F-102", "A base where the head lists none.",
              index(GOOD_FRAMES, GOOD_RUNS), base_count=0)
    yield bad("rows-short", "F-102", "Runs that end one row early.", runs(*new, *rest[:2]))
    yield bad("rows-long", "F-102", "Runs that end one row late.",
              runs(*new, *rest[:2], run(BASE, 2, 7, 1)))
    yield bad("rows-overflow", "F-102", "Runs whose row counts add up only modulo 2^32.",
              runs(*new, rest[0], run(REFERENCE, 2**32 - 1, 90), run(BASE, 4, 7, 1)))
    yield bad("payload-longer", "F-102", "A payload with a byte of no frame.",
              index(GOOD_FRAMES, GOOD_RUNS), payload_length=18)
    yield bad("payload-shorter", "F-102", "Frames that are longer than the payload.",
              index(GOOD_FRAMES, GOOD_RUNS), payload_length=16)
    yield bad("frame-that-is-not", "F-102", "A new run in frame 2 of 2.",
              runs(*new[:2], run(NEW, 1, 2), *rest))
    yield bad("frame-beyond-32-bits", "F-102", "A new run in frame 2^32.",
              runs(*new[:2], run(NEW, 1, 2**32), *rest))
    yield bad("new-not-joined", "F-103", "Two new runs of one frame.",
              index([frame(7, 20)], [run(NEW, 1, 0), run(NEW, 1, 0)]), [1, 2], payload_length=7)
    yield bad("repeats-not-joined", "F-103", "Two runs of repeats that are one.",
              runs(*new, run(REPEAT, 1, 0), run(REPEAT, 1, 1), *rest[1:]))
    yield bad("references-not-joined", "F-103", "Two runs of references that are one.",
              runs(*new, rest[0], run(REFERENCE, 1, 90), run(REFERENCE, 1, 91), rest[2]))
    yield bad("bases-not-joined", "F-103", "Two runs in one base that are one.",
              index([], [run(BASE, 1, 5, 1), run(BASE, 1, 6, 1)]), [1, 2], payload_length=0)
    yield bad("frames-out-of-order", "F-104", "A first row in frame 1.",
              index([frame(7, 10), frame(8, 10)], [run(NEW, 1, 1), run(NEW, 1, 0)]), [1, 2],
              payload_length=15)
    yield bad("frame-without-row", "F-104", "A frame that no row is in.",
              index([frame(7, 10), frame(8, 10)], [run(NEW, 1, 0)]), [1], payload_length=15)
    yield bad("frame-longer", "F-104", "A frame one byte longer than its rows.",
              index([frame(7, 21), GOOD_FRAMES[1]], GOOD_RUNS))
    yield bad("frame-shorter", "F-104", "A frame one byte shorter than its rows.",
              index([frame(7, 19), GOOD_FRAMES[1]], GOOD_RUNS))


def row_breaches():
    new = GOOD_RUNS[:3]
    rest = GOOD_RUNS[3:]
    yield bad("repeat-carried-again", "F-105", "A chunk that is carried twice.",
              index([frame(7, 20)], [run(NEW, 2, 0)]), [1, 1], payload_length=7)
    yield bad("repeat-as-reference", "F-105", "A reference where the pack has the chunk.",
              index([frame(7, 10)], [run(NEW, 1, 0), run(REFERENCE, 1, 5)]), [1, 1],
              payload_length=7)
    yield bad("repeat-of-itself", "F-105", "A row that repeats itself.",
              index([frame(7, 10)], [run(NEW, 1, 0), run(REPEAT, 1, 1)]), [1, 2],
              payload_length=7)
    yield bad("repeat-of-a-later-row", "F-105", "A first row that repeats the second.",
              index([frame(7, 10)], [run(REPEAT, 1, 1), run(NEW, 1, 0)]), [1, 1],
              payload_length=7)
    yield bad("repeat-of-a-repeat", "F-105", "A row that repeats a repeat.",
              index([frame(7, 10)], [run(NEW, 1, 0), run(REPEAT, 2, 0)]), [1, 1, 1],
              payload_length=7)
    yield bad("repeat-beyond", "F-105", "A repeat of row 2^63.",
              index(GOOD_FRAMES, [*new, run(REPEAT, 2, 2**63), *rest[1:]]))
    yield bad("repeat-of-another-chunk", "F-107", "A repeat of a row with another digest.",
              index(GOOD_FRAMES, [*new, run(REPEAT, 1, 0), run(REPEAT, 1, 2), *rest[1:]]))
    yield bad("repeat-of-another-length", "F-107", "A repeat of a row with another length.",
              index([frame(7, 10)], [run(NEW, 1, 0), run(REPEAT, 1, 0)]),
              [1, [digest(1).hex(), 11]], payload_length=7)
    stored = index([GOOD_FRAMES[0], flip(12)(GOOD_FRAMES[1])], GOOD_RUNS)
    yield bad("stored-chunk-digest", "F-108", "A frame of one stored chunk with another digest.",
              stored)


def cases():
    """The cases of this page."""
    yield from accepted()
    yield from structure_breaches()
    yield from run_breaches()
    yield from row_breaches()
