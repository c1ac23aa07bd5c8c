"""Runs the vectors; spec/vectors/README.md says how a case is laid out."""

import json
import os
import tempfile

from blake3 import blake3

from . import index, manifest, names, pack_table
from .check import check_bundle, open_packs
from .codec import decode_frame
from .cutting import cut
from .errors import Breach, damaged
from .extract import extract
from .head import check_critical, decode_head

SKIPPED_KINDS = ("trust", "transfer", "program")

# The file that a case of each kind is about: what `prefixes` cuts.
_MAIN_FILES = {
    "head": "head.json",
    "manifest-root": "root.bin",
    "manifest-page": "page.bin",
    "manifest": "manifest.bin",
    "pack-root": "root.bin",
    "pack-page": "page.bin",
    "pack-table": "packs.bin",
    "index": "index.bin",
}


class Unexpected(Exception):
    """A case that was read, and gave something else than it states."""


def run_vectors(directory, rules_count=False):
    """Runs every case; returns 0 when none failed, else 1.

    With `rules_count`, a refusal by another rule than the case's fails.
    """
    passed = failed = skipped = 0
    for folder in ("accept", "reject"):
        for case_path in _cases(os.path.join(directory, folder)):
            name = f"{folder}/{os.path.basename(case_path)}"
            verdict, note = _run_case(folder, case_path, rules_count)
            passed += verdict == "passed"
            failed += verdict == "failed"
            skipped += verdict == "skipped"
            if note:
                print(f"{verdict} {name}: {note}")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def _cases(path):
    if not os.path.isdir(path):
        return []
    folders = [os.path.join(path, name) for name in sorted(os.listdir(path))]
    return [folder for folder in folders if os.path.isdir(folder)]


def _run_case(folder, case_path, rules_count):
    """The verdict on one case, and what to say of it ("" for nothing)."""
    try:
        with open(os.path.join(case_path, "case.json"), encoding="utf-8") as source:
            case = json.load(source)
        kind = case.get("kind") or _kind_of_name(case_path)
        if kind in SKIPPED_KINDS:
            return "skipped", ""
        if kind not in _KINDS:
            return "failed", f"unknown kind {kind!r}"
        files = _Files(case, kind, case_path)
        if case.get("prefixes"):
            return _run_prefixes(folder, case, _KINDS[kind], files, rules_count)
        _KINDS[kind](case, files)
    except Breach as breach:
        return _judge_breach(folder, case, breach, rules_count)
    except Unexpected as difference:
        return "failed", str(difference)
    except Exception as fault:
        # One case must not keep the others from being run.
        return "failed", f"{type(fault).__name__}: {fault}"
    if folder == "reject":
        return "failed", f"accepted; {case['class']} by {case['rule']} expected"
    return "passed", ""


def _run_prefixes(folder, case, read, files, rules_count):
    """The verdict on each beginning of the file of a case; the rest is given."""
    read(case, files)
    for end in range(files.whole_len):
        files.end = end
        try:
            read(case, files)
        except Breach as breach:
            verdict, note = _judge_breach(folder, case, breach, rules_count)
            if verdict == "failed":
                return verdict, f"{end} bytes: {note}"
            continue
        return "failed", f"{end} bytes are accepted"
    return "passed", ""


def _kind_of_name(case_path):
    """The kind of a case that does not state it: its name's first word."""
    return os.path.basename(case_path).split("-")[0]


def _judge_breach(folder, case, breach, rules_count):
    if folder == "accept":
        return "failed", f"{breach.class_name} by {breach}"
    if breach.class_name != case["class"]:
        return "failed", f"{breach.class_name} by {breach}; {case['class']} expected"
    if breach.rule != case["rule"]:
        verdict = "failed" if rules_count else "passed"
        return verdict, f"by {breach}; {case['rule']} expected"
    return "passed", ""


class _Files:
    """The files of a case, those that `made` describes included.

    With `end`, the file that the case is about ends there.
    """

    def __init__(self, case, kind, path):
        self.path = path
        self._main = _MAIN_FILES.get(kind)
        self.end = None
        self.whole_len = None
        self._made = case.get("made", {})

    def read(self, name):
        """The bytes of a file of the case."""
        if name in self._made:
            data = make_input(self._made[name], self.path)
        else:
            with open(os.path.join(self.path, name), "rb") as source:
                data = source.read()
        if name != self._main:
            return data
        self.whole_len = len(data)
        return data[: self.end]

    def exists(self, name):
        """Whether the case has such a file or folder."""
        return os.path.exists(os.path.join(self.path, name))


def _expect(what, found, expected):
    if found != expected:
        raise Unexpected(f"{what} is {found!r}, {expected!r} expected")


def _below(case_path, name):
    """The directories in a folder of the case, in order of name."""
    return _cases(os.path.join(case_path, name))


def _bundle(case, files):
    """Checks a bundle, extracts it, and compares what was found."""
    path = os.path.join(files.path, "bundle")
    media, bases = _below(files.path, "media"), _below(files.path, "bases")
    found = check_bundle(path, media, bases, recuts=case.get("recut", False))
    for key, expected in case.get("expect", {}).items():
        _expect(key, found.get(key), expected)
    if found["files_proven"] == found["files"]:
        reader = open_packs(path, media, bases)
        with tempfile.TemporaryDirectory() as destination:
            extract(reader, destination)
        reader.close()


def _head(case, files):
    check_critical(decode_head(files.read("head.json")))


def _manifest_root(case, files):
    manifest.decode_root(files.read("root.bin"))


def _manifest_page(case, files):
    manifest.check_page_alone(files.read("page.bin"))


def _manifest(case, files):
    data = files.read("manifest.bin")
    found = manifest.decode_manifest(data, case["root_length"])
    if "tree_id" in case:
        _expect("tree_id", found.tree_id().hex(), case["tree_id"])


def _pack_root(case, files):
    pack_table.decode_root(files.read("root.bin"))


def _pack_page(case, files):
    pack_table.decode_page(0, files.read("page.bin"))


def _pack_table(case, files):
    found = manifest.decode_manifest(
        files.read("manifest.bin"), case["manifest_root_length"]
    )
    root, packs = pack_table.decode_pack_table(
        files.read("packs.bin"), case["root_length"]
    )
    pack_table.volume_lens(root, packs, case.get("repairs", False))
    pack_table.check_cover(packs, found)


def _index(case, files):
    rows = []
    for digest, length, *times in case["rows"]:
        rows += [(bytes.fromhex(digest), length)] * (times[0] if times else 1)
    index.decode_index(
        files.read("index.bin"),
        rows,
        case["payload_length"],
        case.get("base_count", 0),
        "index",
    )


def _codec(case, files):
    stored, raw_len = files.read("frame.bin"), case["raw_len"]
    raw = decode_frame(case["codec"], case["param"], stored, raw_len, "frame")
    if files.exists("raw.bin"):
        if raw != files.read("raw.bin"):
            raise damaged("F-109", "frame", "other raw bytes")


def _cut(case, files):
    data = make_input(case["input"], files.path)
    profile, chunk_lens = cut(data)
    if "profile" in case:
        _expect("profile", profile, case["profile"])
    _expect("lengths", chunk_lens, case["lengths"])


def _path(case, files):
    names.parse_path(bytes.fromhex(case["path"]), case["entry"] == "file", "path")


def _root_name(case, files):
    names.check_root_name(case["name"], "name")


def make_input(pieces, case_path):
    """The bytes that a list of pieces describes, joined."""
    return b"".join(_make_piece(piece, case_path) for piece in pieces)


def _make_piece(piece, case_path):
    if "step" in piece:
        return _make_steps(bytes.fromhex(piece["hex"]), piece["times"], piece["step"])
    if "hex" in piece:
        return bytes.fromhex(piece["hex"]) * piece.get("times", 1)
    if "text" in piece:
        return piece["text"].encode("utf-8") * piece.get("times", 1)
    if "u64" in piece:
        return piece["u64"].to_bytes(8, "little")
    if "xof" in piece:
        hasher = blake3(piece["xof"].encode("utf-8"))
        return hasher.digest(length=piece["length"], seek=piece.get("offset", 0))
    if "file" in piece:
        with open(os.path.join(case_path, piece["file"]), "rb") as source:
            return source.read()
    raise Unexpected(f"a piece of input with {sorted(piece)}")


def _make_steps(data, times, steps):
    """The bytes so many times, the u64 at each place of `steps` greater each time."""
    made = bytearray()
    for number in range(times):
        one = bytearray(data)
        for at, step in steps:
            value = int.from_bytes(data[at : at + 8], "little") + number * step
            one[at : at + 8] = value.to_bytes(8, "little")
        made += one
    return bytes(made)


_KINDS = {
    "bundle": _bundle,
    "head": _head,
    "manifest-root": _manifest_root,
    "manifest-page": _manifest_page,
    "manifest": _manifest,
    "pack-root": _pack_root,
    "pack-page": _pack_page,
    "pack-table": _pack_table,
    "index": _index,
    "codec": _codec,
    "cut": _cut,
    "path": _path,
    "root-name": _root_name,
}
