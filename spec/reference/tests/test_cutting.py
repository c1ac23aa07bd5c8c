"""Cuts of every profile against the rules' own figures (F-60 to F-75)."""

import json
import struct
import unittest

from airlift_reader.cutting import cut

KIB = 1024
MIB = 1024 * KIB


def pinned_bytes(count):
    """The bytes of the pin of F-63."""
    x = 1
    data = bytearray()
    for _ in range(count):
        x = (x * 6364136223846793005 + 1442695040888963407) % 2**64
        data.append(x >> 56)
    return bytes(data)


def safetensors(lengths, **changes):
    """A file of tensors of zeros with these lengths."""
    members, end = {"__metadata__": {"format": "pt"}}, 0
    for number, length in enumerate(lengths):
        members[f"t{number}"] = {
            "dtype": "BF16",
            "shape": [length // 2],
            "data_offsets": [end, end + length],
        }
        end += length
    members.update(changes)
    table = json.dumps(members).encode()
    return struct.pack("<Q", len(table)) + table + bytes(end), 8 + len(table)


def gguf_string(text):
    return struct.pack("<Q", len(text)) + text


def gguf(offsets, file_len, alignment=64):
    pairs = [
        gguf_string(b"general.alignment") + struct.pack("<II", 4, alignment),
        gguf_string(b"words") + struct.pack("<IIQ", 9, 8, 2)
        + gguf_string(b"a") + gguf_string(b"bc"),
        gguf_string(b"nest") + struct.pack("<IIQIQ", 9, 9, 1, 5, 3) + bytes(12),
    ]
    data = b"GGUF" + struct.pack("<IQQ", 3, len(offsets), len(pairs))
    data += b"".join(pairs)
    for offset in offsets:
        data += gguf_string(b"tensor") + struct.pack("<IQIQ", 1, 8, 0, offset)
    first = -(-len(data) // alignment) * alignment
    return data + bytes(file_len - len(data)), first


class Profiles(unittest.TestCase):
    def test_small_file_is_one_chunk(self):
        self.assertEqual(cut(b""), (1, []))
        self.assertEqual(cut(bytes(65_536)), (1, [65_536]))

    def test_mincdc_pin(self):
        lengths = [98046, 44666, 91729, 74500, 33968, 40721, 16370]
        self.assertEqual(cut(pinned_bytes(400_000)), (2, lengths))

    def test_mincdc_of_equal_bytes_takes_the_smallest_length(self):
        self.assertEqual(cut(bytes(65_537)), (2, [32_768, 32_768, 1]))

    def test_safetensors_is_cut_at_starts_and_steps(self):
        data, table_len = safetensors([MIB + 70_000, 100_000, 10, 2 * MIB + 5])
        first = table_len + MIB + 70_000
        expected = [0, table_len + MIB, first, first + 100_000]
        # The table is short, so the first tensor's start is no cut. The third
        # tensor is a cut, so the fourth is none; its steps stand all the same.
        fourth = first + 100_010
        expected += [fourth + MIB, len(data)]
        lengths = [b - a for a, b in zip(expected, expected[1:])]
        self.assertEqual(cut(data), (3, lengths))

    def test_safetensors_with_a_gap_is_mincdc(self):
        member = {"dtype": "U8", "data_offsets": [200_001, 200_002]}
        data, _ = safetensors([200_000], late=member)
        self.assertEqual(cut(data + b"ab")[0], 2)

    def test_safetensors_with_a_key_twice_is_mincdc(self):
        data, _ = safetensors([200_000])
        self.assertEqual(cut(data)[0], 3)
        self.assertEqual(cut(data.replace(b'"shape"', b'"dtype"'))[0], 2)

    def test_gguf_is_cut_at_its_tensors(self):
        data, first = gguf([0, 128 * KIB, 256 * KIB], 400 * KIB)
        expected = [first + 128 * KIB, 128 * KIB, 144 * KIB - first]
        self.assertEqual(cut(data), (4, expected))

    def test_gguf_off_its_alignment_is_mincdc(self):
        data, _ = gguf([0, 128 * KIB + 32], 400 * KIB)
        self.assertEqual(cut(data)[0], 2)

    def test_npy_is_cut_behind_a_long_header_only(self):
        text = b"{'descr': '<f4', 'shape': (9,)}"
        data = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text
        data += bytes(MIB + 70_000)
        first = 10 + len(text) + MIB
        self.assertEqual(cut(data), (5, [first, len(data) - first]))


if __name__ == "__main__":
    unittest.main()
