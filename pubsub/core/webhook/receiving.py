"""From the request of a delivery back to the events in it: the receiver's half of ``encoding``.

Owns the reading of the three forms. Each event is rebuilt to the bytes that its publisher signed,
so its id is that of its content, whatever the headers said.
"""

from base64 import b64encode
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

import msgspec

from ledger.core.errors import DecodeError
from pubsub.core.cloudevents import ReceivedEvent, read_cloudevent, split_cloudevents
from pubsub.core.webhook.encoding import PING_TYPE

__all__ = ["read_delivery"]

_STRUCTURED: Final = "application/cloudevents+json"
_BATCH: Final = "application/cloudevents-batch+json"
_ATTRIBUTE: Final = "ce-"
_VERSION_DIGITS_MAX: Final = 9


class _Kind(msgspec.Struct):
    """The part of any CloudEvent that tells a ping."""

    type: str


_read_kind = msgspec.json.Decoder(_Kind).decode


def read_delivery(headers: Mapping[str, str], body: bytes) -> tuple[ReceivedEvent, ...]:
    """Read the events of a verified delivery; none when it is a ping.

    Args:
        headers: of the request, with lower-case names.

    Raises:
        DecodeError: it is no delivery of a gateway's.
    """
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == _BATCH:
        texts = split_cloudevents(body)
    elif media_type == _STRUCTURED:
        texts = [body]
    else:
        texts = [_from_binary(headers, body)]
    try:
        return tuple(read_cloudevent(text) for text in texts if _read_kind(text).type != PING_TYPE)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(str(error)) from None


def _from_binary(headers: Mapping[str, str], body: bytes) -> bytes:
    """Give the JSON form of an event whose attributes are headers."""
    document: dict[str, object] = {
        name.removeprefix(_ATTRIBUTE): unquote(value, errors="strict")
        for name, value in headers.items()
        if name.startswith(_ATTRIBUTE)
    }
    if not document:
        raise DecodeError("neither a CloudEvent in JSON nor ce- headers")
    if (version := str(document.get("version", ""))).isdecimal():
        document["version"] = int(version[:_VERSION_DIGITS_MAX])  # the one integer among them
    if content_type := headers.get("content-type"):
        document["datacontenttype"] = content_type
    if body:
        document["data_base64"] = b64encode(body).decode("ascii")
    return msgspec.json.encode(document)
