"""The files of a bundle written to a new directory."""

import os

from .check import check_file
from .errors import BASE_MISSING, INCOMPLETE, Breach, NotHere, refused
from .manifest import FILE
from .names import twin_key


def extract(reader, destination):
    """Writes every entry below `destination`, which must not exist or be empty.

    Nothing is written outside: paths keep F-31 to F-36, every directory on
    the way is made here, and a file is only ever created. A file is proven
    before it is written.
    """
    _check_no_twins(reader.manifest.entries)
    os.makedirs(destination, exist_ok=True)
    if os.listdir(destination):
        raise refused("F-37", destination, "the directory is not empty")
    destination = os.path.realpath(destination)
    for entry in reader.manifest.entries:
        path = os.path.join(destination, *entry.path.split("/"))
        if entry.kind == FILE:
            _write_file(reader, entry, path)
        else:
            os.makedirs(path, exist_ok=True)


def _write_file(reader, file, path):
    try:
        check_file(reader, file)
    except NotHere as absent:
        missing_base = absent.class_name == BASE_MISSING
        class_name = BASE_MISSING if missing_base else INCOMPLETE
        rule = "F-102" if missing_base else "F-05"
        raise Breach(class_name, rule, file.path, absent.what) from None
    os.makedirs(os.path.dirname(path), exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(path, flags, 0o644), "wb") as sink:
        for ordinal in range(file.first_ordinal, file.end_ordinal):
            sink.write(reader.chunk(ordinal))


def _check_no_twins(entries):
    """No two names of one directory are twins (F-37)."""
    spellings = {}
    for entry in entries:
        parent = ""
        for segment in entry.path.split("/"):
            key = (parent, twin_key(segment))
            if spellings.setdefault(key, segment) != segment:
                why = f"{segment!r} and {spellings[key]!r} are twins"
                raise refused("F-37", entry.path, why)
            parent += "/" + segment
