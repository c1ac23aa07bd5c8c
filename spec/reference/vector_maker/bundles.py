"""Cases of the kind bundle: whole bundles, by the writer of the reader's tests."""

import hashlib
import os
import struct
import tempfile

from blake3 import blake3

from tests.writer import Rules, Writer

from .case import Case, flip, put_at, read_files
from .indexes import BASE, REFERENCE, REPEAT
from .pack_tables import section_records

MIB = 1 << 20
KIB = 1 << 10
# Chaining words of SHA-256 behind 8 chunks of 4 MiB, chunk n all of byte n + 1.
WORDS_AT_32_MIB = (
    0x394BB193, 0x567B8E3E, 0xF4AA3EC1, 0x183D39D6, 0x1E9BBA67, 0xA7D57ACB, 0x98797CF0, 0x72ABB2EE,
)


class Small(Rules):
    """Runs of whole entries that end before 1,000 bytes: a reader takes any."""

    pack_len = 1000


def noise(seed, length=300):
    """Bytes that no codec makes shorter."""
    return blake3(seed.encode()).digest(length=length)


def rle(raw):
    """One zstd frame of runs of one byte, made without a compressor."""
    data = bytes.fromhex("28b52ffda0") + struct.pack("<I", len(raw))
    runs = []
    begin = 0
    while begin < len(raw):
        end = begin
        while end < len(raw) and raw[end] == raw[begin] and end - begin < 128 * KIB:
            end += 1
        runs.append((raw[begin], end - begin))
        begin = end
    for number, (byte, length) in enumerate(runs):
        is_last = number == len(runs) - 1
        data += (length << 3 | 1 << 1 | is_last).to_bytes(3, "little") + bytes([byte])
    return data


def zstd(raw):
    """Codec zstd for what has long runs, else stored."""
    data = rle(raw)
    return (1, 0, data) if len(data) < len(raw) else (0, 0, raw)


def planes(width):
    """Codec planes: each plane as runs, or stored (F-83 to F-86)."""

    def encode(raw):
        count, bits = len(raw) // width, 8 * width
        words = [int.from_bytes(raw[i * width : (i + 1) * width], "little") for i in range(count)]
        words = [(w << 1 | w >> (bits - 1)) & (1 << bits) - 1 for w in words]
        data = b""
        for k in range(width):
            plane = bytes(w >> 8 * k & 0xFF for w in words)
            short = rle(plane)
            if len(short) < count:
                data += struct.pack("<I", len(short)) + short
            else:
                data += struct.pack("<I", 1 << 31 | count) + plane
        data += raw[count * width :]
        return (2, width, data) if len(data) < len(raw) else (0, 0, raw)

    return encode


def files():
    """Three files that share chunks, an empty one, below two roots."""
    shared = noise("shared")
    return {
        "datasets/x.bin": (2, [noise("x"), noise("x"), shared]),
        "models/a/empty": (1, []),
        "models/a/weights.bin": (2, [noise("one"), shared, noise("two", 500), noise("one")]),
        "models/b/readme.md": (1, [b"# A model\n"]),
        "models/b/weights.bin": (2, [shared, noise("two", 500), noise("three"), shared]),
    }


DIRECTORIES = ("datasets/void", "models/b/void")


def bundle_case(name, rule, class_name, about, content=None, **options):
    """A bundle as the writer makes it; `tidy` changes its files afterwards."""
    tidy = options.pop("tidy", lambda made: None)
    keys = {k: options.pop(k) for k in ("expect", "recut") if k in options}
    options.setdefault("directories", DIRECTORIES if content is None else ())
    options.setdefault("rules", Small)
    with tempfile.TemporaryDirectory() as top:
        writer = Writer(files() if content is None else content, **options)
        writer.write(os.path.join(top, "bundle"))
        made = read_files(top)
    tidy(made)
    if class_name == "accepted":
        keys.setdefault("expect", {}).update(figures(writer))
    return Case("bundle", name, rule, class_name, about, made, **keys)


def figures(writer):
    """What a reader must find in the bundle."""
    head = writer.head
    left_out = any(n in writer.left_out for n in range(len(writer.plan())))
    found = {
        "content_id": head["content_id"],
        "tree_id": head["tree_id"],
        **head["totals"],
        "rows": len(writer.rows),
        "packs": len(writer.plan()),
        "volumes": head["volumes"]["count"],
    }
    if not left_out:
        found["files_proven"] = head["totals"]["files"]
    return found


def good(name, rule, about, content=None, **options):
    return bundle_case(name, rule, "accepted", about, content, **options)


def bad(name, rule, about, content=None, class_name="untrusted", **options):
    return bundle_case(name, rule, class_name, about, content, **options)


def damaged(name, rule, about, content=None, **options):
    """Bytes that are not those that are due (F-11)."""
    return bundle_case(name, rule, "damaged", about, content, **options)


def move(old, new):
    """A file that goes elsewhere in the case."""

    def tidy(made):
        made[new] = made.pop(old)

    return tidy


def change_file(name, change):
    def tidy(made):
        made[name] = change(made[name])

    return tidy


def in_place(name):
    """A directory in the place of a file."""
    return move(f"bundle/{name}", f"bundle/{name}/{name}")


ATTACHMENTS = [("sbom", b'{"spdxVersion": "SPDX-2.3"}\n'), ("licence", b""), ("scan", b"clean\n")]
EXTRA = {
    "previous": {"counter": 6, "content_id": "0123456789abcdef" * 4},
    "not_after": "2027-02-28T00:00:00Z",
    "audience": "enclave-1",
    "ext": {"a": 'quote " and \\', "made.by": "hand"},
}


def repairs(head):
    return {"counter": head["counter"], "content_id": head["content_id"]}


def accepted():
    yield good("one-file", "F-01", "One file of one chunk.", {"m/hello": (1, [b"hello\n"])})
    yield good("one-empty-file", "F-43", "One empty file: a pack without a row.",
               {"m/empty": (1, [])})
    yield good("everything", "F-01", "References, repeats, an empty file, empty directories, "
               "attachments, ext, and every field of the head but three.",
               attachments=ATTACHMENTS, head_fields=EXTRA, chunks_a_frame=2, encode=zstd)
    yield good("without-references", "F-102", "Chunks that are carried again where a reference "
               "could be.", with_references=False)
    yield good("volumes", "F-03", "Three volumes.", volume_len=2100)
    yield good("media", "F-05", "Three volumes on three media.", volume_len=2100, tidy=media)
    yield good("one-chunk-many-files", "F-106", "One chunk of twelve files is carried once.",
               {f"m/{number:02}": (1, [noise("same")]) for number in range(12)})
    yield good("repair", "F-56", "A repair that carries two of four packs.", left_out=(0, 3),
               head_fields={"repairs": repairs}, with_references=False)
    yield good("repair-with-references", "F-106",
               "A repair that refers to packs it does not carry.",
               left_out=(0, 1), head_fields={"repairs": repairs})
    yield good("repair-of-a-part", "F-56", "A repair that carries the second of two parts.",
               {"m/large": (2, [bytes([number + 1]) * (4 * MIB) for number in range(9)])},
               rules=Rules, encode=zstd, words={32 * MIB: WORDS_AT_32_MIB}, left_out=(0,),
               head_fields={"repairs": repairs})
    yield good("stray-files", "F-01", "Files that do not belong to it, which are no part of it.",
               tidy=lambda made: made.update({"bundle/autorun.inf": b"[autorun]\n",
                                              "bundle/volumes/000009.vol": b"x"}))
    yield good("without-readme", "F-05", "A bundle without README.txt.",
               tidy=lambda made: made.pop("bundle/README.txt"))
    yield good("without-attachments", "F-05", "A bundle with one of three attachments.",
               attachments=ATTACHMENTS,
               tidy=lambda made: [made.pop(f"bundle/attachments/{n:02}") for n in (1, 2)])
    yield good("twins", "F-37", "A and a in one directory would be twins; in two they are not.",
               {"m/A/x": (1, [b"1"]), "m/b/X": (1, [b"2"])})
    structure_chunk = struct.pack("<Q", 0) + struct.pack("<I", 2 << 24 | 3) + b"m/a"
    yield good("chunk-that-is-a-page", "F-21", "A chunk that could be read as a manifest page.",
               {"m/page": (1, [structure_chunk])})
    yield from codecs()
    yield from sections_accepted()
    yield good("cut-again", "F-60", "Files cut as F-60 says: single, mincdc, npy.", recut_files(),
               recut=True, encode=zstd)
    yield several_parts("several-parts", "accepted", "A file of 36 MiB: two parts, one mark.")


def media(made):
    """The first volume stays, the others lie on media of two shapes."""
    made["media/1/models-7/volumes/000002.vol"] = made.pop("bundle/volumes/000002.vol")
    made["media/2/volumes/000003.vol"] = made.pop("bundle/volumes/000003.vol")
    head = made["bundle/head.json"]
    made["media/1/models-7/head.json"] = head
    made["media/2/head.json"] = head


def weights(width):
    """Words near each other: their high planes are runs."""
    high = 0x3F80 << 8 * (width - 2)
    return b"".join((high | n % 7).to_bytes(width, "little") for n in range(200))


def codecs():
    yield good("codec-zstd", "F-80", "A chunk of a zstd frame.", {"m/a": (1, [b"a" * 5000])},
               encode=zstd)
    for width in (2, 4, 8):
        tail = b"t" * (width - 1)
        yield good(f"codec-planes-{width}", "F-83",
                   f"Planes of words of {width} bytes, and a tail.",
                   {"m/a": (1, [weights(width) + tail])}, encode=planes(width))


def with_sections(name, *sections):
    """A change that adds extra sections to an index or a pack-table root."""
    at = 28 if name == "pack root" else 12
    contents = b"".join(content for _, _, content in sections)

    def change(data):
        data = put_at(at, struct.pack("<H", len(sections)))(data) + section_records(sections)
        return data if name == "pack root" else data + contents

    changes = {name: change}
    if name == "pack root":
        changes["pack sections"] = lambda _: contents
    return changes


def sections_accepted():
    sections = [(3, 0, b"three"), (900, 0, noise("section"))]
    for name, what in (("index 0", "index"), ("pack root", "pack-table")):
        yield good(f"sections-in-{what}", "F-58", f"Sections of the {what} that nobody needs.",
                   changes=with_sections(name, *sections))


def recut_files():
    text = b"{'descr': '|u1', 'fortran_order': False, 'shape': (70000,), }"
    header = bytes.fromhex("934e554d50590100") + struct.pack("<H", len(text)) + text
    return {
        "m/array.npy": (5, [header + bytes(70_000)]),
        "m/small": (1, [b"small\n"]),
        "m/zeros": (2, [bytes(32_768), bytes(32_768), b"\0"]),
    }


def several_parts(name, class_name, about, rule="F-45", words=None, **options):
    """A file of 36 MiB, each chunk all of one byte."""
    content = {
        "m/a": (1, [b"before\n"]),
        "m/large": (2, [bytes([number + 1]) * (4 * MIB) for number in range(9)]),
        "m/z": (2, [bytes([3]) * (4 * MIB), b"behind\n"]),
    }
    words = {32 * MIB: words or WORDS_AT_32_MIB}
    return bundle_case(name, rule, class_name, about, content, rules=Rules, encode=zstd,
                       words=words, **options)


def broken_files():
    for name in ("manifest", "packs", "README.txt"):
        short = name.split(".")[0].lower()
        yield damaged(f"{short}-is-a-directory", "F-01", f"A directory in the place of {name}.",
                  tidy=in_place(name))
        field = {"README.txt": "readme"}.get(name, name)
        for digest in ("blake3", "sha256"):
            yield damaged(f"{short}-other-{digest}", "F-06",
                          f"Another {digest} of {name} in the head.",
                      head_fields={field: other_digest(field, digest)})
    yield damaged("volumes-is-a-file", "F-01", "A file in the place of volumes.",
              tidy=move("bundle/volumes/000001.vol", "bundle/volumes"))
    yield damaged("volume-is-a-directory", "F-01", "A directory in the place of a volume.",
              tidy=move("bundle/volumes/000001.vol", "bundle/volumes/000001.vol/000001.vol"))
    yield damaged("readme-flipped", "F-06", "A README.txt with one bit flipped.",
              tidy=change_file("bundle/README.txt", flip(3)))
    yield damaged("readme-longer", "F-06", "A README.txt with one byte more.",
              tidy=change_file("bundle/README.txt", lambda data: data + b"\n"))
    yield damaged("attachment-flipped", "F-06", "An attachment with one bit flipped.",
              attachments=ATTACHMENTS, tidy=change_file("bundle/attachments/03", flip(0)))
    yield damaged("attachment-longer", "F-06", "An attachment of no bytes that has one.",
              attachments=ATTACHMENTS, tidy=change_file("bundle/attachments/02", lambda _: b"x"))
    yield damaged("attachments-swapped", "F-04", "Two attachments in the other order.",
              attachments=[("scan", b"one\n"), ("scan", b"two\n")],
              tidy=lambda made: made.update({
                  "bundle/attachments/01": made["bundle/attachments/02"],
                  "bundle/attachments/02": made["bundle/attachments/01"]}))
    volume = "bundle/volumes/000001.vol"
    yield damaged("volume-longer", "F-03", "A volume with a byte behind the last pack.",
              tidy=change_file(volume, lambda data: data + b"\0"))
    yield damaged("volume-shorter", "F-55", "A volume that ends one byte early.",
              tidy=change_file(volume, lambda data: data[:-1]))
    yield damaged("volume-with-gap", "F-03", "A volume with a byte before the first pack.",
              tidy=change_file(volume, lambda data: b"\0" + data))
    yield damaged("volumes-swapped", "F-03", "Two volumes under each other's number.",
              {f"m/{n}": (1, [noise(n)]) for n in "ab"}, volume_len=600,
              rules=OneEach,
              tidy=lambda made: made.update({
                  "bundle/volumes/000001.vol": made["bundle/volumes/000002.vol"],
                  "bundle/volumes/000002.vol": made["bundle/volumes/000001.vol"]}))
    yield bad("volume-missing", "F-05", "Two of three volumes.", class_name="incomplete",
              volume_len=2100, tidy=lambda made: made.pop("bundle/volumes/000002.vol"))
    for name in ("manifest", "packs"):
        yield bad(f"{name}-missing", "F-01", f"A bundle without the file {name}.",
                  class_name="incomplete", tidy=lambda made, name=name: made.pop(f"bundle/{name}"))


class OneEach(Rules):
    """Each entry with rows is a pack of its own."""

    pack_len = 1


def other_digest(field, name):
    return lambda head: {**head[field], name: "0" * 64}


def other_number(field, name, step):
    return lambda head: {**head[field], name: head[field][name] + step}


def broken_heads():
    zero = "0" * 64
    yield damaged("other-content-id", "F-22", "Another content_id.",
                  head_fields={"content_id": zero})
    yield bad("other-tree-id", "F-24", "Another tree_id.", head_fields={"tree_id": zero})
    yield damaged("other-pack-root", "F-21", "Another digest of the pack-table root.",
              head_fields={"packs": other_digest("packs", "root")})
    for field, step in (("files", 1), ("directories", 1), ("bytes", -1)):
        yield bad(f"other-total-of-{field}", "F-120", f"Another number of {field} in the head.",
                  head_fields={"totals": other_number("totals", field, step)})
    yield bad("other-volume-count", "F-55", "Another number of volumes in the head.",
              head_fields={"volumes": other_number("volumes", "count", 1)})
    yield bad("other-volume-length", "F-55", "Another length of the volumes in the head.",
              head_fields={"volumes": other_number("volumes", "length", 1)})
    yield bad("critical-feature", "F-123", "A critical feature that version 1 does not know.",
              class_name="refused", head_fields={"critical": ["parity"]})
    yield bad("head-not-a-head", "F-120", "A head with one space more.", class_name="untrusted",
              changes={"head": lambda data: data.replace(b'": 7', b'":  7')})


def broken_packs():
    volume = "bundle/volumes/000001.vol"
    one = {"m/a": (2, [noise("a"), noise("b")])}
    # 16 + 2 frames of 44 + 2 runs of 16.
    index_len = 136
    yield damaged("first-index-flipped", "F-100", "A first index with one bit flipped.", one,
              tidy=change_file(volume, flip(20)))
    yield damaged("second-index-flipped", "F-100", "A second index with one bit flipped.", one,
              tidy=change_file(volume, flip(-1)))
    yield damaged("both-indexes-flipped", "F-100", "Both indexes with one bit flipped.", one,
              tidy=change_file(volume, lambda data: flip(20)(flip(-1)(data))))
    yield damaged("payload-flipped", "F-82", "A payload with one bit flipped.", one,
              tidy=change_file(volume, flip(index_len + 7)))
    yield damaged("chunk-of-another-digest", "F-109",
                  "A frame of two chunks, one of them another.", one,
              chunks_a_frame=2, changes={"frame 0 0": flip(7)})
    yield damaged("unknown-codec", "F-80", "A frame of a codec that nobody knows.",
              {"m/a": (1, [b"a" * 500])}, encode=lambda raw: (3, 0, rle(raw)))
    yield damaged("frame-does-not-decode", "F-94", "A zstd frame whose block ends early.",
              {"m/a": (1, [b"a" * 500])}, encode=zstd,
              changes={"frame 0 0": lambda data: data[:-1]})
    yield bad("critical-section-in-index", "F-58", "A critical section of an index.",
              class_name="refused", changes=with_sections("index 0", (9, 1, b"abc")))
    yield bad("critical-section-in-pack-table", "F-58", "A critical section of the pack table.",
              class_name="refused", changes=with_sections("pack root", (9, 1, b"abc")))
    wrong = with_sections("pack root", (9, 0, b"abc"))
    wrong["pack sections"] = lambda _: b"abd"
    yield damaged("section-of-another-digest", "F-58",
                  "A section of the pack table with another digest.",
              changes=wrong)
    yield bad("left-out-of-no-repair", "F-56", "A pack that is not carried, in no repair.",
              left_out=(0,), with_references=False)
    yield bad("cut-elsewhere", "F-60", "A file of two chunks where F-61 gives one.", one,
              recut=True)


def broken_references():
    """Ordinals: m/a has 0 and 1, m/b 2 and 3, n/c 4, in a pack each."""
    a, b, c = noise("a"), noise("b"), noise("c")

    def case(name, rule, about, forced, third=a, class_name="untrusted", **options):
        content = {"m/a": (2, [a, b]), "m/b": (2, [a, c]), "n/c": (1, [third])}
        return bad(name, rule, about, content, class_name, rules=OneEach, forced=forced, **options)

    yield case("reference-to-another-chunk", "F-107", "A reference to another chunk.",
               {2: (REFERENCE, 0, 1)})
    yield case("reference-to-its-own-pack", "F-106", "A reference to the row itself.",
               {3: (REFERENCE, 0, 3)})
    yield case("reference-to-a-later-pack", "F-106", "A reference to a later file.",
               {0: (REFERENCE, 0, 2)})
    yield case("reference-beyond", "F-106", "A reference to ordinal 2^63.",
               {2: (REFERENCE, 0, 2**63)})
    yield case("reference-to-another-root", "F-106", "A reference to a file below another root.",
               {4: (REFERENCE, 0, 0)})
    content = {"m/a": (2, [a]), "m/b": (2, [a]), "m/c": (2, [a])}
    yield bad("reference-to-a-reference", "F-106", "A reference to a row that is a reference.",
              content, rules=OneEach, forced={2: (REFERENCE, 0, 1)})
    yield case("base-of-no-base", "F-102", "A base reference where the head lists no base.",
               {4: (BASE, 0, 0)})
    base = {"stream": "models", "counter": 6, "content_id": "0123456789abcdef" * 4}
    yield case("base-missing", "F-102", "A delta whose base is not at hand.", {4: (BASE, 0, 0)},
               class_name="base missing", head_fields={"bases": [base]})
    yield case("repeat-of-a-later-row", "F-105", "A row that repeats the next one.",
               {0: (REPEAT, 0, 1)})


def broken_files_of_manifest():
    """Rules that only the bytes of the files can break (F-23)."""
    for name, what, chunks in (
        ("file", "A file", [noise("a")]),
        ("empty-file", "An empty file", []),
    ):
        wrong = hashlib.sha256(b"".join(chunks) + b"!").digest()
        tree_id = hashlib.sha256(f"{wrong.hex()}  m/a\n".encode()).hexdigest()
        yield damaged(f"{name}-of-another-sha256", "F-23", f"{what} with another SHA-256.",
                  {"m/a": (1, chunks)}, head_fields={"tree_id": tree_id},
                  changes={"manifest page 0": put_at(8 + 4 + 1 + 8, wrong)})
    words = [WORDS_AT_32_MIB[0] ^ 1, *WORDS_AT_32_MIB[1:]]
    yield several_parts("mark-of-other-words", "damaged", "A mark with one bit flipped.",
                        rule="F-23", words=words)


def cases():
    """The cases of this page."""
    yield from accepted()
    yield from broken_files()
    yield from broken_heads()
    yield from broken_packs()
    yield from broken_references()
    yield from broken_files_of_manifest()
