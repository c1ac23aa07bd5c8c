"""Paths against F-31 to F-37."""

import unittest

from airlift_reader.errors import Breach
from airlift_reader.names import check_root_name, parse_path, twin_key


class Paths(unittest.TestCase):
    def test_paths_that_pass(self):
        for text in ("m/a", "m/%2e%2e%2f", "m/a b/ü.bin", "m/?#+&", "m/con1", "m/.x",
                     "m/" + "s" * 255, "m/com0", "m/x.versions.txt"):
            self.assertEqual(parse_path(text.encode(), True, "path"), text)
        self.assertEqual(parse_path(b"m", False, "path"), "m")

    def test_paths_that_break_a_rule(self):
        cases = {
            "F-31": [b"", b"m/" + b"a/" * 511 + b"a"],
            "F-32": [b"m/\xff", b"m/\xed\xa0\x80", b"m/\xc0\xaf"],
            "F-33": [b"m/a\\b", b"m/a:b", b"m/\x00", b"m/\x7f", "m/\u202e".encode(),
                     "m/\U0001fffe".encode(), "m/\ufeff".encode()],
            "F-34": [b"/m/a", b"m//a", b"m/./a", b"m/../a", b"m/a.", b"m/a ",
                     b"m/" + b"s" * 256, b"m/a/"],
            "F-35": [b"m/con", b"m/NUL.txt", b"m/Com1 .x", "m/lpt\u00b2".encode(),
                     b"m/conout$", b"m/.uploads/a", b"m/a.versions", b"aux/a"],
            "F-36": [b"m", b"M/a", "ü/a".encode()],
        }
        for rule, paths in cases.items():
            for path in paths:
                with self.subTest(path=path), self.assertRaises(Breach) as caught:
                    parse_path(path, True, "path")
                self.assertEqual(caught.exception.rule, rule, path)

    def test_twins(self):
        for one, other in (("K", "\u212a"), ("a", "A"), ("ss", "ß"), ("ａ", "a")):
            self.assertEqual(twin_key(one), twin_key(other))
        self.assertNotEqual(twin_key("a"), twin_key("b"))
        # A sigma at the end of a word is judged as any other.
        self.assertEqual([twin_key("ΑΣ"), twin_key("ας")], ["ασ", "ασ"])

    def test_root_names(self):
        check_root_name("models-1", "root")
        for name in ("con", "models.", ".x", ""):
            with self.assertRaises(Breach):
                check_root_name(name, "root")


if __name__ == "__main__":
    unittest.main()
