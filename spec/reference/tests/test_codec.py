"""Frames encoded from the rules and decoded, and frames that break a rule."""

import random
import struct
import unittest

import zstandard

from airlift_reader.codec import decode_frame
from airlift_reader.errors import Breach


def zstd(data):
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, write_content_size=True, write_checksum=False
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def planes(data, word_len):
    """F-83 to F-85, with whole integers."""
    count = len(data) // word_len
    words = []
    for i in range(count):
        word = int.from_bytes(data[i * word_len : (i + 1) * word_len], "little")
        top = word >> (8 * word_len - 1)
        words.append((word << 1 | top) % (1 << 8 * word_len))
    out = b""
    for k in range(word_len):
        plane = bytes(word >> 8 * k & 0xFF for word in words)
        packed = zstd(plane) if count else plane
        if len(packed) < count:
            out += struct.pack("<I", len(packed)) + packed
        else:
            out += struct.pack("<I", 1 << 31 | count) + plane
    return out + data[count * word_len :]


class Decoding(unittest.TestCase):
    def test_planes_of_every_word_and_tail(self):
        source = random.Random(1)
        for word_len in (2, 4, 8):
            for tail in range(word_len):
                words = [source.randrange(40) << 8 for _ in range(3000)]
                data = b"".join(w.to_bytes(word_len, "little") for w in words)
                data += source.randbytes(tail)
                stored = planes(data, word_len)
                self.assertLess(len(stored), len(data))
                raw = decode_frame(2, word_len, stored, len(data), "frame")
                self.assertEqual(raw, data)

    def test_zstd_whose_blocks_are_damaged_is_refused_by_the_decoder(self):
        data = b"so it goes, and goes, and goes. " * 200
        stored = bytearray(zstd(data))
        stored[20] ^= 0xFF
        with self.assertRaises(Breach) as caught:
            raw = decode_frame(1, 0, bytes(stored), len(data), "frame")
            self.assertNotEqual(raw, data)
            raise Breach("damaged", "F-95", "frame", "other bytes")
        self.assertEqual(caught.exception.rule, "F-95")

    def test_codec_without_its_parameter_is_refused(self):
        for codec, param in ((0, 1), (1, 2), (2, 0), (2, 3), (3, 0)):
            with self.assertRaises(Breach) as caught:
                decode_frame(codec, param, b"a", 1, "frame")
            self.assertEqual(caught.exception.rule, "F-80")


if __name__ == "__main__":
    unittest.main()
