"""Cases of the kinds pack-root, pack-page and pack-table (F-50 to F-58)."""

import struct

from blake3 import blake3

from .case import Case, flip, piece_bytes, put_at
from .manifests import (
    LONG_ROW_COUNT, MIB, Page, directory, file, long_file, mark, page, root, row, structure, u,
)

# Where things are in a root.
VERSION, SUITE, PAGES, PACKS, VOLUMES, SECTIONS, ZERO, RECORD = 8, 10, 12, 16, 24, 28, 30, 32
PAGE_LEN, FIRST_ENTRY, FIRST_ORDINAL = RECORD + 32, RECORD + 36, RECORD + 44
# And in a pack record.
ENTRY_COUNT, ORDINAL, ROW_COUNT, VOLUME, OFFSET = 8, 12, 20, 24, 28
INDEX_LEN, PAYLOAD_LEN, DIGEST = 36, 40, 44

NOWHERE = (0, 0, 0, 0)


def pack(entry, entry_count, ordinal, row_count, place=(1, 0, 100, 10)):
    """A pack record (F-51); the place is volume, offset, index length, payload length."""
    digest = bytes(32) if place == NOWHERE else structure("pack-index", u(8, ordinal))
    span = struct.pack("<QIQI", entry, entry_count, ordinal, row_count)
    return span + struct.pack("<IQII", *place) + digest


def pack_root(pages, pack_count, volume_count, sections=()):
    """A root; a page is a list of pack records, a section (kind, flags, content)."""
    data = b"AIRLIFTP" + struct.pack(
        "<HHIQIHH", 1, 1, len(pages), pack_count, volume_count, len(sections), 0)
    for records in pages:
        joined = b"".join(records)
        data += structure("pack-page", joined) + u(4, len(joined))
        data += records[0][:8] + records[0][ORDINAL : ORDINAL + 8]
    return data + section_records(sections)


def section_records(sections):
    """Section records (F-58)."""
    return b"".join(
        struct.pack("<HHI", kind, flags, len(content)) + blake3(content).digest()
        for kind, flags, content in sections
    )


# Four entries, three rows, in two packs and two volumes.
MANIFEST_PAGE = page(file("m/a", 5), row(5), file("m/empty", 0), directory("m/void"),
                     file("n/b", 9, 2), row(4), row(5))
MANIFEST = root([Page(MANIFEST_PAGE)], 4, 3, 3, 14)
TWO = [pack(0, 3, 0, 1, (1, 0, 76, 5)), pack(3, 1, 1, 2, (2, 0, 120, 9))]


def table_case(name, rule, class_name, about, packs, volume_count=None, **options):
    """A whole pack table over MANIFEST, or over the manifest given."""
    manifest = options.pop("manifest", (MANIFEST, MANIFEST_PAGE))
    sections = options.pop("sections", ())
    change = options.pop("change", lambda data: data)
    behind = options.pop("behind", None)
    pages = options.pop("pages", [packs])
    if volume_count is None:
        volume_count = max(int.from_bytes(p[VOLUME : VOLUME + 4], "little") for p in packs)
    root_bytes = change(pack_root(pages, len(packs), volume_count, sections))
    contents = b"".join(content for _, _, content in sections) if behind is None else behind
    whole = root_bytes + b"".join(packs) + contents
    root_of, pages_of = manifest
    return Case("pack-table", name, rule, class_name, about,
                {"packs.bin": whole, "manifest.bin": root_of + pages_of},
                root_length=len(root_bytes), manifest_root_length=len(root_of), **options)


def root_cases():
    def good(name, rule, about, data):
        return Case("pack-root", name, rule, "accepted", about, {"root.bin": data})

    def bad(name, rule, about, *changes, class_name="untrusted", data=None):
        data = data or pack_root([TWO], 2, 2)
        for change in changes:
            data = change(data)
        return Case("pack-root", name, rule, class_name, about, {"root.bin": data})

    yield good("one-page", "F-50", "A root with one page.", pack_root([TWO], 2, 2))
    yield good("most-volumes", "F-50", "999,999 volumes.", pack_root([TWO], 2, 999_999))
    known = [(kind, 0, b"x" * kind) for kind in range(1, 65)]
    yield good("most-sections", "F-58", "64 sections, none of them critical.",
               pack_root([TWO], 2, 2, known))
    full = [TWO[0]] * 13_797
    yield good("full-page", "F-51", "A page of 13,797 packs.", pack_root([full], 13_797, 1))
    yield bad("other-magic", "F-50", "The magic of a manifest.", put_at(0, b"AIRLIFTM"))
    yield bad("version-2", "F-50", "Version 2.", put_at(VERSION, u(2, 2)))
    yield bad("suite-2", "F-20", "The reserved suite.", put_at(SUITE, u(2, 2)))
    yield bad("no-page", "F-10", "No page, and no page record.", put_at(PAGES, u(4, 0)),
              lambda data: data[:RECORD])
    yield bad("too-many-pages", "F-10", "A page count of 2^20 + 1, in 84 bytes.",
              put_at(PAGES, u(4, 2**20 + 1)))
    yield bad("no-pack", "F-50", "No pack.", put_at(PACKS, u(8, 0)))
    yield bad("no-volume", "F-10", "No volume.", put_at(VOLUMES, u(4, 0)))
    yield bad("too-many-volumes", "F-10", "1,000,000 volumes.", put_at(VOLUMES, u(4, 10**6)))
    yield bad("zero-is-one", "F-50", "A one where a zero is due.", put_at(ZERO, u(2, 1)))
    yield bad("page-empty", "F-51", "A page of no bytes.", put_at(PAGE_LEN, u(4, 0)))
    yield bad("page-not-of-records", "F-51", "A page of 153 bytes.", put_at(PAGE_LEN, u(4, 153)))
    yield bad("page-too-long", "F-51", "A page of 13,798 packs, above 1 MiB.",
              data=pack_root([full + [TWO[0]]], 13_798, 1))
    yield bad("byte-behind", "F-50", "A byte behind the last record.", lambda data: data + b"\0")
    for name, about, sections in (
        ("sections-descend", "Sections in descending order.", [(2, 0, b""), (1, 0, b"")]),
        ("section-twice", "A section twice.", [(1, 0, b""), (1, 0, b"")]),
        ("section-flag", "A section with a flag that version 1 has not.", [(1, 2, b"")]),
        ("too-many-sections", "65 sections.", [(kind, 0, b"") for kind in range(65)]),
    ):
        yield bad(name, "F-58", about, data=pack_root([TWO], 2, 2, sections))
    yield Case("pack-root", "prefixes", "F-50", "untrusted", "Every beginning of a good root.",
               {"root.bin": pack_root([TWO], 2, 2, known[:2])}, prefixes=True)


def page_cases():
    def good(name, rule, about, data):
        return Case("pack-page", name, rule, "accepted", about, {"page.bin": data})

    def bad(name, rule, about, *changes, data=None):
        data = data or TWO[0]
        for change in changes:
            data = change(data)
        return Case("pack-page", name, rule, "untrusted", about, {"page.bin": data})

    yield good("two-packs", "F-51", "Two packs.", b"".join(TWO))
    yield good("most", "F-51", "A pack with everything at its limit.",
               pack(0, 65_536, 2**53 - 1, 65_536, (999_999, 2**53 - 1, 8 * MIB, 36 * MIB - 1)))
    yield good("nowhere", "F-56", "A pack that is not carried.", pack(0, 1, 0, 1, NOWHERE))
    yield bad("record-cut", "F-51", "A record of 75 bytes.", lambda data: data[:-1])
    yield bad("no-entry", "F-10", "A pack of no entry.", put_at(ENTRY_COUNT, u(4, 0)))
    yield bad("too-many-entries", "F-10", "65,537 entries.", put_at(ENTRY_COUNT, u(4, 65_537)))
    yield bad("too-many-rows", "F-10", "65,537 rows.", put_at(ROW_COUNT, u(4, 65_537)))
    yield bad("ordinal-too-high", "F-10", "First ordinal 2^53.", put_at(ORDINAL, u(8, 2**53)))
    yield bad("offset-too-high", "F-10", "Offset 2^53 in a volume.", put_at(OFFSET, u(8, 2**53)))
    yield bad("volume-too-high", "F-10", "Volume 1,000,000.", put_at(VOLUME, u(4, 10**6)))
    yield bad("no-index", "F-10", "An index of no bytes.", put_at(INDEX_LEN, u(4, 0)))
    yield bad("index-too-long", "F-10", "An index of 8 MiB and one byte.",
              put_at(INDEX_LEN, u(4, 8 * MIB + 1)))
    yield bad("payload-too-long", "F-10", "A payload of 36 MiB.",
              put_at(PAYLOAD_LEN, u(4, 36 * MIB)))
    nowhere = pack(0, 1, 0, 1, NOWHERE)
    for name, at, what in (("offset", OFFSET, "an offset"), ("index", INDEX_LEN, "an index"),
                           ("payload", PAYLOAD_LEN, "a payload"), ("digest", DIGEST, "a digest")):
        yield bad(f"nowhere-with-{name}", "F-56", f"A pack that is not carried and has {what}.",
                  flip(at), data=nowhere)
    yield Case("pack-page", "prefixes", "F-51", "untrusted", "Every beginning of a page.",
               {"page.bin": TWO[0]}, prefixes=True)


def moved(number, at, value, width):
    """TWO with one field of a pack changed."""
    packs = list(TWO)
    packs[number] = put_at(at, u(width, value))(packs[number])
    return packs


def table_cases():
    def good(name, rule, about, packs, *rest, **options):
        return table_case(name, rule, "accepted", about, packs, *rest, **options)

    def bad(name, rule, about, packs=None, *rest, class_name="untrusted", **options):
        # A page of another digest is not the one that is due (F-11).
        class_name = "damaged" if rule == "F-21" else class_name
        return table_case(name, rule, class_name, about, packs or TWO, *rest, **options)

    yield good("two-volumes", "F-55", "Two packs in two volumes.", TWO)
    one = [TWO[0], pack(3, 1, 1, 2, (1, 157, 120, 9))]
    yield good("one-volume", "F-55", "Two packs in one volume.", one)
    yield good("one-pack", "F-52", "One pack for everything.", [pack(0, 4, 0, 3)])
    each = [pack(0, 1, 0, 1, (1, 0, 76, 5)), pack(1, 1, 1, 0, (1, 157, 16, 0)),
            pack(2, 1, 1, 0, (1, 189, 16, 0)), pack(3, 1, 1, 2, (1, 221, 120, 9))]
    yield good("pack-without-rows", "F-52", "Packs of an empty file and of a directory.", each)
    repair = [pack(0, 3, 0, 1, NOWHERE), pack(3, 1, 1, 2, (1, 0, 120, 9))]
    yield good("repair", "F-56", "A repair that carries the second pack.", repair, repairs=True)
    sections = [(7, 0, b"seven"), (9, 0, b"")]
    yield good("sections", "F-58", "Two sections that nobody needs to know.", TWO,
               sections=sections)
    yield from span_breaches(bad)
    yield from place_breaches(bad, one, repair)
    yield from section_breaches(bad)
    yield from piece_cases(good, bad)


def span_breaches(bad):
    yield bad("first-entry-1", "F-52", "A first pack that begins with entry 1.",
              [pack(1, 2, 0, 1, (1, 0, 76, 5)), TWO[1]])
    yield bad("first-ordinal-1", "F-52", "A first pack that begins with ordinal 1.",
              [pack(0, 3, 1, 0, (1, 0, 76, 5)), TWO[1]])
    yield bad("entry-left-out", "F-52", "An entry between two packs.",
              [pack(0, 2, 0, 1, (1, 0, 76, 5)), TWO[1]])
    yield bad("entry-twice", "F-52", "An entry in two packs.",
              [TWO[0], pack(2, 2, 1, 2, (2, 0, 120, 9))])
    yield bad("row-left-out", "F-52", "A row between two packs.", moved(1, ORDINAL, 2, 8))
    yield bad("row-too-many", "F-52", "A pack with a row of the next one.",
              [pack(0, 3, 0, 2, (1, 0, 76, 5)), pack(3, 1, 2, 1, (2, 0, 120, 9))])
    yield bad("ends-early", "F-52", "Packs that end before the manifest.", TWO[:1])
    yield bad("ends-late", "F-52", "A pack behind the last entry.",
              [*TWO, pack(4, 1, 3, 0, (2, 249, 16, 0))])
    yield bad("entries-beyond", "F-52", "A pack with more entries than the manifest.",
              moved(1, ENTRY_COUNT, 2, 4))
    yield bad("ordinal-near-2-to-63", "F-52", "A pack that begins at ordinal 2^63.",
              moved(1, ORDINAL, 2**63, 8))
    yield bad("page-first-entry", "F-57", "A page record with another first entry.",
              change=put_at(FIRST_ENTRY, u(8, 1)))
    yield bad("page-first-ordinal", "F-57", "A page record with another first ordinal.",
              change=put_at(FIRST_ORDINAL, u(8, 1)))
    yield bad("pack-count-less", "F-57", "A root that counts one pack less.",
              change=put_at(PACKS, u(8, 1)))
    yield bad("pack-count-more", "F-57", "A root that counts one pack more.",
              change=put_at(PACKS, u(8, 3)))
    yield bad("page-not-full", "F-51", "Two pages with one pack each.",
              pages=[TWO[:1], TWO[1:]])
    yield bad("page-digest", "F-21", "A page record with another digest.", change=flip(RECORD))
    other = structure("manifest-page", b"".join(TWO))
    yield bad("page-as-manifest-page", "F-21", "A page digest in the context of a manifest page.",
              change=put_at(RECORD, other))
    seven = [row(4 * MIB)] * 7
    yield run_case("run-below-36-mib", "accepted", 36 * MIB - 1,
                   [seven, [row(4 * MIB), row(4 * MIB - 1)]])
    yield run_case("run-of-36-mib", "untrusted", 36 * MIB, [seven, [row(4 * MIB)] * 2])


def run_case(name, class_name, length, rows):
    """A run of files of one part each, as long as may be or one byte longer (F-54)."""
    records = []
    for number, part in enumerate(rows):
        size = sum(int.from_bytes(one[:3], "little") for one in part)
        records += [file(f"m/{number}", size, 2), *part]
    data = page(*records)
    count = sum(map(len, rows))
    manifest = root([Page(data, path="m/0")], len(rows), len(rows), count, length)
    about = f"A run of whole entries of {length:,} bytes."
    packs = [pack(0, len(rows), 0, count, (1, 0, 600, 100))]
    return table_case(name, "F-54", class_name, about, packs, manifest=(manifest, data))


def place_breaches(bad, one, repair):
    yield bad("gap", "F-55", "A gap of one byte between two packs.",
              [one[0], pack(3, 1, 1, 2, (1, 158, 120, 9))])
    yield bad("overlap", "F-55", "Two packs that share one byte.",
              [one[0], pack(3, 1, 1, 2, (1, 156, 120, 9))])
    yield bad("same-place", "F-55", "Two packs in one place.",
              [one[0], pack(3, 1, 1, 2, (1, 0, 120, 9))])
    yield bad("offset-not-0", "F-55", "A volume that begins with a gap.", moved(1, OFFSET, 1, 8))
    yield bad("first-offset-not-0", "F-55", "A first volume that begins with a gap.",
              moved(0, OFFSET, 1, 8))
    yield bad("offset-near-2-to-64", "F-55", "An offset whose end is beyond 64 bits.",
              moved(1, OFFSET, 2**64 - 1, 8))
    yield bad("volume-skipped", "F-55", "Volume 3 behind volume 1.", moved(1, VOLUME, 3, 4))
    yield bad("volume-descends", "F-55", "Volume 1 behind volume 2.",
              [put_at(VOLUME, u(4, 2))(TWO[0]), put_at(VOLUME, u(4, 1))(TWO[1])])
    yield bad("volume-2-first", "F-55", "A first pack in volume 2.",
              [put_at(VOLUME, u(4, 2))(TWO[0]), put_at(VOLUME, u(4, 3))(TWO[1])])
    yield bad("volume-count-more", "F-55", "A root that counts one volume more.", TWO, 3)
    yield bad("volume-count-less", "F-55", "A root that counts one volume less.", TWO, 1)
    yield bad("repair-without-a-pack", "F-56", "A repair that carries no pack.",
              [pack(0, 3, 0, 1, NOWHERE), pack(3, 1, 1, 2, NOWHERE)], 1, repairs=True)
    yield bad("left-out", "F-56", "A pack that is not carried, in no repair.", repair)


def section_breaches(bad):
    yield bad("section-critical", "F-58", "A critical section, and version 1 knows none.",
              class_name="refused", sections=[(9, 1, b"abc")])
    yield bad("section-digest", "F-58", "A section whose content has another digest.",
              class_name="damaged", sections=[(9, 0, b"abc")], behind=b"abd")
    yield bad("section-cut", "F-58", "A section whose content ends early.",
              sections=[(9, 0, b"abc")], behind=b"ab")
    yield bad("byte-behind", "F-50", "A byte behind the last page.", behind=b"\0")
    yield bad("byte-behind-section", "F-58", "A byte behind the last section.",
              sections=[(9, 0, b"abc")], behind=b"abcd")
    yield Case("pack-table", "prefixes", "F-50", "untrusted", "Every beginning of a pack table.",
               {"packs.bin": pack_root([TWO], 2, 2) + b"".join(TWO),
                "manifest.bin": MANIFEST + MANIFEST_PAGE},
               root_length=84, manifest_root_length=len(MANIFEST), prefixes=True)


def piece_cases(good, bad):
    """A file of 64 MiB and 5 bytes between two small ones: three parts (F-53)."""
    rows = [row(4 * MIB)] * 8
    data = page(file("m/a", 5), row(5), file("m/b", 64 * MIB + 5, 2), *rows, mark(), *rows, mark(),
                row(5), file("m/c", 5), row(5))
    manifest = (root([Page(data)], 3, 3, 19, 64 * MIB + 15), data)

    def packs(*spans):
        made, offset = [], 0
        for entry, count, ordinal, row_count in spans:
            made.append(pack(entry, count, ordinal, row_count, (1, offset, 400, 5)))
            offset += 805
        return made

    right = packs((0, 1, 0, 1), (1, 1, 1, 8), (1, 1, 9, 8), (1, 1, 17, 1), (2, 1, 18, 1))
    yield good("pieces", "F-53", "A file of three parts in three packs.", right,
               manifest=manifest)
    some = [pack(0, 1, 0, 1, NOWHERE), pack(1, 1, 1, 8, NOWHERE), pack(1, 1, 9, 8, (1, 0, 400, 5)),
            pack(1, 1, 17, 1, NOWHERE), pack(2, 1, 18, 1, NOWHERE)]
    yield good("repair-of-a-piece", "F-56", "A repair that carries the second of three parts.",
               some, manifest=manifest, repairs=True)
    ends_early = [put_at(ROW_COUNT, u(4, 7))(one) if n == 1 else one for n, one in enumerate(some)]
    yield bad("repair-with-a-row-missing", "F-53", "A pack that is not carried and is a row short.",
              ends_early, manifest=manifest, repairs=True)
    for name, rule, about, spans in (
        ("piece-short", "F-53", "A piece that ends one chunk early.",
         [(0, 1, 0, 1), (1, 1, 1, 7), (1, 1, 8, 1), (1, 1, 9, 8), (1, 1, 17, 1), (2, 1, 18, 1)]),
        ("piece-long", "F-53", "A piece that ends one chunk late.",
         [(0, 1, 0, 1), (1, 1, 1, 9), (1, 1, 10, 7), (1, 1, 17, 1), (2, 1, 18, 1)]),
        ("piece-of-two-parts", "F-53", "A piece of the last two parts.",
         [(0, 1, 0, 1), (1, 1, 1, 8), (1, 1, 9, 9), (2, 1, 18, 1)]),
        ("piece-with-next-entry", "F-52", "A last piece that takes the next file along.",
         [(0, 1, 0, 1), (1, 1, 1, 8), (1, 1, 9, 8), (1, 2, 17, 2)]),
        ("run-into-piece", "F-52", "A run that goes into a file of several parts.",
         [(0, 2, 0, 9), (1, 1, 9, 8), (1, 1, 17, 1), (2, 1, 18, 1)]),
        ("piece-left-out", "F-52", "A file whose last piece is in no pack.",
         [(0, 1, 0, 1), (1, 1, 1, 8), (1, 1, 9, 8), (2, 1, 18, 1)]),
    ):
        yield bad(name, rule, about, packs(*spans), manifest=manifest)


PAGE_PACKS = 13_797


def stepping(records, times, packs_before, volume=1, offset_before=0):
    """Pieces of pack records that go on alike: 9 rows and two packs a part."""
    stored = 2 * 400 + 10
    data = b"".join(
        pack(0, 1, (packs_before + n) // 2 * 9 + (packs_before + n) % 2 * 8, row_count,
             (volume, (packs_before + n - offset_before) * stored, 400, 10))
        for n, row_count in enumerate(records)
    )
    steps = []
    for n in range(len(records)):
        begin = 76 * n
        steps += [[begin + ORDINAL, 9], [begin + OFFSET, len(records) * stored]]
        data = put_at(begin + DIGEST, bytes(31) + b"1")(data)
    return [{"hex": data.hex(), "times": times, "step": steps}]


def long_file_cases():
    """A file whose parts of 36 MiB are two packs each, on two pages (F-51, F-53)."""
    pages = long_file(9, LONG_ROW_COUNT)
    counts = (1, 1, LONG_ROW_COUNT, LONG_ROW_COUNT * 4 * MIB)
    manifest = root(pages, *counts)
    manifest_file = [{"hex": manifest.hex()}] + [p for one in pages for p in one.pieces]
    pairs = PAGE_PACKS // 2
    first = stepping([8, 1], pairs, 0) + stepping([8], 1, 2 * pairs)

    def second(**place):
        return (stepping([1], 1, PAGE_PACKS) + stepping([8, 1], 1101, PAGE_PACKS + 1, **place)
                + stepping([1], 1, 16_000, **place))

    def case(name, rule, class_name, about, table_pages, volume_count):
        joined = [[piece_bytes(one)] for one in table_pages]
        root_bytes = pack_root(joined, 16_001, volume_count)
        packs = [{"hex": root_bytes.hex()}] + [p for one in table_pages for p in one]
        files = {"packs.bin": packs, "manifest.bin": manifest_file}
        return Case("pack-table", name, rule, class_name, about, files,
                    root_length=len(root_bytes), manifest_root_length=len(manifest))

    yield case("parts-of-two-packs", "F-53", "accepted",
               "A file of 8,001 parts, all but the last one two packs.", [first, second()], 1)
    new = {"volume": 2, "offset_before": PAGE_PACKS + 1}
    yield case("part-at-a-new-volume", "F-53", "accepted", "A volume that begins with a part.",
               [first, second(**new)], 2)
    within = (stepping([1], 1, PAGE_PACKS, 2, PAGE_PACKS)
              + stepping([8, 1], 1101, PAGE_PACKS + 1, 2, PAGE_PACKS)
              + stepping([1], 1, 16_000, 2, PAGE_PACKS))
    yield case("part-in-two-volumes", "F-53", "untrusted",
               "A part whose two packs lie in two volumes.", [first, within], 2)
    shorter = [stepping([8, 1], pairs, 0), stepping([8], 1, 2 * pairs) + second()]
    yield case("page-of-13796", "F-51", "untrusted", "A first page with a pack less than it holds.",
               shorter, 1)


def cases():
    """The cases of this page."""
    yield from root_cases()
    yield from page_cases()
    yield from table_cases()
    yield from long_file_cases()
