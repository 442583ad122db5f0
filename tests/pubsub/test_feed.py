"""The window of newest events and one stream over it, without a server between."""

from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from ledger.core.limits import GATEWAY_RETRY_MS
from ledger.io.chain_scan import Selection
from pubsub.core.sse import cursor_block, event_block, opening_block
from pubsub.io import feed as feed_module
from pubsub.io import stream as stream_module
from pubsub.io.feed import Feed
from pubsub.io.pages import Wanted
from pubsub.io.store_access import StoreAccess
from pubsub.io.stream import EventStream, EventStreamResponse
from tests.pubsub.gateway_world import Chain, sample

ALL = Wanted(Selection(), None)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    """Give a chain of ten events."""
    made = Chain(tmp_path / "chain")
    made.extend([sample(number).entry for number in range(10)])
    with made.store:
        yield made


class Source:
    """What a stream needs, without a gateway."""

    def __init__(self, chain: Chain) -> None:
        self.feed = Feed()
        self.access = StoreAccess(Path("unused"))
        self.access._store = chain.store
        self.heartbeat_ms = 20
        self.is_closing = False


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


async def test_stream_passes_from_the_store_to_the_window(chain: Chain) -> None:
    """A stream behind the window reads the store up to it and goes on there."""
    source = Source(chain)
    source.feed.skip_to(10)
    stream = EventStream(source, ALL, 3)
    first = await stream.next()
    assert first is not None
    assert first.count(b"data:") == 6
    chain.extend([sample(10).entry])
    read(source.feed, chain, 11)
    second = await stream.next()
    assert second is not None
    assert second.startswith(b"id: 10\ndata:")


async def test_stream_waits_with_heartbeats(chain: Chain) -> None:
    """Without news there are comments; hidden events move the cursor instead."""
    source = Source(chain)
    source.feed.skip_to(10)
    assert await EventStream(source, ALL, 9).next() == b": keep-alive\n\n"
    hidden = EventStream(source, Wanted(Selection(subject="none"), None), 3)
    assert await hidden.next() == b"id: 9\n\n"
    assert await hidden.next() == b": keep-alive\n\n"


async def test_many_hidden_events_are_announced(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond a number of hidden events the cursor moves without waiting for a heartbeat."""
    monkeypatch.setattr(stream_module, "_HIDDEN_MAX", 10)
    source = Source(chain)
    source.heartbeat_ms = 3_600_000
    read(source.feed, chain, 10)
    hidden = EventStream(source, Wanted(Selection(subject="none"), None), -1)
    with anyio.fail_after(5):
        assert await hidden.next() == b"id: 9\n\n"


async def test_stream_ends_with_its_gateway(chain: Chain) -> None:
    """A stream that waits ends at once when the gateway closes."""
    source = Source(chain)
    source.heartbeat_ms = 3_600_000
    source.feed.skip_to(10)
    results: list[bytes | None] = []

    async def run() -> None:
        results.append(await EventStream(source, ALL, 9).next())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(run)
            await anyio.wait_all_tasks_blocked()
            source.is_closing = True
            source.feed.wake()
    assert results == [None]


async def _never() -> dict[str, object]:
    await anyio.sleep_forever()
    return {}


async def test_reader_that_takes_nothing_is_cut(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing can be written for too long the stream ends and its place is free."""
    monkeypatch.setattr(stream_module, "GATEWAY_STREAM_SEND_MS_MAX", 20)
    sent: list[str] = []
    ended: list[bool] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(str(message["type"]))
        if message["type"] == "http.response.body":
            await anyio.sleep_forever()

    response = EventStreamResponse(EventStream(Source(chain), ALL, -1), lambda: ended.append(True))
    with anyio.fail_after(5):
        await response({}, _never, send)  # type: ignore[arg-type]
    assert (sent, ended) == (["http.response.start", "http.response.body"], [True])


async def test_reader_that_leaves_frees_its_place(chain: Chain) -> None:
    """A disconnected reader ends its stream, also while nothing happens."""
    ended: list[bool] = []
    left = anyio.Event()

    async def receive() -> dict[str, object]:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        del message
        left.set()

    source = Source(chain)
    source.heartbeat_ms = 3_600_000
    response = EventStreamResponse(EventStream(source, ALL, 9), lambda: ended.append(True))
    with anyio.fail_after(5):
        await response({}, receive, send)  # type: ignore[arg-type]
    assert ended == [True]
