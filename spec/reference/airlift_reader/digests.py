"""Digests of chunks, frames and structures (F-20, F-21), and marks (F-23)."""

import hashlib
import struct

from blake3 import blake3

SUITE = 1

MANIFEST_ROOT = "airlift 1 manifest-root"
MANIFEST_PAGE = "airlift 1 manifest-page"
PACK_ROOT = "airlift 1 pack-root"
PACK_PAGE = "airlift 1 pack-page"
PACK_INDEX = "airlift 1 pack-index"


def plain(data):
    """The digest of content: plain BLAKE3 (F-20)."""
    return blake3(data).digest()


def structure(context, data):
    """The digest of a structure: BLAKE3 in derive-key mode (F-21)."""
    return blake3(data, derive_key_context=context).digest()


def sha256(data):
    """The SHA-256 of `data`."""
    return hashlib.sha256(data).digest()


def _first_primes(count):
    primes = []
    number = 2
    while len(primes) < count:
        if all(number % prime for prime in primes):
            primes.append(number)
        number += 1
    return primes


def _root_fraction(number, degree):
    """The first 32 bits of the fraction of the degree-th root of number."""
    scaled = number << (32 * degree)
    low, high = 0, 1 << 40
    while low + 1 < high:
        middle = (low + high) // 2
        if middle**degree <= scaled:
            low = middle
        else:
            high = middle
    return low & 0xFFFFFFFF


# FIPS 180-4, sections 5.3.3 and 4.2.2.
INITIAL_WORDS = tuple(_root_fraction(prime, 2) for prime in _first_primes(8))
_ROUND_WORDS = tuple(_root_fraction(prime, 3) for prime in _first_primes(64))


def _rotate(word, count):
    return (word >> count | word << (32 - count)) & 0xFFFFFFFF


def compress(words, block):
    """The chaining words after one 64-byte block (FIPS 180-4, 6.2.2)."""
    schedule = list(struct.unpack(">16I", block))
    for t in range(16, 64):
        early, late = schedule[t - 15], schedule[t - 2]
        small0 = _rotate(early, 7) ^ _rotate(early, 18) ^ early >> 3
        small1 = _rotate(late, 17) ^ _rotate(late, 19) ^ late >> 10
        total = schedule[t - 16] + small0 + schedule[t - 7] + small1
        schedule.append(total & 0xFFFFFFFF)
    a, b, c, d, e, f, g, h = words
    for t in range(64):
        big1 = _rotate(e, 6) ^ _rotate(e, 11) ^ _rotate(e, 25)
        choice = (e & f) ^ (~e & g)
        first = h + big1 + choice + _ROUND_WORDS[t] + schedule[t]
        big0 = _rotate(a, 2) ^ _rotate(a, 13) ^ _rotate(a, 22)
        majority = (a & b) ^ (a & c) ^ (b & c)
        h, g, f, e = g, f, e, (d + first) & 0xFFFFFFFF
        d, c, b, a = c, b, a, (first + big0 + majority) & 0xFFFFFFFF
    return tuple(
        (old + new) & 0xFFFFFFFF for old, new in zip(words, (a, b, c, d, e, f, g, h))
    )


def _padding_block(data_len):
    """The block that SHA-256 adds behind `data_len` bytes, a multiple of 64."""
    return b"\x80" + bytes(55) + struct.pack(">Q", data_len * 8)


class MarkedSha256:
    """The SHA-256 of a file, able to compare itself with a mark (F-23).

    hashlib does not show its chaining words. It does not need to: the words
    of a mark are right when one more compression, of the padding block, turns
    them into the SHA-256 of the whole blocks so far. Words that are wrong and
    still give that value would be a second preimage of the compression.
    """

    def __init__(self):
        self._blocks = hashlib.sha256()
        self._tail = b""
        self.file_offset = 0

    def update(self, data):
        """Takes the next bytes of the file."""
        self.file_offset += len(data)
        joined = self._tail + data
        whole = len(joined) // 64 * 64
        self._blocks.update(joined[:whole])
        self._tail = joined[whole:]

    def is_at(self, words, tail):
        """Whether the mark (words, tail) is the state here."""
        blocks_len = self.file_offset - len(self._tail)
        closed = compress(words, _padding_block(blocks_len))
        digest = struct.pack(">8I", *closed)
        return tail == self._tail and digest == self._blocks.digest()

    def digest(self):
        """The SHA-256 of all bytes so far."""
        whole = self._blocks.copy()
        whole.update(self._tail)
        return whole.digest()
