"""Encoded entries as they travel from a publisher to the node, untouched.

A bulk body is a MessagePack array of byte strings, each an encoded entry. The gateway splits it and
finds out by what names the entries will be asked for; the node judges them.
"""

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

import msgspec

from ledger.core.errors import DecodeError
from ledger.core.event import entry_id
from ledger.core.ids import EventId
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
    """

    ids: list[EventId]
    times_ms: list[int]

    def at(self, rows: Sequence[int]) -> "Named":
        """Give some of them."""
        return Named([self.ids[row] for row in rows], [self.times_ms[row] for row in rows])


def name_entries(entries: tuple[bytes, ...]) -> Named:
    """Give ids and times of entries; the id of what is no entry means nothing."""
    scan = scan_entries(entries)
    ids, times_ms, verdicts = list(map(EventId, scan.ids())), scan.times_ms(), scan.verdicts()
    if len(ids) == len(entries):
        return Named(ids, times_ms)
    found = iter(zip(ids, times_ms, strict=True))
    rows = [
        next(found) if number == _OPEN else (entry_id(entry), 0)
        for entry, number in zip(entries, verdicts, strict=True)
    ]
    return Named([id_ for id_, _ in rows], [time_ms for _, time_ms in rows])


def split_bulk(body: bytes) -> tuple[bytes, ...]:
    """Split a bulk body into its entries, 1 to SUBMIT_ENTRIES_MAX; each is still unjudged.

    Raises:
        DecodeError: it is not a MessagePack array of byte strings.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
