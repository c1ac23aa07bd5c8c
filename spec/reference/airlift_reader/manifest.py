"""The manifest (F-40 to F-49): every entry, its rows, its marks."""

from dataclasses import dataclass, field

from . import digests, limits, names
from .errors import damaged, untrusted
from .fields import Fields

FILE, DIRECTORY, ROW, MARK = 1, 2, 3, 4
SINGLE, MINCDC, SAFETENSORS, GGUF, NPY = 1, 2, 3, 4, 5

_PAGE_HEADER_LEN = 8


@dataclass
class PageRecord:
    """What the root says of one page."""

    digest: bytes
    page_len: int
    first_entry: int
    first_ordinal: int
    path: bytes


@dataclass
class Root:
    """The manifest root (F-40)."""

    entry_count: int
    file_count: int
    row_count: int
    files_len: int
    pages: list


@dataclass
class Mark:
    """A mark (F-23) and the record it came from."""

    words: tuple
    tail: bytes


@dataclass
class Part:
    """A part of a file: the ordinals of its rows, and the mark at its end."""

    first_ordinal: int
    end_ordinal: int
    mark: Mark | None


@dataclass
class Entry:
    """A file or an empty directory."""

    kind: int
    path_bytes: bytes
    path: str
    first_ordinal: int
    profile: int = 0
    file_len: int = 0
    sha256: bytes = b""
    parts: list = field(default_factory=list)
    end_ordinal: int = 0

    def root_name(self):
        """The first segment of the path (F-36)."""
        return self.path.split("/")[0]


def part_bound(file_len):
    """The length that a part reaches at least (F-45)."""
    share = -(-file_len // limits.PART_COUNT)
    steps = -(-share // limits.PART_STEP_LEN)
    return max(limits.PART_LEN, steps * limits.PART_STEP_LEN)


def decode_root(data):
    """The manifest root that `data` is, to its last byte (F-40)."""
    fields = Fields(data, "F-40", "manifest root")
    fields.check(fields.bytes(8) == b"AIRLIFTM", "not a manifest root")
    fields.check(fields.u16() == 1, "not version 1")
    fields.check(fields.u16() == digests.SUITE, "not suite 1", "F-20")
    page_count = fields.u32()
    fields.check(1 <= page_count <= limits.PAGE_COUNT_MAX, f"{page_count} pages", "F-10")
    root = Root(fields.u64(), fields.u64(), fields.u64(), fields.u64(), [])
    fields.check(root.file_count >= 1, "no file")
    fields.check(
        root.files_len <= limits.FILES_LEN_MAX, "the files are too long", "F-10"
    )
    for _ in range(page_count):
        root.pages.append(_decode_page_record(fields))
    fields.end()
    return root


def _decode_page_record(fields):
    record = PageRecord(
        fields.bytes(32), fields.u32(), fields.u64(), fields.u64(), b""
    )
    fits = _PAGE_HEADER_LEN < record.page_len <= limits.PAGE_LEN_MAX
    fields.check(fits, f"a page of {record.page_len} bytes", "F-10")
    path_len = fields.u16()
    fields.check(1 <= path_len <= limits.PATH_LEN_MAX, "path length", "F-31")
    where = fields.here()
    record.path = fields.bytes(path_len)
    names.parse_path(record.path, False, where)
    return record


class Manifest:
    """A whole manifest in memory, checked page by page."""

    def __init__(self, root):
        self.root = root
        self.entries = []
        self.row_digests = []
        self.row_lens = []
        self.row_entries = []
        self._paths = set()
        self._file_count = 0
        self._files_len = 0
        # The file that takes rows: bytes so far, since the part's begin, and
        # whether the next record must be a mark.
        self._file_offset = 0
        self._part_len = 0
        self._mark_is_due = False
        # What one pack holds of that file.
        self._piece_len = 0
        self._piece_row_count = 0
        self._page_len_before = None

    def row_count(self):
        """The number of rows so far."""
        return len(self.row_lens)

    def feed_page(self, number, data):
        """Takes page `number` (from 0), whose digest is proven."""
        fields = Fields(data, "F-41", f"manifest page {number}")
        first_offset = fields.u64()
        fields.check(fields.left() > 0, "a page without a record")
        self._check_page_begin(number, first_offset, fields)
        while fields.left():
            self._feed_record(fields)
        self._page_len_before = len(data)

    def finish(self):
        """No page is left: the last file is whole, the sums are right (F-48)."""
        self._finish_entry("manifest end")
        found = (len(self.entries), self._file_count, self.row_count(), self._files_len)
        root = self.root
        stated = (root.entry_count, root.file_count, root.row_count, root.files_len)
        if found != stated:
            raise untrusted("F-48", "manifest root", f"states {stated}, has {found}")

    def tree_id(self):
        """The SHA-256 of the listing (F-24)."""
        lines = [
            entry.sha256.hex().encode() + b"  " + entry.path_bytes + b"\n"
            for entry in self.entries
            if entry.kind == FILE
        ]
        return digests.sha256(b"".join(lines))

    def _check_page_begin(self, number, first_offset, fields):
        """F-47 and F-48 at the begin of a page, before its records are taken."""
        kind, length = _record_start(fields)
        record_len = _record_len(kind, length, fields)
        if self._page_len_before is not None:
            room = limits.PAGE_LEN_MAX - self._page_len_before
            fields.check(record_len > room, "belongs on the page before", "F-47")
        record = self.root.pages[number]
        fields.check(
            record.first_ordinal == self.row_count(), "first ordinal differs", "F-48"
        )
        if kind in (FILE, DIRECTORY):
            entry_number, path = len(self.entries), _peek_path(kind, length, fields)
            offset = 0
        else:
            fields.check(self.entries, "a row before any file", "F-43")
            entry_number, path = len(self.entries) - 1, self.entries[-1].path_bytes
            offset = self._file_offset
        fields.check(record.first_entry == entry_number, "first entry differs", "F-48")
        fields.check(record.path == path, "the path differs", "F-48")
        fields.check(first_offset == offset, "first offset differs", "F-48")

    def _feed_record(self, fields):
        kind, length = _split_start(fields.u32())
        if kind == FILE:
            self._feed_file(length, fields)
        elif kind == DIRECTORY:
            self._feed_directory(length, fields)
        elif kind == ROW:
            self._feed_row(length, fields)
        elif kind == MARK:
            self._feed_mark(length, fields)
        else:
            raise untrusted("F-41", fields.here(), f"a record of kind {kind}")

    def _feed_file(self, path_len, fields):
        self._finish_entry(fields.here())
        profile, file_len = fields.u8(), fields.u64()
        fields.check(SINGLE <= profile <= NPY, f"profile {profile}", "F-44")
        fields.check(file_len <= limits.FILE_LEN_MAX, "the file is too long", "F-10")
        fields.check(
            file_len > 0 or profile == SINGLE, "an empty file is not single", "F-43"
        )
        sha256 = fields.bytes(32)
        entry = self._begin_entry(FILE, path_len, fields)
        entry.profile, entry.file_len, entry.sha256 = profile, file_len, sha256
        self._file_count += 1
        self._files_len += file_len
        fields.check(
            self._files_len <= limits.FILES_LEN_MAX, "the files are too long", "F-10"
        )

    def _feed_directory(self, path_len, fields):
        self._finish_entry(fields.here())
        self._begin_entry(DIRECTORY, path_len, fields)

    def _begin_entry(self, kind, path_len, fields):
        where = fields.here()
        fields.check(1 <= path_len <= limits.PATH_LEN_MAX, "path length", "F-31")
        path_bytes = fields.bytes(path_len)
        path = names.parse_path(path_bytes, kind == FILE, where)
        if self.entries and self.entries[-1].path_bytes >= path_bytes:
            raise untrusted("F-42", where, "the path does not ascend")
        for end in (i for i, byte in enumerate(path_bytes) if byte == 0x2F):
            if path_bytes[:end] in self._paths:
                raise untrusted("F-42", where, "the path is below another entry")
        self._paths.add(path_bytes)
        self._piece_len = self._piece_row_count = 0
        entry = Entry(kind, path_bytes, path, self.row_count())
        self.entries.append(entry)
        self._file_offset = 0
        self._part_len = 0
        return entry

    def _feed_row(self, chunk_len, fields):
        fields.check(1 <= chunk_len <= limits.CHUNK_LEN_MAX, "chunk length", "F-62")
        digest = fields.bytes(32)
        file = self._open_file(fields)
        fields.check(not self._mark_is_due, "a row where a mark is due", "F-43")
        fits = self._file_offset + chunk_len <= file.file_len
        fields.check(fits, "the rows are longer than the file", "F-43")
        self.row_digests.append(digest)
        self.row_lens.append(chunk_len)
        self.row_entries.append(len(self.entries) - 1)
        self._file_offset += chunk_len
        self._part_len += chunk_len
        self._piece_len += chunk_len
        self._piece_row_count += 1
        few = self._piece_row_count <= limits.PACK_ROW_COUNT_MAX
        fields.check(few, "no pack can have so many rows", "F-59")
        if self._piece_len >= limits.PACK_RAW_LEN:
            self._piece_len = self._piece_row_count = 0
        ends_file = self._file_offset == file.file_len
        if ends_file:
            self._end_part(file, None)
        elif self._part_len >= part_bound(file.file_len):
            self._mark_is_due = True

    def _feed_mark(self, tail_len, fields):
        fields.check(tail_len <= 63, f"a tail of {tail_len} bytes")
        words = tuple(int.from_bytes(fields.bytes(4), "big") for _ in range(8))
        tail = fields.bytes(tail_len)
        file = self._open_file(fields)
        fields.check(self._mark_is_due, "a mark where no part ends", "F-43")
        right = tail_len == self._file_offset % 64
        fields.check(right, "the tail has another length", "F-46")
        self._end_part(file, Mark(words, tail))
        self._mark_is_due = False

    def _end_part(self, file, mark):
        begin = file.parts[-1].end_ordinal if file.parts else file.first_ordinal
        file.parts.append(Part(begin, self.row_count(), mark))
        self._part_len = 0
        self._piece_len = self._piece_row_count = 0

    def _open_file(self, fields):
        """The file that rows and marks belong to."""
        is_file = self.entries and self.entries[-1].kind == FILE
        fields.check(is_file, "a row or mark that follows no file", "F-43")
        return self.entries[-1]

    def _finish_entry(self, where):
        """The entry before is whole: its chunks add up to its length (F-43)."""
        if not self.entries:
            return
        entry = self.entries[-1]
        if self._file_offset != entry.file_len:
            raise untrusted("F-43", where, "the rows are shorter than the file")
        entry.end_ordinal = self.row_count()


def _split_start(start):
    return start >> 24, start & 0xFFFFFF


def _record_start(fields):
    """Kind and length field of the next record, without taking it."""
    fields.check(fields.left() >= 4, "ends early")
    start = int.from_bytes(fields.data[fields.offset : fields.offset + 4], "little")
    return _split_start(start)


def _record_len(kind, length, fields):
    """The length of a whole record (F-41)."""
    if kind == FILE:
        return 4 + 1 + 8 + 32 + length
    if kind == DIRECTORY:
        return 4 + length
    if kind == ROW:
        return 4 + 32
    if kind == MARK:
        return 4 + 32 + length
    raise untrusted("F-41", fields.here(), f"a record of kind {kind}")


def _peek_path(kind, length, fields):
    """The path of the entry record that comes next, without taking it."""
    begin = fields.offset + _record_len(kind, 0, fields)
    return fields.data[begin : begin + length]


def decode_manifest(data, root_len):
    """The manifest that the file `manifest` holds, every rule checked."""
    root_bytes = data[:root_len]
    root = decode_root(root_bytes)
    pages_len = sum(page.page_len for page in root.pages)
    if root_len + pages_len != len(data):
        raise untrusted("F-40", "manifest", "root and pages are not the whole file")
    manifest = Manifest(root)
    offset = root_len
    for number, page in enumerate(root.pages):
        page_bytes = data[offset : offset + page.page_len]
        offset += page.page_len
        if digests.structure(digests.MANIFEST_PAGE, page_bytes) != page.digest:
            raise damaged("F-21", f"manifest page {number}", "another digest")
        manifest.feed_page(number, page_bytes)
    manifest.finish()
    return manifest


def check_page_alone(data):
    """Checks a page as the only one of a manifest, whatever its root states."""
    fields = Fields(data, "F-41", "manifest page")
    fields.u64()
    kind, length = _record_start(fields)
    path = b""
    if kind in (FILE, DIRECTORY):
        path = _peek_path(kind, length, fields)
    manifest = Manifest(Root(0, 0, 0, 0, [PageRecord(b"", len(data), 0, 0, path)]))
    fields.check(len(data) <= limits.PAGE_LEN_MAX, "the page is too long", "F-10")
    manifest.feed_page(0, data)
    manifest._finish_entry("manifest end")
