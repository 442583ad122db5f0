"""A publisher's events are its own, differ from each other, and are refused when malformed."""

import time

import pytest

from ledger.core.event import signature_check
from ledger.core.signing import verify_many
from pubsub.client.identity import Publisher
from tests.support.memory_chain import PUBLISHER_DID, PUBLISHER_SIGNER

PUBLISHER = Publisher(PUBLISHER_DID, PUBLISHER_SIGNER, "test-0011223344556677")


def test_events_are_signed_and_timed() -> None:
    """An event names publisher, key and network, has the time of now, and verifies."""
    before = time.time_ns() // 1_000_000
    opened = PUBLISHER.sign("offering.created", "created", subject="urn:1", tags=("a",))
    event = opened.event
    assert (event.publisher, event.key) == (PUBLISHER_DID, PUBLISHER_SIGNER.public_key)
    assert (event.chain_id, event.topic) == ("test-0011223344556677", "offering.created")
    assert (event.type, event.subject, event.tags) == ("created", "urn:1", ("a",))
    assert before <= event.time_ms <= time.time_ns() // 1_000_000
    assert verify_many([signature_check(opened)]) == [True]
    assert PUBLISHER.sign("a", "b", time_ms=5).event.time_ms == 5


def test_the_same_statement_twice_is_two_events() -> None:
    """Nonces differ, so ids differ."""
    ids = {PUBLISHER.sign("a", "b", time_ms=1).id for _ in range(100)}
    assert len(ids) == 100


def test_malformed_parts_are_refused() -> None:
    """What no ledger would take is refused where it is made."""
    for topic, type_ in (("a..b", "x"), ("a", ""), ("", "x")):
        with pytest.raises(ValueError, match=r"."):
            PUBLISHER.sign(topic, type_)
    with pytest.raises(ValueError, match="digest"):
        PUBLISHER.sign("a", "b", entity_hash=b"short")
