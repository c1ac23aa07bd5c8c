"""A bundle on a medium (F-01 to F-06): its files, read without following links."""

import hashlib
import os
import re
import stat

from blake3 import blake3

from . import digests, limits
from .errors import INCOMPLETE, Breach, damaged, untrusted
from .head import check_critical, decode_head
from .manifest import FILE, decode_manifest
from .pack_table import check_cover, decode_pack_table, volume_lens

_SIGNATURE = re.compile(r"[1-9][0-9]*\.sig")
_VOLUME = re.compile(r"[0-9]{6}\.vol")
_ATTACHMENT = re.compile(r"[0-9]{2}")
_PIECE_LEN = limits.MIB


def open_regular(path, rule, where):
    """The regular file at `path`, opened for reading; a link refuses (F-01).

    A file that is not there is incomplete (F-11).
    """
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for its writer.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Breach(INCOMPLETE, rule, where, "is not there") from None
    except OSError as cause:
        raise damaged(rule, where, f"cannot be opened ({cause.strerror})") from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise damaged("F-01", where, "not a regular file")
    return open(handle, "rb", closefd=True)


def _read_file(path, len_max, where):
    """All bytes of a regular file of at most `len_max` bytes."""
    with open_regular(path, "F-01", where) as source:
        data = source.read(len_max + 1)
    if len(data) > len_max:
        raise damaged("F-06", where, f"longer than {len_max} bytes")
    return data


def _read_proven(path, stated, where):
    """The bytes of a file whose length and digests the head states (F-06)."""
    data = _read_file(path, stated["length"], where)
    if len(data) != stated["length"]:
        raise damaged("F-06", where, f"{len(data)} bytes, {stated['length']} stated")
    if hashlib.sha256(data).hexdigest() != stated["sha256"]:
        raise damaged("F-06", where, "another SHA-256")
    if "blake3" in stated and blake3(data).hexdigest() != stated["blake3"]:
        raise damaged("F-06", where, "another BLAKE3")
    return data


class Bundle:
    """Head, manifest and pack table of a bundle, proven and checked."""

    def __init__(self, path, volume_paths=()):
        self.path = path
        self._check_directory(path, "the bundle")
        self.head = decode_head(self._read_head())
        check_critical(self.head)
        for name in ("signatures", "volumes"):
            if os.path.lexists(os.path.join(path, name)):
                self._check_directory(os.path.join(path, name), name)
        self._check_small_files()
        self._read_manifest()
        self._read_pack_table()
        places = [os.path.join(path, "volumes"), *self._places(volume_paths)]
        self._volume_places = places

    def _check_directory(self, path, where):
        try:
            mode = os.lstat(path).st_mode
        except OSError as cause:
            raise damaged("F-01", where, f"cannot be read ({cause.strerror})") from None
        if not stat.S_ISDIR(mode):
            raise damaged("F-01", where, "not a directory")

    def _read_head(self):
        # One byte more than allowed, so that the head's own rule is what breaks.
        path = os.path.join(self.path, "head.json")
        with open_regular(path, "F-01", "head.json") as source:
            return source.read(limits.HEAD_LEN_MAX + 1)

    def _check_small_files(self):
        """README.txt and the attachments (F-04, F-06), where they are there (F-05)."""
        self._check_small_file("README.txt", self.head["readme"])
        directory = os.path.join(self.path, "attachments")
        attachments = self.head.get("attachments", [])
        if attachments and os.path.lexists(directory):
            self._check_directory(directory, "attachments")
            for number, stated in enumerate(attachments, 1):
                self._check_small_file(f"attachments/{number:02}", stated)

    def _check_small_file(self, name, stated):
        path = os.path.join(self.path, name)
        if os.path.lexists(path):
            _read_proven(path, stated, name)

    def _read_manifest(self):
        stated = self.head["manifest"]
        data = _read_proven(os.path.join(self.path, "manifest"), stated, "manifest")
        root = data[: stated["root_length"]]
        content_id = digests.structure(digests.MANIFEST_ROOT, root).hex()
        if content_id != self.head["content_id"]:
            raise damaged("F-22", "manifest root", "another content_id")
        self.manifest = decode_manifest(data, stated["root_length"])
        if self.manifest.tree_id().hex() != self.head["tree_id"]:
            raise untrusted("F-24", "manifest", "another tree_id")
        root = self.manifest.root
        totals = {
            "files": root.file_count,
            "directories": root.entry_count - root.file_count,
            "bytes": root.files_len,
        }
        if totals != self.head["totals"]:
            raise untrusted("F-120", "head.json, totals", f"the manifest has {totals}")

    def _read_pack_table(self):
        stated = self.head["packs"]
        data = _read_proven(os.path.join(self.path, "packs"), stated, "packs")
        root_len = stated["root_length"]
        digest = digests.structure(digests.PACK_ROOT, data[:root_len]).hex()
        if digest != stated["root"]:
            raise damaged("F-21", "pack-table root", "another digest")
        root, self.packs = decode_pack_table(data, root_len)
        self.volume_lens = volume_lens(root, self.packs, "repairs" in self.head)
        check_cover(self.packs, self.manifest)
        found = {
            "count": len(self.volume_lens),
            "length": sum(self.volume_lens.values()),
        }
        if found != self.head["volumes"]:
            raise untrusted("F-55", "head.json, volumes", f"the pack table has {found}")

    def _places(self, volume_paths):
        """Directories that may hold volumes, for each medium given (F-05)."""
        bundle_name = f"{self.head['stream']}-{self.head['counter']}"
        for path in volume_paths:
            yield path
            yield os.path.join(path, "volumes")
            yield os.path.join(path, bundle_name, "volumes")

    def open_volume(self, number):
        """The volume, checked for its length (F-55); None where it is absent."""
        name = f"{number:06}.vol"
        for place in self._volume_places:
            path = os.path.join(place, name)
            if os.path.lexists(path):
                source = open_regular(path, "F-03", f"volume {number}")
                found = os.fstat(source.fileno()).st_size
                if found != self.volume_lens[number]:
                    source.close()
                    why = f"{found} bytes, {self.volume_lens[number]} expected"
                    raise damaged("F-55", f"volume {number}", why)
                return source
        return None

    def files(self):
        """The entries that are files, in manifest order."""
        return [entry for entry in self.manifest.entries if entry.kind == FILE]

    def unexpected_names(self):
        """What lies in the bundle directory and does not belong to it (F-01)."""
        attachments = len(self.head.get("attachments", []))
        known = {"head.json", "manifest", "packs", "README.txt"}
        found = []
        for name in sorted(os.listdir(self.path)):
            inside = {
                "signatures": lambda n: _SIGNATURE.fullmatch(n),
                "volumes": lambda n: _VOLUME.fullmatch(n)
                and int(n[:6]) in self.volume_lens,
                "attachments": lambda n: _ATTACHMENT.fullmatch(n)
                and 1 <= int(n) <= attachments,
            }.get(name)
            if inside is None:
                if name not in known:
                    found.append(name)
                continue
            directory = os.path.join(self.path, name)
            self._check_directory(directory, name)
            for below in sorted(os.listdir(directory)):
                if not inside(below):
                    found.append(f"{name}/{below}")
        return found
