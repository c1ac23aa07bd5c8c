"""The command line of the reader; prints one line of JSON a result."""

import argparse
import json
import sys

from .check import check_bundle, open_packs
from .errors import EXIT_CODES, Breach
from .extract import extract
from .judge import judge
from .manifest import FILE
from .vectors import run_vectors


def main(arguments=None):
    """Runs one command and returns its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.command(options)
    except Breach as breach:
        print(breach.line())
        return EXIT_CODES[breach.class_name]


def _parser():
    parser = argparse.ArgumentParser(
        prog="airlift_reader",
        description="A second, slow reader of Airlift bundles. "
        "It does not check signatures: the head is read as given.",
    )
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("check", help="check everything in a bundle")
    check.add_argument("--recut", action="store_true", help="cut the files again")
    check.set_defaults(command=_check)
    listing = commands.add_parser("ls", help="list the entries of a bundle")
    listing.set_defaults(command=_list)
    extraction = commands.add_parser("extract", help="write the files of a bundle")
    extraction.set_defaults(command=_extract)
    for command in (check, listing, extraction):
        command.add_argument("bundle")
        command.add_argument("--volumes", nargs="+", default=[], metavar="DIR")
        command.add_argument("--base", action="append", default=[], metavar="BUNDLE")
    extraction.add_argument("destination")
    judging = commands.add_parser(
        "judge", help="check the bundles that standard input names, one a line"
    )
    judging.set_defaults(command=_judge)
    vectors = commands.add_parser("vectors", help="run the vectors of spec/vectors")
    vectors.add_argument("directory")
    vectors.add_argument(
        "--rules", action="store_true", help="another rule number fails, too"
    )
    vectors.set_defaults(command=_vectors)
    return parser


def _check(options):
    found = check_bundle(
        options.bundle, options.volumes, options.base, recuts=options.recut
    )
    print(json.dumps(found))
    return 0


def _list(options):
    reader = open_packs(options.bundle, options.volumes, options.base)
    for entry in reader.manifest.entries:
        if entry.kind == FILE:
            print(f"{entry.sha256.hex()}  {entry.file_len:>15}  {entry.path}")
        else:
            print(f"{'directory':64}  {'':>15}  {entry.path}/")
    return 0


def _extract(options):
    reader = open_packs(options.bundle, options.volumes, options.base)
    try:
        extract(reader, options.destination)
    finally:
        reader.close()
    return 0


def _judge(_options):
    judge(sys.stdin, sys.stdout)
    return 0


def _vectors(options):
    return run_vectors(options.directory, options.rules)


if __name__ == "__main__":
    sys.exit(main())
