"""Following the log as server-sent events from a real server: no gap, no repetition, clean ends."""

import json
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from ledger.core.limits import GATEWAY_FEED_EVENTS_MAX
from pubsub.core.cloudevents import read_cloudevent
from tests.pubsub.gateway_world import Chain, sample
from tests.pubsub.live_server import Live, live_gateway
from tests.pubsub.test_publish import problem

WAIT_S = 10


class Block(NamedTuple):
    """One block of a stream, or a comment."""

    id: int | None
    data: bytes | None
    comment: bool = False


class Running(NamedTuple):
    """A live gateway, the chain behind it, and a client."""

    live: Live
    chain: Chain
    http: httpx.Client


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Give a live gateway with a short heartbeat and few streams; no node runs."""
    chain = Chain(tmp_path / "chain")
    with (
        live_gateway(tmp_path, heartbeat_ms=200, streams_max=3) as live,
        httpx.Client(base_url=live.url, timeout=WAIT_S) as http,
    ):
        yield Running(live, chain, http)
    chain.store.close()


def parse(lines: Iterator[str]) -> Iterator[Block]:
    """Read blocks as a browser would."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if fields:
                id_ = int(fields["id"]) if "id" in fields else None
                yield Block(id_, fields["data"].encode() if "data" in fields else None)
            fields = {}
        elif line.startswith(":"):
            yield Block(None, None, comment=True)
        else:
            name, _, value = line.partition(": ")
            fields[name] = value


@contextmanager
def follow(
    running: Running, query: str = "", headers: dict[str, str] | None = None
) -> Iterator[Iterator[Block]]:
    """Open a stream and give its blocks; the opening one was read and checked."""
    with running.http.stream("GET", f"/v1/stream{query}", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-accel-buffering"] == "no"
        blocks = parse(answer.iter_lines())
        assert next(blocks).data is None
        yield blocks


def take(blocks: Iterator[Block], count: int) -> list[int]:
    """Take ``count`` events and give their ids, each the sequence inside the event."""
    ids: list[int] = []
    while len(ids) < count:
        block = next(blocks)
        if block.data is not None:
            received = read_cloudevent(block.data)
            assert received.sequence == block.id
            ids.append(received.sequence or 0)
    return ids


def extend(chain: Chain, first: int, count: int) -> None:
    """Add a block of events."""
    chain.extend([sample(first + number).entry for number in range(count)])


def test_stream_begins_with_what_comes(running: Running) -> None:
    """Without a position only new events come, as soon as they are durable."""
    extend(running.chain, 0, 3)
    time.sleep(0.6)  # the gateway has looked at the store since
    with follow(running) as blocks:
        extend(running.chain, 3, 2)
        assert take(blocks, 2) == [3, 4]
        extend(running.chain, 5, 1)
        assert take(blocks, 1) == [5]


def test_stream_from_the_beginning_goes_on_live(running: Running) -> None:
    """A reader that is far behind reads the store and then the newest, without a seam."""
    for block in range(6):
        extend(running.chain, block * 100, 100)
    with follow(running, "?after=-1") as blocks:
        assert take(blocks, 600) == list(range(600))
        extend(running.chain, 600, 10)
        assert take(blocks, 10) == list(range(600, 610))


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?after=4", {}), ("", {"last-event-id": "4"}), ("?after=0", {"last-event-id": "4"})],
)
def test_stream_resumes(running: Running, query: str, headers: dict[str, str]) -> None:
    """A reader goes on behind ``after`` or its last id, which counts more."""
    extend(running.chain, 0, 8)
    with follow(running, query, headers) as blocks:
        assert take(blocks, 3) == [5, 6, 7]


def test_reader_that_is_ahead_waits(running: Running) -> None:
    """A reader that saw more at another gateway gets nothing twice."""
    extend(running.chain, 0, 2)
    with follow(running, "?after=4") as blocks:
        extend(running.chain, 2, 5)
        assert take(blocks, 2) == [5, 6]


def test_breaking_off_anywhere_loses_nothing(running: Running) -> None:
    """Reconnecting with the last id after every few events gives each event once."""
    extend(running.chain, 0, 200)
    seen: list[int] = []
    for _ in range(20):
        with follow(running, headers={"last-event-id": str(len(seen) - 1)}) as blocks:
            seen += take(blocks, 10)
    assert seen == list(range(200))


def test_filtered_stream_moves_the_cursor(running: Running) -> None:
    """Hidden events move the reader's id, at the latest with the heartbeat."""
    with follow(running, "?after=-1&topic=news") as blocks:
        extend(running.chain, 0, 5)
        for block in blocks:
            if block.id is not None:
                assert block == Block(4, None)
                break


def test_many_hidden_events_move_the_cursor_sooner(running: Running) -> None:
    """A reader that is far behind is moved on while its filter hides everything."""
    for start in range(0, 1_400, 200):
        extend(running.chain, start, 200)
    with follow(running, "?after=-1&topic=news") as blocks:
        assert next(block.id for block in blocks if block.id is not None) >= 999


def test_filters_hold_live_and_stored(running: Running) -> None:
    """The same conditions select stored and new events."""
    rows = [sample(n, subject="a" if n % 2 else "b").entry for n in range(6)]
    running.chain.extend(rows)
    with follow(running, "?after=-1&subject=a&topic=catalog.*.changed") as blocks:
        assert take(blocks, 3) == [1, 3, 5]
        running.chain.extend([sample(n, subject="a" if n % 2 else "b").entry for n in (6, 7)])
        assert take(blocks, 1) == [7]


def test_silent_stream_has_heartbeats(running: Running) -> None:
    """A stream without events gets comment lines and no id."""
    with follow(running) as blocks:
        assert next(blocks).comment
        assert next(blocks).comment


def test_too_many_streams(running: Running) -> None:
    """Beyond the limit a stream is a 503; a place is free again when a reader leaves."""
    with follow(running), follow(running):
        with follow(running):
            problem(running.http.get("/v1/stream"), 503, "too_many_streams")
        deadline = time.monotonic() + WAIT_S
        while running.http.get("/v1/status").json()["gateway"]["streams"] != 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        with follow(running):
            pass


def test_slow_reader_loses_nothing(running: Running) -> None:
    """A reader that pauses while more comes than any buffer holds gets it all later."""
    count = GATEWAY_FEED_EVENTS_MAX + 500
    with follow(running, "?after=-1") as blocks:
        for start in range(0, count, 500):
            extend(running.chain, start, min(500, count - start))
        assert take(blocks, count) == list(range(count))


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ("?after=-2", {}),
        ("?topic=a..b", {}),
        ("?limit=1", {}),
        ("", {"last-event-id": "abc"}),
        ("", {"last-event-id": "99999999999999999999"}),
    ],
)
def test_bad_stream_requests(running: Running, query: str, headers: dict[str, str]) -> None:
    """A malformed position or condition is refused before a stream begins."""
    answer = running.http.get(f"/v1/stream{query}", headers=headers)
    problem(answer, 400, "invalid_parameter")


def test_head_of_a_stream(running: Running) -> None:
    """HEAD answers at once with the stream's headers."""
    answer = running.http.head("/v1/stream")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")


def test_not_acceptable_stream(running: Running) -> None:
    """Who accepts no event stream gets none."""
    answer = running.http.get("/v1/stream", headers={"accept": "application/json"})
    problem(answer, 406, "not_acceptable")


def test_shutdown_ends_streams(running: Running) -> None:
    """SIGTERM ends every stream with a complete answer and the process with exit code 0."""
    with follow(running) as blocks:
        running.live.process.send_signal(signal.SIGTERM)
        assert all(block.comment for block in blocks)  # ends without an error
    assert running.live.process.wait(WAIT_S) == 0


def test_events_hold_no_line_breaks(running: Running) -> None:
    """Whatever an event contains, it cannot end its block or begin another."""
    evil = "x\n\nid: 99\ndata: {}\r\u2028\u2029\x85"
    running.chain.extend([sample(0, subject=evil, data=b'"a\\n\\nb"').entry])
    with follow(running, "?after=-1") as blocks:
        block = next(block for block in blocks if block.data is not None)
    assert block.id == 0
    assert json.loads(block.data or b"")["subject"] == evil
