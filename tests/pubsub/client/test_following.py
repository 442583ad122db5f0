"""A reader of the log sees each event once, in order, or leaves the gateway."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.errors import PeerFault
from ledger.core.ids import Height, Sequence
from ledger.core.limits import INT_MAX
from pubsub.client.answers import Answer
from pubsub.client.following import Filters, Follower
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.sse import HEARTBEAT, cursor_block, event_block, opening_block
from tests.support.memory_chain import make_entry

TOPICS = ("offering.created", "offering.retired")
ENTRIES = [make_entry("test-1", nonce, TOPICS[nonce % 2]) for nonce in range(40)]


def json_of(number: int) -> bytes:
    """Give the CloudEvent at a sequence."""
    return cloudevent_json(ENTRIES[number], Sequence(number), Height(1))


def block_of(number: int) -> bytes:
    """Give the stream block of the event at a sequence."""
    return event_block(number, json_of(number))


def numbers_of(follower: Follower, text: bytes) -> list[int | None]:
    """Read ``text``, accept it, and give the sequences of its events."""
    batch = follower.read_stream(text)
    follower.cursor = batch.cursor
    return [event.sequence for event in batch.events]


def filtered(after: int | None = -1) -> Follower:
    """Give a reader of the topic of the even events."""
    return Follower({"topic": TOPICS[0]}, after)


@given(st.lists(st.integers(0, 39), max_size=60), st.integers(-1, 39))
def test_an_unfiltered_log_has_no_gap_and_no_duplicate(sent: list[int], after: int) -> None:
    """Whatever a gateway sends, what is accepted is the log behind the cursor without a gap."""
    follower = Follower({}, after)
    taken: list[int | None] = []
    for number in sent:
        try:
            taken += numbers_of(follower, block_of(number))
        except PeerFault:
            follower.stream_parameters()
        assert taken == list(range(after + 1, after + 1 + len(taken)))
        assert follower.cursor == after + len(taken)


@given(st.lists(st.tuples(st.integers(0, 39), st.booleans()), max_size=60))
def test_a_filtered_log_only_rises(sent: list[tuple[int, bool]]) -> None:
    """Of a filtered log only matching events are accepted, rising, and the cursor never falls."""
    follower = filtered()
    taken: list[int] = []
    before = -1
    for number, is_hidden in sent:
        try:
            text = cursor_block(number) if is_hidden else block_of(number)
            taken += [n for n in numbers_of(follower, text) if n is not None]
        except PeerFault:
            assert number % 2 == 1  # it was not asked for
            follower.stream_parameters()
        assert taken == sorted(set(taken))
        assert all(number % 2 == 0 for number in taken)
        assert follower.cursor is not None
        assert follower.cursor >= before
        before = follower.cursor


def test_reading_moves_nothing_until_it_is_accepted() -> None:
    """A batch that is dropped is read again: the cursor only moves when it is told to."""
    follower = Follower({}, -1)
    batch = follower.read_stream(opening_block(-1) + block_of(0) + HEARTBEAT + block_of(1))
    assert [event.sequence for event in batch.events] == [0, 1]
    assert follower.cursor == -1
    assert follower.stream_parameters() == {"after": "-1"}
    assert numbers_of(follower, block_of(0)) == [0]
    assert follower.stream_parameters() == {"after": "0"}


def test_a_new_stream_forgets_half_a_block() -> None:
    """Bytes of a broken stream are not joined with those of the next one."""
    follower = Follower({}, -1)
    follower.read_stream(block_of(0)[:-30])
    follower.stream_parameters()
    assert numbers_of(follower, block_of(0)) == [0]


def test_now_is_where_the_stream_says() -> None:
    """Without a cursor the reader begins where the gateway's log ends, and stays on that."""
    follower = Follower({}, None)
    assert follower.stream_parameters() == {}
    assert numbers_of(follower, opening_block(20) + block_of(21)) == [21]
    assert follower.retry_ms == 1_000
    assert follower.stream_parameters() == {"after": "21"}


@pytest.mark.parametrize(
    "text",
    [
        cursor_block(0),  # hides an event of an unfiltered log
        block_of(1),
        b"id: 0\ndata: {}\n\n",
        b"id: 1\ndata: " + json_of(0) + b"\n\n",
        b"data: " + json_of(0) + b"\n\n",
        b"id: 0\ndata: " + cloudevent_json(ENTRIES[0]) + b"\n\n",
        b"id: zero\n\n",
        b"id: -2\n\n",
        b"id: " + str(INT_MAX + 1).encode() + b"\n\n",
        b"id: " + b"9" * 5_000 + b"\n\n",
    ],
)
def test_a_stream_that_lies_is_left(text: bytes) -> None:
    """A gap, a foreign or unplaced event, or a wrong id is the gateway's fault."""
    with pytest.raises(PeerFault):
        Follower({}, -1).read_stream(text)


def page(*numbers: int, cursor: int) -> Answer:
    """Give a page of events."""
    body = b"[" + b",".join(json_of(number) for number in numbers) + b"]"
    return Answer(200, body, {"concordat-cursor": str(cursor)})


def test_pages_follow_the_same_rules() -> None:
    """A page is accepted like a stream: no gap, nothing twice, nothing that was not asked for."""
    follower = Follower({}, 3)
    assert follower.page_parameters() == {"after": "3", "limit": "500"}
    batch = follower.read_page(page(3, 4, 5, cursor=5))
    assert [event.sequence for event in batch.events] == [4, 5]
    assert batch.cursor == 5
    not_pages = [Answer(200, body, {}) for body in (b"{", b"[1]", b"")]
    for bad in (page(5, cursor=5), page(4, cursor=6), *not_pages):
        with pytest.raises(PeerFault):
            follower.read_page(bad)
    assert filtered(3).read_page(page(4, cursor=9)).cursor == 9
    with pytest.raises(PeerFault):
        filtered(3).read_page(page(4, 5, cursor=9))


def test_every_filter_is_held() -> None:
    """Each filter is sent, and an event that does not meet it is refused."""
    event = ENTRIES[0].event
    good: Filters = {
        "topic": "offering.*",
        "subject": event.subject,
        "publisher": event.publisher,
        "type": event.type,
    }
    follower = Follower(good, -1)
    assert follower.stream_parameters() == {**good, "after": "-1"}
    assert numbers_of(follower, block_of(0)) == [0]
    for name in good:
        with pytest.raises(PeerFault, match="not asked for"):
            Follower({**good, name: "other"}, -1).read_stream(block_of(0))  # type: ignore[misc]


def test_the_pattern_for_everything_is_no_filter() -> None:
    """The topic ``>`` reads the whole log and so has its guarantee."""
    assert Follower({"topic": ">"}, -1).is_complete
    assert not Follower({"topic": "a.>"}, -1).is_complete


@pytest.mark.parametrize("after", [-2, INT_MAX + 1])
def test_a_cursor_is_a_sequence(after: int) -> None:
    """A cursor below -1 or above the largest sequence is the caller's mistake."""
    with pytest.raises(ValueError, match="after"):
        Follower({}, after)
    with pytest.raises(ValueError, match="pattern"):
        Follower({"topic": "a..b"}, -1)
