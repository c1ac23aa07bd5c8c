"""Airlift and what a user would take instead of it: the commands of each step."""

import os
import pathlib
import shutil
import subprocess

STEPS = ("pack", "update", "verify", "restore")


class Peer:
    """A tool with a place of its own below the work directory.

    `pack` carries the first tree, `update` the second where the first is known, `verify` checks what is
    stored, `restore` gives the second tree back. A step that a tool does not have returns nothing.
    """

    name = ""
    program = ""
    version = ("--version",)

    def __init__(self, work, program):
        self.work = pathlib.Path(work)
        self.path = program
        self.repo = self.work / "repo"
        self.env = dict(os.environ, HOME=str(self.work), XDG_CACHE_HOME=str(self.work / "cache"))

    def prepare(self):
        """Makes everything that is there before the first release."""
        self.repo.mkdir(parents=True)

    def pack(self, tree):
        raise NotImplementedError

    def update(self, tree):
        return self.pack(tree)

    def verify(self):
        return None

    def restore(self, target):
        raise NotImplementedError

    def versions(self):
        """Returns the first line that the tool says of its version."""
        answer = subprocess.run([self.path, *self.version], capture_output=True, text=True, env=self.env)
        lines = (answer.stdout + answer.stderr).strip().splitlines()
        return lines[0] if lines else "unknown"

    def quietly(self, *command):
        subprocess.run([str(part) for part in command], check=True, env=self.env, capture_output=True)


class Airlift(Peer):
    """Airlift, each root of the tree by its name; signed, and checked as its receiver would."""

    name = program = "airlift"

    def __init__(self, work, program):
        super().__init__(work, program)
        self.counter = 0

    def prepare(self):
        super().prepare()
        key = self.work / "key"
        self.quietly("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        public = " ".join(key.with_suffix(".pub").read_text().split()[:2])
        (self.work / "signers").write_text(f'bench namespaces="airlift-head@v1/compare" {public}\n')

    def pack(self, tree):
        return self.pack_roots(roots_of(tree))

    def pack_roots(self, roots):
        self.counter += 1
        roots = [f"{root.name}={root}" for root in roots]
        stream = ["--stream", "compare", "--counter", str(self.counter), "--sign", str(self.work / "key")]
        return [self.path, "pack", *roots, *stream, "--out", str(self.bundle())]

    def bundle(self):
        return self.repo / str(self.counter)

    def verify(self):
        return [self.path, "verify", str(self.bundle()), "--allowed-signers", str(self.work / "signers")]

    def restore(self, target):
        signers = ["--allowed-signers", str(self.work / "signers")]
        return [self.path, "export", str(self.bundle()), *signers, "--to", str(target)]


class Tar(Peer):
    """An archive and its SHA-256, as the platform's guide has it."""

    name = "tar -czf, sha256sum"
    program = "tar"
    create = "tar -C {tree} -czf {archive} ."
    extract = "tar -C {target} -xzf {archive}"

    def __init__(self, work, program):
        super().__init__(work, program)
        self.count = 0

    def archive(self):
        return self.repo / f"{self.count}.tar"

    def shell(self, script, **values):
        script = script.format(archive=self.archive(), **values)
        return ["bash", "-o", "pipefail", "-ec", script]

    def pack(self, tree):
        self.count += 1
        return self.shell(self.create + " && sha256sum {archive} > {archive}.sha256", tree=tree)

    def verify(self):
        return self.shell("sha256sum -c {archive}.sha256")

    def restore(self, target):
        return self.shell("mkdir {target} && " + self.extract, target=target)


class TarZstd(Tar):
    name = "tar, zstd -3 -T0"
    program = "zstd"
    create = "tar -C {tree} -cf - . | zstd -q -3 -T0 -o {archive}"
    extract = "zstd -q -dc {archive} | tar -C {target} -xf -"

    def pack(self, tree):
        self.count += 1
        return self.shell(self.create, tree=tree)

    def verify(self):
        return self.shell("zstd -q -t {archive}")


class TarZstdLong(TarZstd):
    name = "tar, zstd -3 --long=31"
    create = "tar -C {tree} -cf - . | zstd -q -3 -T0 --long=31 -o {archive}"
    extract = "zstd -q -dc --long=31 {archive} | tar -C {target} -xf -"

    def verify(self):
        return self.shell("zstd -q -t --long=31 {archive}")


class Bupstash(Peer):
    name = program = "bupstash"

    def __init__(self, work, program):
        super().__init__(work, program)
        self.env |= {
            "BUPSTASH_REPOSITORY": str(self.repo),
            "BUPSTASH_KEY": str(self.work / "key"),
            "BUPSTASH_SEND_LOG": str(self.work / "send.log"),
            "BUPSTASH_QUERY_CACHE": str(self.work / "query.cache"),
        }

    def prepare(self):
        self.work.mkdir(parents=True, exist_ok=True)
        self.quietly(self.path, "init", "-r", self.repo)
        self.quietly(self.path, "new-key", "-o", self.work / "key")

    def pack(self, tree):
        self.last = tree.name
        return [self.path, "put", "-q", f"name={tree.name}", str(tree)]

    def verify(self):
        return ["bash", "-ec", f'"{self.path}" get -q name={self.last} > /dev/null']

    def restore(self, target):
        target.mkdir()
        return [self.path, "restore", "-q", "--into", str(target), f"name={self.last}"]


class Restic(Peer):
    name = program = "restic"
    version = ("version",)

    def __init__(self, work, program):
        super().__init__(work, program)
        self.env |= {"RESTIC_REPOSITORY": str(self.repo), "RESTIC_PASSWORD": "bench"}

    def prepare(self):
        self.work.mkdir(parents=True, exist_ok=True)
        self.quietly(self.path, "init")

    def pack(self, tree):
        return [self.path, "backup", "-q", str(tree)]

    def verify(self):
        return [self.path, "check", "-q", "--read-data"]

    def restore(self, target):
        return [self.path, "restore", "-q", "latest", "--target", str(target)]


class Borg(Peer):
    name = "borg, zstd 3"
    program = "borg"
    compression = "zstd,3"

    def __init__(self, work, program):
        super().__init__(work, program)
        self.env |= {"BORG_BASE_DIR": str(self.work), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes"}

    def prepare(self):
        self.work.mkdir(parents=True, exist_ok=True)
        self.quietly(self.path, "init", "-e", "none", self.repo)

    def pack(self, tree):
        self.last = tree.name
        return [self.path, "create", "--compression", self.compression, f"{self.repo}::{tree.name}", str(tree)]

    def verify(self):
        return [self.path, "check", "--verify-data", str(self.repo)]

    def restore(self, target):
        target.mkdir()
        return ["bash", "-ec", f'cd "{target}" && "{self.path}" extract "{self.repo}::{self.last}"']


class BorgLz4(Borg):
    name = "borg, lz4"
    compression = "lz4"


class Casync(Peer):
    name = program = "casync"

    def pack(self, tree):
        self.index = self.repo / f"{tree.name}.caidx"
        return [self.path, "make", "--without=privileged", f"--store={self.repo}/store", str(self.index), str(tree)]

    def verify(self):
        return [self.path, "digest", f"--store={self.repo}/store", str(self.index)]

    def restore(self, target):
        flags = ["--without=privileged", "--seed-output=no", f"--store={self.repo}/store"]
        return [self.path, "extract", *flags, str(self.index), str(target)]


class Zpaq(Peer):
    name = "zpaq -m1"
    program = "zpaq"
    version = ()

    def pack(self, tree):
        return [self.path, "add", str(self.repo / "a.zpaq"), str(tree), "-m1"]

    def verify(self):
        return [self.path, "extract", str(self.repo / "a.zpaq"), "-test", "-to", str(self.work / "test")]

    def restore(self, target):
        return [self.path, "extract", str(self.repo / "a.zpaq"), "-to", str(target)]


PEERS = (Airlift, Tar, TarZstd, TarZstdLong, Bupstash, Borg, BorgLz4, Restic, Casync, Zpaq)


def roots_of(tree):
    """Returns the directories of a release, which are its roots."""
    return sorted(path for path in tree.iterdir() if path.is_dir())


def usable(name, version):
    """Returns the path of a program that says its version; nothing for a shim that leads nowhere."""
    path = shutil.which(name)
    if path is None or (version and subprocess.run([path, *version], capture_output=True).returncode != 0):
        return None
    return path


def present(airlift):
    """Returns the tools that are on this machine, with their programs, Airlift first."""
    found = [(Airlift, airlift)]
    found += [(peer, path) for peer in PEERS if peer is not Airlift and (path := usable(peer.program, peer.version))]
    return found
