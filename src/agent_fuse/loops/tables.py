"""A bounded table in a bytes value: fixed-width records found by their key, the longest unused dropped first (pure)."""

from dataclasses import dataclass, field
from struct import Struct
from typing import Any


@dataclass(frozen=True, slots=True)
class PackedTable:
    """The form of such a table: `record` begins with the key, a bytes field; at most `most` records are kept.

    A table is read where it lies, with no unpacking of what is not asked for: a lookup costs one search in its bytes.
    """

    record: Struct
    most: int
    width: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", self.record.size)

    def get(self, table: bytes, key: bytes) -> tuple[Any, ...] | None:
        """The record under the key, its fields in order, the key first."""
        at = self._find(table, key)
        return None if at < 0 else self.record.unpack_from(table, at)

    def put(self, table: bytes, key: bytes, *values: object) -> bytes:
        """The table with this record as its newest; one under the same key is replaced."""
        return self.append(self.drop(table, key), key, *values)

    def drop(self, table: bytes, key: bytes) -> bytes:
        """The table without the record under the key."""
        at = self._find(table, key)
        return table if at < 0 else table[:at] + table[at + self.width :]

    def append(self, table: bytes, key: bytes, *values: object) -> bytes:
        """The table with one more record, whatever keys it holds."""
        return (table + self.record.pack(key, *values))[-self.most * self.width :]

    def nth(self, table: bytes, back: int) -> tuple[Any, ...]:
        """The record that many back; 1 is the newest."""
        return self.record.unpack_from(table, len(table) - back * self.width)

    def count(self, table: bytes) -> int:
        """Records in the table."""
        return len(table) // self.width

    def _find(self, table: bytes, key: bytes) -> int:
        at = table.find(key)
        while at > 0 and at % self.width:
            at = table.find(key, at + 1)
        return at
