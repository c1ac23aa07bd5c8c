"""The pack table (F-50 to F-58): every pack and where it lies."""

from dataclasses import dataclass

from . import digests, limits
from .errors import damaged, refused, untrusted
from .fields import Fields
from .manifest import FILE

PACK_RECORD_LEN = 76


@dataclass
class Section:
    """The record of an extra section (F-58)."""

    kind: int
    flags: int
    content_len: int
    digest: bytes


@dataclass
class PageRecord:
    """What the root says of one page."""

    digest: bytes
    page_len: int
    first_entry: int
    first_ordinal: int


@dataclass
class Root:
    """The pack-table root (F-50)."""

    pack_count: int
    volume_count: int
    pages: list
    sections: list


@dataclass
class Pack:
    """One pack record (F-51)."""

    first_entry: int
    entry_count: int
    first_ordinal: int
    row_count: int
    volume_number: int
    volume_offset: int
    index_len: int
    payload_len: int
    index_digest: bytes

    def is_carried(self):
        """Whether a volume of this bundle has it (F-56)."""
        return self.volume_number != 0

    def stored_len(self):
        """The bytes it takes in its volume (F-55)."""
        return 2 * self.index_len + self.payload_len

    def end_ordinal(self):
        """The ordinal behind its last row."""
        return self.first_ordinal + self.row_count


def decode_sections(fields, count):
    """Section records, each checked alone (F-58)."""
    fields.check(count <= limits.SECTION_COUNT_MAX, f"{count} sections", "F-10")
    sections = []
    for _ in range(count):
        section = Section(fields.u16(), fields.u16(), fields.u32(), fields.bytes(32))
        ascends = not sections or sections[-1].kind < section.kind
        fields.check(ascends, "section kinds do not ascend", "F-58")
        fields.check(section.flags <= 1, "a flag that version 1 has not", "F-58")
        sections.append(section)
    return sections


def check_sections(sections, contents, where):
    """The contents of extra sections, back to back in `contents` (F-58)."""
    if sum(section.content_len for section in sections) != len(contents):
        raise untrusted("F-58", where, "the sections do not end with the bytes")
    offset = 0
    for section in sections:
        content = contents[offset : offset + section.content_len]
        offset += section.content_len
        if digests.plain(content) != section.digest:
            raise damaged("F-58", where, f"section {section.kind}: another digest")
    for section in sections:
        if section.flags & 1:
            why = f"critical section {section.kind} is not known"
            raise refused("F-58", where, why)


def decode_root(data):
    """The pack-table root that `data` is, to its last byte (F-50)."""
    fields = Fields(data, "F-50", "pack-table root")
    fields.check(fields.bytes(8) == b"AIRLIFTP", "not a pack-table root")
    fields.check(fields.u16() == 1, "not version 1")
    fields.check(fields.u16() == digests.SUITE, "not suite 1", "F-20")
    page_count = fields.u32()
    fields.check(1 <= page_count <= limits.PAGE_COUNT_MAX, f"{page_count} pages", "F-10")
    root = Root(fields.u64(), fields.u32(), [], [])
    fields.check(root.pack_count >= 1, "no pack")
    few = 1 <= root.volume_count <= limits.VOLUME_COUNT_MAX
    fields.check(few, f"{root.volume_count} volumes", "F-10")
    section_count = fields.u16()
    fields.check(fields.u16() == 0, "reserved bytes are not zero")
    for _ in range(page_count):
        page = PageRecord(fields.bytes(32), fields.u32(), fields.u64(), fields.u64())
        whole = page.page_len % PACK_RECORD_LEN == 0
        fits = 0 < page.page_len <= limits.PAGE_LEN_MAX
        fields.check(whole and fits, f"a page of {page.page_len} bytes", "F-51")
        root.pages.append(page)
    root.sections = decode_sections(fields, section_count)
    fields.end()
    return root


def decode_page(number, data):
    """The pack records of page `number` (from 0), each checked alone (F-51)."""
    fields = Fields(data, "F-51", f"pack-table page {number}")
    fields.check(fields.left() > 0, "a page without a record")
    packs = []
    while fields.left():
        pack = Pack(
            first_entry=fields.u64(),
            entry_count=fields.u32(),
            first_ordinal=fields.u64(),
            row_count=fields.u32(),
            volume_number=fields.u32(),
            volume_offset=fields.u64(),
            index_len=fields.u32(),
            payload_len=fields.u32(),
            index_digest=fields.bytes(32),
        )
        few = 1 <= pack.entry_count <= limits.PACK_ENTRY_COUNT_MAX
        fields.check(few, f"{pack.entry_count} entries", "F-10")
        few = pack.row_count <= limits.PACK_ROW_COUNT_MAX
        fields.check(few, f"{pack.row_count} rows", "F-10")
        fields.check(pack.first_ordinal <= limits.FIRST_ORDINAL_MAX, "first ordinal", "F-10")
        fields.check(pack.volume_offset <= limits.VOLUME_OFFSET_MAX, "volume offset", "F-10")
        if pack.is_carried():
            few = pack.volume_number <= limits.VOLUME_COUNT_MAX
            fields.check(few, "volume number", "F-10")
            fits = 0 < pack.index_len <= limits.INDEX_LEN_MAX
            fields.check(fits, "index length", "F-10")
            fits = pack.payload_len <= limits.PACK_RAW_LEN_MAX
            fields.check(fits, "payload length", "F-10")
        else:
            place = (pack.volume_offset, pack.index_len, pack.payload_len)
            empty = place == (0, 0, 0) and pack.index_digest == bytes(32)
            fields.check(empty, "a pack in no volume has a place", "F-56")
        packs.append(pack)
    return packs


def decode_pack_table(data, root_len):
    """Root and packs of the file `packs`, every rule that it alone can break."""
    root = decode_root(data[:root_len])
    pages_end = root_len + sum(page.page_len for page in root.pages)
    if pages_end > len(data):
        raise untrusted("F-50", "packs", "ends early")
    packs = []
    offset = root_len
    for number, page in enumerate(root.pages):
        page_bytes = data[offset : offset + page.page_len]
        offset += page.page_len
        where = f"pack-table page {number}"
        if digests.structure(digests.PACK_PAGE, page_bytes) != page.digest:
            raise damaged("F-21", where, "another digest")
        found = decode_page(number, page_bytes)
        is_last = number == len(root.pages) - 1
        if not is_last and len(found) != limits.PACKS_A_PAGE:
            raise untrusted("F-51", where, f"{len(found)} packs")
        first = (found[0].first_entry, found[0].first_ordinal)
        if first != (page.first_entry, page.first_ordinal):
            raise untrusted("F-57", where, "first entry or first ordinal differs")
        packs.extend(found)
    if len(packs) != root.pack_count:
        raise untrusted("F-57", "pack-table root", f"{len(packs)} packs found")
    check_sections(root.sections, data[pages_end:], "packs")
    return root, packs


def volume_lens(root, packs, has_repairs):
    """The length of each volume, by number, from the places (F-55, F-56)."""
    lens = {}
    for number, pack in enumerate(packs):
        where = f"pack {number}"
        if not pack.is_carried():
            if not has_repairs:
                raise untrusted("F-56", where, "in no volume, and nothing is repaired")
            continue
        last = len(lens)
        if pack.volume_number == last + 1:
            lens[pack.volume_number] = 0
        elif pack.volume_number != last or last == 0:
            raise untrusted("F-55", where, f"volume {pack.volume_number} after {last}")
        if pack.volume_offset != lens[pack.volume_number]:
            raise untrusted("F-55", where, "does not lie behind the pack before")
        lens[pack.volume_number] += pack.stored_len()
    if len(lens) != root.volume_count:
        raise untrusted("F-55", "pack-table root", f"{len(lens)} volumes found")
    return lens


def check_cover(packs, manifest):
    """The packs in order cover the manifest exactly once (F-52 to F-55)."""
    entry_number = 0
    ordinal = 0
    part_volume = None
    for number, pack in enumerate(packs):
        where = f"pack {number}"
        if (pack.first_entry, pack.first_ordinal) != (entry_number, ordinal):
            raise untrusted("F-52", where, "does not begin where the one before ends")
        if entry_number >= len(manifest.entries):
            raise untrusted("F-52", where, "begins behind the last entry")
        entry = manifest.entries[entry_number]
        if entry.kind == FILE and len(entry.parts) > 1:
            if ordinal == entry.first_ordinal:
                part_ends = {part.end_ordinal for part in entry.parts}
            _check_piece(pack, part_ends, manifest, where)
            if ordinal == entry.first_ordinal or ordinal in part_ends:
                part_volume = None
            if pack.is_carried():
                # The packs of one part that are carried lie in one volume (F-53).
                part_volume = part_volume or pack.volume_number
                if pack.volume_number != part_volume:
                    raise untrusted("F-53", where, "its part is in two volumes")
            if pack.end_ordinal() == entry.end_ordinal:
                entry_number += 1
        else:
            _check_run(pack, manifest, where)
            entry_number += pack.entry_count
        ordinal = pack.end_ordinal()
        if pack.payload_len > _raw_len(pack, manifest):
            raise untrusted("F-51", where, "the payload is longer than the chunks")
    if entry_number != len(manifest.entries):
        raise untrusted("F-52", "pack table", "ends before the manifest")


def _raw_len(pack, manifest):
    return sum(manifest.row_lens[pack.first_ordinal : pack.end_ordinal()])


def _check_run(pack, manifest, where):
    """A run of whole entries of at most one part each (F-52, F-54)."""
    run = manifest.entries[pack.first_entry : pack.first_entry + pack.entry_count]
    if len(run) != pack.entry_count:
        raise untrusted("F-52", where, "goes beyond the last entry")
    if any(len(entry.parts) > 1 for entry in run):
        raise untrusted("F-52", where, "a run has a file of several parts")
    if pack.end_ordinal() != run[-1].end_ordinal:
        raise untrusted("F-52", where, "the rows are not those of the entries")
    if _raw_len(pack, manifest) > limits.PACK_RAW_LEN_MAX:
        raise untrusted("F-54", where, "a run is too long")


def _check_piece(pack, part_ends, manifest, where):
    """A piece of one file of several parts (F-52, F-53)."""
    if pack.entry_count != 1:
        raise untrusted("F-52", where, "a piece of several entries")
    end = pack.first_ordinal
    raw_len = 0
    while True:
        raw_len += manifest.row_lens[end]
        end += 1
        if raw_len >= limits.PACK_RAW_LEN or end in part_ends:
            break
    if pack.end_ordinal() != end:
        raise untrusted("F-53", where, f"does not end with ordinal {end - 1}")
