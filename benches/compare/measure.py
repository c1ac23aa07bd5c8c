"""One command as a whole: its wall time, its CPU time and its peak memory."""

import dataclasses
import os
import subprocess
import time


@dataclasses.dataclass(frozen=True)
class Sample:
    """What a command took."""

    seconds: float
    cpu_seconds: float
    """User and system time of the command and of all that it waited for."""
    peak_len: int
    """The largest resident set of any one process of it, in bytes; never below that of this program."""


class Failed(Exception):
    """A command that did not end with code 0."""


def run(command, env, log):
    """Runs a command to its end and returns its sample."""
    with open(log, "ab") as output:
        begun = time.monotonic()
        child = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begun
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise Failed(f"{command[0]} ended with code {child.returncode}; see {log}")
    return Sample(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def tree_len(path):
    """Returns the bytes of all files below a path, hard links once."""
    seen, total = set(), 0
    for directory, _, names in os.walk(path):
        for name in names:
            facts = os.lstat(os.path.join(directory, name))
            if (facts.st_dev, facts.st_ino) not in seen:
                seen.add((facts.st_dev, facts.st_ino))
                total += facts.st_size
    return total


def read_all(path):
    """Reads every file below a path, so that the page cache has what it can hold."""
    for directory, _, names in os.walk(path):
        for name in names:
            with open(os.path.join(directory, name), "rb", buffering=0) as file:
                while file.read(4 << 20):
                    pass
