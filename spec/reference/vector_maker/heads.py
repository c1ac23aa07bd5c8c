"""Cases of the kind head (F-120 to F-123)."""

import json

from .case import Case, pieces

DIGEST = "0123456789abcdef" * 4
RELEASE = {"counter": 6, "content_id": DIGEST}
FILE = {"length": 200, "root_length": 100, "blake3": DIGEST, "sha256": DIGEST}
ORDER = (
    "format suite stream counter previous created_at not_after audience content_id "
    "tree_id manifest packs readme volumes bases repairs totals attachments critical ext"
).split()


def plain():
    """A head with no optional field."""
    return {
        "format": "airlift 1",
        "suite": "blake3-sha256",
        "stream": "models",
        "counter": 7,
        "created_at": "2026-01-31T23:59:59Z",
        "content_id": DIGEST,
        "tree_id": DIGEST,
        "manifest": dict(FILE),
        "packs": {"root": DIGEST, **FILE},
        "readme": {"length": 10, "blake3": DIGEST, "sha256": DIGEST},
        "volumes": {"count": 3, "length": 4096},
        "totals": {"files": 5, "directories": 1, "bytes": 1000},
    }


OPTIONAL = {
    "previous": RELEASE,
    "not_after": "2027-02-28T00:00:00Z",
    "audience": "enclave-1",
    "bases": [{"stream": "models", "counter": 6, "content_id": "f" * 64}],
    "repairs": {"counter": 7, "content_id": DIGEST},
    "attachments": [{"type": "sbom", "length": 0, "sha256": DIGEST}],
    "ext": {"a": "", "b.c": 'quote " and \\ and ~'},
}


def encode(fields):
    """The bytes of a head, known fields in the order of F-120."""
    known = {key: fields[key] for key in ORDER if key in fields}
    rest = {key: value for key, value in fields.items() if key not in known}
    return json.dumps({**known, **rest}, indent=2).encode() + b"\n"


def changed(path, value):
    """A plain head with one field, named by its path, changed."""
    fields = plain()
    *above, last = path.split(".")
    inner = fields
    for key in above:
        inner = inner[key]
    inner[last] = value
    return encode(fields)


def within(path, value):
    """As `changed`, with the bound that is compared with it moved as well."""
    fields = json.loads(changed(path, value))
    for name in ("manifest", "packs"):
        roots = fields[name]
        roots["length"] = max(roots["length"], roots["root_length"])
    return encode(fields)


def names(count):
    return [f"n{number:03}" for number in range(count)]


def attachments(count):
    return [{"type": "sbom", "length": 1, "sha256": DIGEST}] * count


def bases(count):
    return [base(counter=number, content_id=f"{number:064x}") for number in range(1, count + 1)]


def base(**fields):
    """A base of another stream."""
    return {"stream": "base", "counter": 1, "content_id": "f" * 64, **fields}


MIB = 1 << 20

GOOD = [
    ("plain", "no optional field", encode(plain())),
    ("every-field", "every optional field but critical", encode({**plain(), **OPTIONAL})),
    ("last-counter", "counter 2^53 - 1", changed("counter", 2**53 - 1)),
    ("first-counter", "counter 1", changed("counter", 1)),
    ("first-second", "a time of 1970-01-01", changed("created_at", "1970-01-01T00:00:00Z")),
    ("last-second", "a time of 9999-12-31", changed("created_at", "9999-12-31T23:59:59Z")),
    ("leap-day", "a day that a leap year has", changed("created_at", "2024-02-29T00:00:00Z")),
    ("ends-when-made", "not_after is created_at",
     changed("not_after", "2026-01-31T23:59:59Z")),
    ("longest-name", "a stream of 64 bytes", changed("stream", "s" * 64)),
    ("root-is-all", "a root as long as its file", changed("manifest.root_length", 200)),
    ("longest-roots", "roots of 64 MiB together",
     within("manifest.root_length", 64 * MIB - 100)),
    ("longest-readme", "a README.txt of 64 KiB", changed("readme.length", 65536)),
    ("most-volumes", "999,999 volumes", changed("volumes.count", 999_999)),
    ("longest-volumes", "volumes of 2^53 - 1 bytes", changed("volumes.length", 2**53 - 1)),
    ("most-bytes", "files of 2^53 - 1 bytes", changed("totals.bytes", 2**53 - 1)),
    ("most-files", "2^53 - 1 files and directories",
     encode({**plain(), "totals": {"files": 2**53 - 1, "directories": 2**53 - 1, "bytes": 0}})),
    ("base-of-a-later-counter", "a base of another stream with a higher counter",
     changed("bases", [base(counter=9)])),
    ("most-bases", "16 bases", changed("bases", bases(16))),
    ("most-attachments", "64 attachments", changed("attachments", attachments(64))),
    ("longest-attachment", "an attachment of 16 MiB",
     changed("attachments", [{**attachments(1)[0], "length": 16 * MIB}])),
    ("most-ext", "64 names in ext", changed("ext", dict.fromkeys(names(64), ""))),
    ("longest-ext", "an ext value of 1 KiB", changed("ext", {"a": "x" * 1024})),
]

# Name, rule, what is wrong, the bytes.
BAD_VALUES = [
    ("other-format", "F-120", "format airlift 2", changed("format", "airlift 2")),
    ("other-suite", "F-20", "the reserved suite sha256", changed("suite", "sha256")),
    ("unknown-field", "F-120", "a field that version 1 has not", changed("color", "red")),
    ("unknown-inner-field", "F-120", "a field more in totals", changed("totals.links", 1)),
    ("stream-not-a-name", "F-30", "a stream in upper case", changed("stream", "Models")),
    ("stream-empty", "F-30", "an empty stream", changed("stream", "")),
    ("stream-too-long", "F-30", "a stream of 65 bytes", changed("stream", "s" * 65)),
    ("audience-not-a-name", "F-30", "an audience with a slash", changed("audience", "a/b")),
    ("type-not-a-name", "F-30", "an attachment type with a space",
     changed("attachments", [{**attachments(1)[0], "type": "a b"}])),
    ("ext-not-a-name", "F-30", "an ext key with a colon", changed("ext", {"a:b": ""})),
    ("counter-0", "F-125", "counter 0", changed("counter", 0)),
    ("counter-2-to-53", "F-125", "counter 2^53", changed("counter", 2**53)),
    ("counter-2-to-64", "F-125", "counter 2^64", changed("counter", 2**64)),
    ("counter-as-text", "F-120", "a counter in quotes", changed("counter", "7")),
    ("counter-true", "F-120", "true for a counter", changed("counter", True)),
    ("counter-null", "F-120", "null for a counter", changed("counter", None)),
    ("counter-negative", "F-120", "a negative counter", changed("counter", -7)),
    ("previous-not-smaller", "F-120", "a previous release with this counter",
     changed("previous", {**RELEASE, "counter": 7})),
    ("previous-0", "F-125", "a previous release with counter 0",
     changed("previous", {**RELEASE, "counter": 0})),
    ("base-counter-0", "F-125", "a base with counter 0",
     changed("bases", [base(counter=0)])),
    ("ends-before-made", "F-120", "a not_after one second before created_at",
     changed("not_after", "2026-01-31T23:59:58Z")),
    ("repairs-another", "F-120", "repairs with another counter", changed("repairs", RELEASE)),
    ("repairs-other-content", "F-120", "repairs with another content_id",
     changed("repairs", {"counter": 7, "content_id": "f" * 64})),
    ("no-files", "F-125", "no file", changed("totals.files", 0)),
    ("bytes-2-to-53", "F-125", "files of 2^53 bytes", changed("totals.bytes", 2**53)),
    ("files-2-to-53", "F-125", "2^53 files", changed("totals.files", 2**53)),
    ("directories-2-to-53", "F-125", "2^53 directories", changed("totals.directories", 2**53)),
    ("volumes-2-to-53", "F-125", "volumes of 2^53 bytes", changed("volumes.length", 2**53)),
    ("manifest-2-to-53", "F-125", "a manifest of 2^53 bytes",
     changed("manifest.length", 2**53)),
    ("packs-2-to-53", "F-125", "a pack table of 2^53 bytes", changed("packs.length", 2**53)),
    ("bases-of-one-content", "F-126", "two bases with one content_id",
     changed("bases", [base(), base(counter=2)])),
    ("bases-of-one-release", "F-126", "two bases with one stream and counter",
     changed("bases", [base(), base(content_id="e" * 64)])),
    ("base-with-own-content", "F-126", "a base with the head's content_id",
     changed("bases", [base(content_id=DIGEST)])),
    ("base-of-this-counter", "F-126", "a base of the head's stream and counter",
     changed("bases", [base(stream="models", counter=7)])),
    ("base-of-a-later-release", "F-126", "a base of the head's stream with a higher counter",
     changed("bases", [base(stream="models", counter=8)])),
    ("no-volume", "F-125", "no volume", changed("volumes.count", 0)),
    ("too-many-volumes", "F-125", "1,000,000 volumes", changed("volumes.count", 10**6)),
    ("too-many-bases", "F-10", "17 bases", changed("bases", bases(17))),
    ("too-many-attachments", "F-10", "65 attachments",
     changed("attachments", attachments(65))),
    ("attachment-too-long", "F-125", "an attachment of 16 MiB and one byte",
     changed("attachments", [{**attachments(1)[0], "length": 16 * MIB + 1}])),
    ("too-many-critical", "F-10", "65 critical names", changed("critical", names(65))),
    ("critical-out-of-order", "F-120", "critical names in descending order",
     changed("critical", ["b", "a"])),
    ("critical-twice", "F-120", "a critical name twice", changed("critical", ["a", "a"])),
    ("too-many-ext", "F-10", "65 names in ext",
     changed("ext", dict.fromkeys(names(65), ""))),
    ("ext-too-long", "F-10", "an ext value of 1 KiB and one byte",
     changed("ext", {"a": "x" * 1025})),
    ("ext-out-of-order", "F-120", "ext names in descending order",
     changed("ext", {"b": "", "a": ""})),
    ("ext-control-character", "F-120", "a newline in an ext value",
     changed("ext", {"a": "\n"})),
    ("ext-number", "F-120", "a number in ext", changed("ext", {"a": 1})),
    ("empty-bases", "F-120", "an empty array", changed("bases", [])),
    ("empty-ext", "F-120", "an empty object", changed("ext", {})),
    ("null-audience", "F-120", "null for a field that is left out",
     changed("audience", None)),
    ("digest-upper-case", "F-121", "a digest in upper case", changed("tree_id", "A" * 64)),
    ("digest-short", "F-121", "a digest of 63 digits", changed("content_id", "a" * 63)),
    ("digest-long", "F-121", "a digest of 65 digits",
     changed("manifest.blake3", "a" * 65)),
    ("day-that-is-not", "F-121", "29 February of a common year",
     changed("created_at", "2026-02-29T00:00:00Z")),
    ("leap-second", "F-121", "a second 60", changed("created_at", "2026-12-31T23:59:60Z")),
    ("hour-24", "F-121", "an hour 24", changed("created_at", "2026-01-31T24:00:00Z")),
    ("year-1969", "F-121", "a time before 1970",
     changed("created_at", "1969-12-31T23:59:59Z")),
    ("year-10000", "F-121", "a year of five digits",
     changed("created_at", "10000-01-01T00:00:00Z")),
    ("time-with-zone", "F-121", "a time with an offset",
     changed("created_at", "2026-01-31T23:59:59+00:00")),
    ("time-with-fraction", "F-121", "a time with a fraction",
     changed("created_at", "2026-01-31T23:59:59.0Z")),
    ("time-in-lower-case", "F-121", "a time with a small t and z",
     changed("created_at", "2026-01-31t23:59:59z")),
    ("length-0", "F-122", "a manifest of no bytes", changed("manifest.length", 0)),
    ("root-length-0", "F-122", "a root of no bytes", changed("packs.root_length", 0)),
    ("root-longer", "F-122", "a root longer than its file",
     changed("packs.root_length", 201)),
    ("roots-too-long", "F-122", "roots of 64 MiB and one byte together",
     within("manifest.root_length", 64 * MIB - 99)),
    ("roots-overflow", "F-122", "roots whose sum is beyond 64 bits",
     within("manifest.root_length", 2**64 - 1)),
    ("length-near-2-to-63", "F-125", "a manifest of 2^63 bytes",
     changed("manifest.length", 2**63)),
    ("readme-empty", "F-125", "a README.txt of no bytes", changed("readme.length", 0)),
    ("readme-too-long", "F-125", "a README.txt of 64 KiB and one byte",
     changed("readme.length", 65537)),
    ("volumes-empty", "F-122", "volumes of no bytes", changed("volumes.length", 0)),
]


def text(old, new):
    """The plain head with one spelling replaced."""
    data = encode(plain())
    if data.count(old) < 1:
        raise ValueError(f"{old!r} is not there")
    return data.replace(old, new, 1)


BAD_SPELLINGS = [
    ("counter-float", "a fraction", text(b": 7,", b": 7.0,")),
    ("counter-exponent", "an exponent", text(b": 7,", b": 7e0,")),
    ("counter-plus", "a plus sign", text(b": 7,", b": +7,")),
    ("counter-leading-zero", "a leading zero", text(b": 7,", b": 07,")),
    ("counter-minus-zero", "minus zero for a count", text(b'ories": 1', b'ories": -0')),
    ("counter-nan", "NaN", text(b": 7,", b": NaN,")),
    ("counter-infinity", "Infinity", text(b": 7,", b": Infinity,")),
    ("counter-1e400", "a number beyond every float", text(b": 7,", b": 1e400,")),
    ("space-twice", "two spaces behind a colon", text(b'": 7', b'":  7')),
    ("space-missing", "no space behind a colon", text(b'": 7', b'":7')),
    ("tab", "a tab for an indent", text(b'  "suite"', b'\t"suite"')),
    ("indent-of-four", "an indent of four", text(b'  "suite"', b'    "suite"')),
    ("carriage-returns", "lines that end in CR LF",
     encode(plain()).replace(b"\n", b"\r\n")),
    ("one-line", "all members on one line", json.dumps(plain()).encode() + b"\n"),
    ("escaped-letter", "a letter as an escape", text(b'"suite"', b'"\\u0073uite"')),
    ("escaped-slash", "an escaped slash",
     encode({**plain(), "ext": {"a": "x/y"}}).replace(b"x/y", b"x\\/y")),
    ("not-ascii", "a letter that ASCII has not",
     encode({**plain(), "ext": {"a": "e"}}).replace(b'"e"', '"é"'.encode())),
    ("order", "two fields that changed places",
     text(b'  "format": "airlift 1",\n  "suite": "blake3-sha256",\n',
          b'  "suite": "blake3-sha256",\n  "format": "airlift 1",\n')),
    ("inner-order", "two inner fields that changed places",
     text(b'    "count": 3,\n    "length": 4096\n',
          b'    "length": 4096,\n    "count": 3\n')),
    ("key-twice", "a key twice", text(b'  "counter": 7,', b'  "counter": 7,\n  "counter": 7,')),
    ("key-twice-otherwise", "a key twice, with two values",
     text(b'  "counter": 7,', b'  "counter": 8,\n  "counter": 7,')),
    ("inner-key-twice", "an inner key twice",
     text(b'    "count": 3,', b'    "count": 3,\n    "count": 3,')),
    ("field-missing", "no tree_id", text(b'  "tree_id": "' + DIGEST.encode() + b'",\n', b"")),
    ("comma-last", "a comma behind the last member", text(b"1000\n  }\n}", b"1000\n  },\n}")),
    ("comment", "a comment", text(b'  "suite"', b'  /* x */ "suite"')),
    ("newline-missing", "no newline at the end", encode(plain())[:-1]),
    ("newline-twice", "two newlines at the end", encode(plain()) + b"\n"),
    ("byte-behind", "a second value behind the first", encode(plain()) + b"{}\n"),
    ("byte-order-mark", "a byte order mark before it", b"\xef\xbb\xbf" + encode(plain())),
    ("zero-byte", "a zero byte behind it", encode(plain()) + b"\0"),
    ("not-an-object", "an array", b"[]\n"),
    ("empty", "no byte", b""),
]

def cases():
    """The cases of this page."""
    for name, about, data in GOOD:
        yield head_case(name, "F-120", "accepted", about, data)
    for name, rule, about, data in BAD_VALUES:
        yield head_case(name, rule, "untrusted", about, data)
    for name, about, data in BAD_SPELLINGS:
        yield head_case(name, "F-120", "untrusted", about, data)
    opening, closing = encode(plain()).split(b'": 7,')
    deep = pieces((opening + b'": ', 1), (b"[", 10_000), (b"]", 10_000), (b"," + closing, 1))
    yield head_case("nested", "F-120", "untrusted", "arrays nested 10,000 deep", deep)
    about = "more than 1 MiB"
    data = encode(plain())
    long = pieces((data, 1), (b"\n", MIB + 1 - len(data)))
    yield head_case("too-long", "F-10", "untrusted", about, long)
    for name in ("delta", "encryption", "parity", "of-the-future"):
        data = changed("critical", [name])
        about = f"the critical feature {name}, which version 1 does not know"
        yield head_case(f"critical-{name}", "F-123", "refused", about, data)
    yield Case("head", "prefixes", "F-120", "untrusted", "Every beginning of a good head.",
               {"head.json": encode(plain())}, prefixes=True)


def head_case(name, rule, class_name, about, data):
    about = "A head with " + about + "."
    return Case("head", name, rule, class_name, about, {"head.json": data})
