"""Reading the trusted lists for a facade: entries, revisions and pages at one snapshot.

An id with a slash belongs to the entry in front of it (an issuer's attribute): it is a child, not
an entry of its own page. Revoked entries are no longer listed; their history can still be read.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ledger.core.trust.lists import (
    EntryStatus,
    ListEntry,
    entry_codec,
    entry_key,
    list_prefix,
    revision_key,
    split_entry_key,
)
from ledger.io.chain_reader import ChainReader

__all__ = ["Lists", "Page"]

_AFTER_CHILDREN = "/\x7f"  # ids are printable ASCII: no child sorts behind this


class Page(NamedTuple):
    """A part of a list.

    Attributes:
        total: entries of the whole list.
        items: (id, entry) of this part, in order of the ids.
    """

    total: int
    items: list[tuple[str, ListEntry]]


class Lists:
    """The lists in one snapshot of the chain store; use it only while the reader lives."""

    def __init__(self, reader: ChainReader) -> None:
        self._reader = reader
        head = reader.stored_head(reader.head_height())
        self.time_ms = head.time_ms
        self._state = reader.state(head.root)

    def entry(self, list_name: str, id_: str) -> ListEntry | None:
        """Give an entry that stands, or None."""
        entry = self._decode(self._state.get(entry_key(list_name, id_)))
        return None if entry is None or entry.status is EntryStatus.REVOKED else entry

    def revision(self, list_name: str, id_: str, number: int) -> ListEntry | None:
        """Give one revision of an entry, revoked or not, or None."""
        return self._decode(self._state.get(revision_key(list_name, id_, number)))

    def revisions(self, list_name: str, id_: str) -> list[ListEntry]:
        """Give every revision of an entry, oldest first, revocations included."""
        newest = self._decode(self._state.get(entry_key(list_name, id_)))
        numbers = range(1, (newest.revision if newest else 0) + 1)
        found = (self.revision(list_name, id_, number) for number in numbers)
        return [entry for entry in found if entry is not None]

    def page(self, list_name: str, offset: int, limit: int) -> Page:
        """Give ``limit`` standing entries from the ``offset``-th on, without children."""
        total, items = 0, []
        for id_, entry in self._standing(list_name):
            if offset <= total < offset + limit:
                items.append((id_, entry))
            total += 1
        return Page(total, items)

    def children(self, list_name: str, id_: str) -> list[tuple[str, ListEntry]]:
        """Give the standing entries that belong to one: (what follows the slash, entry)."""
        prefix = entry_key(list_name, id_ + "/")
        rows = (
            (key[len(prefix) :].decode(), entry_codec.decode(value))
            for key, value in self._reader.flat_state(prefix)
        )
        return [(name, entry) for name, entry in rows if entry.status is EntryStatus.ACTIVE]

    def _standing(self, list_name: str) -> Iterator[tuple[str, ListEntry]]:
        after = b""
        while True:
            for key, value in self._reader.flat_state(list_prefix(list_name), after):
                parts = split_entry_key(key)
                assert parts is not None, "the prefix is that of entries"
                parent, slash, _ = parts[1].partition("/")
                if slash:  # children of one entry stand together: go on behind them
                    after = entry_key(list_name, parent + _AFTER_CHILDREN)
                    break
                entry = entry_codec.decode(value)
                if entry.status is EntryStatus.ACTIVE:
                    yield parts[1], entry
            else:
                return

    @staticmethod
    def _decode(value: bytes | None) -> ListEntry | None:
        return None if value is None else entry_codec.decode(value)
