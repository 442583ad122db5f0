"""Blocks of a ``text/event-stream`` (WHATWG HTML, 9.2): the id of a block is a ledger sequence.

The data is JSON text on one line, so nothing in an event can end a block or forge an id. A stream
travels in the chunks of HTTP/1.1, which do not depend on the reader either: what is written once
serves every stream.
"""

from typing import Final

from ledger.core.limits import GATEWAY_RETRY_MS

__all__ = ["HEARTBEAT", "chunk", "cursor_block", "event_block", "opening_block"]

# No line ends of this format, but many readers split text at them all the same. In JSON they only
# stand in strings, where the escape means the same.
_SEPARATORS: Final = tuple(
    (separator.encode(), b"\\u%04x" % ord(separator)) for separator in "\x85\u2028\u2029"
)

HEARTBEAT: Final = b": keep-alive\n\n"
"""A comment: readers ignore it, proxies see life."""


def opening_block(cursor: int) -> bytes:
    """Begin a stream: how fast to reconnect, and where to go on if nothing follows."""
    return b"retry: %d\n" % GATEWAY_RETRY_MS + cursor_block(cursor)


def cursor_block(cursor: int) -> bytes:
    """Move the reader's cursor past entries that its filter hides; dispatches nothing."""
    return b"id: %d\n\n" % cursor


def event_block(sequence: int, json: bytes) -> bytes:
    """Carry one event as JSON text without line breaks."""
    for separator, escape in _SEPARATORS:
        json = json.replace(separator, escape)
    return b"id: %d\ndata: %s\n\n" % (sequence, json)


def chunk(data: bytes) -> bytes:
    """Give ``data``, which is not empty, as one chunk of an HTTP/1.1 body (RFC 9112, 7.1)."""
    assert data, "an empty chunk would end the body"
    return b"%x\r\n%s\r\n" % (len(data), data)
