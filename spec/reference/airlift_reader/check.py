"""A whole bundle checked: packs, chunks, files, marks."""

from .bundle import Bundle
from .cutting import cut
from .digests import MarkedSha256
from .errors import (
    BASE_MISSING,
    INCOMPLETE,
    NOT_CARRIED,
    Breach,
    NotHere,
    damaged,
    untrusted,
)
from .packs import PackReader


def open_packs(path, volume_paths=(), base_paths=()):
    """The packs of the bundle at `path`, with the bases given.

    Bases are opened in the order given: one that is itself a delta needs its
    own base before it.
    """
    bases = {}
    for base_path in base_paths:
        base = Bundle(base_path, volume_paths)
        bases[base.head["content_id"]] = PackReader(base, dict(bases))
    return PackReader(Bundle(path, volume_paths), bases)


def check_bundle(path, volume_paths=(), base_paths=(), recuts=False):
    """Checks everything and returns what was found, as a dict for JSON.

    Raises the first breach. What is present is checked before missing volumes
    or bases are reported. A repair is sound when all that it carries is.
    """
    reader = open_packs(path, volume_paths, base_paths)
    try:
        return _check(reader, recuts)
    finally:
        reader.close()


def _check(reader, recuts):
    bundle = reader.bundle
    missing = reader.missing_volumes()
    for number, pack in enumerate(reader.packs):
        if pack.is_carried() and pack.volume_number not in missing:
            reader.check_pack(number)
    unproven = []
    absent_of = {INCOMPLETE: set(), BASE_MISSING: set(), NOT_CARRIED: set()}
    for file in bundle.files():
        try:
            check_file(reader, file, recuts)
        except NotHere as absent:
            unproven.append(file.path)
            absent_of[absent.class_name].add(absent.what)
    absent_of[INCOMPLETE].update(f"volume {number}" for number in missing)
    for class_name, rule in ((INCOMPLETE, "F-05"), (BASE_MISSING, "F-102")):
        if absent_of[class_name]:
            where = ", ".join(sorted(absent_of[class_name]))
            raise Breach(class_name, rule, where, "not given")
    return {
        "result": "sound",
        "signatures": "not checked",
        "stream": bundle.head["stream"],
        "counter": bundle.head["counter"],
        "content_id": bundle.head["content_id"],
        "tree_id": bundle.head["tree_id"],
        **bundle.head["totals"],
        "rows": bundle.manifest.row_count(),
        "packs": len(bundle.packs),
        "volumes": len(bundle.volume_lens),
        "files_proven": bundle.head["totals"]["files"] - len(unproven),
        "unexpected": bundle.unexpected_names(),
    }


def check_file(reader, file, recuts=False):
    """The SHA-256 of a file and its marks (F-23); with `recuts`, its rows too."""
    sha256 = MarkedSha256()
    whole = bytearray()
    for part_index, part in enumerate(file.parts):
        for ordinal in range(part.first_ordinal, part.end_ordinal):
            chunk = reader.chunk(ordinal)
            sha256.update(chunk)
            if recuts:
                whole += chunk
        mark = part.mark
        if mark is not None and not sha256.is_at(mark.words, mark.tail):
            raise damaged("F-23", file.path, f"the mark of part {part_index} differs")
    if sha256.digest() != file.sha256:
        raise damaged("F-23", file.path, "another SHA-256")
    if recuts:
        _check_cut(file, bytes(whole), reader.manifest)


def _check_cut(file, whole, manifest):
    profile, chunk_lens = cut(whole)
    stored = manifest.row_lens[file.first_ordinal : file.end_ordinal]
    if (profile, chunk_lens) != (file.profile, stored):
        raise untrusted("F-60", file.path, "cut elsewhere than the rules say")
