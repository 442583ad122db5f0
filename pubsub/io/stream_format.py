"""How events travel on a stream: as server-sent events, or as WebSocket messages.

A format gives finished bytes for a connection; they depend on nothing but the event.
"""

from collections.abc import Callable
from typing import Final, NamedTuple

from pubsub.core.sse import HEARTBEAT, chunk, cursor_block, event_block
from pubsub.core.websocket import PING, text_frame

__all__ = ["SERVER_SENT_EVENTS", "WEBSOCKET", "StreamFormat"]


class StreamFormat(NamedTuple):
    """The bytes of one kind of stream.

    Attributes:
        event: of an event, from its sequence and its JSON text.
        cursor: of what tells a reader how far it is without an event; nothing where none can.
        heartbeat: of a sign of life.
    """

    name: str
    event: Callable[[int, bytes], bytes]
    cursor: Callable[[int], bytes]
    heartbeat: bytes


SERVER_SENT_EVENTS: Final = StreamFormat(
    "server-sent events",
    lambda sequence, text: chunk(event_block(sequence, text)),
    lambda cursor: chunk(cursor_block(cursor)),
    chunk(HEARTBEAT),
)
WEBSOCKET: Final = StreamFormat("websocket", lambda _, text: text_frame(text), lambda _: b"", PING)
