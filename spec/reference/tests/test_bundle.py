"""Whole bundles: made by the tests' own writer, then read."""

import hashlib
import json
import os
import random
import struct
import tempfile
import unittest
from unittest import mock

import zstandard

from airlift_reader import limits
from airlift_reader.check import check_bundle, open_packs
from airlift_reader.errors import Breach
from airlift_reader.extract import extract
from airlift_reader.head import decode_head
from airlift_reader.pack_table import check_cover

from .writer import Rules, Writer


class SmallRules(Rules):
    """Parts of 4 KiB, packs of 3 KiB, pages of 1 KiB."""

    part_len = 4096
    part_step = 64
    pack_len = 3072
    page_len = 1024


SMALL_LIMITS = {
    "PART_LEN": 4096,
    "PART_STEP_LEN": 64,
    "PACK_RAW_LEN": 3072,
    "PACK_RAW_LEN_MAX": 8191,
    "PAGE_LEN_MAX": 1024,
}


def chunk(seed, length=700):
    return random.Random(seed).randbytes(length)


def small_files():
    """One file of several parts, files that repeat it, an empty one."""
    long = [chunk(i) for i in range(20)]
    return {
        "models/a/long.bin": (2, long),
        "models/a/short.txt": (1, [b"hello"]),
        "models/b/again.bin": (2, [long[3], long[4], chunk(99), long[3]]),
        "models/empty": (1, []),
        "other/b.bin": (2, [long[3], b"x", b"x", chunk(5), b"x"]),
    }


def zstd(raw):
    data = zstandard.ZstdCompressor(write_content_size=True).compress(raw)
    return (1, 0, data) if len(data) < len(raw) else (0, 0, raw)


class BundleCase(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory()
        self.addCleanup(holder.cleanup)
        self.top = holder.name
        self.path = os.path.join(self.top, "models-7")
        for name, value in SMALL_LIMITS.items():
            patch = mock.patch.object(limits, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def write(self, files=None, path=None, **options):
        options.setdefault("rules", SmallRules)
        options.setdefault("directories", ("models/b/void",))
        writer = Writer(files or small_files(), **options)
        return writer.write(path or self.path)

    def breach(self, class_name, rule, **options):
        """The bundle written with these options breaks this rule."""
        self.write(**options)
        self.refuses(class_name, rule)

    def refuses(self, class_name, rule, **how):
        with self.assertRaises(Breach) as caught:
            check_bundle(self.path, **how)
        self.assertEqual(
            (caught.exception.class_name, caught.exception.rule),
            (class_name, rule),
            str(caught.exception),
        )


def flip(offset, mask=1):
    """A change of one byte."""

    def change(data):
        changed = bytearray(data)
        changed[offset] ^= mask
        return bytes(changed)

    return change


def put_at(offset, new):
    def change(data):
        return data[:offset] + new + data[offset + len(new) :]

    return change


class Sound(BundleCase):
    def test_everything_written_is_read_back(self):
        writer = self.write(volume_len=8000, chunks_a_frame=3, encode=zstd)
        found = check_bundle(self.path)
        self.assertEqual(found["files_proven"], 5)
        self.assertEqual(found["directories"], 1)
        self.assertEqual(found["unexpected"], [])
        self.assertGreater(found["volumes"], 1)
        reader = open_packs(self.path)
        destination = os.path.join(self.top, "out")
        extract(reader, destination)
        reader.close()
        for path, (_, chunks) in writer.files.items():
            with open(os.path.join(destination, path), "rb") as source:
                self.assertEqual(source.read(), b"".join(chunks))
        self.assertTrue(os.path.isdir(os.path.join(destination, "models/b/void")))

    def test_tree_id_is_that_of_coreutils(self):
        self.write()
        found = check_bundle(self.path)
        listing = b""
        for path, (_, chunks) in sorted(small_files().items()):
            digest = hashlib.sha256(b"".join(chunks)).hexdigest()
            listing += f"{digest}  {path}\n".encode()
        self.assertEqual(found["tree_id"], hashlib.sha256(listing).hexdigest())

    def test_page_of_one_mebibyte_with_the_real_limits(self):
        mock.patch.stopall()
        files = {"m/rows": (2, [struct.pack("<I", i) for i in range(60_000)])}
        self.write(files, rules=Rules, directories=(), chunks_a_frame=60_000)
        self.assertEqual(check_bundle(self.path)["rows"], 60_000)

    def test_delta_is_read_with_its_base_and_not_without(self):
        base_path = os.path.join(self.top, "base")
        base = self.write(path=base_path)
        files = small_files()
        files["models/a/short.txt"] = (1, [b"hello again"])
        self.write(files, bases=[base], head_fields={"counter": 8})
        found = check_bundle(self.path, base_paths=[base_path])
        self.assertEqual(found["files_proven"], 5)
        self.refuses("base missing", "F-102")

    def test_repair_is_sound_alone(self):
        def repairs(head):
            return {"counter": head["counter"], "content_id": head["content_id"]}

        self.write(left_out=(0, 1), head_fields={"repairs": repairs})
        found = check_bundle(self.path)
        self.assertLess(found["files_proven"], 5)

    def test_volumes_on_another_medium_are_found(self):
        self.write(volume_len=8000)
        medium = os.path.join(self.top, "stick")
        os.makedirs(medium)
        volumes = os.path.join(self.path, "volumes")
        os.rename(f"{volumes}/000002.vol", f"{medium}/000002.vol")
        self.refuses("incomplete", "F-05")
        found = check_bundle(self.path, volume_paths=[medium])
        self.assertEqual(found["files_proven"], 5)

    def test_stray_file_is_reported(self):
        self.write()
        with open(os.path.join(self.path, "autorun.inf"), "w") as sink:
            sink.write("")
        self.assertEqual(check_bundle(self.path)["unexpected"], ["autorun.inf"])

    def test_files_cut_otherwise_are_found_only_by_cutting_again(self):
        self.write()
        self.assertEqual(check_bundle(self.path)["result"], "sound")
        self.refuses("untrusted", "F-60", recuts=True)


class Damage(BundleCase):
    def test_manifest_flipped(self):
        self.write()
        self._flip_file("manifest", 60)
        self.refuses("damaged", "F-06")

    def test_frame_flipped(self):
        self.breach("untrusted", "F-108", changes={"frame 0 0": flip(5)})

    def test_volume_flipped_in_a_frame(self):
        self.breach("damaged", "F-101", changes={"volume 1": flip(-800)})

    def test_volume_flipped_in_the_second_index(self):
        self.breach("damaged", "F-100", changes={"volume 1": flip(-1)})

    def test_files_are_read_by_the_second_index_where_the_first_differs(self):
        self.write(changes={"volume 1": flip(0)})
        self.refuses("damaged", "F-100")
        reader = open_packs(self.path)
        extract(reader, os.path.join(self.top, "out"))
        reader.close()
        with open(os.path.join(self.top, "out/models/a/short.txt"), "rb") as source:
            self.assertEqual(source.read(), b"hello")

    def test_manifest_that_is_not_there(self):
        self.write()
        os.remove(os.path.join(self.path, "manifest"))
        self.refuses("incomplete", "F-01")

    def test_volume_too_short(self):
        self.breach("damaged", "F-55", changes={"volume 1": lambda data: data[:-1]})

    def test_link_in_place_of_the_manifest(self):
        self.write()
        path = os.path.join(self.path, "manifest")
        os.rename(path, path + ".real")
        os.symlink("manifest.real", path)
        self.refuses("damaged", "F-01")

    def test_fifo_in_place_of_a_volume(self):
        self.write()
        path = os.path.join(self.path, "volumes/000001.vol")
        os.remove(path)
        os.mkfifo(path)
        self.refuses("damaged", "F-01")

    def _flip_file(self, name, offset):
        path = os.path.join(self.path, name)
        with open(path, "rb") as source:
            data = source.read()
        with open(path, "wb") as sink:
            sink.write(flip(offset)(data))


class BrokenManifest(BundleCase):
    def test_mark_of_other_words(self):
        def change(data):
            at = data.index(struct.pack("<I", 4 << 24 | (700 * 6) % 64))
            return flip(at + 4)(data)

        pages = {f"manifest page {n}": self._where_found(change) for n in range(4)}
        self.breach("damaged", "F-23", changes=pages)

    def test_row_digest_of_another_chunk(self):
        self.breach("damaged", "F-109", changes={"manifest page 0": flip(-1)},
                    chunks_a_frame=3)

    def test_counts_of_the_root(self):
        for offset in (16, 24, 32, 40):
            with self.subTest(offset=offset):
                self.path = os.path.join(self.top, str(offset))
                change = {"manifest root": flip(offset)}
                self.breach("untrusted", "F-48", changes=change)

    def test_first_offset(self):
        self.breach("untrusted", "F-48", changes={"manifest page 1": flip(0)})

    def test_page_filled_too_little(self):
        class Smaller(SmallRules):
            page_len = 900

        self.breach("untrusted", "F-47", rules=Smaller)

    def test_unknown_kind(self):
        self.breach("untrusted", "F-41", changes={"manifest page 0": flip(11, 8)})

    def test_unknown_profile(self):
        self.breach("untrusted", "F-44", changes={"manifest page 0": put_at(12, b"\x06")})

    def test_entry_below_a_file(self):
        files = {"m/a": (1, [b"1"]), "m/a b": (1, [b"2"]), "m/a/c": (1, [b"3"])}
        self.breach("untrusted", "F-42", files=files, directories=())

    def test_file_without_a_root(self):
        files = {"top": (1, [b"1"])}
        self.breach("untrusted", "F-36", files=files, directories=())

    def test_device_name(self):
        files = {"m/Aux .txt": (1, [b"1"])}
        self.breach("untrusted", "F-35", files=files, directories=())

    def test_part_bound_below_the_rule(self):
        class Smaller(SmallRules):
            part_len = 2048

        self.breach("untrusted", "F-43", rules=Smaller)

    def test_more_rows_than_a_pack_can_have(self):
        with mock.patch.object(limits, "PACK_ROW_COUNT_MAX", 20):
            self.write({"m/a": (2, [b"x"] * 20)}, directories=())
            self.assertEqual(check_bundle(self.path)["rows"], 20)
            self.path = os.path.join(self.top, "one part")
            self.breach("untrusted", "F-59", files={"m/a": (2, [b"x"] * 21)},
                        directories=())
            self.path = os.path.join(self.top, "several parts")
            files = {"m/a": (2, [bytes(4096)] + [b"x"] * 21)}
            self.breach("untrusted", "F-59", files=files, directories=())

    def test_totals_that_the_head_states_otherwise(self):
        totals = {"files": 5, "directories": 2, "bytes": 1}
        self.breach("untrusted", "F-120", head_fields={"totals": totals})

    def test_tree_id_that_the_head_states_otherwise(self):
        self.breach("untrusted", "F-24", head_fields={"tree_id": "0" * 64})

    @staticmethod
    def _where_found(change):
        def try_change(data):
            try:
                return change(data)
            except ValueError:
                return data

        return try_change


class BrokenPackTable(BundleCase):
    def test_piece_that_ends_elsewhere(self):
        class Smaller(SmallRules):
            pack_len = 2000

        self.breach("untrusted", "F-53", rules=Smaller)

    def test_part_in_two_volumes(self):
        class Shorter(SmallRules):
            pack_len = 1400

        with mock.patch.object(limits, "PACK_RAW_LEN", 1400):
            long = [chunk(i) for i in range(20)]
            self.write({"m/long": (2, long)}, rules=Shorter, directories=())
            reader = open_packs(self.path)
            reader.close()
            # The first packs are three of the first part, then the second part.
            for volumes, is_good in (
                ((1, 1, 1, 2), True),
                ((1, 2, 2, 2), False),
                ((1, 1, 2, 2), False),
                # As in a repair, which leaves some of them out.
                ((1, 0, 2, 2), False),
                ((0, 1, 2, 2), False),
                ((0, 2, 2, 2), True),
                ((1, 0, 0, 2), True),
            ):
                with self.subTest(volumes=volumes):
                    for pack, volume in zip(reader.packs, volumes):
                        pack.volume_number = volume
                    for pack in reader.packs[4:]:
                        pack.volume_number = 2
                    if is_good:
                        check_cover(reader.packs, reader.manifest)
                        continue
                    with self.assertRaises(Breach) as caught:
                        check_cover(reader.packs, reader.manifest)
                    found = (caught.exception.class_name, caught.exception.rule)
                    self.assertEqual(found, ("untrusted", "F-53"))

    def test_pack_behind_a_gap(self):
        change = put_at(76 + 28, struct.pack("<Q", 1))
        self.breach("untrusted", "F-55", changes={"pack page 0": change})

    def test_pack_that_begins_elsewhere(self):
        change = flip(76 + 12)
        self.breach("untrusted", "F-52", changes={"pack page 0": change})

    def test_pack_left_out_of_no_repair(self):
        self.breach("untrusted", "F-56", left_out=(0,))

    def test_sections(self):
        from blake3 import blake3

        def with_section(kind, flags, content, digest=None):
            record = struct.pack("<HHI", kind, flags, len(content))
            record += digest or blake3(content).digest()
            return {
                "pack root": lambda root: put_at(28, b"\x01")(root) + record,
                "pack sections": lambda _: content,
            }

        self.write(changes=with_section(9, 0, b"abc"))
        self.assertEqual(check_bundle(self.path)["files_proven"], 5)
        cases = [
            ("refused", with_section(9, 1, b"abc")),
            ("untrusted", with_section(9, 2, b"abc")),
            ("damaged", with_section(9, 0, b"abc", bytes(32))),
        ]
        for number, (class_name, changes) in enumerate(cases):
            self.path = os.path.join(self.top, str(number))
            self.breach(class_name, "F-58", changes=changes)


class BrokenIndex(BundleCase):
    """Index 0 has 5 frames of one chunk; the runs begin behind them."""

    files = {
        "m/a": (2, [b"one", b"two", b"one", b"three"]),
        "m/b": (2, [chunk(1, 3000), chunk(2, 1500)]),
        "m/c": (2, [b"two", chunk(3, 3000), b"three"]),
    }

    def breaks(self, rule, name, change, **options):
        self.breach("untrusted", rule, files=self.files, directories=(),
                    changes={name: change}, **options)

    def test_base_figures(self):
        self.write(self.files, directories=())
        reader = open_packs(self.path)
        runs = []
        for number, _ in enumerate(reader.packs):
            index = reader._indexes.find(number)
            runs.append([(r.kind, r.row_count, r.target) for r in index.runs])
        reader.close()
        expected_first = [(1, 1, 0), (1, 1, 1), (2, 1, 0), (1, 1, 2)]
        self.assertEqual(runs[0], expected_first)
        self.assertEqual(runs[-1], [(3, 1, 1), (1, 1, 0), (3, 1, 3)])

    def run_offset(self, frame_count, run_index):
        return 16 + 44 * frame_count + 16 * run_index

    def test_repeat_of_another_chunk(self):
        at = self.run_offset(3, 2) + 8
        self.breaks("F-107", "index 0", put_at(at, b"\x01"))

    def test_repeat_of_a_later_row(self):
        at = self.run_offset(3, 2) + 8
        self.breaks("F-105", "index 0", put_at(at, b"\x03"))

    def test_frame_without_a_row(self):
        at = self.run_offset(3, 1) + 8
        self.breaks("F-103", "index 0", put_at(at, b"\x00"))

    def test_unknown_run(self):
        at = self.run_offset(3, 1)
        self.breaks("F-102", "index 0", put_at(at, b"\x05"))

    def test_base_that_the_head_has_not(self):
        at = self.run_offset(3, 1)
        self.breaks("F-102", "index 0", put_at(at, b"\x04"))

    def test_reference_to_another_chunk(self):
        last = self.run_offset(1, 0) + 8
        self.breaks("F-107", "index 2", put_at(last, b"\x00"))

    def test_reference_to_its_own_pack(self):
        last = self.run_offset(1, 0) + 8
        self.breaks("F-106", "index 2", put_at(last, b"\x07"))

    def test_reference_to_a_reference(self):
        files = {**self.files, "m/d": (2, [chunk(4, 3060), b"two"])}
        self.files = files
        at = self.run_offset(1, 1) + 8
        self.breaks("F-106", "index 3", put_at(at, b"\x06"))

    def test_unknown_codec(self):
        self.breach("damaged", "F-80", files=self.files, directories=(),
                    changes={"index 0": put_at(16 + 8, b"\x77")})

    def test_stored_longer_than_raw(self):
        self.breaks("F-10", "index 0", put_at(16 + 4, b"\x02"))

    def test_bytes_behind_the_runs(self):
        self.breaks("F-58", "index 0", lambda data: data + b"\x00")


class Head(BundleCase):
    def test_every_bit_counts(self):
        self.write()
        with open(os.path.join(self.path, "head.json"), "rb") as source:
            good = source.read()
        value = decode_head(good)
        for offset in range(len(good)):
            for bit in range(8):
                try:
                    self.assertNotEqual(
                        decode_head(flip(offset, 1 << bit)(good)), value
                    )
                except Breach as breach:
                    self.assertEqual(breach.class_name, "untrusted")

    def test_optional_fields_pass(self):
        release = {"counter": 6, "content_id": "0" * 64}
        fields = {
            "previous": release,
            "not_after": "2027-02-28T00:00:00Z",
            "audience": "enclave-1",
            "ext": {"a": 'quote " and \\', "b": ""},
        }
        self.write(head_fields=fields)
        self.assertEqual(check_bundle(self.path)["counter"], 7)

    def test_breaches(self):
        release = {"counter": 7, "content_id": "0" * 64}

        def base(stream="models", counter=6, content="0" * 64):
            return {"stream": stream, "counter": counter, "content_id": content}

        cases = [
            ("untrusted", "F-125", {"counter": 2**53}),
            ("untrusted", "F-120", {"counter": True}),
            ("untrusted", "F-120", {"counter": 7.0}),
            ("untrusted", "F-120", {"previous": release}),
            ("untrusted", "F-120", {"repairs": release}),
            ("untrusted", "F-120", {"ext": {}}),
            ("untrusted", "F-120", {"ext": {"b": "", "a": ""}}),
            ("untrusted", "F-120", {"ext": {"a": "\n"}}),
            ("untrusted", "F-120", {"not_after": "2026-01-31T23:59:58Z"}),
            ("untrusted", "F-121", {"created_at": "2026-02-29T00:00:00Z"}),
            ("untrusted", "F-121", {"created_at": "2026-02-28T23:59:60Z"}),
            ("untrusted", "F-121", {"content_id": "A" * 64}),
            ("untrusted", "F-30", {"stream": "Models"}),
            ("untrusted", "F-125", {"counter": 0}),
            ("untrusted", "F-126", {"bases": [base(), base("other", 5)]}),
            ("untrusted", "F-126", {"bases": [base(), base(content="1" * 64)]}),
            ("untrusted", "F-126", {"bases": [base(counter=7)]}),
            ("untrusted", "F-126", {"bases": [base()], "content_id": "0" * 64}),
            ("untrusted", "F-10", {"bases": [base("other", n) for n in range(1, 18)]}),
            ("refused", "F-123", {"critical": ["parity"]}),
            ("untrusted", "F-120", {"critical": ["b", "a"]}),
        ]
        for number, (class_name, rule, fields) in enumerate(cases):
            with self.subTest(fields=fields):
                self.path = os.path.join(self.top, str(number))
                self.breach(class_name, rule, head_fields=fields)

    def test_other_spellings(self):
        def change_text(old, new):
            return lambda data: data.replace(old, new, 1)

        changes = [
            change_text(b'": 7', b'": 7.0'),
            change_text(b'": 7', b'":  7'),
            change_text(b'"suite"', b'"\\u0073uite"'),
            change_text(b"{\n", b"{\r\n"),
            change_text(b'"counter": 7,', b'"counter": 7,\n  "counter": 7,'),
            lambda data: data + b"\n",
            lambda data: data[:-1],
            lambda data: json.dumps(json.loads(data)).encode() + b"\n",
            lambda _: b"[" * 100_000,
        ]
        for number, change in enumerate(changes):
            with self.subTest(number=number):
                self.path = os.path.join(self.top, str(number))
                self.breach("untrusted", "F-120", changes={"head": change})


class Extraction(BundleCase):
    def test_twins_are_refused(self):
        self.write({"m/K": (1, [b"1"]), "m/\u212a": (1, [b"2"])}, directories=())
        reader = open_packs(self.path)
        destination = os.path.join(self.top, "out")
        with self.assertRaises(Breach) as caught:
            extract(reader, destination)
        reader.close()
        self.assertEqual(caught.exception.rule, "F-37")
        self.assertFalse(os.path.exists(destination))

    def test_directory_with_something_in_it_is_refused(self):
        self.write()
        reader = open_packs(self.path)
        with self.assertRaises(Breach):
            extract(reader, self.top)
        reader.close()
        self.assertEqual(os.listdir(self.top), ["models-7"])


if __name__ == "__main__":
    unittest.main()
