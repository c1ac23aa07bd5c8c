"""The vectors in spec/vectors are those that vector_maker makes."""

import os
import unittest

from vector_maker import KINDS, all_cases
from vector_maker.case import differences

VECTORS = os.path.join(os.path.dirname(__file__), "..", "..", "vectors")


class MadeVectors(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cases = all_cases()

    def test_every_case_has_the_bytes_that_are_made(self):
        paths = [path for path, _ in differences(VECTORS, self.cases)]
        self.assertEqual(paths, [])

    def test_every_kind_has_cases_of_both_verdicts(self):
        found = {(case.kind, case.folder) for case in self.cases}
        # A file that is cut otherwise is a bundle's breach: none is refused for it.
        expected = {(kind, folder) for kind in KINDS for folder in ("accept", "reject")}
        self.assertEqual(found, expected - {("cut", "reject")})


if __name__ == "__main__":
    unittest.main()
