"""A simulated gateway: from the bytes of a publish request to the entries for the node.

Uses the gateway's own parsers. Whatever bytes a client sends, the answer is entries or a refusal.
"""

from typing import Final

from ledger.core.errors import DecodeError, Rejected
from pubsub.core.cloudevents import read_cloudevent, read_cloudevent_item, split_cloudevents
from pubsub.core.entries import split_bulk

__all__ = ["BATCH", "BULK", "EVENT", "entries_of"]

EVENT: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
BULK: Final = "application/vnd.concordat.events+msgpack"


def entries_of(media_type: str, body: bytes) -> tuple[bytes, ...]:
    """Give the entries that a request hands to the node; none when it is refused here."""
    try:
        if media_type == EVENT:
            return (read_cloudevent(body).opened.entry,)
        if media_type == BULK:
            return split_bulk(body)
        items = split_cloudevents(body)
    except (DecodeError, Rejected):
        return ()
    return tuple(entry for item in items if (entry := _entry(item)) is not None)


def _entry(item: bytes) -> bytes | None:
    try:
        return read_cloudevent_item(item).opened.entry
    except (DecodeError, Rejected):
        return None
