"""A second, slow reader of Airlift bundles, written from spec/format.md alone.

It exists so that two independent implementations can be compared. It holds
the manifest and the pack table in memory, reads packs one after another and
says of the first breach which rule was broken, where, and whose problem it is.

Signatures are not checked: the head is read as given (trust.md is not for
this reader).

Modules in reading order: errors, limits, digests, fields, names, head,
manifest, pack_table, index, zstd_header, codec, cutting, tensors, packs,
bundle, check, extract, vectors.
"""
