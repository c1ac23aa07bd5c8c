"""Cases of the kind cut (F-60 to F-75).

What is expected is written out here, not asked of a reader. A broken table
makes the file mincdc, and zeros are then cut every 32,768 bytes: of equal
hashes the first place counts.
"""

import json

from .case import Case, piece_bytes

KIB, MIB = 1024, 1 << 20
LEAST = 32_768

SINGLE, MINCDC, SAFETENSORS, GGUF, NPY = 1, 2, 3, 4, 5

DTYPES = (
    "BOOL U8 I8 F8_E5M2 F8_E4M3 F8_E8M0 F6_E2M3 F6_E3M2 F4 U16 I16 F16 BF16 U32 I32 F32 "
    "C64 U64 I64 F64 OF_THE_FUTURE"
).split()


def zeros(count):
    return [{"hex": "00", "times": count}] if count else []


def zeros_cut(length):
    """Where mincdc cuts so many zeros."""
    whole, rest = divmod(length, LEAST)
    return [LEAST] * whole + ([rest] if rest else [])


def size(parts):
    return len(piece_bytes(parts))


def cut(name, rule, about, parts, lengths, profile):
    if sum(lengths) != size(parts):
        raise ValueError(f"{name}: {sum(lengths)} of {size(parts)} bytes")
    return Case("cut", name, rule, "accepted", about, input=parts, lengths=lengths,
                profile=profile)


def broken(name, rule, about, parts, total=100_000):
    """A file that falls back: the table's bytes, then zeros."""
    parts = parts + zeros(total - size(parts))
    return cut(name, rule, about, parts, zeros_cut(total), MINCDC)


def plain_cases():
    yield cut("single-empty", "F-61", "No byte: no chunk.", [], [], SINGLE)
    yield cut("single-one-byte", "F-61", "One byte.", [{"hex": "61"}], [1], SINGLE)
    yield cut("single-64-kib", "F-61", "64 KiB.", zeros(64 * KIB), [64 * KIB], SINGLE)
    table = safetensors({"a": tensor(0, 100)})
    yield cut("single-before-table", "F-60", "A small file with a table is single.",
              table + zeros(100), [size(table) + 100], SINGLE)
    yield cut("mincdc-64-kib-and-1", "F-63", "64 KiB and one byte.", zeros(64 * KIB + 1),
              [LEAST, LEAST, 1], MINCDC)
    yield cut("mincdc-ends-exactly", "F-63", "Three chunks of the least length.",
              zeros(3 * LEAST), [LEAST] * 3, MINCDC)
    noise = [{"xof": "airlift", "length": 400_000}]
    yield cut("mincdc-noise", "F-63", "Noise.", noise, NOISE_LENGTHS, MINCDC)
    later = [{"xof": "airlift", "offset": 12_345, "length": 200_000}]
    yield cut("mincdc-noise-shifted", "F-63", "The same noise from another place.", later,
              SHIFTED_LENGTHS, MINCDC)
    text = [{"text": "0123456789abcdef airlift\n", "times": 8000}]
    yield cut("mincdc-period", "F-63", "A text that repeats: of equal hashes the first.", text,
              PERIOD_LENGTHS, MINCDC)


def tensor(begin, end, dtype="F32", **others):
    return {"dtype": dtype, "shape": [end - begin], "data_offsets": [begin, end], **others}


def safetensors(table, behind=""):
    """A safetensors table from a dict or from its text."""
    text = table if isinstance(table, str) else json.dumps(table)
    text += behind
    return [{"u64": len(text.encode())}, {"text": text}]


def safetensors_case(name, about, table, lens, total=None, rule="F-73"):
    """A file of tensors; `lens` are the chunk lengths, the first without the table."""
    parts = safetensors(table) if not isinstance(table, list) else table
    data_len = sum(lens) if total is None else total
    lengths = [size(parts) + lens[0], *lens[1:]]
    return cut(name, rule, about, parts + zeros(data_len), lengths, SAFETENSORS)


def consecutive(lengths):
    """A table of tensors of these lengths, one behind the other."""
    table, end = {}, 0
    for number, length in enumerate(lengths):
        table[f"t{number}"] = tensor(end, end + length)
        end += length
    return table


def safetensors_cases():
    step = 70_000
    table = {d: tensor(n * step, (n + 1) * step, d) for n, d in enumerate(DTYPES)}
    yield safetensors_case("safetensors-every-dtype", "A tensor of each dtype, and of one unknown.",
                           table, [step] * len(DTYPES))
    yield safetensors_case("safetensors-steps", "3 MiB are cut every MiB.",
                           consecutive([3 * MIB, 100 * KIB]), [MIB, MIB, MIB, 100 * KIB],
                           rule="F-71")
    yield safetensors_case("safetensors-step-near-end",
                           "A cut 64 KiB - 1 before a tensor's end is dropped.",
                           consecutive([MIB + 64 * KIB - 1, 100 * KIB]),
                           [MIB + 64 * KIB - 1, 100 * KIB], rule="F-71")
    yield safetensors_case("safetensors-step-at-64-kib", "A cut 64 KiB before a tensor's end.",
                           consecutive([MIB + 64 * KIB, 100 * KIB]),
                           [MIB, 64 * KIB, 100 * KIB], rule="F-71")
    yield safetensors_case("safetensors-small-tensors",
                           "Tensor starts less than 64 KiB behind the last cut are dropped.",
                           consecutive([100 * KIB, 20 * KIB, 43 * KIB, KIB, 70 * KIB]),
                           [100 * KIB, 64 * KIB, 70 * KIB], rule="F-71")
    yield safetensors_case("safetensors-steps-from-a-dropped-start",
                           "Steps are counted from a start that was dropped.",
                           consecutive([100 * KIB, 20 * KIB, 2 * MIB]),
                           [100 * KIB, 20 * KIB + MIB, MIB], rule="F-71")
    yield safetensors_case("safetensors-longest-chunk",
                           "A chunk of 1 MiB + 128 KiB - 2, as long as one can be.",
                           consecutive([100 * KIB, 64 * KIB - 1, MIB + 64 * KIB - 1, 80 * KIB]),
                           [100 * KIB, MIB + 128 * KIB - 2, 80 * KIB], rule="F-72")
    yield safetensors_case("safetensors-short-last", "A last chunk below 64 KiB.",
                           consecutive([100 * KIB, 5]), [100 * KIB, 5], rule="F-72")
    yield safetensors_case("safetensors-out-of-order", "Tensors named in another order.",
                           {"b": tensor(90_000, 180_000), "a": tensor(0, 90_000)},
                           [90_000, 90_000])
    yield safetensors_case("safetensors-empty-tensors", "Tensors of no bytes are left out.",
                           {"a": tensor(0, 0), "b": tensor(0, 90_000), "c": tensor(7, 7)}, [90_000])
    yield safetensors_case("safetensors-metadata", "Any JSON as metadata.",
                           {"__metadata__": {"format": "pt", "x": [1, {"y": None}]},
                            "a": tensor(0, 90_000)}, [90_000])
    yield safetensors_case("safetensors-other-members", "Members that nobody knows.",
                           {"a": tensor(0, 90_000, color={"dtype": 1}, scale=1.5e300)}, [90_000])
    yield safetensors_case("safetensors-white-space", "White space behind the object.",
                           safetensors({"a": tensor(0, 90_000)}, " \t\r\n  "), [90_000])
    yield safetensors_case("safetensors-name-twice", "A tensor's name twice.",
                           '{"a":{"dtype":"U8","data_offsets":[0,90000]},'
                           '"a":{"dtype":"U8","data_offsets":[90000,180000]}}', [90_000, 90_000])
    yield safetensors_case("safetensors-escaped-members", "Known members with escapes.",
                           '{"a":{"\\u0064type":"U8","data\\u005foffsets":[0,90000]}}', [90_000])
    text = json.dumps({"a": tensor(0, 5)})
    header = [{"u64": len(text) + 69_000}, {"text": text}, {"text": " ", "times": 69_000}]
    yield cut("safetensors-long-table", "F-71", "A table of more than 64 KiB is a chunk.",
              header + zeros(5), [size(header), 5], SAFETENSORS)


def broken_safetensors():
    def bad(name, about, table):
        parts = table if isinstance(table, list) else safetensors(table)
        return broken(f"safetensors-{name}", "F-73", about, parts)

    def filled(make, **keys):
        """A table whose tensors end with the file; `make` takes their length."""
        length = 0
        for _ in range(9):
            table = make(length)
            length = 100_000 - size(safetensors(table))
        return table

    def text(member):
        """A file with one tensor whose description is this text."""
        return filled(lambda n: '{"a":' + member.replace("END", str(n)) + "}")

    yield bad("gap", "A gap between two tensors.",
              filled(lambda n: {"a": tensor(0, 100), "b": tensor(101, n)}))
    yield bad("overlap", "Two tensors that share a byte.",
              filled(lambda n: {"a": tensor(0, 100), "b": tensor(99, n)}))
    yield bad("begins-late", "A first tensor that begins with byte 1.",
              filled(lambda n: {"a": tensor(1, n)}))
    yield bad("ends-early", "A last tensor that ends before the file.",
              filled(lambda n: {"a": tensor(0, n - 1)}))
    yield bad("ends-late", "A last tensor that ends behind the file.",
              filled(lambda n: {"a": tensor(0, n + 1)}))
    yield bad("descends", "A tensor that ends before it begins.",
              filled(lambda n: {"a": tensor(0, n), "b": tensor(9, 8)}))
    yield bad("no-tensor", "No tensor.", {})
    yield bad("no-tensor-but-empty", "No tensor with bytes.", {"a": tensor(0, 0)})
    yield bad("no-dtype", "No dtype.", text('{"data_offsets":[0,END]}'))
    yield bad("dtype-twice", "dtype twice.",
              text('{"dtype":"U8","dtype":"U8","data_offsets":[0,END]}'))
    yield bad("dtype-number", "A number for a dtype.", text('{"dtype":8,"data_offsets":[0,END]}'))
    yield bad("no-offsets", "No data_offsets.",
              filled(lambda n: {"a": tensor(0, n), "b": {"dtype": "U8"}}))
    yield bad("offsets-twice", "data_offsets twice.",
              text('{"dtype":"U8","data_offsets":[0,END],"data_offsets":[0,END]}'))
    yield bad("three-offsets", "Three offsets.", text('{"dtype":"U8","data_offsets":[0,END,END]}'))
    yield bad("one-offset", "One offset.", text('{"dtype":"U8","data_offsets":[END]}'))
    yield bad("float-offset", "An offset with a fraction.",
              text('{"dtype":"U8","data_offsets":[0.0,END]}'))
    yield bad("exponent-offset", "An offset with an exponent.",
              text('{"dtype":"U8","data_offsets":[0e0,END]}'))
    yield bad("text-offset", "An offset in quotes.",
              text('{"dtype":"U8","data_offsets":["0",END]}'))
    yield bad("negative-offset", "A negative offset.",
              filled(lambda n: '{"a":{"dtype":"U8","data_offsets":[0,%d]},'
                               '"b":{"dtype":"U8","data_offsets":[-1,-1]}}' % n))
    yield bad("offset-2-to-64", "An offset of 2^64.",
              filled(lambda n: '{"a":{"dtype":"U8","data_offsets":[0,%d]},'
                               '"b":{"dtype":"U8","data_offsets":[%d,%d]}}' % (n, 2**64, 2**64)))
    yield bad("leading-zero", "An offset with a leading zero.",
              text('{"dtype":"U8","data_offsets":[00,END]}'))
    yield bad("nan", "NaN for an unknown member.",
              text('{"dtype":"U8","data_offsets":[0,END],"x":NaN}'))
    yield bad("tensor-array", "An array for a tensor.", text('["U8",[0,END]]'))
    yield bad("comma-last", "A comma behind the last member.",
              text('{"dtype":"U8","data_offsets":[0,END],}'))
    yield bad("value-behind", "A second value behind the object.",
              filled(lambda n: json.dumps({"a": tensor(0, n)}) + "0"))
    yield bad("array", "An array for the table.", "[{}]")
    yield bad("control-character", "A newline in a name.",
              filled(lambda n: json.dumps({"a.": tensor(0, n)}).replace(".", "\n")))
    yield bad("cut-off", "A table that is longer than the file.",
              [{"u64": 100_000}, {"text": '{"a":'}])
    yield bad("all-table", "A table that is as long as the file.",
              [{"u64": 99_992}, {"text": '{"a":'}])
    yield bad("length-16-mib", "A table of more than 16 MiB.", [{"u64": 16 * MIB}, {"text": "{"}])
    yield bad("length-near-2-to-63", "A table of 2^63 bytes.", [{"u64": 2**63}, {"text": "{"}])
    yield bad("length-near-2-to-64", "A table whose end is beyond 64 bits.",
              [{"u64": 2**64 - 1}, {"text": "{"}])
    yield bad("not-utf8", "A name that is not UTF-8.", not_utf8())


def not_utf8():
    before, behind = b'{"a', b'":{"dtype":"U8","data_offsets":[0,%d]}}'
    length = 100_000 - 8 - len(before) - 1 - len(behind % 99_999)
    text = before + b"\xff" + behind % length
    return [{"u64": len(text)}, {"hex": text.hex()}]


U32, STRING, ARRAY = 4, 8, 9


def u32(value):
    return {"hex": value.to_bytes(4, "little").hex()}


def string(text):
    return [{"u64": len(text.encode())}, {"text": text}]


def gguf(pairs, tensors, version=3, tensor_count=None, pair_count=None):
    """A GGUF table: pairs (key, kind, pieces), tensors (name, dimensions, offset)."""
    parts = [{"text": "GGUF"}, u32(version)]
    parts.append({"u64": len(tensors) if tensor_count is None else tensor_count})
    parts.append({"u64": len(pairs) if pair_count is None else pair_count})
    for key, kind, value in pairs:
        parts += [*string(key), u32(kind), *value]
    for name, dimensions, offset in tensors:
        parts += [*string(name), u32(len(dimensions)), *({"u64": d} for d in dimensions)]
        parts += [u32(30), {"u64": offset}]
    return parts


def array(kind, count, value):
    return [u32(kind), {"u64": count}, *value]


def nested_array(depth):
    """Arrays in arrays, `depth` of them, the innermost of one byte."""
    value = array(0, 1, [{"hex": "07"}])
    for _ in range(depth - 1):
        value = array(ARRAY, 1, value)
    return value


TWO_TENSORS = [("a", [4, 4], 0), ("b", [], 96_000)]


def every_value():
    lens = {0: 1, 1: 1, 7: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 10: 8, 11: 8, 12: 8}
    pairs = [(f"k{kind}", kind, [{"hex": "01" * length}]) for kind, length in lens.items()]
    pairs.append(("text", STRING, string("grüße")))
    pairs.append(("texts", ARRAY, array(STRING, 2, string("a") + string(""))))
    pairs.append(("numbers", ARRAY, array(12, 3, [{"hex": "00", "times": 24}])))
    pairs.append(("nothing", ARRAY, array(0, 0, [])))
    pairs.append(("nested", ARRAY, nested_array(4)))
    return pairs


def gguf_cases():
    def good(name, about, table, offsets, last, alignment=32, rule="F-74"):
        """Tensors at these offsets, each start a cut; the last one has so many bytes."""
        table_len = size(table)
        first = -(-table_len // alignment) * alignment
        total = first + offsets[-1] + last
        starts = [first + offset for offset in offsets[1:]]
        ends = [*starts, total]
        lengths = [end - begin for begin, end in zip([0, *starts], ends)]
        return cut(name, rule, about, table + zeros(total - table_len), lengths, GGUF)

    yield good("gguf-version-3", "Two tensors.", gguf([], TWO_TENSORS), [0, 96_000], 70_000)
    yield good("gguf-version-2", "Two tensors, version 2.", gguf([], TWO_TENSORS, 2),
               [0, 96_000], 70_000)
    yield good("gguf-every-value", "A value of each kind, and arrays four deep.",
               gguf(every_value(), TWO_TENSORS), [0, 96_000], 70_000)
    aligned = [("general.alignment", U32, [u32(4096)])]
    yield good("gguf-alignment", "An alignment of 4,096.",
               gguf(aligned, [("a", [], 0), ("b", [], 98_304)]), [0, 98_304], 70_000, 4096)
    yield good("gguf-last-alignment", "The last of two alignments counts.",
               gguf([("general.alignment", U32, [u32(64)]), *aligned],
                    [("a", [], 0), ("b", [], 98_304)]), [0, 98_304], 70_000, 4096)
    yield good("gguf-alignment-1", "An alignment of 1.",
               gguf([("general.alignment", U32, [u32(1)])], [("a", [], 0), ("b", [], 90_001)]),
               [0, 90_001], 70_000, 1)
    yield good("gguf-out-of-order", "Tensors named in another order.",
               gguf([], TWO_TENSORS[::-1]), [0, 96_000], 70_000)
    yield good("gguf-four-dimensions", "A tensor of four dimensions.",
               gguf([], [("a", [1, 2, 3, 2**63], 0), ("b", [], 96_000)]), [0, 96_000], 70_000)
    table = gguf([], [("a", [], 96_000)])
    first = -(-size(table) // 32) * 32 + 96_000
    yield cut("gguf-gap-before-first", "F-70", "What stands before the first tensor is a region.",
              table + zeros(first + 70_000 - size(table)), [first, 70_000], GGUF)
    table = gguf([("general.alignment", U32, [u32(2**31)])], [("a", [], 0)])
    yield broken("gguf-alignment-2-to-31", "F-74", "Tensors that begin behind the file.", table)


def broken_gguf():
    def bad(name, about, *table, **keys):
        return broken(f"gguf-{name}", "F-74", about, gguf(*table, **keys))

    yield bad("version-1", "Version 1.", [], TWO_TENSORS, 1)
    yield bad("version-4", "Version 4.", [], TWO_TENSORS, 4)
    yield bad("big-endian", "A version in the other byte order.", [], TWO_TENSORS, 3 << 24)
    yield bad("no-tensor", "No tensor.", [], [])
    yield bad("too-many-tensors", "A tensor count of 2^20 + 1.", [], [], tensor_count=2**20 + 1)
    yield bad("tensors-missing", "A tensor count of 2^20, and two tensors.", [], TWO_TENSORS,
              tensor_count=2**20)
    yield bad("pairs-near-2-to-63", "A pair count of 2^63.", [], [], pair_count=2**63)
    yield bad("five-dimensions", "A tensor of five dimensions.", [], [("a", [1] * 5, 0)])
    yield bad("kind-13", "A value of kind 13.", [("k", 13, [{"hex": "00"}])], TWO_TENSORS)
    yield bad("values-of-kind-13", "An array of kind 13.", [("k", ARRAY, array(13, 0, []))],
              TWO_TENSORS)
    yield bad("arrays-five-deep", "Arrays five deep.", [("k", ARRAY, nested_array(5))],
              TWO_TENSORS)
    yield bad("arrays-2500-deep", "Arrays 2,500 deep.",
              [("k", ARRAY, [{"hex": "090000000100000000000000", "times": 2500}])], TWO_TENSORS)
    yield bad("values-near-2-to-63", "An array of 2^63 bytes.",
              [("k", ARRAY, array(12, 2**63, []))], TWO_TENSORS)
    yield bad("string-near-2-to-63", "A string of 2^63 bytes.",
              [("k", STRING, [{"u64": 2**63}])], TWO_TENSORS)
    yield bad("string-near-2-to-64", "A string whose end is beyond 64 bits.",
              [("k", STRING, [{"u64": 2**64 - 1}])], TWO_TENSORS)
    for value in (0, 3):
        yield bad(f"alignment-{value}", f"An alignment of {value}.",
                  [("general.alignment", U32, [u32(value)])], TWO_TENSORS)
    yield bad("alignment-of-another-kind", "An alignment as i32.",
              [("general.alignment", 5, [u32(32)])], TWO_TENSORS)
    yield bad("first-alignment-broken", "A first alignment of 3, and a second of 32.",
              [("general.alignment", U32, [u32(v)]) for v in (3, 32)], TWO_TENSORS)
    yield bad("offset-not-aligned", "An offset that is no multiple of 32.",
              [], [("a", [], 0), ("b", [], 16)])
    yield bad("offset-twice", "Two tensors with one offset.", [], [("a", [], 0), ("b", [], 0)])
    yield bad("offset-behind-file", "A tensor that begins behind the file.",
              [], [("a", [], 0), ("b", [], 100_000)])
    yield bad("offset-near-2-to-64", "A tensor whose begin is beyond 64 bits.",
              [], [("a", [], 0), ("b", [], 2**64 - 32)])


def npy(major, text, length=None):
    width = 2 if major == 1 else 4
    text_len = len(text) if length is None else length
    return [{"hex": f"934e554d5059{major:02x}00" + text_len.to_bytes(width, "little").hex()},
            {"hex": text.hex()}]


NPY_TEXT = b"{'descr': '<f4', 'fortran_order': False, 'shape': (65536,), }"


def long_npy(text_len):
    """A header whose text ends in spaces."""
    return npy(2, NPY_TEXT, text_len) + [{"hex": "20", "times": text_len - len(NPY_TEXT)}]


def npy_cases():
    for major in (1, 2, 3):
        header = npy(major, NPY_TEXT)
        yield cut(f"npy-version-{major}", "F-75", f"An array of 256 KiB, version {major}.",
                  header + zeros(256 * KIB), [size(header) + 256 * KIB], NPY)
    header = npy(1, NPY_TEXT)
    yield cut("npy-steps", "F-71", "Steps are counted from the header's end.",
              header + zeros(2 * MIB + 70_000), [size(header) + MIB, MIB, 70_000], NPY)
    header = long_npy(70_000)
    yield cut("npy-long-header", "F-71", "A header of more than 64 KiB is a chunk.",
              header + zeros(9), [size(header), 9], NPY)
    latin = NPY_TEXT.replace(b"}", b"\xe9}")
    for name, about, parts in (
        ("version-0", "Version 0.", npy(0, NPY_TEXT)),
        ("version-4", "Version 4.", npy(4, NPY_TEXT)),
        ("no-brace", "A text that does not begin with a brace.", npy(1, b" " + NPY_TEXT)),
        ("no-descr", "A text without descr.", npy(1, NPY_TEXT.replace(b"descr", b"dtype"))),
        ("descr-open", "A descr without an end.", npy(1, b"{'descr': '<f4")),
        ("descr-list", "A descr that is a list.", npy(1, b"{'descr': [('a', '<f4')]}")),
        ("not-utf8", "A text that is not UTF-8.", npy(3, latin)),
        ("length-beyond", "A text longer than the file.", npy(2, NPY_TEXT, 100_000)),
        ("all-header", "A text that ends with the file.", long_npy(100_000 - 12)),
        ("length-2-to-32", "A text of 2^32 - 1 bytes.", npy(2, NPY_TEXT, 2**32 - 1)),
        ("other-magic", "Another first byte.", [{"hex": "924e554d50590100"}]),
    ):
        yield broken(f"npy-{name}", "F-75", about, parts)


# What F-63 gives, as both readers found it.
NOISE_LENGTHS = [64016, 32773, 75032, 69312, 42323, 66514, 35319, 14711]
SHIFTED_LENGTHS = [51671, 32773, 75032, 38197, 2327]
PERIOD_LENGTHS = [32769, 32775, 32775, 32775, 32775, 32775, 3356]


def cases():
    """The cases of this page."""
    yield from plain_cases()
    yield from safetensors_cases()
    yield from broken_safetensors()
    yield from gguf_cases()
    yield from broken_gguf()
    yield from npy_cases()
