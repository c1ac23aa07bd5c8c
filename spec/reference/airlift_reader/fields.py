"""Fixed-width fields of a structure, read in order."""

from .errors import untrusted


class Fields:
    """Reads little-endian fields of one structure from its first byte on.

    Bytes that are missing, or left over, break `rule`.
    """

    def __init__(self, data, rule, where):
        self.data = data
        self.offset = 0
        self.rule = rule
        self.where = where

    def left(self):
        """The number of bytes not read yet."""
        return len(self.data) - self.offset

    def bytes(self, count):
        """The next `count` bytes."""
        if count > self.left():
            raise untrusted(self.rule, self.here(), "ends early")
        start = self.offset
        self.offset += count
        return self.data[start : self.offset]

    def unsigned(self, width):
        """The next integer of `width` bytes."""
        return int.from_bytes(self.bytes(width), "little")

    def u8(self):
        """The next u8."""
        return self.unsigned(1)

    def u16(self):
        """The next u16."""
        return self.unsigned(2)

    def u32(self):
        """The next u32."""
        return self.unsigned(4)

    def u64(self):
        """The next u64."""
        return self.unsigned(8)

    def end(self):
        """Nothing may be left."""
        if self.left():
            raise untrusted(self.rule, self.here(), f"{self.left()} bytes too many")

    def here(self):
        """Where the next byte is, for a message."""
        return f"{self.where}, offset {self.offset}"

    def check(self, holds, why, rule=None):
        """Breaks the rule unless `holds`."""
        if not holds:
            raise untrusted(rule or self.rule, self.here(), why)
