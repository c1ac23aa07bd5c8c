"""Makes the vectors of the format: spec/vectors, all kinds but codec and trust.

It knows the layouts of spec/format.md from tests/writer.py and from here, not
from the reader, so that the two are compared. Nothing is random and no
compressor takes part: the same bytes come out wherever it runs.
"""

from . import bundles, cuts, heads, indexes, manifests, pack_tables, paths

KINDS = (
    "bundle",
    "head",
    "manifest-root",
    "manifest-page",
    "manifest",
    "pack-root",
    "pack-page",
    "pack-table",
    "index",
    "cut",
    "path",
    "root-name",
)


def all_cases():
    """Every case, in no order that matters."""
    makers = (paths, heads, manifests, pack_tables, indexes, cuts, bundles)
    return [case for maker in makers for case in maker.cases()]
