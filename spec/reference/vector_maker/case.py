"""One case: its folder, its files, and what case.json says of it."""

import json
import os

from airlift_reader.vectors import make_input

# By modules of tests/suite, which look after them.
MADE_ELSEWHERE = ("codec-", "trust-", "cut-safetensors-json-", "cut-gguf-array-")


class Case:
    """A case of the vectors.

    `files` maps a name, with slashes, to bytes or to a list of pieces; the
    pieces go into case.json in place of a long file.
    """

    def __init__(self, kind, name, rule, class_name, about, files=None, /, **keys):
        self.folder = "accept" if class_name == "accepted" else "reject"
        self.kind = kind
        self.name = f"{kind}-{name}"
        files = files or {}
        made = {n: data for n, data in files.items() if isinstance(data, list)}
        self.value = {"rule": rule, "class": class_name, "kind": kind, "about": about}
        self.value.update(keys)
        if made:
            self.value["made"] = made
        self.files = {n: data for n, data in files.items() if n not in made}
        self.files["case.json"] = encode(self.value)

    def write(self, path):
        """Writes the case as the folder `path`."""
        for name, data in self.files.items():
            file_path = os.path.join(path, name)
            os.makedirs(os.path.dirname(file_path), exist_ok=True)
            with open(file_path, "wb") as sink:
                sink.write(data)


def encode(value):
    """case.json: a member a line, and what is in a member on that line."""
    members = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()]
    return ("{\n" + ",\n".join(members) + "\n}\n").encode("ascii")


def differences(directory, cases):
    """Each (path, case) where the folder is not what is made.

    The case is None for a folder of these kinds that nothing makes.
    """
    made = {}
    for case in cases:
        path = os.path.join(directory, case.folder, case.name)
        if path in made:
            raise ValueError(f"two cases are called {case.name}")
        made[path] = case
    for path, case in made.items():
        if read_files(path) != case.files:
            yield path, case
    for folder in ("accept", "reject"):
        for name in sorted(os.listdir(os.path.join(directory, folder))):
            path = os.path.join(directory, folder, name)
            if path not in made and not name.startswith(MADE_ELSEWHERE):
                yield path, None


def read_files(path):
    """The files below `path` and their bytes."""
    found = {}
    for top, _, names in os.walk(path):
        for name in names:
            file_path = os.path.join(top, name)
            with open(file_path, "rb") as source:
                found[os.path.relpath(file_path, path)] = source.read()
    return found


def piece_bytes(data):
    """The bytes of a file that is given as bytes or as pieces."""
    return make_input(data, "") if isinstance(data, list) else data


def pieces(*parts):
    """Pieces of input from (bytes, times), neighbours that are equal joined."""
    joined = []
    for data, times in parts:
        if joined and joined[-1][0] == data:
            joined[-1][1] += times
        elif times:
            joined.append([data, times])
    made = []
    for data, times in joined:
        piece = {"hex": data.hex()}
        if times > 1:
            piece["times"] = times
        made.append(piece)
    return made


def put_at(offset, new):
    """A change that puts bytes at an offset; from the end where it is negative."""

    def change(data):
        at = offset if offset >= 0 else len(data) + offset
        return data[:at] + new + data[at + len(new) :]

    return change


def flip(offset, mask=1):
    """A change that flips bits of one byte."""

    def change(data):
        at = offset if offset >= 0 else len(data) + offset
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]

    return change
