"""The runner of vectors: every kind, a pass and a failure of each sort."""

import contextlib
import io
import json
import os
import struct
import tempfile
import unittest

from blake3 import blake3

from airlift_reader.__main__ import main
from airlift_reader.vectors import make_input

from .writer import Writer


class Runner(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = holder.name

    def case(self, folder, case_name, files=None, **case):
        path = os.path.join(self.top, folder, case_name)
        os.makedirs(path)
        with open(os.path.join(path, "case.json"), "w") as sink:
            json.dump(case, sink)
        for file_name, data in (files or {}).items():
            with open(os.path.join(path, file_name), "wb") as sink:
                sink.write(data)
        return path

    def run_all(self, *options):
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            code = main(["vectors", self.top, *options])
        return code, said.getvalue().splitlines()

    def test_counts_passed_failed_and_skipped(self):
        self.case("accept", "a", kind="path", path=b"m/a".hex(), entry="file")
        self.case("reject", "b", kind="path", path=b"m/a:".hex(), entry="file",
                  rule="F-33", **{"class": "untrusted"})
        self.case("reject", "c", kind="trust", rule="T-01", **{"class": "untrusted"})
        self.assertEqual(self.run_all(), (0, ["2 passed, 0 failed, 1 skipped"]))

    def test_rule_decides_only_when_asked(self):
        self.case("reject", "b", kind="path", path=b"m/a:".hex(), entry="file",
                  rule="F-31", **{"class": "untrusted"})
        self.assertEqual(self.run_all()[0], 0)
        self.assertEqual(self.run_all("--rules")[0], 1)

    def test_accepting_a_reject_case_fails(self):
        self.case("reject", "b", kind="path", path=b"m/a".hex(), entry="file",
                  rule="F-31", **{"class": "untrusted"})
        code, lines = self.run_all()
        self.assertEqual((code, lines[-1]), (1, "0 passed, 1 failed, 0 skipped"))

    def test_case_that_cannot_be_read_fails(self):
        self.case("accept", "a", kind="index")
        self.case("accept", "b", kind="riddle")
        self.assertEqual(self.run_all()[1][-1], "0 passed, 2 failed, 0 skipped")

    def test_single_structures(self):
        writer = Writer({"m/a": (2, [b"one", b"two", b"one"])})
        manifest, root_len = writer.make_manifest()
        packs, packs_root_len, _ = writer.make_packs()
        index, payload = writer.make_index(0, 0, 3, {})
        rows = [[row[0].hex(), row[1]] for row in writer.rows]
        self.case("accept", "manifest", {"manifest.bin": manifest}, kind="manifest",
                  root_length=root_len, tree_id=writer.tree_id())
        self.case("accept", "root", {"root.bin": manifest[:root_len]},
                  kind="manifest-root")
        self.case("accept", "page", {"page.bin": manifest[root_len:]},
                  kind="manifest-page")
        files = {"packs.bin": packs, "manifest.bin": manifest}
        self.case("accept", "packs", files, kind="pack-table",
                  root_length=packs_root_len, manifest_root_length=root_len)
        self.case("accept", "pack-root", {"root.bin": packs[:packs_root_len]},
                  kind="pack-root")
        self.case("accept", "pack-page", {"page.bin": packs[packs_root_len:]},
                  kind="pack-page")
        self.case("accept", "index", {"index.bin": index}, kind="index", rows=rows,
                  payload_length=len(payload))
        self.case("accept", "name", kind="root-name", name="models")
        self.case("accept", "cut", kind="cut", input=[{"text": "ab", "times": 2}],
                  lengths=[4], profile=1)
        self.assertEqual(self.run_all("--rules"), (0, ["9 passed, 0 failed, 0 skipped"]))

    def test_bundle_with_its_base(self):
        case = self.case("accept", "delta", kind="bundle", expect={"files": 1},
                         recut=True)
        files = {"m/a": (1, [b"hello"])}
        base = Writer(files).write(os.path.join(case, "bases", "1"))
        writer = Writer({"m/b": (1, [b"hello"])}, bases=[base],
                        head_fields={"counter": 8})
        writer.write(os.path.join(case, "bundle"))
        self.assertEqual(self.run_all(), (0, ["1 passed, 0 failed, 0 skipped"]))

    def test_every_beginning_is_run(self):
        writer = Writer({"m/a": (2, [b"one", b"two"])})
        manifest, root_len = writer.make_manifest()
        good = {"kind": "manifest", "rule": "F-40", "class": "untrusted", "prefixes": True}
        self.case("reject", "good", {"manifest.bin": manifest}, root_length=root_len, **good)
        made = {"root.bin": [{"hex": manifest[:root_len].hex()}]}
        self.case("reject", "made", kind="manifest-root", rule="F-40", made=made,
                  prefixes=True, **{"class": "untrusted"})
        self.assertEqual(self.run_all(), (0, ["2 passed, 0 failed, 0 skipped"]))

    def test_accepting_a_beginning_fails(self):
        page = bytes(8) + struct.pack("<I", 2 << 24 | 3) + b"m/a"
        page += struct.pack("<I", 2 << 24 | 3) + b"m/b"
        self.case("reject", "page", {"page.bin": page}, kind="manifest-page", rule="F-41",
                  prefixes=True, **{"class": "untrusted"})
        self.assertEqual(self.run_all()[1][0], "failed reject/page: 15 bytes are accepted")

    def test_input_is_joined_from_its_pieces(self):
        pieces = [{"hex": "00ff", "times": 2}, {"text": "ü"}, {"u64": 1},
                  {"hex": "07" + "00" * 8, "times": 2, "step": [[1, 258]]},
                  {"xof": "seed", "length": 5, "offset": 70}]
        expected = b"\x00\xff\x00\xff\xc3\xbc\x01" + bytes(7)
        expected += b"\x07" + bytes(8) + b"\x07\x02\x01" + bytes(6)
        expected += blake3(b"seed").digest(length=75)[70:]
        self.assertEqual(make_input(pieces, self.top), expected)


class CommandLine(unittest.TestCase):
    def test_check_list_and_extract(self):
        with tempfile.TemporaryDirectory() as top:
            bundle, out = os.path.join(top, "b"), os.path.join(top, "out")
            Writer({"m/a": (1, [b"hello"])}, directories=("m/d",)).write(bundle)
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                self.assertEqual(main(["check", "--recut", bundle]), 0)
                self.assertEqual(main(["ls", bundle]), 0)
                self.assertEqual(main(["extract", bundle, out]), 0)
                os.remove(os.path.join(bundle, "volumes", "000001.vol"))
                self.assertEqual(main(["check", bundle]), 5)
            found, file, directory, breach = said.getvalue().splitlines()
            self.assertEqual(json.loads(found)["result"], "sound")
            self.assertTrue(file.endswith(" m/a"), file)
            self.assertTrue(directory.endswith(" m/d/"), directory)
            self.assertEqual(json.loads(breach)["class"], "incomplete")
            with open(os.path.join(out, "m", "a"), "rb") as source:
                self.assertEqual(source.read(), b"hello")


if __name__ == "__main__":
    unittest.main()
