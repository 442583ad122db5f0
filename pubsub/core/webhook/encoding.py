"""CloudEvents over HTTP: one event as structured or binary request, several as a batch.

Owns which headers and body a delivery has. A batch is only made where it was asked for. In binary
mode every attribute is a ``ce-`` header and the data is the body, as the publisher gave it; an
event whose content type cannot stand in a header is sent structured there, too.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeVar
from urllib.parse import quote

import msgspec
from msgspec import UNSET
from msgspec.structs import asdict

from ledger.core.event import OpenEntry
from ledger.core.ids import Height
from ledger.core.ids import Sequence as LedgerSequence
from pubsub.core.cloudevents import cloudevent, time_text

__all__ = [
    "PING_TYPE",
    "Mode",
    "Placed",
    "Request",
    "encode_batch",
    "encode_one",
    "encode_ping",
    "split_batches",
]

Mode = Literal["structured", "batch", "binary"]

PING_TYPE: Final = "io.concordat.webhook.ping"

_STRUCTURED: Final = {"content-type": "application/cloudevents+json"}
_BATCH: Final = {"content-type": "application/cloudevents-batch+json"}
_NOT_HEADERS: Final = frozenset({"data", "data_base64", "datacontenttype"})
# Printable ASCII without the space, the quotation mark and the percent sign.
_SAFE: Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?\Z")
_BRACKETS_BYTES: Final = 2


class Placed(Protocol):
    """An event and its place in the ledger; ``json`` is its CloudEvent, made once for all."""

    @property
    def opened(self) -> OpenEntry:
        """The event."""
        ...

    @property
    def sequence(self) -> LedgerSequence:
        """Its place in the log."""
        ...

    @property
    def height(self) -> Height:
        """The block that it came with."""
        ...

    @property
    def json(self) -> bytes:
        """The CloudEvent."""
        ...


_Placed = TypeVar("_Placed", bound=Placed)


class Request(NamedTuple):
    """One delivery, not yet signed.

    Attributes:
        id: the same however often the same events are sent.
    """

    id: str
    headers: dict[str, str]
    body: bytes


def encode_one(event: Placed, mode: Mode) -> Request:
    """Encode one event as structured or binary request; a batch of one is :func:`encode_batch`.

    The content type is any text: one that is no header's value, such as one with a line break or
    outside of ASCII, has its event sent structured in binary mode as well.
    """
    id_ = event.opened.id.hex()
    content_type = event.opened.event.content_type
    if mode == "binary" and (not content_type or _HEADER_VALUE.match(content_type)):
        attributes = asdict(cloudevent(event.opened, event.sequence, event.height))
        return Request(id_, dict(_binary_headers(attributes)), event.opened.event.data)
    return Request(id_, _STRUCTURED, event.json)


def encode_batch(events: Sequence[Placed]) -> Request:
    """Encode several events as one request."""
    digest = hashlib.sha256(b"".join(event.opened.id for event in events))
    body = b"[" + b",".join(event.json for event in events) + b"]"
    return Request(f"batch_{digest.hexdigest()}", _BATCH, body)


def split_batches(
    events: Sequence[_Placed], events_max: int, bytes_max: int
) -> Iterator[Sequence[_Placed]]:
    """Part events into batches that are as large as allowed; an event that is larger goes alone."""
    first, size = 0, _BRACKETS_BYTES
    for index, event in enumerate(events):
        event_bytes = len(event.json)
        if index > first and (index - first == events_max or size + event_bytes > bytes_max):
            yield events[first:index]
            first, size = index, _BRACKETS_BYTES
        size += event_bytes + 1
    if first < len(events):
        yield events[first:]


def encode_ping(mode: Mode, webhook: str, id_: str, source: str, now_ms: int) -> Request:
    """Encode a test of an endpoint: an event that is in no ledger, sent as its events are.

    Args:
        source: URI of the gateway.
    """
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": PING_TYPE,
        "time": time_text(now_ms),
        "datacontenttype": "application/json",
    }
    data = {"webhook": webhook}
    if mode == "binary":
        return Request(id_, dict(_binary_headers(attributes)), msgspec.json.encode(data))
    text = msgspec.json.encode({**attributes, "data": data})
    if mode == "batch":
        return Request(id_, _BATCH, b"[" + text + b"]")
    return Request(id_, _STRUCTURED, text)


def _binary_headers(attributes: dict[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in attributes.items():
        if name not in _NOT_HEADERS and value not in (UNSET, ""):
            yield f"ce-{name}", quote(str(value), safe=_SAFE)
    if content_type := attributes.get("datacontenttype"):
        yield "content-type", str(content_type)
