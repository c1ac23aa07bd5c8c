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
        _KINDS[kind](case, case_path)
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


def _read(case_path, name):
    with open(os.path.join(case_path, name), "rb") as source:
        return source.read()


def _expect(what, found, expected):
    if found != expected:
        raise Unexpected(f"{what} is {found!r}, {expected!r} expected")


def _below(case_path, name):
    """The directories in a folder of the case, in order of name."""
    return _cases(os.path.join(case_path, name))


def _bundle(case, case_path):
    """Checks a bundle, extracts it, and compares what was found."""
    path = os.path.join(case_path, "bundle")
    media, bases = _below(case_path, "media"), _below(case_path, "bases")
    found = check_bundle(path, media, bases, recuts=case.get("recut", False))
    for key, expected in case.get("expect", {}).items():
        _expect(key, found.get(key), expected)
    if found["files_proven"] == found["files"]:
        reader = open_packs(path, media, bases)
        with tempfile.TemporaryDirectory() as destination:
            extract(reader, destination)
        reader.close()


def _head(case, case_path):
    check_critical(decode_head(_read(case_path, "head.json")))


def _manifest_root(case, case_path):
    manifest.decode_root(_read(case_path, "root.bin"))


def _manifest_page(case, case_path):
    manifest.check_page_alone(_read(case_path, "page.bin"))


def _manifest(case, case_path):
    data = _read(case_path, "manifest.bin")
    found = manifest.decode_manifest(data, case["root_length"])
    if "tree_id" in case:
        _expect("tree_id", found.tree_id().hex(), case["tree_id"])


def _pack_root(case, case_path):
    pack_table.decode_root(_read(case_path, "root.bin"))


def _pack_page(case, case_path):
    pack_table.decode_page(0, _read(case_path, "page.bin"))


def _pack_table(case, case_path):
    found = manifest.decode_manifest(
        _read(case_path, "manifest.bin"), case["manifest_root_length"]
    )
    root, packs = pack_table.decode_pack_table(
        _read(case_path, "packs.bin"), case["root_length"]
    )
    pack_table.volume_lens(root, packs, case.get("repairs", False))
    pack_table.check_cover(packs, found)


def _index(case, case_path):
    rows = [(bytes.fromhex(digest), length) for digest, length in case["rows"]]
    index.decode_index(
        _read(case_path, "index.bin"),
        rows,
        case["payload_length"],
        case.get("base_count", 0),
        "index",
    )


def _codec(case, case_path):
    stored, raw_len = _read(case_path, "frame.bin"), case["raw_len"]
    raw = decode_frame(case["codec"], case["param"], stored, raw_len, "frame")
    if os.path.exists(os.path.join(case_path, "raw.bin")):
        if raw != _read(case_path, "raw.bin"):
            raise damaged("F-109", "frame", "other raw bytes")


def _cut(case, case_path):
    data = make_input(case["input"], case_path)
    profile, chunk_lens = cut(data)
    if "profile" in case:
        _expect("profile", profile, case["profile"])
    _expect("lengths", chunk_lens, case["lengths"])


def _path(case, case_path):
    names.parse_path(bytes.fromhex(case["path"]), case["entry"] == "file", "path")


def _root_name(case, case_path):
    names.check_root_name(case["name"], "name")


def make_input(pieces, case_path):
    """The bytes that a list of pieces describes, joined."""
    return b"".join(_make_piece(piece, case_path) for piece in pieces)


def _make_piece(piece, case_path):
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
        return _read(case_path, piece["file"])
    raise Unexpected(f"a piece of input with {sorted(piece)}")


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
