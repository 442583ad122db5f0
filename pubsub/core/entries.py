"""Encoded entries as they travel from a publisher to the node, untouched.

A bulk body is a MessagePack array of byte strings, each an encoded entry. The gateway splits it and
finds out by what names the entries will be asked for; the node judges them.
"""

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple, cast

import msgspec

from ledger.core.codec import Codec, encode
from ledger.core.event import entry_id, event_key
from ledger.core.ids import EventId, EventKey
from ledger.core.limits import SUBMIT_ENTRIES_MAX
from ledger.core.scanning import Scan, array_count, scan_array, scan_entries, verdict

__all__ = ["Entries", "Named", "name_entries", "read_bulk", "split_bulk"]

_Entries = Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=SUBMIT_ENTRIES_MAX)]
_OPEN: Final = verdict(None)
_codec: Codec[tuple[bytes, ...]] = Codec(_Entries)


class Entries:
    """Encoded entries in one piece, which is split only where that is asked for.

    Attributes:
        encoded: a MessagePack array of byte strings.
    """

    __slots__ = ("_count", "_split", "encoded")

    def __init__(self, encoded: bytes, count: int, split: tuple[bytes, ...] | None) -> None:
        self.encoded = encoded
        self._count = count
        self._split = split

    @classmethod
    def of(cls, *entries: bytes) -> "Entries":
        """Put entries together."""
        return cls(encode(entries), len(entries), entries)

    def __len__(self) -> int:
        return self._count

    def split(self) -> tuple[bytes, ...]:
        """Give each of them."""
        if self._split is None:
            self._split = split_bulk(self.encoded)
        return self._split

    def first(self, count: int) -> "Entries":
        """Give so many of them, or all if they are no more."""
        if count >= self._count:
            return self
        return Entries.of(*(self.split()[:count] if count else ()))

    def scan(self) -> Scan:
        """Open all of them."""
        return scan_array(self.encoded) if self._split is None else scan_entries(self._split)


class Named(NamedTuple):
    """What the events of a request are asked for by: columns of equal length.

    Attributes:
        times_ms: the time in each event; 0 where the entry cannot be read, so that no block has it.
        keys: both together, as the log's index has them.
    """

    ids: list[EventId]
    times_ms: list[int]
    keys: list[EventKey]

    def at(self, rows: Sequence[int]) -> "Named":
        """Give some of them."""
        ids, times_ms, keys = self
        return Named(
            [ids[row] for row in rows], [times_ms[row] for row in rows], [keys[row] for row in rows]
        )


def name_entries(entries: Entries) -> Named:
    """Give ids and times of entries; the id of what is no entry means nothing."""
    scan = entries.scan()
    named = Named(
        cast("list[EventId]", scan.ids()),
        scan.times_ms(),
        cast("list[EventKey]", scan.event_keys()),
    )
    if len(named.ids) == len(entries):
        return named
    found = iter(zip(*named, strict=True))
    rows = [
        next(found) if number == _OPEN else _unreadable(entry)
        for entry, number in zip(entries.split(), scan.verdicts(), strict=True)
    ]
    return Named([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def _unreadable(entry: bytes) -> tuple[EventId, int, EventKey]:
    id_ = entry_id(entry)
    return id_, 0, event_key(0, id_)


def read_bulk(body: bytes) -> Entries:
    """Give the entries of a bulk body, as :func:`split_bulk` has them. Raises DecodeError."""
    if 0 < (count := array_count(body)) <= SUBMIT_ENTRIES_MAX:
        return Entries(body, count, None)
    return Entries.of(*split_bulk(body))  # unusual forms of lengths, or entries that are refused


def split_bulk(body: bytes) -> tuple[bytes, ...]:
    """Split a bulk body into its 1 to SUBMIT_ENTRIES_MAX entries; each is still unjudged.

    Raises:
        DecodeError: it is not a MessagePack array of byte strings, in any form.
    """
    return _codec.decode_any_form(body)
