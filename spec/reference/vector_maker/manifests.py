"""Cases of the kinds manifest-root, manifest-page and manifest (F-20 to F-49)."""

import hashlib
import struct
from itertools import groupby

from blake3 import blake3

from .case import Case, flip, piece_bytes, pieces, put_at

MIB = 1 << 20
EMPTY = hashlib.sha256(b"").digest()
WORDS = tuple(range(1, 9))


def start(kind, length):
    return struct.pack("<I", kind << 24 | length)


def file(path, length, profile=1, sha256=EMPTY):
    """A file record (F-41)."""
    path = path.encode() if isinstance(path, str) else path
    return start(1, len(path)) + struct.pack("<BQ", profile, length) + sha256 + path


def directory(path):
    """A directory record."""
    return start(2, len(path.encode())) + path.encode()


def row(length, data=b"chunk"):
    """A row record; no case here looks at the chunk itself."""
    return start(3, length) + blake3(data).digest()


def mark(tail=b"", words=WORDS):
    """A mark record."""
    return start(4, len(tail)) + struct.pack(">8I", *words) + tail


def page(*records, first_offset=0):
    """A page of records."""
    return struct.pack("<Q", first_offset) + b"".join(records)


def structure(context, data):
    return blake3(data, derive_key_context="airlift 1 " + context).digest()


class Page:
    """A page, and what the root says of it."""

    def __init__(self, data, first_entry=0, first_ordinal=0, path="m/a"):
        self.bytes = piece_bytes(data)
        self.pieces = data if isinstance(data, list) else pieces((data, 1))
        self.digest = structure("manifest-page", self.bytes)
        self.first = (first_entry, first_ordinal)
        self.path = path.encode()

    def record(self):
        fields = (len(self.bytes), *self.first, len(self.path))
        return self.digest + struct.pack("<IQQH", *fields) + self.path


def root(pages, entries, files, rows, length):
    """A manifest root (F-40)."""
    counts = (1, 1, len(pages), entries, files, rows, length)
    records = b"".join(one.record() for one in pages)
    return b"AIRLIFTM" + struct.pack("<HHIQQQQ", *counts) + records


def manifest_case(name, rule, class_name, about, pages, counts, **keys):
    """A whole manifest: its pages, and entries, files, rows, length for the root."""
    change = keys.pop("change", lambda data: data)
    root_bytes = change(root(pages, *counts))
    data = [{"hex": root_bytes.hex()}]
    for one in pages:
        data += one.pieces
    whole = piece_bytes(data)
    files = {"manifest.bin": data if len(whole) > 20_000 else whole}
    keys = {"root_length": len(root_bytes), **keys}
    return Case("manifest", name, rule, class_name, about, files, **keys)


# A small manifest with everything but a second page: 2 files with bytes, an
# empty one, a directory, 3 rows.
SMALL = (file("m/a", 5), row(5), file("m/empty", 0), directory("m/void"),
         file("n/b", 9, 2), row(4), row(5))
SMALL_COUNTS = (4, 3, 3, 14)
# Where things are in its root.
VERSION, SUITE, PAGES, ENTRIES, FILES, ROWS, LENGTH, RECORD = 8, 10, 12, 16, 24, 32, 40, 48
PAGE_LEN, FIRST_ENTRY, FIRST_ORDINAL, PATH = RECORD + 32, RECORD + 36, RECORD + 44, RECORD + 54


def u(width, value):
    return value.to_bytes(width, "little")


def small_root(*changes):
    data = root([Page(page(*SMALL))], *SMALL_COUNTS)
    for change in changes:
        data = change(data)
    return data


def root_cases():
    def good(name, about, data):
        return Case("manifest-root", name, "F-40", "accepted", about, {"root.bin": data})

    def bad(name, rule, about, *changes):
        files = {"root.bin": small_root(*changes)}
        return Case("manifest-root", name, rule, "untrusted", about, files)

    yield good("one-page", "A root with one page.", small_root())
    longest = Page(page(*SMALL), path="m/" + "/".join(["x" * 255] * 3) + "/" + "y" * 254)
    yield good("longest-path", "A page whose first path has 1,024 bytes.",
               root([longest], *SMALL_COUNTS))
    yield good("longest", "Files of 2^53 - 1 bytes and a page of 1 MiB.",
               small_root(put_at(LENGTH, u(8, 2**53 - 1)), put_at(PAGE_LEN, u(4, MIB))))
    yield bad("other-magic", "F-40", "The magic of a pack table.", put_at(0, b"AIRLIFTP"))
    yield bad("version-2", "F-40", "Version 2.", put_at(VERSION, u(2, 2)))
    yield bad("version-0", "F-40", "Version 0.", put_at(VERSION, u(2, 0)))
    yield bad("suite-2", "F-20", "The reserved suite.", put_at(SUITE, u(2, 2)))
    yield bad("suite-unknown", "F-20", "A suite that nobody knows.", put_at(SUITE, u(2, 9)))
    yield bad("no-page", "F-10", "No page, and no page record.", put_at(PAGES, u(4, 0)),
              lambda data: data[:RECORD])
    yield bad("pages-missing", "F-40", "One page record, two counted.", put_at(PAGES, u(4, 2)))
    yield bad("too-many-pages", "F-10", "A page count of 2^20 + 1, in 101 bytes.",
              put_at(PAGES, u(4, 2**20 + 1)))
    yield bad("no-file", "F-40", "Three directories, and no file.", put_at(FILES, u(8, 0)))
    yield bad("too-long", "F-10", "Files of 2^53 bytes.", put_at(LENGTH, u(8, 2**53)))
    yield bad("length-near-2-to-63", "F-10", "Files of 2^63 bytes.",
              put_at(LENGTH, u(8, 2**63)))
    yield bad("page-of-header-alone", "F-10", "A page of 8 bytes, which has no record.",
              put_at(PAGE_LEN, u(4, 8)))
    yield bad("page-too-long", "F-10", "A page of 1 MiB and one byte.",
              put_at(PAGE_LEN, u(4, MIB + 1)))
    yield bad("path-empty", "F-31", "A page whose first path is empty.",
              put_at(RECORD + 52, u(2, 0)), lambda data: data[:PATH])
    yield bad("path-too-long", "F-31", "A page whose first path has 1,025 bytes.",
              put_at(RECORD + 52, u(2, 1025)), lambda data: data + b"/x" * 511)
    yield bad("path-not-a-path", "F-34", "A page whose first path has a parent directory.",
              put_at(RECORD + 52, u(2, 6)), lambda data: data[:PATH] + b"m/../x")
    yield bad("byte-behind", "F-40", "A byte behind the last page record.",
              lambda data: data + b"\0")
    yield Case("manifest-root", "prefixes", "F-40", "untrusted", "Every beginning of a good root.",
               {"root.bin": small_root()}, prefixes=True)


def page_cases():
    def good(name, rule, about, *records):
        files = {"page.bin": page(*records)}
        return Case("manifest-page", name, rule, "accepted", about, files)

    def bad(name, rule, about, *records, **options):
        data = page(*records, **options)
        return Case("manifest-page", name, rule, "untrusted", about, {"page.bin": data})

    yield good("every-record", "F-41", "Files of one part, an empty one, a directory.", *SMALL)
    rows = [row(4 * MIB)] * 8
    yield good("two-parts", "F-45", "A file of 36 MiB, with a mark behind 32 MiB.",
               file("m/a", 36 * MIB, 2), *rows, mark(), rows[0])
    yield good("three-parts", "F-45", "A file of 64 MiB and 16 bytes: two marks.",
               file("m/a", 64 * MIB + 16, 2), *rows, mark(), *rows, mark(), row(16))
    odd = [row(4 * MIB - 1)] * 9
    yield good("mark-with-tail", "F-46", "A part of 9 chunks of 4 MiB - 1, and its tail of 55.",
               file("m/a", 9 * (4 * MIB - 1) + 7, 3), *odd, mark(b"t" * 55), row(7))
    yield good("one-part-of-32-mib", "F-45", "A file of 32 MiB is one part and has no mark.",
               file("m/a", 32 * MIB), *rows)
    yield good("one-part-of-36-mib", "F-45", "A file of 36 MiB - 9 whose part ends with it.",
               file("m/a", 36 * MIB - 9, 2), *odd)
    yield good("every-profile", "F-44", "A file of each profile.",
               *(r for p in range(1, 6) for r in (file(f"m/{p}", 1, p), row(1))))
    yield good("longest-chunk", "F-62", "A chunk of 4 MiB.", file("m/a", 4 * MIB), row(4 * MIB))
    yield good("twins", "F-37", "K and the Kelvin sign: the format compares bytes.",
               file("m/K", 0), file("m/\u212a", 0))
    yield good("order-by-bytes", "F-42", "A name that goes on with a sign below the slash.",
               file("m/a", 0), directory("m/a b"), file("m/a-b", 0), file("m/a.b", 0))
    yield bad("no-record", "F-41", "A first offset and no record.")
    yield bad("record-cut", "F-41", "A record of three bytes behind the last.", *SMALL, b"\0\0\0")
    yield bad("kind-0", "F-41", "A record of kind 0.", *SMALL, start(0, 0))
    yield bad("kind-5", "F-41", "A record of kind 5.", *SMALL, start(5, 0))
    yield bad("path-length-beyond", "F-41", "A path length of 1,024 with 3 bytes left.",
              start(2, 1024) + b"m/a")
    yield bad("path-length-16-mib", "F-31", "A path length of 2^24 - 1 with 3 bytes left.",
              start(2, 2**24 - 1) + b"m/a")
    yield bad("path-empty", "F-31", "A directory with an empty path.", *SMALL, start(2, 0))
    yield bad("bad-path", "F-34", "A file whose path has a parent directory.", file("m/../a", 0))
    yield bad("path-not-utf8", "F-32", "A file whose path is not UTF-8.", file(b"m/\xff", 0))
    yield bad("root-not-a-name", "F-36", "A file below a root in upper case.", file("M/a", 0))
    yield bad("file-at-top", "F-36", "A file without a root above it.", file("m", 0))
    yield bad("profile-0", "F-44", "Profile 0.", file("m/a", 1, 0), row(1))
    yield bad("profile-6", "F-44", "Profile 6.", file("m/a", 1, 6), row(1))
    yield bad("file-too-long", "F-10", "A file of 2^44 + 1 bytes.", file("m/a", 2**44 + 1))
    yield bad("file-near-2-to-63", "F-10", "A file of 2^63 bytes.", file("m/a", 2**63))
    yield bad("chunk-empty", "F-62", "A chunk of no bytes.", file("m/a", 1), row(0), row(1))
    yield bad("chunk-too-long", "F-62", "A chunk of 4 MiB and one byte.",
              file("m/a", 4 * MIB + 1), row(4 * MIB + 1))
    yield bad("out-of-order", "F-42", "Paths that descend.", file("m/b", 0), file("m/a", 0))
    yield bad("path-twice", "F-42", "A path twice.", file("m/a", 0), file("m/a", 0))
    yield bad("order-by-slash", "F-42", "A slash before a space: not the order of bytes.",
              file("m/a/c", 0), file("m/a b", 0))
    yield bad("below-a-file", "F-42", "A file below a file.", file("m/a", 0), file("m/a/b", 0))
    yield bad("below-a-file-later", "F-42", "A file below a file, with others between.",
              file("m/a", 0), file("m/a b", 0), file("m/a-b", 0), file("m/a/b", 0))
    yield bad("below-a-directory", "F-42", "A directory that is not empty.",
              directory("m/a"), file("m/a/b", 0))
    yield bad("root-not-empty", "F-42", "A root as a directory that is not empty.",
              directory("m"), file("m/a", 0))
    yield bad("empty-file-with-profile", "F-43", "An empty file of the profile mincdc.",
              file("m/a", 0, 2))
    yield bad("rows-short", "F-43", "Rows that end one byte early.", file("m/a", 9), row(8),
              file("m/b", 0))
    yield bad("rows-short-at-end", "F-43", "Rows that end one byte early, with the page.",
              file("m/a", 9), row(8))
    yield bad("rows-long", "F-43", "Rows that end one byte late.", file("m/a", 9), row(10))
    yield bad("row-too-many", "F-43", "A row behind the last byte.", file("m/a", 9), row(9), row(1))
    yield bad("row-of-an-empty-file", "F-43", "A row behind an empty file.", file("m/a", 0), row(1))
    yield bad("row-of-a-directory", "F-43", "A row behind a directory.", directory("m/a"), row(1))
    yield bad("row-first", "F-43", "A row before any file.", row(1), file("m/a", 0))
    yield bad("mark-first", "F-43", "A mark before any file.", mark(), file("m/a", 0))
    yield bad("mark-missing", "F-43", "No mark behind the first of two parts.",
              file("m/a", 36 * MIB, 2), *[row(4 * MIB)] * 9)
    yield bad("mark-twice", "F-43", "Two marks behind a part.",
              file("m/a", 36 * MIB, 2), *rows, mark(), mark(), rows[0])
    yield bad("mark-at-end", "F-43", "A mark behind the last part.",
              file("m/a", 36 * MIB, 2), *rows, mark(), rows[0], mark())
    yield bad("mark-in-a-small-file", "F-43", "A mark in a file of one part.",
              file("m/a", 10), row(5), mark(b"chunk"), row(5))
    yield bad("mark-early", "F-45", "A mark behind 28 MiB of a file of 36 MiB.",
              file("m/a", 36 * MIB, 2), *rows[1:], mark(), *rows[:2])
    yield bad("mark-late", "F-45", "A mark behind 36 MiB of a file of 40 MiB.",
              file("m/a", 40 * MIB, 2), *rows, rows[0], mark(), rows[0])
    parts = [file("m/a", 36 * MIB, 2), *rows]
    yield bad("mark-tail-too-long", "F-46", "A tail of one byte where the offset mod 64 is 0.",
              *parts, mark(b"t"), rows[0])
    yield bad("mark-tail-of-a-block", "F-41", "A tail of 64 bytes.", *parts, mark(b"t" * 64),
              rows[0])
    yield bad("mark-tail-too-short", "F-46", "A tail of 54 bytes where 55 are due.",
              file("m/a", 9 * (4 * MIB - 1) + 7, 3), *odd, mark(b"t" * 54), row(7))
    yield bad("first-offset", "F-48", "A first offset of 1 before an entry.", *SMALL,
              first_offset=1)
    yield bad("first-offset-near-2-to-63", "F-48", "A first offset of 2^63 before an entry.",
              *SMALL, first_offset=2**63)
    one = page(file("m/a", 9, 2), row(4), row(5))
    yield Case("manifest-page", "prefixes", "F-41", "untrusted",
               "Every beginning of a page with one file of two rows.", {"page.bin": one},
               prefixes=True)


def compress(records):
    """Records as pieces, each run of equal ones once."""
    return pieces(*((data, len(list(run))) for data, run in groupby(records)))


def fill(records):
    """Pages as F-47 fills them; each record is (bytes, entry, row count, offset, path)."""
    pages, current, size = [], [], 8
    ordinal = first_ordinal = 0
    for record in records:
        if size + len(record[0]) > MIB:
            pages.append((current, first_ordinal))
            current, size, first_ordinal = [], 8, ordinal
        current.append(record)
        size += len(record[0])
        ordinal += record[2]
    pages.append((current, first_ordinal))
    return [made_page(current, first) for current, first in pages]


def made_page(records, first_ordinal, first_offset=None):
    _, entry, _, offset, path = records[0]
    offset = offset if first_offset is None else first_offset
    data = [{"hex": struct.pack("<Q", offset).hex()}]
    data += compress([record[0] for record in records])
    return Page(data, entry, first_ordinal, path)


def rows_of(count, length, path="m/a"):
    """A file of equal rows, as records for `fill`."""
    yield file(path, count * length, 2), 0, 0, 0, path
    for number in range(count):
        yield row(length), 0, 1, number * length, path


# As many rows of 36 bytes as fit behind the record of m/a on one page.
ROWS_A_PAGE = (MIB - 8 - len(file("m/a", 0))) // 36


def two_pages(change_first=None, change_second=None):
    """A file of rows of one byte on two pages; 5 rows on the second one."""
    pages = fill(rows_of(ROWS_A_PAGE + 5, 1))
    count = ROWS_A_PAGE + 5
    if change_second:
        records = list(rows_of(count, 1))[-5:]
        pages[1] = change_second(records)
    return pages, (1, 1, count, count)


def row_count_cases():
    """As many rows as a pack can have, and one more (F-59)."""
    for name, class_name, about, count in (
        ("rows-65536", "accepted", "A file of one part with 65,536 rows.", 65_536),
        ("rows-65537", "untrusted", "A file of one part with 65,537 rows.", 65_537),
    ):
        pages = fill(rows_of(count, 1))
        yield manifest_case(name, "F-59", class_name, about, pages, (1, 1, count, count))
    # A part of 32 MiB in so many rows, and a second one of one byte.
    for name, class_name, small in (("piece-rows-65536", "accepted", 65_529),
                                    ("piece-rows-65537", "untrusted", 65_530)):
        lengths = [4 * MIB] * 7 + [1] * (small - 1) + [4 * MIB - (small - 1)] + [1]
        about = f"A part with {small + 7:,} rows."
        yield manifest_case(name, "F-59", class_name, about, fill(part_of(lengths)),
                            (1, 1, len(lengths), sum(lengths)))


def part_of(lengths):
    """A file of two parts, the second of them the last row."""
    yield file("m/a", sum(lengths), 2), 0, 0, 0, "m/a"
    offset = 0
    for number, length in enumerate(lengths):
        yield row(length), 0, 1, offset, "m/a"
        offset += length
        if number == len(lengths) - 2:
            yield mark(), 0, 0, offset, "m/a"


def whole_cases():
    yield manifest_case("small", "F-40", "accepted", "Every record but marks, on one page.",
                        [Page(page(*SMALL))], SMALL_COUNTS, tree_id=tree_id())
    pages, counts = two_pages()
    yield manifest_case("two-pages", "F-47", "accepted", "A file whose rows fill a page and more.",
                        pages, counts)
    yield from full_page_cases()
    yield from part_bound_cases()
    yield from row_count_cases()
    yield from small_breaches()
    yield from page_breaches()


def tree_id():
    """The tree id of SMALL by its definition (F-24)."""
    paths = ("m/a", "m/empty", "n/b")
    listing = "".join(f"{EMPTY.hex()}  {path}\n" for path in paths)
    return hashlib.sha256(listing.encode()).hexdigest()


def full_page_cases():
    """A page of exactly 1 MiB, and one that could have taken one record more."""
    spare = MIB - 8 - len(file("m/a", 0)) - 36 * ROWS_A_PAGE
    path = "m/" + "a" * (1 + spare)
    records = list(rows_of(ROWS_A_PAGE + 1, 1, path))
    counts = (1, 1, ROWS_A_PAGE + 1, ROWS_A_PAGE + 1)
    pages = [made_page(records[:-1], 0), made_page(records[-1:], ROWS_A_PAGE)]
    yield manifest_case("page-of-1-mib", "F-47", "accepted", "A page of exactly 1 MiB.",
                        pages, counts)
    pages = [made_page(records[:-2], 0), made_page(records[-2:], ROWS_A_PAGE - 1)]
    yield manifest_case("record-had-room", "F-47", "untrusted",
                        "A row on the second page that fills the first one to the byte.",
                        pages, counts)
    small = [Page(page(*SMALL[:2])), Page(page(*SMALL[2:]), 1, 1, "m/empty")]
    yield manifest_case("pages-not-filled", "F-47", "untrusted", "Two pages for a few records.",
                        small, SMALL_COUNTS)


def part_bound_cases():
    """The longest file with parts of 32 MiB, and a longer one (F-45)."""
    def case(name, class_name, about, bound_rows, row_count):
        pages = long_file(bound_rows, row_count)
        counts = (1, 1, row_count, row_count * 4 * MIB)
        return manifest_case(name, "F-45", class_name, about, pages, counts)

    yield case("parts-of-32-mib", "accepted", "A file of 9,000 parts of 32 MiB.", 8, 72_000)
    yield case("parts-of-33-mib", "accepted",
               "A file one chunk longer: its parts have at least 33 MiB.", 9, LONG_ROW_COUNT)
    yield case("parts-too-small", "untrusted",
               "A file of more than 9,000 times 32 MiB in parts of 32 MiB.", 8, LONG_ROW_COUNT)


# One chunk of 4 MiB more than parts of 32 MiB may have.
LONG_ROW_COUNT = 72_001


def long_file(rows_a_part, row_count):
    """The pages of m/a, a file of chunks of 4 MiB with a mark behind so many rows."""
    def records():
        yield file("m/a", row_count * 4 * MIB, 2), 0, 0, 0, "m/a"
        for number in range(1, row_count + 1):
            yield row(4 * MIB), 0, 1, (number - 1) * 4 * MIB, "m/a"
            if number % rows_a_part == 0 and number < row_count:
                yield mark(), 0, 0, number * 4 * MIB, "m/a"

    pages = fill(records())
    # Rows and marks alternate: a period is written once.
    for one in pages:
        one.pieces = periodic(one.bytes, 36 * (rows_a_part + 1))
    return pages


def periodic(data, period):
    """Bytes as pieces: what repeats with a period is written once."""
    begin = next(
        at for at in range(0, len(data) - 2 * period)
        if data[at : at + period] == data[at + period : at + 2 * period]
    )
    unit = data[begin : begin + period]
    times = 0
    while data[begin + times * period : begin + (times + 1) * period] == unit:
        times += 1
    end = begin + times * period
    return pieces((data[:begin], 1), (unit, times), (data[end:], 1))


def small_breaches():
    """One rule broken in the small manifest."""
    def bad(name, rule, about, change=lambda data: data, counts=SMALL_COUNTS, pages=None):
        pages = pages or [Page(page(*SMALL))]
        # A page of another digest is not the one that is due (F-11).
        class_name = "damaged" if rule == "F-21" else "untrusted"
        return manifest_case(name, rule, class_name, about, pages, counts, change=change)

    for name, index in (("entry-count", 0), ("file-count", 1), ("row-count", 2), ("length", 3)):
        for step in (-1, 1):
            counts = list(SMALL_COUNTS)
            counts[index] += step
            what = "less" if step < 0 else "more"
            yield bad(f"{name}-{what}", "F-48", f"A root with one {what} as its {name}.",
                      counts=counts)
    yield bad("entry-count-100-million", "F-48", "A root that counts 100 million entries.",
              counts=(100_000_000, 3, 3, 14))
    yield bad("first-entry", "F-48", "A page record with another first entry.",
              put_at(FIRST_ENTRY, u(8, 1)))
    yield bad("first-ordinal", "F-48", "A page record with another first ordinal.",
              put_at(FIRST_ORDINAL, u(8, 1)))
    yield bad("first-path", "F-48", "A page record with another path.", put_at(PATH, b"m/b"))
    yield bad("page-digest", "F-21", "A page record with another digest.", flip(RECORD))
    plain = blake3(page(*SMALL)).digest()
    yield bad("page-as-content", "F-21", "A page digest as of content.", put_at(RECORD, plain))
    for context in ("manifest-root", "pack-page", "pack-root", "pack-index"):
        digest = structure(context, page(*SMALL))
        yield bad(f"page-as-{context}", "F-21", f"A page digest in the context {context}.",
                  put_at(RECORD, digest))
    yield bad("page-length", "F-40", "A page record with one byte more than the file has.",
              put_at(PAGE_LEN, u(4, len(page(*SMALL)) + 1)))
    whole = root([Page(page(*SMALL))], *SMALL_COUNTS) + page(*SMALL)
    root_length = len(whole) - len(page(*SMALL))
    yield Case("manifest", "byte-behind", "F-40", "untrusted", "A byte behind the last page.",
               {"manifest.bin": whole + b"\0"}, root_length=root_length)
    between = whole[:root_length] + b"\0" + whole[root_length:]
    yield Case("manifest", "byte-between", "F-40", "untrusted",
               "A byte between the root and the page.", {"manifest.bin": between},
               root_length=root_length)
    yield Case("manifest", "root-length", "F-40", "untrusted",
               "A root length that takes in a byte of the page.", {"manifest.bin": whole},
               root_length=root_length + 1)
    yield Case("manifest", "prefixes", "F-40", "untrusted", "Every beginning of a good manifest.",
               {"manifest.bin": whole}, root_length=root_length, prefixes=True)
    root_bytes = whole[:root_length]
    nested = Page(root_bytes)
    yield bad("root-as-page", "F-41", "A root in the place of a page.", pages=[nested])


def page_breaches():
    """Rules between pages."""
    def bad(name, rule, about, change_second):
        pages, counts = two_pages(change_second=change_second)
        return manifest_case(name, rule, "untrusted", about, pages, counts)

    first = ROWS_A_PAGE
    yield bad("second-first-offset", "F-48", "A second page with a first offset of 0.",
              lambda records: made_page(records, first, first_offset=0))
    yield bad("second-first-ordinal", "F-48", "A second page with another first ordinal.",
              lambda records: made_page(records, first - 1))
    yield bad("second-rows-missing", "F-43", "A second page that is one row short.",
              lambda records: made_page(records[:-1], first))
    yield bad("second-page-offset-in-records", "F-48",
              "A first offset that counts the bytes of records.",
              lambda records: made_page(records, first, first_offset=36 * first))


def cases():
    """The cases of this page."""
    yield from root_cases()
    yield from page_cases()
    yield from whole_cases()
