"""What the reader says when bytes break a rule."""

import json

DAMAGED = "damaged"
UNTRUSTED = "untrusted"
REFUSED = "refused"
INCOMPLETE = "incomplete"
BASE_MISSING = "base missing"
# Not a class of its own: what a repair leaves out (F-56).
NOT_CARRIED = "not carried"

EXIT_CODES = {
    DAMAGED: 3,
    UNTRUSTED: 4,
    INCOMPLETE: 5,
    REFUSED: 7,
    BASE_MISSING: 8,
}


class Breach(Exception):
    """A broken rule: its class, its number, where, and why in words."""

    def __init__(self, class_name, rule, where, why):
        super().__init__(f"{rule} {where}: {why}")
        self.class_name = class_name
        self.rule = rule
        self.where = where
        self.why = why

    def line(self):
        """The breach as one line of JSON."""
        return json.dumps(
            {
                "class": self.class_name,
                "rule": self.rule,
                "where": self.where,
                "why": self.why,
            }
        )


def damaged(rule, where, why):
    """Bytes that are not those that are due (F-11)."""
    return Breach(DAMAGED, rule, where, why)


def untrusted(rule, where, why):
    """A breach in what was signed: the head, or a structure with its digest (F-11)."""
    return Breach(UNTRUSTED, rule, where, why)


def refused(rule, where, why):
    """Something that version 1 does not know and must not pass over."""
    return Breach(REFUSED, rule, where, why)


class NotHere(Exception):
    """Bytes that no medium at hand carries; not a breach by itself.

    `class_name` is incomplete for a volume that was not given, not carried
    for a pack that a repair leaves out, base missing for a base not given.
    """

    def __init__(self, class_name, what):
        super().__init__(what)
        self.class_name = class_name
        self.what = what
