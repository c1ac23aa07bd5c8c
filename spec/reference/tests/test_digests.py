"""The SHA-256 whose state can be read, against hashlib."""

import hashlib
import struct
import unittest

from airlift_reader.digests import INITIAL_WORDS, MarkedSha256, compress


class Compression(unittest.TestCase):
    def test_initial_words_are_those_of_fips_180_4(self):
        self.assertEqual(INITIAL_WORDS[0], 0x6A09E667)
        self.assertEqual(INITIAL_WORDS[7], 0x5BE0CD19)

    def test_compressing_padded_blocks_gives_the_sha_256(self):
        for length in (0, 1, 55, 56, 64, 119, 1000):
            data = bytes(i * 7 % 256 for i in range(length))
            padded = data + b"\x80"
            padded += bytes(-(len(padded) + 8) % 64) + struct.pack(">Q", length * 8)
            words = INITIAL_WORDS
            for offset in range(0, len(padded), 64):
                words = compress(words, padded[offset : offset + 64])
            self.assertEqual(
                struct.pack(">8I", *words), hashlib.sha256(data).digest()
            )


class Marks(unittest.TestCase):
    def test_state_is_recognised_and_another_is_not(self):
        data = bytes(range(256)) * 3 + b"end"
        sha256 = MarkedSha256()
        for offset in range(0, len(data), 50):
            sha256.update(data[offset : offset + 50])
        words = INITIAL_WORDS
        for offset in range(0, 768, 64):
            words = compress(words, data[offset : offset + 64])
        self.assertTrue(sha256.is_at(words, b"end"))
        self.assertFalse(sha256.is_at(words, b"enD"))
        self.assertFalse(sha256.is_at((words[0] ^ 1, *words[1:]), b"end"))
        self.assertEqual(sha256.digest(), hashlib.sha256(data).digest())


if __name__ == "__main__":
    unittest.main()
