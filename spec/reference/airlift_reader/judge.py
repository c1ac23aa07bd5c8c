"""Verdicts on many bundles, one after the other, by one process."""

import json

from .check import check_bundle, open_packs
from .digests import sha256
from .errors import Breach, NotHere
from .manifest import FILE


def judge(paths, out):
    """Writes one line of JSON for each bundle that a line of `paths` names."""
    for line in paths:
        print(verdict(line.rstrip("\n")), file=out, flush=True)


def verdict(path):
    """The first breach of a bundle; of a sound one, what its entries hold."""
    try:
        check_bundle(path)
        return json.dumps({"class": "accepted", "entries": contents(path)})
    except Breach as breach:
        return breach.line()


def contents(path):
    """The SHA-256 of what is read of each file; null for a directory, or a
    file that a repair does not carry."""
    reader = open_packs(path)
    try:
        return {entry.path: _digest(reader, entry) for entry in reader.manifest.entries}
    finally:
        reader.close()


def _digest(reader, entry):
    if entry.kind != FILE:
        return None
    try:
        ordinals = range(entry.first_ordinal, entry.end_ordinal)
        return sha256(b"".join(map(reader.chunk, ordinals))).hex()
    except NotHere:
        return None
