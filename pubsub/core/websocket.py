"""CloudEvents over WebSocket: the frames that a gateway sends, and why it closes.

The subprotocol is that of the CloudEvents WebSocket binding: one event in JSON a text message. A
server's frames are not masked (RFC 6455, 5.1), so one frame serves every reader. Nothing tells a
reader of events that its filters hide: it resumes behind the ``sequence`` of its last event.
"""

from enum import IntEnum
from typing import Final

__all__ = ["PING", "SUBPROTOCOL", "CloseCode", "close_reason", "text_frame"]

SUBPROTOCOL: Final = "cloudevents.json"
PING: Final = b"\x89\x00"
"""A ping without content; every endpoint answers it by itself."""

_TEXT: Final = 0x81  # a whole text message in one frame
_SHORT_BYTES_MAX: Final = 125
_MEDIUM_BYTES_MAX: Final = 0xFFFF
_REASON_BYTES_MAX: Final = 123  # a control frame has 125 bytes, two are the code


class CloseCode(IntEnum):
    """Why the gateway closes a WebSocket (RFC 6455, 7.4.1)."""

    GOING_AWAY = 1001
    UNSUPPORTED_DATA = 1003
    POLICY_VIOLATION = 1008
    TRY_AGAIN_LATER = 1013


def text_frame(text: bytes) -> bytes:
    """Carry UTF-8 text as one message."""
    length = len(text)
    if length <= _SHORT_BYTES_MAX:
        return bytes((_TEXT, length)) + text
    if length <= _MEDIUM_BYTES_MAX:
        return bytes((_TEXT, 126)) + length.to_bytes(2, "big") + text
    return bytes((_TEXT, 127)) + length.to_bytes(8, "big") + text


def close_reason(code: str, detail: str) -> str:
    """Give a close frame's reason: the problem's stable code, then as much detail as fits."""
    reason = f"{code}: {detail}".encode()[:_REASON_BYTES_MAX]
    return reason.decode(errors="ignore")
