"""python -m vector_maker spec/vectors: writes every case that is not there yet.

A released vector never changes: a case that is there with other bytes is
named, and the exit code is 1. With --again those are replaced, and those that
nothing makes any more are removed.
"""

import argparse
import os
import shutil
import sys

from . import all_cases
from .case import differences


def main(arguments):
    parser = argparse.ArgumentParser(prog="vector_maker")
    parser.add_argument("directory")
    parser.add_argument("--again", action="store_true")
    options = parser.parse_args(arguments)
    code = 0
    for path, case in differences(options.directory, all_cases()):
        exists = os.path.exists(path)
        if exists and not options.again:
            print(f"{path}: {'other bytes' if case else 'made by nothing'}")
            code = 1
            continue
        if exists:
            shutil.rmtree(path)
        if case:
            case.write(path)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
