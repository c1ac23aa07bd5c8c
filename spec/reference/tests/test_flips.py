"""No flipped byte of a structure passes, though all digests are made to fit."""

import os
import random

from airlift_reader.check import check_bundle
from airlift_reader.errors import Breach

from .test_bundle import BundleCase, flip, zstd


class Flips(BundleCase):
    """The digests that name the changed structure are made after the change."""

    names = ("manifest root", "manifest page 0", "manifest page 1", "pack root",
             "pack page 0", "index 0", "index 4", "index 5")

    def test_every_structure(self):
        source = random.Random(7)
        for name in self.names:
            length = self.length_of(name)
            for _ in range(16):
                offset, bit = source.randrange(length), 1 << source.randrange(8)
                with self.subTest(name=name, offset=offset, bit=bit):
                    self.refuses_change(name, flip(offset, bit))

    def test_every_structure_cut_short_or_made_longer(self):
        for name in self.names:
            for step in (1, 4, 16):
                with self.subTest(name=name, step=step):
                    self.refuses_change(name, lambda data: data[:-step])
                    self.refuses_change(name, lambda data: data + bytes(step))

    def refuses_change(self, name, change):
        self.path = os.path.join(self.top, str(len(os.listdir(self.top))))
        self.write(changes={name: change}, encode=zstd)
        with self.assertRaises(Breach):
            check_bundle(self.path)

    def length_of(self, name):
        lengths = []

        def measure(data):
            lengths.append(len(data))
            return data

        self.path = os.path.join(self.top, name)
        self.write(changes={name: measure}, encode=zstd)
        return lengths[0]
