"""The window of newest events."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.core.limits import GATEWAY_RETRY_MS
from pubsub.core.sse import chunk, cursor_block, event_block, opening_block
from pubsub.io import feed as feed_module
from pubsub.io.feed import Feed
from pubsub.io.stream_format import SERVER_SENT_EVENTS
from tests.pubsub.gateway_world import Chain, sample


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Give a chain of ten events."""
    made = Chain(tmp_path / "chain")
    made.extend([sample(number).entry for number in range(10)])
    with made.store:
        yield made


def read(feed: Feed, chain: Chain, log_size: int, limit: int = 1_000) -> bool:
    """Advance the window."""
    with chain.store.read() as reader:
        return feed.read(reader, log_size, limit)


def sequences(feed: Feed, cursor: int) -> list[int]:
    """Give what stands behind the cursor."""
    return [row.sequence for row in feed.after(cursor, 100)]


def test_blocks() -> None:
    """Blocks end with an empty line; the opening one says when to come back."""
    assert opening_block(-1) == b"retry: %d\nid: -1\n\n" % GATEWAY_RETRY_MS
    assert cursor_block(7) == b"id: 7\n\n"
    assert event_block(7, b"{}") == b"id: 7\ndata: {}\n\n"
    assert event_block(7, '"\u2028\x85"'.encode()) == b'id: 7\ndata: "\\u2028\\u0085"\n\n'


def test_chunks() -> None:
    """A chunk names its length in hexadecimal; an empty one is never made, for it ends a body."""
    assert chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    with pytest.raises(AssertionError):
        chunk(b"")


def test_an_empty_window_holds_nothing(chain: Chain) -> None:
    """Before anything was read no event stands in the window, and none beyond its ends later."""
    feed = Feed()
    assert not feed.holds(0, 0)
    assert not feed.holds(4, 6)
    read(feed, chain, 10, 6)
    assert feed.holds(0, 5)
    assert not feed.holds(4, 6)


def test_window_grows_in_steps(chain: Chain) -> None:
    """New events come in pieces; the window says when it has them all."""
    feed = Feed()
    assert not read(feed, chain, 10, 6)
    assert (feed.start, feed.end) == (0, 6)
    assert read(feed, chain, 10, 6)
    assert sequences(feed, 3) == [4, 5, 6, 7, 8, 9]
    assert sequences(feed, 9) == []
    assert sequences(feed, 50) == []
    assert feed.after(1, 2)[0].sequence == 2


def test_window_is_bounded(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """The window keeps the newest events within its count and its bytes."""
    monkeypatch.setattr(feed_module, "GATEWAY_FEED_EVENTS_MAX", 4)
    feed = Feed()
    read(feed, chain, 10)
    assert (feed.start, feed.end) == (6, 10)
    assert feed.covers(5)
    assert not feed.covers(4)
    monkeypatch.setattr(feed_module, "GATEWAY_FEED_EVENTS_MAX", 100)
    monkeypatch.setattr(feed_module, "GATEWAY_FEED_BYTES_MAX", 3 * len(sample(0).entry))
    feed = Feed()
    read(feed, chain, 10)
    assert (feed.start, feed.end) == (7, 10)
    feed.skip_to(10)
    assert (feed.start, feed.end) == (10, 10)


def test_a_piece_is_bounded(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written at one time has few events, and ends where its bytes are enough."""
    feed = Feed()
    read(feed, chain, 10)
    assert len(feed.piece(-1)) == 10
    monkeypatch.setattr(feed_module, "GATEWAY_STREAM_PAGE_EVENTS", 4)
    assert [row.sequence for row in feed.piece(2)] == [3, 4, 5, 6]
    monkeypatch.setattr(feed_module, "STREAM_PIECE_BYTES", len(sample(0).entry) + 1)
    assert [row.sequence for row in feed.piece(2)] == [3, 4]
    assert feed.piece(9) == []


def test_a_row_is_encoded_once(chain: Chain) -> None:
    """The bytes of an event on a stream are made once for all streams of the format."""
    feed = Feed()
    read(feed, chain, 10)
    row = feed.row(feed.after(6, 1)[0].sequence)
    assert row.sequence == 7
    assert row.encoded(SERVER_SENT_EVENTS) is row.encoded(SERVER_SENT_EVENTS)


async def test_feed_is_followed_once_somebody_waits() -> None:
    """The node is asked to tell of each event at once as soon as one task waits for them."""
    feed = Feed()
    feed.skip_to(3)
    assert not feed.is_followed
    await feed.wait_beyond(0)
    assert feed.is_followed
