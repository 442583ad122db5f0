"""Signed events for the publish/subscribe tests: one ordinary maker and one hypothesis strategy."""

from hypothesis import strategies as st

from ledger.core.event import Event, OpenEntry, sign_event
from ledger.core.signing import SeedSigner

SIGNER = SeedSigner(bytes(range(32)))
CHAIN_ID = "testnet-0011223344556677"


def make_entry(
    nonce: int = 0,
    *,
    topic: str = "dome.offering",
    subject: str = "urn:offering:1",
    data: bytes = b"",
    content_type: str = "",
) -> OpenEntry:
    """Sign an ordinary event."""
    event = Event(
        version=1,
        chain_id=CHAIN_ID,
        topic=topic,
        publisher="did:web:market.example",
        key=SIGNER.public_key,
        nonce=nonce,
        time_ms=1_795_253_400_123,
        type="org.example.offering.changed",
        subject=subject,
        entity_hash=b"\x11" * 32,
        previous_hash=b"",
        location="https://market.example/offering/1",
        content_type=content_type,
        data=data,
        tags=("eu", "a,b%2C"),
    )
    return sign_event(event, SIGNER)


_CONTENT = st.one_of(
    st.binary(max_size=64),
    st.text(max_size=32).map(str.encode),
    st.sampled_from(
        [
            b"",
            b"null",
            b"1",
            b"1.0",
            b"1e5",
            b"-0",
            b"123456789012345678901234567890",
            b'{"a":1}',
            b'{"a": 1}',
            b'{"a":1,"a":2}',
            b'{"b":[true,null,"\xc3\xa9"],"a":{}}',
            b'"\\u00e9"',
            b"[" * 31 + b"]" * 31,
            b"[" * 5000,
        ]
    ),
)
_TYPES = st.sampled_from(
    [
        "",
        "application/json",
        "application/ld+json; charset=utf-8",
        "text/plain",
        "text/plain;charset=latin1",
        "image/png",
        "text/json",
    ]
)
_HASH = st.one_of(st.just(b""), st.binary(min_size=32, max_size=32))


@st.composite
def entries(draw: st.DrawFn) -> OpenEntry:
    """Draw any event that a CloudEvent can carry, signed."""
    event = Event(
        version=1,
        chain_id=draw(st.text(min_size=1, max_size=20)),
        topic=draw(st.from_regex(r"[A-Za-z0-9_-]{1,8}(\.[a-z]{1,4}){0,3}", fullmatch=True)),
        publisher=draw(st.from_regex(r"did:[a-z0-9]{1,8}:[A-Za-z0-9._:%-]{1,20}", fullmatch=True)),
        key=SIGNER.public_key,
        nonce=draw(st.integers(0, 2**63 - 1)),
        time_ms=draw(st.integers(0, 253_402_300_799_999)),
        type=draw(st.text(min_size=1, max_size=20)),
        subject=draw(st.text(max_size=20)),
        entity_hash=draw(_HASH),
        previous_hash=draw(_HASH),
        location=draw(st.text(max_size=20)),
        content_type=draw(_TYPES),
        data=draw(_CONTENT),
        tags=tuple(draw(st.lists(st.text(min_size=1, max_size=8), max_size=16))),
    )
    return sign_event(event, SIGNER)
