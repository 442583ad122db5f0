"""A subscription pauses longer the longer nothing comes, and not at all while gateways are left."""

import pytest

from ledger.core.errors import PeerFault, ProofError, RejectCode, Rejected, Unavailable
from ledger.core.ids import Height, Sequence
from pubsub.client.answers import Answer
from pubsub.client.calls import Calls
from pubsub.client.exchange import Gateways, Timing
from pubsub.client.following import Follower
from pubsub.client.session import Session
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.sse import event_block, opening_block
from tests.support.memory_chain import make_entry

TIMING = Timing(lambda: 0, lambda n: n)


def session_of(*urls: str) -> Session:
    """Give a subscription that does not verify, at these gateways."""
    return Session(Calls(Gateways(urls, TIMING), None), Follower({}, -1), verify=False)


def receive(session: Session, text: bytes) -> None:
    """Give bytes of a stream to a subscription that asks for nothing more."""
    with pytest.raises(StopIteration):
        session.receive(text).send(None)


def block_of(number: int) -> bytes:
    """Give the stream block of an event."""
    opened = make_entry("test-1", number)
    return event_block(number, cloudevent_json(opened, Sequence(number), Height(1)))


def test_pauses_grow_until_something_comes() -> None:
    """With two gateways every other loss costs a pause, doubled each time; an event resets that."""
    session = session_of("http://a", "http://b")
    pauses, urls = [], []
    for _ in range(5):
        urls.append(session.call().url)
        pauses.append(session.lost(Unavailable("down")))
    assert urls == ["http://a", "http://b", "http://a", "http://b", "http://a"]
    assert pauses == [0, 100, 200, 400, 800]
    assert session.losses == 5
    assert session.last_error == "http://a: down"
    receive(session, opening_block(-1))  # nothing new: whoever only opens streams gets no credit
    assert session.lost(Unavailable("down")) > 800
    receive(session, opening_block(-1) + block_of(0))
    assert session.lost(Unavailable("down")) == 0


def test_one_death_moves_two_subscriptions_once() -> None:
    """Two subscriptions of one client that lose the same gateway both go to the next one."""
    calls = Calls(Gateways(["http://a", "http://b", "http://c"], TIMING), None)
    one, two = (Session(calls, Follower({}, -1), verify=False) for _ in range(2))
    assert {one.call().url, two.call().url} == {"http://a"}
    one.lost(Unavailable("down"))
    two.lost(Unavailable("down"))
    assert {one.call().url, two.call().url} == {"http://b"}


def test_the_gateway_says_how_long_to_wait() -> None:
    """The pause that a stream asked for is kept, when there is no other gateway."""
    session = session_of("http://a")
    receive(session, opening_block(-1) + block_of(0))
    assert session.lost(Unavailable("down")) == 1_000


def test_the_cursor_is_behind_what_was_taken() -> None:
    """Events that were received but not taken are given out again after a restart."""
    session = session_of("http://a")
    receive(session, block_of(0) + block_of(1) + block_of(2))
    assert session.cursor == -1
    for number in range(3):
        event = session.take()
        assert event is not None
        assert event.sequence == number
        assert session.cursor == number
    assert session.take() is None


def test_refusals_of_a_stream() -> None:
    """An overloaded gateway is one to leave, another refusal is for the caller."""
    session = session_of("http://a")
    session.opened(Answer(200, b"", {}))
    with pytest.raises(Unavailable, match="429"):
        session.opened(Answer(429, b'{"code":"overloaded","detail":"full"}', {}))
    with pytest.raises(Rejected) as caught:
        session.opened(Answer(400, b'{"code":"invalid_parameter","detail":"what"}', {}))
    assert caught.value.code is RejectCode.MALFORMED
    with pytest.raises(PeerFault):
        session.opened(Answer(404, b"", {}))


def test_who_lies_is_left_until_all_have_lied() -> None:
    """A wrong proof is told when every gateway gave one since something came; a fork at once."""
    session = session_of("http://a", "http://b")
    wrong = ProofError("wrong")
    assert session.lost(wrong) == 0
    assert session.call().url == "http://b"
    with pytest.raises(ProofError, match="wrong"):
        session.lost(wrong)
    session.lost(wrong)
    receive(session, block_of(0))
    session.call()
    session.lost(wrong)
    with pytest.raises(ProofError, match="fork: two"):
        session_of("http://a", "http://b").lost(ProofError("fork: two logs are proven"))


def test_nobody_is_blamed_for_anothers_proof() -> None:
    """When the stream and the proofs were of two gateways, it is not known which of them lied."""
    calls = Calls(Gateways(["http://a", "http://b"], TIMING), None)
    session = Session(calls, Follower({}, -1), verify=False)
    session.call()
    calls.gateways.leave("http://a")  # a proof was not to be had there
    session.lost(ProofError("wrong"))
    assert session.call().url == "http://b"
    session.lost(ProofError("wrong"))
    assert session.call().url == "http://a"
    with pytest.raises(ProofError):
        session.lost(ProofError("wrong"))
