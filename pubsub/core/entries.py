"""Encoded entries as they travel from a publisher to the node, untouched.

A bulk body is a MessagePack array of byte strings, each an encoded entry. The gateway splits it and
finds out by what names the entries will be asked for; the node judges them.
"""

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple, cast

import msgspec

from ledger.core.errors import DecodeError
from ledger.core.event import entry_id, event_key
from ledger.core.ids import EventId, EventKey
from ledger.core.limits import SUBMIT_ENTRIES_MAX
from ledger.core.scanning import scan_entries, verdict

__all__ = ["Named", "name_entries", "split_bulk"]

_Entries = Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=SUBMIT_ENTRIES_MAX)]
_OPEN: Final = verdict(None)
_decoder = msgspec.msgpack.Decoder(_Entries)


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


def name_entries(entries: tuple[bytes, ...]) -> Named:
    """Give ids and times of entries; the id of what is no entry means nothing."""
    scan = scan_entries(entries)
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
        for entry, number in zip(entries, scan.verdicts(), strict=True)
    ]
    return Named([row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows])


def _unreadable(entry: bytes) -> tuple[EventId, int, EventKey]:
    id_ = entry_id(entry)
    return id_, 0, event_key(0, id_)


def split_bulk(body: bytes) -> tuple[bytes, ...]:
    """Split a bulk body into its entries, 1 to SUBMIT_ENTRIES_MAX; each is still unjudged.

    Raises:
        DecodeError: it is not a MessagePack array of byte strings.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
