"""Hostile and broken HTTP against a real server: it answers or closes, and goes on serving."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from concordat.free_ports import free_ports
from ledger.core.errors import Unavailable
from ledger.core.limits import (
    GATEWAY_BODIES_BYTES_MAX,
    GATEWAY_EVENT_BODY_BYTES_MAX,
    GATEWAY_HEADER_BYTES_MAX,
)
from pubsub.io import body, gateway, http
from pubsub.io.gateway import GatewaySettings, serve_gateway
from pubsub.io.server import listen, make_server
from pubsub.io.state import Gateway
from tests.pubsub.gateway_world import sample_json
from tests.pubsub.live_server import Live, live_gateway
from tests.pubsub.test_publish import problem

EVENT = b"content-type: application/cloudevents+json\r\n"
HOST = b"host: gateway\r\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Give a gateway without node and store, which must survive everything here."""
    with live_gateway(tmp_path_factory.mktemp("live")) as running:
        yield running
        assert running.process.poll() is None
        assert httpx.get(f"{running.url}/livez").status_code == 200


def answer_code(data: bytes) -> tuple[int, str]:
    """Give the status and the problem code of one raw answer."""
    head, _, content = data.partition(b"\r\n\r\n")
    document = json.loads(content)
    assert document["status"] == int(head.split()[1])
    return document["status"], document["code"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00" * 100,
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /livez HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /livez HTTP/1.1\r\ncontent-length: x\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\ncontent-length: 99999999999999999999999\r\n\r\n",
    ],
)
def test_what_is_not_http(live: Live, data: bytes) -> None:
    """Broken or ambiguous framing is a 400 that closes the connection."""
    assert answer_code(live.exchange(data)) == (400, "malformed")


@pytest.mark.parametrize("pad", [b"x-pad: " + b"a" * GATEWAY_HEADER_BYTES_MAX, b"a: b\r\n" * 4096])
def test_long_head(live: Live, pad: bytes) -> None:
    """A head over the limit is a 431 that closes the connection."""
    data = b"GET /livez HTTP/1.1\r\n" + HOST + pad + b"\r\n\r\n"
    assert answer_code(live.exchange(data)) == (431, "headers_too_large")


def test_long_target(live: Live) -> None:
    """A request line over the limit is a 431, also when it never ends."""
    data = b"GET /" + b"a" * (2 * GATEWAY_HEADER_BYTES_MAX)
    assert answer_code(live.exchange(data)) == (431, "headers_too_large")


def test_head_of_nearly_the_limit(live: Live) -> None:
    """A head just under the limit is served."""
    pad = b"x-pad: " + b"a" * (GATEWAY_HEADER_BYTES_MAX - 200) + b"\r\n"
    data = b"GET /livez HTTP/1.1\r\n" + HOST + pad + b"connection: close\r\n\r\n"
    assert live.exchange(data).startswith(b"HTTP/1.1 200 ")


def test_announced_length_over_the_limit(live: Live) -> None:
    """A length over the limit is refused before a byte of the body was sent."""
    length = b"content-length: %d\r\n\r\n" % (GATEWAY_EVENT_BODY_BYTES_MAX + 1)
    data = b"POST /v1/events HTTP/1.1\r\n" + HOST + EVENT + length
    assert answer_code(live.exchange(data)) == (413, "body_too_large")


def test_chunked_body_over_the_limit(live: Live) -> None:
    """A chunked body is cut at the limit, whatever its chunks say."""

    def chunks() -> Iterator[bytes]:
        for _ in range(GATEWAY_EVENT_BODY_BYTES_MAX // 4096 + 1):
            yield b" " * 4096

    headers = {"content-type": "application/cloudevents+json"}
    answer = httpx.post(f"{live.url}/v1/events", content=chunks(), headers=headers)
    problem(answer, 413, "body_too_large")


def test_body_shorter_than_announced(live: Live) -> None:
    """A client that leaves in the middle of its body harms nobody."""
    data = b"POST /v1/events HTTP/1.1\r\n" + HOST + EVENT + b"content-length: 100\r\n\r\n{"
    for _ in range(20):
        with live.connect() as connection:
            connection.sendall(data)


def test_body_longer_than_announced(live: Live) -> None:
    """What follows the announced length is the next request, here none: the connection ends."""
    event = sample_json()
    data = b"POST /v1/events HTTP/1.1\r\n" + HOST + EVENT + b"content-length: %d\r\n\r\n"
    answer = live.exchange(data % len(event) + event + b"junk\r\n\r\n")
    assert answer_code(answer) == (400, "malformed")


def test_second_request_on_a_connection(live: Live) -> None:
    """Requests sent in one piece are answered in their order."""
    first = b"GET /v1/nothing HTTP/1.1\r\n" + HOST + b"\r\n"
    second = b"GET /livez HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n"
    answer = live.exchange(first + second)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"HTTP/1.1 200 " in answer


def test_connections_that_say_nothing(live: Live) -> None:
    """Many silent connections do not keep others from being served."""
    connections = [live.connect() for _ in range(200)]
    assert httpx.get(f"{live.url}/livez").status_code == 200
    for connection in connections:
        connection.close()


@pytest.mark.parametrize(
    "path",
    ["/v1/events/%c3%28", "/v1/events/%00", "/v1/events/%2e%2e%2f", "/%ff", "//v1/status", "/v1/%"],
)
def test_odd_paths(live: Live, path: str) -> None:
    """Odd paths are 4xx or 503 problems."""
    data = f"GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n".encode()
    assert answer_code(live.exchange(data))[0] in (400, 404, 503)


# --- a server in a thread, so that limits can be made small -------------------------------------


@contextmanager
def threaded(directory: Path, **settings: int) -> Iterator[tuple[Live, Gateway]]:
    """Run a server in a thread of this process, over no store."""
    (port,) = free_ports(1)
    app = gateway.create_app(
        GatewaySettings(
            directory / "none",
            directory / "none.sock",
            "x",
            **settings,  # type: ignore[arg-type] # limits alone
        )
    )
    state: Gateway = app.state.gateway
    server = make_server(app, state, state.settings.connections_max)
    listener = listen("127.0.0.1", port)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield Live(None, port), state  # type: ignore[arg-type] # it has no process of its own
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


def test_slow_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that does not arrive in time is a 408, however it dribbles."""
    monkeypatch.setattr(http, "GATEWAY_HEADER_READ_MS_MAX", 150)
    with threaded(tmp_path) as (live, _), live.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.1\r\n")
        received = b""
        while not received:
            connection.sendall(b"a: b\r\n")
            time.sleep(0.02)
            connection.setblocking(False)
            try:
                received = connection.recv(65_536)
            except BlockingIOError:
                connection.setblocking(True)
        assert answer_code(received) == (408, "headers_timeout")


def test_slow_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not arrive in time is a 408 that closes the connection."""
    monkeypatch.setattr(body, "GATEWAY_BODY_READ_MS_MAX", 100)
    data = b"POST /v1/events HTTP/1.1\r\n" + HOST + EVENT + b"content-length: 100\r\n\r\n{"
    with threaded(tmp_path) as (live, state):
        assert answer_code(live.exchange(data)) == (408, "body_timeout")
        assert state.bodies.held_bytes == 0


TRAILED = b"POST /v1/nothing HTTP/1.1\r\n" + HOST + b"transfer-encoding: chunked\r\n\r\n"


def is_cut(connection: socket.socket, data: bytes) -> bool:
    """Say whether the gateway cuts who goes on sending ``data`` for a second."""
    try:
        for _ in range(100):
            connection.sendall(data)
            time.sleep(0.01)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


@pytest.mark.parametrize("pad", [b"a: b\r\n", b"a"], ids=["lines", "one line"])
def test_endless_trailers(tmp_path: Path, pad: bytes) -> None:
    """Trailers without end are not collected, and cut the connection."""
    with threaded(tmp_path) as (live, _), live.connect() as connection:
        connection.sendall(TRAILED + b"0\r\n")
        assert is_cut(connection, pad * 500)


def test_a_small_trailer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trailer is no header, whatever its name, and harms nothing."""
    seen: list[list[tuple[bytes, bytes]]] = []
    ends = http.Protocol.on_message_complete

    def on_message_complete(protocol: http.Protocol) -> None:
        seen.append(list(protocol.scope["headers"]))
        ends(protocol)

    monkeypatch.setattr(http.Protocol, "on_message_complete", on_message_complete)
    last = b"GET /livez HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n"
    with threaded(tmp_path) as (live, _):
        answer = live.exchange(TRAILED + b"0\r\nauthorization: Bearer x\r\n\r\n" + last)
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"HTTP/1.1 200 " in answer
    assert seen[0] == [(b"host", b"gateway"), (b"transfer-encoding", b"chunked")]


def test_small_chunks(tmp_path: Path) -> None:
    """The framing of a body in many small chunks is no reason to cut it."""
    with threaded(tmp_path) as (live, _):
        chunks = (b" " for _ in range(GATEWAY_HEADER_BYTES_MAX // 5))
        headers = {"content-type": "application/cloudevents+json"}
        answer = httpx.post(f"{live.url}/v1/events", content=chunks, headers=headers)
        problem(answer, 400, "malformed")


def test_a_body_that_outlives_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was answered and does not end its request is cut, however it dribbles."""
    monkeypatch.setattr(http, "GATEWAY_HEADER_READ_MS_MAX", 150)
    with threaded(tmp_path) as (live, _), live.connect() as connection:
        connection.sendall(TRAILED)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 404 ")
        assert is_cut(connection, b"1\r\nx\r\n")


def test_too_many_bodies(tmp_path: Path) -> None:
    """When all bodies together are too much, one more is refused; room is given back."""
    with threaded(tmp_path) as (live, state):
        headers = {"content-type": "application/cloudevents+json"}

        def post() -> httpx.Response:
            return httpx.post(f"{live.url}/v1/events", content=sample_json(), headers=headers)

        state.bodies.held_bytes = GATEWAY_BODIES_BYTES_MAX
        problem(post(), 429, "overloaded")
        assert state.bodies.held_bytes == GATEWAY_BODIES_BYTES_MAX
        state.bodies.held_bytes = 0
        problem(post(), 503, "node_unavailable")
        assert state.bodies.held_bytes == 0


def test_too_many_connections(tmp_path: Path) -> None:
    """Beyond the limit connections are cut; when others leave there is room again."""
    with threaded(tmp_path, connections_max=3) as (live, _):
        first = [live.connect() for _ in range(3)]
        time.sleep(0.1)
        with live.connect() as extra, suppress(ConnectionResetError):
            assert extra.recv(1) == b""
        for connection in first:
            connection.close()
        time.sleep(0.1)
        assert httpx.get(f"{live.url}/livez").status_code == 200


def test_port_in_use(tmp_path: Path) -> None:
    """A port that somebody listens on is a clear message and no half-started server."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unavailable, match=f"cannot listen on 127.0.0.1 port {port}"):
            serve_gateway(GatewaySettings(tmp_path, tmp_path, "x"), "127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("256.1.1.1", 80), ("127.0.0.1", 70_000)])
def test_bad_address(tmp_path: Path, host: str, port: int) -> None:
    """An address that does not exist is a clear message."""
    with pytest.raises(Unavailable, match="cannot listen"):
        serve_gateway(GatewaySettings(tmp_path, tmp_path, "x"), host, port)
