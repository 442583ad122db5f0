"""Events as CloudEvents 1.0 in JSON, and back to exactly the same bytes.

Every position of the event and its signature has one place in the CloudEvent, so that a reader
can rebuild the canonical entry and check id, signature and proof itself. Digests, keys and the
signature are lower-case hexadecimal; a nonce is decimal text, since a CloudEvents integer has 32
bits; tags are joined by commas, with ``%`` and ``,`` inside a tag percent-encoded. Empty
positions are left out. ``sequence`` and ``height`` are the ledger's and only stand in what was
read from it.

Inline data becomes ``data`` where JSON can carry it without loss (compact JSON of a JSON media
type, text of a text type) and ``data_base64`` otherwise. A publisher may send either.
"""

import re
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal, NamedTuple

import msgspec
from msgspec import UNSET, Meta, UnsetType

from ledger.core.codec import encode
from ledger.core.errors import DecodeError, RejectCode, Rejected
from ledger.core.event import Event, OpenEntry, SignedEvent, open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.limits import (
    EVENT_DATA_BYTES_MAX,
    GATEWAY_JSON_DEPTH_MAX,
    SUBMIT_ENTRIES_MAX,
)
from pubsub.core.strict_json import json_depth, require_strict_json

__all__ = [
    "CloudEvent",
    "ReceivedEvent",
    "cloudevent",
    "cloudevent_json",
    "read_cloudevent",
    "read_cloudevent_item",
    "split_cloudevents",
    "time_text",
]

_Id = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
_Digest = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
_Signature = Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]
_Decimal = Annotated[str, Meta(pattern=r"^(0|[1-9][0-9]{0,18})\Z")]
_SequenceText = Annotated[str, Meta(pattern=r"^[0-9]{19}\Z")]

_JSON_TYPE: Final = re.compile(r"[^;]*[/+]json\s*(;|\Z)", re.IGNORECASE)
_TEXT_TYPE: Final = re.compile(r"text/[^;]*\Z", re.IGNORECASE)  # no charset: ours is UTF-8
_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?"
    r"(?:[Zz]|([+-])(\d\d):(\d\d))\Z",
    re.ASCII,
)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - all arithmetic here is in UTC
_POSITION: Final = re.compile(r"\$\[(\d+)\]")
_ATTRIBUTES: Final = (
    "version",
    "chainid",
    "topic",
    "source",
    "publisherkey",
    "nonce",
    "time",
    "type",
    "subject",
    "entityhash",
    "previoushash",
    "dataref",
    "datacontenttype",
    "data",
    "tags",
)
_ENVELOPE_LEVELS: Final = 2  # a batch's array and the event's object stand around the data


class CloudEvent(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """One signed event in the JSON format of CloudEvents 1.0.

    Attributes:
        specversion: always ``1.0``.
        id: event id, the digest of the event's canonical bytes, hexadecimal.
        source: the publisher's DID.
        type: what happened.
        time: the publisher's clock, RFC 3339 with whole milliseconds.
        topic: dot-separated topic name.
        chainid: the network that the event is for.
        publisherkey: Ed25519 public key that signed it, hexadecimal.
        nonce: the publisher's nonce, decimal.
        signature: Ed25519 signature, hexadecimal.
        version: format of the signed event.
        subject: id of the entity that it happened to.
        entityhash: digest of the entity's new content, hexadecimal.
        previoushash: digest of its content before, hexadecimal.
        dataref: URL of the content.
        datacontenttype: media type of the content.
        data: inline content as JSON value, or as text of a media type that is not JSON.
        data_base64: inline content as bytes; never together with ``data``.
        tags: labels, joined by commas.
        sequence: ledger sequence number, 19 digits; given by the ledger.
        height: height of the block that applied it, decimal; given by the ledger.
    """

    specversion: Literal["1.0"]
    id: _Id
    source: str
    type: str
    time: str
    topic: str
    chainid: str
    publisherkey: _Id
    nonce: _Decimal
    signature: _Signature
    version: int | UnsetType = UNSET
    subject: str = ""
    entityhash: _Digest = ""
    previoushash: _Digest = ""
    dataref: str = ""
    datacontenttype: str = ""
    data: msgspec.Raw | UnsetType = UNSET
    data_base64: str | UnsetType = UNSET
    tags: str = ""
    sequence: _SequenceText | UnsetType = UNSET
    height: _Decimal | UnsetType = UNSET


class ReceivedEvent(NamedTuple):
    """An event read from JSON, and where the ledger has it, if the document said so."""

    opened: OpenEntry
    sequence: Sequence | None
    height: Height | None


_encode_json = msgspec.json.Encoder().encode
_decode_json = msgspec.json.Decoder().decode
_decode_event = msgspec.json.Decoder(CloudEvent).decode
_decode_batch = msgspec.json.Decoder(
    Annotated[list[msgspec.Raw], Meta(min_length=1, max_length=SUBMIT_ENTRIES_MAX)]
).decode


def cloudevent(
    opened: OpenEntry, sequence: Sequence | None = None, height: Height | None = None
) -> CloudEvent:
    """Give the CloudEvent of an entry; with its place when it was read from the ledger.

    Raises:
        ValueError: the event is of the year 10000 or later, which no ledger admits.
    """
    event = opened.event
    data, data_base64 = _data_members(event)
    return CloudEvent(
        specversion="1.0",
        id=opened.id.hex(),
        source=event.publisher,
        type=event.type,
        time=time_text(event.time_ms),
        topic=event.topic,
        chainid=event.chain_id,
        publisherkey=event.key.hex(),
        nonce=str(event.nonce),
        signature=opened.entry[-64:].hex(),
        version=event.version,
        subject=event.subject,
        entityhash=event.entity_hash.hex(),
        previoushash=event.previous_hash.hex(),
        dataref=event.location,
        datacontenttype=event.content_type,
        data=data,
        data_base64=data_base64,
        tags=",".join(tag.replace("%", "%25").replace(",", "%2C") for tag in event.tags),
        sequence=UNSET if sequence is None else f"{sequence:019}",
        height=UNSET if height is None else str(height),
    )


def cloudevent_json(
    opened: OpenEntry, sequence: Sequence | None = None, height: Height | None = None
) -> bytes:
    """Give the JSON text of :func:`cloudevent`."""
    return _encode_json(cloudevent(opened, sequence, height))


def read_cloudevent(text: bytes) -> ReceivedEvent:
    """Read one CloudEvent and rebuild the entry that was signed; the signature is not checked.

    Raises:
        DecodeError: not a CloudEvent of ours, or its id is not that of the event in it.
        Rejected: the inline data is too large (nothing else can make an entry so).
    """
    require_strict_json(text)
    return read_cloudevent_item(text)


def split_cloudevents(text: bytes) -> list[bytes]:
    """Split a JSON array of 1 to SUBMIT_ENTRIES_MAX CloudEvents; each is still unjudged.

    Raises:
        DecodeError: it is no such array.
    """
    require_strict_json(text)
    try:
        return [bytes(item) for item in _decode_batch(text)]
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(str(error)) from None


def read_cloudevent_item(text: bytes) -> ReceivedEvent:
    """Do what :func:`read_cloudevent` does with an item of :func:`split_cloudevents`."""
    try:
        document = _decode_event(text)
        event = msgspec.convert(_positions(document), Event)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        message = _POSITION.sub(lambda match: _ATTRIBUTES[int(match[1])], str(error))
        raise DecodeError(message) from None
    entry = encode(SignedEvent(event, bytes.fromhex(document.signature)))
    opened = open_entry(entry)
    if opened.id.hex() != document.id:
        msg = (
            f"the id of this event is {opened.id.hex()}: another member differs from what was "
            "signed (send inline data as data_base64 unless it is compact JSON)"
        )
        raise DecodeError(msg)
    return ReceivedEvent(
        opened,
        None if document.sequence is UNSET else Sequence(int(document.sequence)),
        None if document.height is UNSET else Height(int(document.height)),
    )


def _positions(document: CloudEvent) -> tuple[object, ...]:
    """Give the event's positions in their order."""
    tags = document.tags.split(",") if document.tags else ()
    return (
        1 if document.version is UNSET else document.version,
        document.chainid,
        document.topic,
        document.source,
        bytes.fromhex(document.publisherkey),
        int(document.nonce),
        _time_ms(document.time),
        document.type,
        document.subject,
        bytes.fromhex(document.entityhash),
        bytes.fromhex(document.previoushash),
        document.dataref,
        document.datacontenttype,
        _data(document),
        tuple(tag.replace("%2C", ",").replace("%25", "%") for tag in tags),
    )


def _data_members(event: Event) -> tuple[msgspec.Raw | UnsetType, str | UnsetType]:
    """Give ``data`` and ``data_base64`` of an event, at most one of them set."""
    data = event.data
    if not data:
        return UNSET, UNSET
    if _JSON_TYPE.match(event.content_type):
        if _is_compact_json(data):
            return msgspec.Raw(data), UNSET
    elif _TEXT_TYPE.match(event.content_type):
        try:
            return msgspec.Raw(_encode_json(data.decode("utf-8"))), UNSET
        except UnicodeDecodeError:
            pass
    return UNSET, b64encode(data).decode("ascii")


def _is_compact_json(data: bytes) -> bool:
    """Say whether any reader of the JSON value can give back these bytes."""
    if data == b"null":
        return False  # many libraries take null for no data
    try:
        is_shallow = json_depth(data) <= GATEWAY_JSON_DEPTH_MAX - _ENVELOPE_LEVELS
        return is_shallow and _encode_json(_decode_json(data)) == data
    except (DecodeError, msgspec.MsgspecError, ValueError):
        return False


def _data(document: CloudEvent) -> bytes:
    """Give the inline content. Raises ValueError, Rejected."""
    data, data_base64 = document.data, document.data_base64
    if data_base64 is not UNSET:
        if data is not UNSET:
            raise ValueError("data and data_base64 exclude each other")
        content = b64decode(data_base64, validate=True)
    elif data is UNSET or bytes(data) == b"null":
        content = b""
    else:
        value: object = _decode_json(data)
        if not document.datacontenttype or _JSON_TYPE.match(document.datacontenttype):
            content = _encode_json(value)
        elif isinstance(value, str):
            content = value.encode("utf-8")
        else:
            raise ValueError("data of a media type that is not JSON must be a string")
    if len(content) > EVENT_DATA_BYTES_MAX:
        raise Rejected(RejectCode.TOO_LARGE, f"data may have {EVENT_DATA_BYTES_MAX} bytes")
    return content


def time_text(time_ms: int) -> str:
    """Give the CloudEvents ``time`` of an event's clock. Raises ValueError from year 10000 on."""
    try:
        moment = _EPOCH + timedelta(milliseconds=time_ms)
    except OverflowError:
        raise ValueError("a CloudEvent cannot have a time after the year 9999") from None
    return moment.isoformat(timespec="milliseconds") + "Z"


def _time_ms(text: str) -> int:
    """Read an RFC 3339 time of whole milliseconds. Raises ValueError."""
    match = _TIME.match(text)
    if match is None:
        raise ValueError("time is not an RFC 3339 time")
    fraction = (match[7] or "").ljust(9, "0")
    if fraction[3:] != "000000":
        raise ValueError("time must be whole milliseconds")
    moment = datetime(*(int(part) for part in match.groups()[:6]))  # type: ignore[arg-type] # noqa: DTZ001
    minutes = 60 * int(match[9] or 0) + int(match[10] or 0)
    if minutes >= 24 * 60:
        raise ValueError("time is not an RFC 3339 time")
    offset = timedelta(minutes=-minutes if match[8] == "-" else minutes)
    return (
        (moment - _EPOCH) // timedelta(milliseconds=1)
        - offset // timedelta(milliseconds=1)
        + int(fraction[:3])
    )
