"""Packs read and proven (F-100 to F-109), and the bytes of any row."""

from collections import OrderedDict

from . import digests
from .codec import decode_frame
from .errors import BASE_MISSING, INCOMPLETE, NOT_CARRIED, Breach, NotHere, damaged, untrusted
from .index import BASE_REFERENCE, NEW, REFERENCE, REPEAT, decode_index

_INDEXES_KEPT = 64
_FRAMES_KEPT = 16


class _Kept:
    """The values used last, at most `count`."""

    def __init__(self, count, make):
        self._count = count
        self._make = make
        self._values = OrderedDict()

    def find(self, key):
        if key not in self._values:
            self._values[key] = self._make(key)
            if len(self._values) > self._count:
                self._values.popitem(last=False)
        self._values.move_to_end(key)
        return self._values[key]


class PackReader:
    """Reads the packs of one bundle, whatever volumes are at hand.

    `bases` holds the PackReader of each base that is at hand, by content_id.
    """

    def __init__(self, bundle, bases=None):
        self.bundle = bundle
        self.manifest = bundle.manifest
        self.packs = bundle.packs
        self._bases = bases or {}
        self._volumes = {}
        self._indexes = _Kept(_INDEXES_KEPT, self._read_index)
        self._frames = _Kept(_FRAMES_KEPT, self._read_frame)
        self._pack_of_row = []
        for number, pack in enumerate(self.packs):
            self._pack_of_row += [number] * pack.row_count

    def close(self):
        """Closes the volumes, those of the bases too."""
        for source in self._volumes.values():
            if source is not None:
                source.close()
        for base in self._bases.values():
            base.close()

    def missing_volumes(self):
        """The numbers of the volumes that no medium at hand has."""
        return [n for n in self.bundle.volume_lens if self._volume(n) is None]

    def check_pack(self, number):
        """Proves all stored bytes of a pack and all its new rows."""
        index = self._indexes.find(number)
        for offset, what in self._index_copies(number):
            self._read_index_copy(number, offset, what)
        for row, place in enumerate(index.places):
            self._check_reference(number, row, place)
        for frame_number in range(len(index.frames)):
            self._frames.find((number, frame_number))

    def chunk(self, ordinal):
        """The proven bytes of a row; NotHere where no medium has them."""
        number = self._pack_of_row[ordinal]
        row = ordinal - self.packs[number].first_ordinal
        place = self._indexes.find(number).places[row]
        if place.kind == REPEAT:
            row = place.target
            place = self._indexes.find(number).places[row]
        self._check_reference(number, row, place)
        if place.kind == REFERENCE:
            return self.chunk(place.target)
        if place.kind == BASE_REFERENCE:
            return self._base(place.base_index).chunk(place.target)
        raw = self._frames.find((number, place.target))
        chunk_len = self.manifest.row_lens[ordinal]
        return raw[place.raw_offset : place.raw_offset + chunk_len]

    def _volume(self, number):
        if number not in self._volumes:
            self._volumes[number] = self.bundle.open_volume(number)
        return self._volumes[number]

    def _read(self, number, offset, length):
        """Stored bytes of pack `number`, from `offset` within the pack."""
        pack = self.packs[number]
        if not pack.is_carried():
            raise NotHere(NOT_CARRIED, f"pack {number} is not carried")
        source = self._volume(pack.volume_number)
        if source is None:
            raise NotHere(INCOMPLETE, f"volume {pack.volume_number}")
        source.seek(pack.volume_offset + offset)
        data = source.read(length)
        if len(data) != length:
            raise damaged("F-55", f"volume {pack.volume_number}", "ends early")
        return data

    def _read_index_copy(self, number, offset, what):
        """One copy of the index, proven by the pack table (F-100)."""
        pack = self.packs[number]
        data = self._read(number, offset, pack.index_len)
        if digests.structure(digests.PACK_INDEX, data) != pack.index_digest:
            raise damaged("F-100", self._where(number, what), "another digest")
        return data

    def _index_copies(self, number):
        pack = self.packs[number]
        behind = pack.index_len + pack.payload_len
        return ((0, "index"), (behind, "second index"))

    def _read_index(self, number):
        """The index by its first good copy (F-100)."""
        pack = self.packs[number]
        first, second = self._index_copies(number)
        try:
            data = self._read_index_copy(number, *first)
        except Breach:
            data = self._read_index_copy(number, *second)
        begin, end = pack.first_ordinal, pack.end_ordinal()
        rows = list(
            zip(self.manifest.row_digests[begin:end], self.manifest.row_lens[begin:end])
        )
        base_count = len(self.bundle.head.get("bases", []))
        where = self._where(number, "index")
        return decode_index(data, rows, pack.payload_len, base_count, where)

    def _read_frame(self, key):
        """The raw bytes of a frame, proven before and after decoding."""
        number, frame_number = key
        pack = self.packs[number]
        frame = self._indexes.find(number).frames[frame_number]
        where = self._where(number, f"frame {frame_number}")
        offset = pack.index_len + frame.payload_offset
        stored = self._read(number, offset, frame.stored_len)
        if digests.plain(stored) != frame.digest:
            raise damaged("F-101", where, "the stored bytes have another digest")
        raw = decode_frame(frame.codec, frame.param, stored, frame.raw_len, where)
        offset = 0
        for row in frame.rows:
            ordinal = pack.first_ordinal + row
            chunk = raw[offset : offset + self.manifest.row_lens[ordinal]]
            offset += len(chunk)
            if digests.plain(chunk) != self.manifest.row_digests[ordinal]:
                raise damaged("F-109", where, f"row {row} has another digest")
        return raw

    def _check_reference(self, number, row, place):
        """Where a reference leads, as far as the bytes are at hand."""
        where = self._where(number, f"row {row}")
        ordinal = self.packs[number].first_ordinal + row
        if place.kind == REFERENCE:
            self._check_earlier(number, ordinal, place.target, where)
            same = self._same_row(ordinal, self.manifest, place.target)
        elif place.kind == BASE_REFERENCE:
            try:
                base = self._base(place.base_index)
            except NotHere:
                return
            same = self._same_row(ordinal, base.manifest, place.target)
        else:
            return
        if not same:
            raise untrusted("F-107", where, "refers to another chunk")

    def _same_row(self, ordinal, manifest, target):
        if target >= manifest.row_count():
            return False
        own = (self.manifest.row_digests[ordinal], self.manifest.row_lens[ordinal])
        return own == (manifest.row_digests[target], manifest.row_lens[target])

    def _check_earlier(self, number, ordinal, target, where):
        """F-106: an earlier pack, an earlier file of one root, bytes there."""
        if target >= ordinal or self._pack_of_row[target] >= number:
            raise untrusted("F-106", where, "refers to no earlier pack")
        entries, row_entries = self.manifest.entries, self.manifest.row_entries
        own, other = row_entries[ordinal], row_entries[target]
        if other >= own:
            raise untrusted("F-106", where, "refers to no earlier file")
        if entries[own].root_name() != entries[other].root_name():
            raise untrusted("F-106", where, "refers to another root")
        target_pack = self._pack_of_row[target]
        try:
            places = self._indexes.find(target_pack).places
        except NotHere:
            return
        place = places[target - self.packs[target_pack].first_ordinal]
        if place.kind == REPEAT:
            place = places[place.target]
        if place.kind != NEW:
            raise untrusted("F-106", where, "refers to a reference")

    def _base(self, base_index):
        stated = self.bundle.head["bases"][base_index]
        base = self._bases.get(stated["content_id"])
        if base is None:
            raise NotHere(
                BASE_MISSING, f"base {stated['stream']}-{stated['counter']}"
            )
        return base

    def _where(self, number, what):
        pack = self.packs[number]
        place = f"volume {pack.volume_number}, offset {pack.volume_offset}"
        return f"{place}, pack {number}, {what}"
