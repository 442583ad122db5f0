"""Whole answers on the wire: what publishing gives, connection by connection."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pubsub.io.state import Gateway
from tests.pubsub.gateway_world import sample, sample_json
from tests.pubsub.live_server import Live
from tests.pubsub.test_live_http import EVENT, HOST, threaded

CLOSE = b"connection: close\r\n"


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    """Give a gateway whose node takes everything."""

    async def submit(
        _link: object, _entries: tuple[bytes, ...], *, is_awaited: bool
    ) -> tuple[str, ...]:
        assert not is_awaited
        return ()

    monkeypatch.setattr("pubsub.io.node_link.NodeLink.submit", submit)
    with threaded(tmp_path) as (running, state):
        assert isinstance(state, Gateway)
        yield running


def request(nonce: int, *headers: bytes) -> bytes:
    """Give a request that publishes one event."""
    event = sample_json(nonce)
    head = b"POST /v1/events HTTP/1.1\r\n" + HOST + EVENT + b"".join(headers)
    return head + b"content-length: %d\r\n\r\n" % len(event) + event


def read_answer(connection: socket.socket) -> tuple[bytes, dict[str, object]]:
    """Read one answer; give its head and its document."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65_536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    assert len(body) == length
    return head, json.loads(body)


def test_taken_event_is_answered_whole(live: Live) -> None:
    """The answer has one head with every header, and nothing but the receipt in its body."""
    with live.connect() as connection:
        connection.sendall(request(1, b"x-request-id: mine\r\n"))
        head, receipt = read_answer(connection)
    status, *lines = head.split(b"\r\n")
    headers = dict(line.split(b": ", 1) for line in lines)
    assert status == b"HTTP/1.1 202 Accepted"
    assert receipt == {"status": "pending", "id": sample(1).id.hex()}
    assert sorted(headers) == [
        b"content-length",
        b"content-type",
        b"date",
        b"location",
        b"x-request-id",
    ]
    assert headers[b"content-type"] == b"application/json"
    assert headers[b"location"] == f"/v1/events/{receipt['id']}".encode()
    assert headers[b"x-request-id"] == b"mine"


def test_connection_goes_on(live: Live) -> None:
    """One connection serves one event after the other, refused ones and other paths between."""
    with live.connect() as connection:
        for nonce in range(3):
            connection.sendall(request(nonce))
            assert read_answer(connection)[1]["id"] == sample(nonce).id.hex()
            connection.sendall(b"POST /v1/events HTTP/1.1\r\n" + HOST + b"\r\n")
            assert read_answer(connection)[1]["code"] == "unsupported_media_type"
            connection.sendall(b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n")
            assert read_answer(connection)[1] == {"status": "ok"}


def test_requests_sent_together_are_answered_in_order(live: Live) -> None:
    """Requests in one piece are answered one by one, in their order."""
    answers = live.exchange(request(1) + request(2) + request(3, CLOSE))
    ids = [part.partition(b'"')[0].decode() for part in answers.split(b'"id":"')[1:]]
    assert ids == [sample(nonce).id.hex() for nonce in (1, 2, 3)]


def test_connection_ends_when_asked(live: Live) -> None:
    """A client that asks for the end of the connection is told so, and gets it."""
    answer = live.exchange(request(1, CLOSE))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"\r\nconnection: close" in head
    assert json.loads(body)["status"] == "pending"


def test_client_that_left_harms_nobody(live: Live) -> None:
    """An answer for a client that is gone is dropped."""
    for nonce in range(20):
        with live.connect() as connection:
            connection.sendall(request(nonce))
    with live.connect() as connection:
        connection.sendall(request(21))
        assert read_answer(connection)[1]["status"] == "pending"
