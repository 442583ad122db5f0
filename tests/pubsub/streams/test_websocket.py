"""WebSockets against a real server: a stream like any other, one CloudEvent a message."""

import json
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin, Subprotocol

from ledger.core.limits import GATEWAY_FEED_EVENTS_MAX
from pubsub.core.cloudevents import read_cloudevent
from pubsub.core.limits import WEBSOCKET_MESSAGE_BYTES_MAX
from pubsub.core.websocket import PING, SUBPROTOCOL, close_reason, text_frame
from tests.pubsub.gateway_world import Chain, sample
from tests.pubsub.live_server import live_gateway
from tests.pubsub.test_stream import Running, extend

WAIT_S = 10
HANDSHAKE = (
    "GET /v1/stream HTTP/1.1\r\nhost: gateway\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-version: 13\r\n"
    "sec-websocket-protocol: cloudevents.json\r\n%s\r\n"
)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """Give a live gateway with few streams; no node runs."""
    with live_chain(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give such a gateway, over an empty log, for all tests that write nothing."""
    with live_chain(tmp_path_factory.mktemp("idle")) as running:
        yield running


@contextmanager
def live_chain(directory: Path) -> Iterator[Running]:
    """Run a gateway over a chain of the test's."""
    chain = Chain(directory / "chain")
    with (
        live_gateway(directory, heartbeat_ms=1_000, streams_max=3) as live,
        httpx.Client(base_url=live.url, timeout=WAIT_S) as http,
    ):
        yield Running(live, chain, http)
    chain.store.close()


def open_socket(running: Running, query: str = "") -> ClientConnection:
    """Open a WebSocket as a subscriber does."""
    url = f"ws://127.0.0.1:{running.live.port}/v1/stream{query}"
    return connect(
        url,
        subprotocols=[Subprotocol(SUBPROTOCOL)],
        compression=None,
        proxy=None,
        max_queue=None,
        ping_interval=None,
    )


def take(reader: ClientConnection, count: int) -> list[int]:
    """Take ``count`` events and give their sequences."""
    sequences: list[int] = []
    for _ in range(count):
        text = reader.recv(WAIT_S)
        assert isinstance(text, str)
        received = read_cloudevent(text.encode())
        assert received.sequence is not None
        sequences.append(received.sequence)
    return sequences


def closing(reader: ClientConnection) -> tuple[int, str]:
    """Wait for the close and give its code and reason."""
    with pytest.raises(ConnectionClosed) as caught:
        reader.recv(WAIT_S)
    assert caught.value.rcvd is not None
    return caught.value.rcvd.code, caught.value.rcvd.reason


def test_events_come_one_a_message(running: Running) -> None:
    """What is stored and what is new comes in order, each event as one text message."""
    extend(running.chain, 0, 300)
    with open_socket(running, "?after=-1") as reader:
        assert reader.subprotocol == SUBPROTOCOL
        assert take(reader, 300) == list(range(300))
        extend(running.chain, 300, 5)
        assert take(reader, 5) == list(range(300, 305))


def test_it_resumes_behind_the_last_message(running: Running) -> None:
    """A reader that comes back with its last sequence misses nothing and gets nothing twice."""
    extend(running.chain, 0, 60)
    seen: list[int] = []
    for _ in range(6):
        last = seen[-1] if seen else -1
        with open_socket(running, f"?after={last}") as reader:
            seen += take(reader, 10)
    assert seen == list(range(60))


def test_filters_hold(running: Running) -> None:
    """Topics and filters select stored and new events as they do for server-sent events."""
    wanted = '{"any":[{"exact":{"subject":"a"}},{"suffix":{"subject":"z"}}]}'
    subjects = ["a", "b", "az", "c", "a"]
    running.chain.extend([sample(n, subject=text).entry for n, text in enumerate(subjects)])
    query = httpx.QueryParams(
        [("after", "-1"), ("topic", "other.>"), ("topic", "catalog.>"), ("filter", wanted)]
    )
    with open_socket(running, f"?{query}") as reader:
        assert take(reader, 3) == [0, 2, 4]
        running.chain.extend([sample(5, subject="b").entry, sample(6, subject="zz").entry])
        assert take(reader, 1) == [6]


def test_a_slow_reader_loses_nothing(running: Running) -> None:
    """A reader that pauses while more comes than any buffer holds gets it all later."""
    count = GATEWAY_FEED_EVENTS_MAX + 500
    url = f"ws://127.0.0.1:{running.live.port}/v1/stream?after=-1"
    with connect(
        url, subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None, proxy=None, max_queue=4
    ) as reader:
        for start in range(0, count, 500):
            extend(running.chain, start, min(500, count - start))
        assert take(reader, count) == list(range(count))


@pytest.mark.parametrize("offered", [None, ["cloudevents.avro"], ["mqtt", "CloudEvents.JSON"]])
def test_the_subprotocol_must_be_offered(idle: Running, offered: list[str] | None) -> None:
    """A handshake without our subprotocol is answered 400 with a problem, and opens nothing."""
    url = f"ws://127.0.0.1:{idle.live.port}/v1/stream"
    protocols = None if offered is None else [Subprotocol(name) for name in offered]
    with pytest.raises(InvalidStatus) as caught, connect(url, subprotocols=protocols, proxy=None):
        pass
    assert caught.value.response.status_code == 400
    assert json.loads(caught.value.response.body or b"")["code"] == "subprotocol_required"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
def test_pages_of_another_origin_open_nothing(idle: Running, origin: str) -> None:
    """A browser's page reads WebSockets of its own origin alone, scheme aside."""
    url = f"ws://127.0.0.1:{idle.live.port}/v1/stream"
    own = Origin(f"https://127.0.0.1:{idle.live.port}")
    protocols = [Subprotocol(SUBPROTOCOL)]
    with connect(url, subprotocols=protocols, origin=own, proxy=None) as reader:
        assert reader.subprotocol == SUBPROTOCOL
    with (
        pytest.raises(InvalidStatus) as caught,
        connect(url, subprotocols=protocols, origin=Origin(origin), proxy=None),
    ):
        pass
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    "query", ["?after=-2", "?topic=a..b", '?filter={"sql":"x"}', "?limit=1", "?subject="]
)
def test_a_malformed_request_is_closed_with_its_code(idle: Running, query: str) -> None:
    """Whatever HTTP would answer 400 closes with 1008, and the reason begins with the code."""
    with open_socket(idle, query) as reader:
        code, reason = closing(reader)
    assert code == 1008
    assert reason.startswith("invalid_parameter: ")


def test_too_many_streams(running: Running) -> None:
    """Beyond the limit, shared with server-sent events, a WebSocket is closed with 1013."""
    with open_socket(running), open_socket(running), open_socket(running):
        with open_socket(running) as reader:
            code, reason = closing(reader)
        assert (code, reason.partition(":")[0]) == (1013, "too_many_streams")
        answer = running.http.get("/v1/stream")
        assert answer.json()["code"] == "too_many_streams"


def test_shutdown_goes_away(running: Running) -> None:
    """SIGTERM closes with 1001, and the process ends with exit code 0."""
    with open_socket(running) as reader:
        running.live.process.send_signal(signal.SIGTERM)
        assert closing(reader)[0] == 1001
    assert running.live.process.wait(WAIT_S) == 0


@pytest.mark.parametrize("message", ["hello", b"\0", ""])
def test_readers_send_nothing(idle: Running, message: str | bytes) -> None:
    """A message of the reader's closes with 1003, whatever it says."""
    with open_socket(idle) as reader:
        reader.send(message)
        assert closing(reader)[0] == 1003


def test_a_fragment_is_a_message(idle: Running) -> None:
    """The first fragment of a message closes already: nothing is collected."""
    fragment = b"\x01\x81\0\0\0\0a"  # a text, not its end, masked, one byte
    with idle.live.connect() as reader:
        reader.sendall((HANDSHAKE % "").encode())
        received = reader.recv(4_096)
        assert received.startswith(b"HTTP/1.1 101")
        reader.sendall(fragment)
        received += b"".join(iter(lambda: reader.recv(4_096), b""))
    assert b"\x03\xebreaders send no messages" in received  # 1003


def test_a_large_message_is_not_read(idle: Running) -> None:
    """A message above the size of control frames closes with 1009 before it is read."""
    with open_socket(idle) as reader:
        reader.send("x" * (WEBSOCKET_MESSAGE_BYTES_MAX + 1))
        assert closing(reader)[0] == 1009


def test_a_reader_that_answers_pings_stays(running: Running) -> None:
    """Pings come while nothing happens, and a reader that answers them is not cut off."""
    with open_socket(running) as reader:
        with pytest.raises(TimeoutError):
            reader.recv(3.0)
        extend(running.chain, 0, 1)
        assert take(reader, 1) == [0]


def test_a_reader_that_answers_no_ping_is_cut(idle: Running) -> None:
    """A reader that is not there any longer loses its place after a few pings."""
    with socket.create_connection(("127.0.0.1", idle.live.port), timeout=WAIT_S) as reader:
        reader.sendall((HANDSHAKE % "").encode())
        received = b""
        try:
            while piece := reader.recv(4_096):
                received += piece
        except ConnectionResetError:
            pass
        assert received.count(PING) >= 2


@pytest.mark.parametrize("line", ["sec-websocket-version: 8\r\n", f"cookie: {'x' * 9_000}\r\n"])
def test_a_broken_handshake_is_answered(idle: Running, line: str) -> None:
    """What is no sound handshake is answered with an error and leaves no connection open."""
    assert idle.live.exchange((HANDSHAKE % line).encode()).startswith(b"HTTP/1.1 4")


def test_other_paths_have_no_sockets(idle: Running) -> None:
    """A WebSocket elsewhere is refused before it opens."""
    url = f"ws://127.0.0.1:{idle.live.port}/v1/status"
    with pytest.raises(InvalidStatus) as caught, connect(url, proxy=None):
        pass
    assert caught.value.response.status_code == 403


@pytest.mark.parametrize(
    ("length", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_535, b"\x81\x7e\xff\xff"),
        (65_536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frames(length: int, head: bytes) -> None:
    """The length of a frame takes the fewest bytes that RFC 6455 allows."""
    assert text_frame(b"x" * length) == head + b"x" * length


def test_reasons_fit_a_control_frame() -> None:
    """A long reason is cut at a character, and never above what a close frame holds."""
    reason = close_reason("code", "\N{EURO SIGN}" * 100)
    assert reason.startswith("code: \N{EURO SIGN}")
    assert 120 < len(reason.encode()) <= 123
