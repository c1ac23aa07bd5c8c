"""The head (F-120 to F-123): decoded, checked alone, encoded again."""

import datetime
import json
import re

from . import limits, names
from .errors import refused, untrusted

_WHERE = "head.json"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


def _breach(rule, why):
    return untrusted(rule, _WHERE, why)


def _name(value, key):
    if type(value) is not str or not names.is_name(value):
        raise _breach("F-30", f"{key} is not a name")
    return value


def _digest(value, key):
    if type(value) is not str or not _DIGEST.fullmatch(value):
        raise _breach("F-121", f"{key} is not a digest")
    return value


def _time(value, key):
    if type(value) is not str or not _TIME.fullmatch(value):
        raise _breach("F-121", f"{key} is not a time")
    try:
        moment = datetime.datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        raise _breach("F-121", f"{key} is not a real date and time") from None
    # strptime lets a second 60 or 61 pass on some systems.
    if moment.year < 1970 or value[17:19] > "59":
        raise _breach("F-121", f"{key} is out of range")
    return value


def _literal(text):
    def check(value, key):
        if value != text:
            raise _breach("F-120", f"{key} is not {text!r}")
        return value

    return check


def _integer(least, most):
    def check(value, key):
        # bool is a kind of int in Python and none in JSON.
        if type(value) is not int:
            raise _breach("F-120", f"{key} is not an integer")
        if not least <= value <= most:
            raise _breach("F-125", f"{key} is not from {least} to {most}")
        return value

    return check


def _object(*fields):
    """A check of an object with these (key, check, required) in this order."""

    def check(value, key):
        if type(value) is not dict:
            raise _breach("F-120", f"{key} is not an object")
        known = [field for field, _, _ in fields]
        for found in value:
            if found not in known:
                raise _breach("F-120", f"{key} has an unknown key")
        ordered = {}
        for field, check_field, required in fields:
            if field in value:
                ordered[field] = check_field(value[field], f"{key}.{field}")
            elif required:
                raise _breach("F-120", f"{key} lacks {field}")
        return ordered

    return check


def _array(check_element, most):
    def check(value, key):
        if type(value) is not list or not value:
            raise _breach("F-120", f"{key} is not an array, or empty")
        if len(value) > most:
            raise _breach("F-10", f"{key} has more than {most} elements")
        return [check_element(element, key) for element in value]

    return check


def _critical(value, key):
    found = _array(_name, limits.CRITICAL_COUNT_MAX)(value, key)
    if any(first >= second for first, second in zip(found, found[1:])):
        raise _breach("F-120", f"{key} does not ascend strictly")
    return found


def _ext(value, key):
    if type(value) is not dict or not value:
        raise _breach("F-120", f"{key} is not an object, or empty")
    if len(value) > limits.EXT_COUNT_MAX:
        raise _breach("F-10", f"{key} has more than 64 names")
    for name, text in value.items():
        _name(name, key)
        if type(text) is not str or len(text) > limits.EXT_VALUE_LEN_MAX:
            raise _breach("F-120", f"{key}.{name} is not a string of at most 1 KiB")
        if any(not " " <= character <= "~" for character in text):
            raise _breach("F-120", f"{key}.{name} is not printable ASCII")
    if list(value) != sorted(value):
        raise _breach("F-120", f"{key} does not ascend strictly")
    return value


_counter = _integer(1, limits.COUNTER_MAX)
_length = _integer(1, limits.FILES_LEN_MAX)
_root_len = _integer(1, limits.ROOTS_LEN_MAX)
_count = _integer(0, limits.FILES_LEN_MAX)

_RELEASE = (("counter", _counter, True), ("content_id", _digest, True))
_FILE_DIGESTS = (("blake3", _digest, True), ("sha256", _digest, True))
_MANIFEST = (("length", _length, True), ("root_length", _root_len, True))

_head = _object(
    ("format", _literal("airlift 1"), True),
    ("suite", _literal("blake3-sha256"), True),
    ("stream", _name, True),
    ("counter", _counter, True),
    ("previous", _object(*_RELEASE), False),
    ("created_at", _time, True),
    ("not_after", _time, False),
    ("audience", _name, False),
    ("content_id", _digest, True),
    ("tree_id", _digest, True),
    ("manifest", _object(*_MANIFEST, *_FILE_DIGESTS), True),
    ("packs", _object(("root", _digest, True), *_MANIFEST, *_FILE_DIGESTS), True),
    (
        "readme",
        _object(
            ("length", _integer(1, limits.README_LEN_MAX), True),
            *_FILE_DIGESTS,
        ),
        True,
    ),
    (
        "volumes",
        _object(
            ("count", _integer(1, limits.VOLUME_COUNT_MAX), True),
            ("length", _length, True),
        ),
        True,
    ),
    (
        "bases",
        _array(_object(("stream", _name, True), *_RELEASE), limits.BASE_COUNT_MAX),
        False,
    ),
    ("repairs", _object(*_RELEASE), False),
    (
        "totals",
        _object(
            ("files", _integer(1, limits.FILES_LEN_MAX), True),
            ("directories", _count, True),
            ("bytes", _count, True),
        ),
        True,
    ),
    (
        "attachments",
        _array(
            _object(
                ("type", _name, True),
                ("length", _integer(0, limits.ATTACHMENT_LEN_MAX), True),
                ("sha256", _digest, True),
            ),
            limits.ATTACHMENT_COUNT_MAX,
        ),
        False,
    ),
    ("critical", _critical, False),
    ("ext", _ext, False),
)


def _check_bases(head):
    """F-126."""
    bases = head.get("bases", [])
    contents = [base["content_id"] for base in bases] + [head["content_id"]]
    if len(set(contents)) != len(contents):
        raise _breach("F-126", "bases: one content twice, or the head's own")
    releases = [(base["stream"], base["counter"]) for base in bases]
    if len(set(releases)) != len(releases):
        raise _breach("F-126", "bases: one stream and counter twice")
    for stream, counter in releases:
        if stream == head["stream"] and counter >= head["counter"]:
            raise _breach("F-126", "bases: not earlier in the head's stream")


def decode_head(data):
    """The head that `data` spells, as a dict with its keys in order.

    Checks everything that the head alone can break. A name in `critical`
    refuses last, by `check_critical`.
    """
    if len(data) > limits.HEAD_LEN_MAX:
        raise _breach("F-10", f"a head of {len(data)} bytes")
    if any(byte != 0x0A and not 0x20 <= byte <= 0x7E for byte in data):
        raise _breach("F-120", "a byte that is not printable ASCII")
    head = _head(_parse_json(data.decode("ascii")), "head")
    _check_fields_together(head)
    if encode_head(head) != data:
        raise _breach("F-120", "not the one encoding of its value")
    return head


def encode_head(head):
    """The one encoding of a head (F-120)."""
    return json.dumps(head, indent=2).encode("ascii") + b"\n"


def check_critical(head):
    """Version 1 knows no critical feature (F-123)."""
    for name in head.get("critical", []):
        raise refused("F-123", _WHERE, f"critical feature {name} is not known")


def _parse_json(text):
    def once(pairs):
        value = dict(pairs)
        if len(value) != len(pairs):
            raise _breach("F-120", "a key stands twice")
        return value

    def no_number(spelling):
        raise _breach("F-120", f"the number {spelling} is not an integer")

    try:
        return json.loads(
            text,
            object_pairs_hook=once,
            parse_float=no_number,
            parse_constant=no_number,
        )
    except (ValueError, RecursionError):
        raise _breach("F-120", "not JSON, or nested too deeply") from None


def _check_fields_together(head):
    """The rules of F-120 and F-122 that compare fields of the head."""
    if "previous" in head and head["previous"]["counter"] >= head["counter"]:
        raise _breach("F-120", "previous has no smaller counter")
    # Times of one width compare as their spellings do.
    if head.get("not_after", head["created_at"]) < head["created_at"]:
        raise _breach("F-120", "not_after is before created_at")
    if "repairs" in head:
        own = {"counter": head["counter"], "content_id": head["content_id"]}
        if head["repairs"] != own:
            raise _breach("F-120", "repairs names another release")
    for field in ("manifest", "packs"):
        if head[field]["root_length"] > head[field]["length"]:
            raise _breach("F-122", f"{field}: the root is longer than the file")
    _check_bases(head)
    roots_len = head["manifest"]["root_length"] + head["packs"]["root_length"]
    if roots_len > limits.ROOTS_LEN_MAX:
        raise _breach("F-122", "the two roots together are too long")
