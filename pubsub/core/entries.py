"""Encoded entries as they travel from a publisher to the node, untouched.

A bulk body is a MessagePack array of byte strings, each an encoded entry. The gateway only
splits it: the node decodes and judges entries, so a thousand of them cost one pass here.
"""

from typing import Annotated, Final

import msgspec

from ledger.core.errors import DecodeError
from ledger.core.hashing import derived_digest
from ledger.core.ids import EventId
from ledger.core.limits import SUBMIT_ENTRIES_MAX

__all__ = ["entry_id", "split_bulk"]

_EVENT: Final = slice(1, -66)  # see ledger/core/event.py: array header before, signature after
_digest = derived_digest("event")
_Entries = Annotated[tuple[bytes, ...], msgspec.Meta(min_length=1, max_length=SUBMIT_ENTRIES_MAX)]
_decoder = msgspec.msgpack.Decoder(_Entries)


def entry_id(entry: bytes) -> EventId:
    """Give the event id of an entry without decoding it; meaningless when it is no entry."""
    return EventId(_digest(entry[_EVENT]))


def split_bulk(body: bytes) -> tuple[bytes, ...]:
    """Split a bulk body into its entries, 1 to SUBMIT_ENTRIES_MAX; each is still unjudged.

    Raises:
        DecodeError: it is not a MessagePack array of byte strings.
    """
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DecodeError(str(error)) from None
