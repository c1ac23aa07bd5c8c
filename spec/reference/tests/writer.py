"""A tiny writer of bundles, from spec/format.md, for the tests of the reader.

It shares with the reader only the SHA-256 compression, which has a test of its
own against hashlib. `changes` maps the name of a structure ("manifest root",
"manifest page 0", "pack root", "pack page 0", "index 0", "frame 0 0", "head",
"volume 1") to a function of its bytes, applied before what names its digest is
made. So a test breaks one rule, and everything around it stays right.
"""

import hashlib
import json
import os
import struct

from blake3 import blake3

from airlift_reader.digests import INITIAL_WORDS, compress

MIB = 1 << 20


class Rules:
    """The figures of the format that a test may make smaller."""

    part_len = 32 * MIB
    part_step = MIB
    pack_len = 32 * MIB
    page_len = MIB


def structure(context, data):
    return blake3(data, derive_key_context="airlift 1 " + context).digest()


def stored(raw):
    """The codec that stores."""
    return 0, 0, raw


class Writer:
    """Makes one bundle from files: path -> (profile, list of chunks)."""

    def __init__(self, files, directories=(), rules=Rules, **options):
        self.files = files
        self.directories = directories
        self.rules = rules
        self.changes = options.get("changes", {})
        self.encode = options.get("encode", stored)
        self.chunks_a_frame = options.get("chunks_a_frame", 1)
        self.with_references = options.get("with_references", True)
        self.volume_len = options.get("volume_len", 4032 * MIB)
        self.bases = options.get("bases", [])
        self.left_out = options.get("left_out", ())
        self.head_fields = options.get("head_fields", {})
        # Type and bytes of each attachment.
        self.attachments = options.get("attachments", [])
        # Kind, base and target of rows that are not to be where they would be.
        self.forced = options.get("forced", {})
        # Chaining words at file offsets: to find them takes a minute for 32 MiB.
        self.words = options.get("words", {})
        self.rows = []
        self.entries = []

    def write(self, path):
        """Writes the bundle directory; returns self for its figures."""
        os.makedirs(os.path.join(path, "signatures"))
        os.makedirs(os.path.join(path, "volumes"))
        manifest, manifest_root_len = self.make_manifest()
        packs, packs_root_len, volumes = self.make_packs()
        readme = b"Keep dry.\n"
        for number, volume in enumerate(volumes, 1):
            volume = self.changed(f"volume {number}", volume)
            put(os.path.join(path, "volumes", f"{number:06}.vol"), volume)
        put(os.path.join(path, "manifest"), manifest)
        put(os.path.join(path, "packs"), packs)
        put(os.path.join(path, "README.txt"), readme)
        for number, (_, data) in enumerate(self.attachments, 1):
            os.makedirs(os.path.join(path, "attachments"), exist_ok=True)
            put(os.path.join(path, "attachments", f"{number:02}"), data)
        self.head = {
            "format": "airlift 1",
            "suite": "blake3-sha256",
            "stream": "models",
            "counter": 7,
            "created_at": "2026-01-31T23:59:59Z",
            "content_id": structure(
                "manifest-root", manifest[:manifest_root_len]
            ).hex(),
            "tree_id": self.tree_id(),
            "manifest": file_digests(manifest, manifest_root_len),
            "packs": {
                "root": structure("pack-root", packs[:packs_root_len]).hex(),
                **file_digests(packs, packs_root_len),
            },
            "readme": file_digests(readme),
            "volumes": {"count": len(volumes), "length": sum(map(len, volumes))},
            "totals": {
                "files": len(self.files),
                "directories": len(self.directories),
                "bytes": sum(len(c) for _, cs in self.files.values() for c in cs),
            },
        }
        self.put_head(path)
        return self

    def put_head(self, path):
        """Puts optional fields in their places, and writes head.json."""
        order = (
            "format suite stream counter previous created_at not_after audience "
            "content_id tree_id manifest packs readme volumes bases repairs totals "
            "attachments critical ext"
        ).split()
        if self.bases:
            named = ("stream", "counter", "content_id")
            self.head["bases"] = [
                {key: base.head[key] for key in named} for base in self.bases
            ]
        if self.attachments:
            self.head["attachments"] = [
                {
                    "type": kind,
                    "length": len(data),
                    "sha256": hashlib.sha256(data).hexdigest(),
                }
                for kind, data in self.attachments
            ]
        for key, value in self.head_fields.items():
            self.head[key] = value(self.head) if callable(value) else value
        ordered = {key: self.head[key] for key in order if key in self.head}
        text = json.dumps(ordered, indent=2) + "\n"
        put(os.path.join(path, "head.json"), self.changed("head", text.encode()))

    def changed(self, name, data):
        return self.changes.get(name, lambda same: same)(data)

    def tree_id(self):
        lines = b""
        for path in sorted(self.files, key=str.encode):
            digest = hashlib.sha256(b"".join(self.files[path][1])).hexdigest()
            lines += f"{digest}  {path}\n".encode()
        return hashlib.sha256(lines).hexdigest()

    def make_manifest(self):
        """The file `manifest` and the length of its root."""
        paths = sorted([*self.files, *self.directories], key=str.encode)
        records = []  # entry index, ordinal before, file offset before, is_entry, bytes
        for index, path in enumerate(paths):
            name = path.encode()
            if path in self.directories:
                records.append((index, len(self.rows), 0, start(2, name) + name))
                self.entries.append((path, [], len(self.rows), len(self.rows)))
            else:
                self.add_file(index, path, name, records)
        pages, page_len = [[]], 8
        for record in records:
            if page_len + len(record[3]) > self.rules.page_len:
                pages.append([])
                page_len = 8
            pages[-1].append(record)
            page_len += len(record[3])
        body, page_records = b"", b""
        for number, page in enumerate(pages):
            index, ordinal, offset, _ = page[0]
            data = struct.pack("<Q", offset) + b"".join(r[3] for r in page)
            data = self.changed(f"manifest page {number}", data)
            name = paths[index].encode()
            page_records += structure("manifest-page", data)
            page_records += struct.pack("<IQQH", len(data), index, ordinal, len(name))
            page_records += name
            body += data
        total = sum(row[1] for row in self.rows)
        root = b"AIRLIFTM" + struct.pack("<HHIQQQQ", 1, 1, len(pages), len(paths),
                                         len(self.files), len(self.rows), total)
        root = self.changed("manifest root", root + page_records)
        return root + body, len(root)

    def add_file(self, index, path, name, records):
        profile, chunks = self.files[path]
        whole = b"".join(chunks)
        head = struct.pack("<BQ", profile, len(whole))
        head += hashlib.sha256(whole).digest() + name
        first = len(self.rows)
        records.append((index, first, 0, start(1, name) + head))
        step = self.rules.part_step
        steps = -(-(-(-len(whole) // 9000)) // step)
        bound = max(self.rules.part_len, steps * step)
        offset = part_len = 0
        part_ends = []
        for chunk in chunks:
            digest = blake3(chunk).digest()
            records.append((index, len(self.rows), offset, start(3, chunk) + digest))
            self.rows.append((digest, len(chunk), chunk, index))
            offset += len(chunk)
            part_len += len(chunk)
            if part_len >= bound and offset < len(whole):
                words = self.words.get(offset)
                record = mark(whole[:offset], words)
                records.append((index, len(self.rows), offset, record))
                part_ends.append(len(self.rows))
                part_len = 0
        if whole:
            part_ends.append(len(self.rows))
        self.entries.append((path, part_ends, first, len(self.rows)))

    def plan(self):
        """Packs as (first entry, entry count, first ordinal, end ordinal)."""
        plan, run = [], None
        for index, (_, part_ends, first, end) in enumerate(self.entries):
            if len(part_ends) > 1:
                if run:
                    plan.append(run)
                run = None
                plan += self.pieces(index, part_ends, first, end)
                continue
            if run and self.raw_len(run[2], end) > self.rules.pack_len:
                plan.append(run)
                run = None
            run = (run[0], run[1] + 1, run[2], end) if run else (index, 1, first, end)
        return plan + ([run] if run else [])

    def pieces(self, index, part_ends, first, end):
        begin = first
        for ordinal in range(first, end):
            enough = self.raw_len(begin, ordinal + 1) >= self.rules.pack_len
            if enough or ordinal + 1 in part_ends:
                yield (index, 1, begin, ordinal + 1)
                begin = ordinal + 1

    def raw_len(self, begin, end):
        return sum(row[1] for row in self.rows[begin:end])

    def make_packs(self):
        """The file `packs`, the length of its root, and the volumes."""
        volumes, records, carried = [b""], [], {}
        for number, (entry, count, first, end) in enumerate(self.plan()):
            index, payload = self.make_index(number, first, end, carried)
            span = struct.pack("<QIQI", entry, count, first, end - first)
            if number in self.left_out:
                records.append((entry, first, span + bytes(52)))
                continue
            pack = index + payload + index
            if volumes[-1] and len(volumes[-1]) + len(pack) > self.volume_len:
                volumes.append(b"")
            place = (len(volumes), len(volumes[-1]), len(index), len(payload))
            record = span + struct.pack("<IQII", *place)
            records.append((entry, first, record + structure("pack-index", index)))
            volumes[-1] += pack
        page = self.changed("pack page 0", b"".join(r[2] for r in records))
        root = b"AIRLIFTP" + struct.pack(
            "<HHIQIHH", 1, 1, 1, len(records), len(volumes), 0, 0)
        root += structure("pack-page", page)
        root += struct.pack("<IQQ", len(page), records[0][0], records[0][1])
        root = self.changed("pack root", root)
        tail = self.changed("pack sections", b"")
        return root + page + tail, len(root), volumes

    def make_index(self, number, first, end, carried):
        """Index and payload of a pack; `carried` takes its new rows."""
        runs, frames, seen = [], [], {}
        for row, (digest, _, chunk, entry) in enumerate(self.rows[first:end]):
            if first + row in self.forced:
                add_run(runs, *self.forced[first + row])
                continue
            if digest in seen:
                add_run(runs, 2, 0, seen[digest])
                continue
            seen[digest] = row
            target = self.reference(digest, entry, number, carried)
            if target is not None:
                add_run(runs, *target)
                continue
            if not frames or len(frames[-1]) == self.chunks_a_frame:
                frames.append([])
            frames[-1].append(chunk)
            add_run(runs, 1, 0, len(frames) - 1)
            carried.setdefault(digest, (first + row, entry, number))
        payload, frame_records = b"", b""
        for frame_number, chunks in enumerate(frames):
            raw = b"".join(chunks)
            codec, param, data = self.encode(raw)
            data = self.changed(f"frame {number} {frame_number}", data)
            frame_records += struct.pack("<IIBBH", len(data), len(raw), codec, param, 0)
            frame_records += blake3(data).digest()
            payload += data
        index = struct.pack("<HHIIHH", 1, 1, len(frames), len(runs), 0, 0)
        index += frame_records
        for kind, base, count, target in runs:
            index += struct.pack("<BBHIQ", kind, 0, base, count, target)
        return self.changed(f"index {number}", index), payload

    def reference(self, digest, entry, number, carried):
        """Kind, base and target of a reference to earlier bytes, or None."""
        for base_index, base in enumerate(self.bases):
            for ordinal, row in enumerate(base.rows):
                if row[0] == digest:
                    return 4, base_index, ordinal
        if not self.with_references or digest not in carried:
            return None
        ordinal, other, pack = carried[digest]
        roots = [self.entries[i][0].split("/")[0] for i in (entry, other)]
        if pack < number and other < entry and roots[0] == roots[1]:
            return 3, 0, ordinal
        return None


def add_run(runs, kind, base, target):
    """One row more: with the run before where that makes it maximal (F-103)."""
    if runs:
        last_kind, last_base, count, last_target = runs[-1]
        goes_on = last_target if kind == 1 else last_target + count
        if (last_kind, last_base, goes_on) == (kind, base, target):
            runs[-1] = (kind, base, count + 1, last_target)
            return
    runs.append((kind, base, 1, target))


def start(kind, named):
    return struct.pack("<I", kind << 24 | len(named))


def mark(data, words=None):
    whole = len(data) // 64 * 64
    if words is None:
        words = INITIAL_WORDS
        for offset in range(0, whole, 64):
            words = compress(words, data[offset : offset + 64])
    return start(4, data[whole:]) + struct.pack(">8I", *words) + data[whole:]


def file_digests(data, root_len=None):
    lengths = {"length": len(data)}
    if root_len is not None:
        lengths["root_length"] = root_len
    return {
        **lengths,
        "blake3": blake3(data).hexdigest(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }


def put(path, data):
    with open(path, "wb") as sink:
        sink.write(data)
