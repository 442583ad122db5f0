r"""The event: the only kind of transaction.

An event is a canonical array of 15 fixed positions. Its id is the BLAKE3 digest of those bytes;
the publisher's Ed25519 key signs a fixed prefix and the id. An *entry* is what travels, is
stored and becomes a leaf of the log: the array of the event and its signature. Because the
event comes first and the signature last, both are plain slices of the entry:
``entry == b"\x92" + event_bytes + b"\xc4\x40" + signature``.
"""

from typing import Annotated, Final, Literal, NamedTuple

from msgspec import Meta

from ledger.core.codec import Codec, Hash32, Record, Signature64, UInt, encode
from ledger.core.errors import DecodeError
from ledger.core.hashing import derived_digest
from ledger.core.ids import EventId, EventKey, PublicKey
from ledger.core.limits import (
    CHAIN_ID_CHARS_MAX,
    CONTENT_TYPE_CHARS_MAX,
    DID_CHARS_MAX,
    ENTRY_BYTES_MAX,
    EVENT_DATA_BYTES_MAX,
    EVENT_TYPE_CHARS_MAX,
    LOCATION_CHARS_MAX,
    SUBJECT_CHARS_MAX,
    TAG_CHARS_MAX,
    TAGS_COUNT_MAX,
    TOPIC_CHARS_MAX,
)
from ledger.core.signing import SignatureCheck, Signer, signable
from ledger.core.topics import TOPIC_REGEX

__all__ = [
    "DID_REGEX",
    "EVENT_DOMAIN",
    "Event",
    "OpenEntry",
    "SignedEvent",
    "entry_id",
    "event_id",
    "event_key",
    "id_of_key",
    "open_entry",
    "sign_event",
    "signature_check",
]

DID_REGEX: Final = r"^did:[a-z0-9]{1,32}:[A-Za-z0-9._:%-]{1,200}\Z"
EVENT_DOMAIN: Final = "event"
_TIME_BYTES: Final = 8
_EVENT_SLICE: Final = slice(1, -66)
_SIGNATURE_SLICE: Final = slice(-64, None)

Topic = Annotated[str, Meta(pattern=TOPIC_REGEX, max_length=TOPIC_CHARS_MAX)]
Did = Annotated[str, Meta(pattern=DID_REGEX, max_length=DID_CHARS_MAX)]
OptionalHash = Annotated[bytes, Meta(max_length=32)]  # empty or 32 bytes, see __post_init__
Tag = Annotated[str, Meta(min_length=1, max_length=TAG_CHARS_MAX)]


class Event(Record, frozen=True):
    """What one publisher says once. Every position is always present; "none" is empty.

    Attributes:
        version: format of this array.
        chain_id: the network that it is for.
        topic: dot-separated topic name.
        publisher: the publisher's DID.
        key: the publisher's Ed25519 public key that signs this event.
        nonce: chosen by the publisher so that two equal statements differ.
        time_ms: publisher's clock, milliseconds since 1970 UTC.
        type: what happened, a CloudEvents ``type``.
        subject: id of the entity that it happened to, or empty.
        entity_hash: digest of the entity's new content, 32 bytes or empty.
        previous_hash: digest of its content before, 32 bytes or empty.
        location: URL to fetch the content from, or empty.
        content_type: media type of the content, or empty.
        data: small inline content, or empty.
        tags: labels for filters, in the publisher's order.
    """

    version: Literal[1]
    chain_id: Annotated[str, Meta(min_length=1, max_length=CHAIN_ID_CHARS_MAX)]
    topic: Topic
    publisher: Did
    key: Hash32
    nonce: UInt
    time_ms: UInt
    type: Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
    subject: Annotated[str, Meta(max_length=SUBJECT_CHARS_MAX)]
    entity_hash: OptionalHash
    previous_hash: OptionalHash
    location: Annotated[str, Meta(max_length=LOCATION_CHARS_MAX)]
    content_type: Annotated[str, Meta(max_length=CONTENT_TYPE_CHARS_MAX)]
    data: Annotated[bytes, Meta(max_length=EVENT_DATA_BYTES_MAX)]
    tags: Annotated[tuple[Tag, ...], Meta(max_length=TAGS_COUNT_MAX)]

    def __post_init__(self) -> None:
        """Refuse digests that are neither absent nor whole."""
        if len(self.entity_hash) not in (0, 32) or len(self.previous_hash) not in (0, 32):
            msg = "a digest must be empty or 32 bytes"
            raise ValueError(msg)


class SignedEvent(Record, frozen=True):
    """An event and its publisher's signature: the entry of the log."""

    event: Event
    signature: Signature64


class OpenEntry(NamedTuple):
    """A decoded entry; the signature is not yet checked."""

    entry: bytes
    event: Event
    id: EventId

    @property
    def key(self) -> EventKey:
        """What names the event among its neighbours in time."""
        return event_key(self.event.time_ms, self.id)


_digest = derived_digest(EVENT_DOMAIN)
_codec = Codec(SignedEvent)


def event_id(event: Event) -> EventId:
    """Give the identity of an event: the digest of its canonical bytes."""
    return EventId(_digest(encode(event)))


def event_key(time_ms: int, id_: EventId) -> EventKey:
    """Give what names an event among its neighbours in time."""
    return EventKey(time_ms.to_bytes(_TIME_BYTES, "big") + id_)


def id_of_key(key: EventKey) -> EventId:
    """Give the id of the event that a key names."""
    return EventId(key[_TIME_BYTES:])


def sign_event(event: Event, signer: Signer) -> OpenEntry:
    """Sign ``event`` and give the finished entry.

    Raises:
        ValueError: the signer's key is not ``event.key``, or the event is outside its limits.
    """
    if signer.public_key != event.key:
        msg = "the event names another key than the signer's"
        raise ValueError(msg)
    id_ = event_id(event)
    entry = encode(SignedEvent(event, signer.sign(signable(EVENT_DOMAIN, id_))))
    try:
        return open_entry(entry)
    except DecodeError as error:
        raise ValueError(str(error)) from None


def entry_id(entry: bytes) -> EventId:
    """Give the event id of an entry without decoding it; meaningless when it is no entry."""
    return EventId(_digest(entry[_EVENT_SLICE]))


def open_entry(entry: bytes) -> OpenEntry:
    """Decode an entry and compute its event id.

    Raises:
        DecodeError: ``entry`` is too long or not canonical.
    """
    if len(entry) > ENTRY_BYTES_MAX:
        msg = f"an entry may have {ENTRY_BYTES_MAX} bytes, not {len(entry)}"
        raise DecodeError(msg)
    event = _codec.decode(entry).event
    return OpenEntry(entry, event, entry_id(entry))


def signature_check(opened: OpenEntry) -> SignatureCheck:
    """Give the (key, message, signature) triple to verify for an entry."""
    return (
        PublicKey(opened.event.key),
        signable(EVENT_DOMAIN, opened.id),
        opened.entry[_SIGNATURE_SLICE],
    )
