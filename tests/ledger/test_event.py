"""The event: its limits, its identity, its signature, and the bytes that version 1 fixed."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.codec import encode
from ledger.core.errors import DecodeError
from ledger.core.event import (
    Event,
    SignedEvent,
    event_id,
    open_entry,
    sign_event,
    signature_check,
)
from ledger.core.limits import (
    CHAIN_ID_CHARS_MAX,
    CONTENT_TYPE_CHARS_MAX,
    DID_CHARS_MAX,
    ENTRY_BYTES_MAX,
    EVENT_DATA_BYTES_MAX,
    EVENT_TYPE_CHARS_MAX,
    INT_MAX,
    LOCATION_CHARS_MAX,
    SUBJECT_CHARS_MAX,
    TAG_CHARS_MAX,
    TAGS_COUNT_MAX,
    TOPIC_CHARS_MAX,
    TOPIC_TOKENS_MAX,
)
from ledger.core.signing import verify_many
from tests.ledger.sample_network import ALICE, BOB, START_MS, entry, event, forged


def is_valid(**changes: object) -> bool:
    """Say whether the event with these changes can be signed; decoding must say the same."""
    changed = event(**changes)
    data = encode(SignedEvent(changed, bytes(64)))
    try:
        sign_event(changed, ALICE)
    except ValueError:
        with pytest.raises(DecodeError):
            open_entry(data)
        return False
    assert open_entry(data).event == changed
    return True


def test_entry_is_two_slices() -> None:
    """An entry is a header, the event's bytes, a header and the signature, in this order."""
    opened = open_entry(entry(5))
    body = encode(opened.event)
    assert opened.entry == b"\x92" + body + b"\xc4\x40" + opened.entry[-64:]
    assert opened.id == event_id(opened.event)
    assert signature_check(opened) == (
        ALICE.public_key,
        b"concordat/v1/event\0" + opened.id,
        opened.entry[-64:],
    )


def test_signature_verifies() -> None:
    """What was signed verifies, and a changed signature does not."""
    checks = [signature_check(open_entry(data)) for data in (entry(), forged())]
    assert verify_many(checks) == [True, False]


def test_signature_does_not_change_the_id() -> None:
    """The id names what was said, not who signed it how."""
    assert open_entry(forged(3)).id == open_entry(entry(3)).id


def test_wrong_signer_is_refused() -> None:
    """Only the key that an event names can sign it."""
    with pytest.raises(ValueError, match="another key"):
        sign_event(event(), BOB)


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": "other"},
        {"topic": "catalog.x"},
        {"publisher": "did:web:other.example"},
        {"nonce": 1},
        {"time_ms": START_MS + 1},
        {"type": "x"},
        {"subject": "x"},
        {"entity_hash": b""},
        {"previous_hash": bytes(32)},
        {"location": ""},
        {"content_type": ""},
        {"data": b"x"},
        {"tags": ("x",)},
    ],
)
def test_every_field_is_in_the_id(change: dict[str, object]) -> None:
    """A change of any field makes another event."""
    assert event_id(event(**change)) != event_id(event())


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize(
    ("name", "limit", "make"),
    [
        ("chain_id", CHAIN_ID_CHARS_MAX, lambda n: "c" * n),
        ("type", EVENT_TYPE_CHARS_MAX, lambda n: "\N{SNOWMAN}" * n),
        ("subject", SUBJECT_CHARS_MAX, lambda n: "\N{SNOWMAN}" * n),
        ("location", LOCATION_CHARS_MAX, lambda n: "l" * n),
        ("content_type", CONTENT_TYPE_CHARS_MAX, lambda n: "t" * n),
        ("data", EVENT_DATA_BYTES_MAX, bytes),
        ("tags", TAGS_COUNT_MAX, lambda n: ("t",) * n),
        ("tags", TAG_CHARS_MAX, lambda n: ("t" * n,)),
        ("nonce", INT_MAX, lambda n: n),
        ("time_ms", INT_MAX, lambda n: n),
        ("topic", TOPIC_TOKENS_MAX, lambda n: ".".join("t" * n)),
        ("topic", TOPIC_CHARS_MAX, lambda n: ("t" * 50 + ".") * 4 + "t" * (n - 204)),
        ("publisher", len("did:web:") + 200, lambda n: "did:web:" + "d" * (n - 8)),
        ("publisher", len("did::x") + 32, lambda n: "did:" + "m" * (n - 6) + ":x"),
    ],
)
def test_limits(name: str, limit: int, make: Callable[[int], object], extra: int) -> None:
    """Each field is accepted up to its limit and refused one beyond."""
    assert is_valid(**{name: make(limit + extra)}) == (extra <= 0)


def test_longest_did_fits() -> None:
    """The pattern of a DID allows no more than its limit of characters."""
    assert len("did:" + "m" * 32 + ":" + "d" * 200) <= DID_CHARS_MAX


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33])
@pytest.mark.parametrize("name", ["entity_hash", "previous_hash"])
def test_digests_are_absent_or_whole(name: str, length: int) -> None:
    """A digest has 32 bytes or none."""
    if length in (0, 32):
        assert is_valid(**{name: bytes(length)})
        return
    with pytest.raises(ValueError, match="empty or 32"):
        event(**{name: bytes(length)})
    fields = [getattr(event(), field) for field in Event.__struct_fields__]
    fields[Event.__struct_fields__.index(name)] = bytes(length)
    with pytest.raises(DecodeError):
        open_entry(encode((fields, bytes(64))))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("version", 0),
        ("version", 2),
        ("chain_id", ""),
        ("topic", "a..b"),
        ("topic", "catalog.>"),
        ("topic", "catalog\n"),
        ("publisher", "alice"),
        ("publisher", "did:web:a b"),
        ("publisher", "did:web:a\n"),
        ("type", ""),
        ("tags", ("",)),
        ("nonce", -1),
        ("time_ms", -1),
    ],
)
def test_malformed_fields(name: str, value: object) -> None:
    """What has not the form of its field is refused."""
    assert not is_valid(**{name: value})


def _padded(length: int) -> bytes:
    """Give an entry of exactly ``length`` bytes, whatever its content."""
    return encode(SignedEvent(event(), bytes(64))).ljust(length, b"\0")


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_entry_length(extra: int) -> None:
    """Beyond its limit an entry is refused by length alone, before it is read."""
    with pytest.raises(DecodeError) as caught:
        open_entry(_padded(ENTRY_BYTES_MAX + extra))
    assert ("an entry may have" in str(caught.value)) == (extra > 0)


def test_largest_event_fits_its_entry() -> None:
    """All fields at their limits together are an admissible entry."""
    data = entry(
        INT_MAX,
        chain_id="c" * CHAIN_ID_CHARS_MAX,
        topic=".".join(["t" * 50] * 5),
        publisher="did:" + "m" * 32 + ":" + "d" * 200,
        time_ms=INT_MAX,
        type="\N{ROCKET}" * EVENT_TYPE_CHARS_MAX,
        subject="\N{ROCKET}" * SUBJECT_CHARS_MAX,
        entity_hash=bytes(32),
        previous_hash=bytes(32),
        location="\N{ROCKET}" * LOCATION_CHARS_MAX,
        content_type="\N{ROCKET}" * CONTENT_TYPE_CHARS_MAX,
        data=bytes(EVENT_DATA_BYTES_MAX),
        tags=("\N{ROCKET}" * TAG_CHARS_MAX,) * TAGS_COUNT_MAX,
    )
    assert len(data) <= ENTRY_BYTES_MAX


@given(st.binary(max_size=200))
def test_any_bytes_are_opened_or_refused(data: bytes) -> None:
    """No bytes raise anything but DecodeError."""
    try:
        opened = open_entry(data)
    except DecodeError:
        return
    assert encode(SignedEvent(opened.event, data[-64:])) == data


def test_version_1_is_pinned() -> None:
    """A known event has the bytes, the id and the signature that version 1 fixed."""
    opened = open_entry(entry(1, chain_id="test-0011223344556677", tags=("a", "b"), data=b"\0x"))
    assert opened.id.hex() == "06602326476da62b784df3e7ed32aac31421035ec2dfdb8da4191202ec15ee8b"
    assert (
        sha256(opened.entry).hexdigest()
        == "dea3e8f1125e03d4307142c540397f2000a2aa3201bf4bd27dc0d2a445ee6444"
    )
    assert opened.entry[:24].hex() == "929f01b5746573742d303031313232333334343535363637"
