"""What the load generator sends, and how it takes back-pressure, without a network."""

import json
import secrets
import socket
import threading

import msgspec
import pytest

from bench.load.bulk import BulkClient, Supply, start_clients, stop_clients
from bench.load.events import ENTRY_BYTES, EventSource
from bench.report.results import quantiles
from ledger.core.event import open_entry
from ledger.core.signing import SeedSigner


def _source(entry_bytes: int = ENTRY_BYTES) -> EventSource:
    signer = SeedSigner(secrets.token_bytes(32))
    chain_id = "processes-0011223344556677"
    return EventSource("did:example:publisher0", signer, chain_id, entry_bytes=entry_bytes)


class _Gateway(threading.Thread):
    """Answers each request of one connection with the next of some prepared answers."""

    def __init__(self, answers: list[tuple[int, object]]) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._answers = answers
        self.bodies: list[list[bytes]] = []

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, self._listener, connection.makefile("rwb") as file:
            for status, document in self._answers:
                length = 0
                while (line := file.readline().strip().lower()) != b"":
                    if line.startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                self.bodies.append(msgspec.msgpack.decode(file.read(length), type=list[bytes]))
                body = json.dumps(document).encode()
                file.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
                file.write(body)
                file.flush()


@pytest.fixture
def supply() -> Supply:
    """One request body with three events."""
    return Supply(_source().bodies(3, 3))


def _published(supply: Supply, answers: list[tuple[int, object]]) -> tuple[BulkClient, _Gateway]:
    gateway = _Gateway(answers)
    gateway.start()
    (client,) = start_clients([("127.0.0.1", gateway.port)], 1, supply, wait=False)
    client.join()
    gateway.join()
    return client, gateway


@pytest.mark.parametrize("entry_bytes", [ENTRY_BYTES, 1_000, 4_096])
def test_events_have_one_size_and_differ(entry_bytes: int) -> None:
    """Each entry has exactly the size that is measured, and its own id and entity."""
    source = _source(entry_bytes)
    opened = [*source.entries(300), *source.entries(3, source.probe_topic)]
    assert {len(item.entry) for item in opened} == {source.entry_bytes} == {entry_bytes}
    assert len({open_entry(item.entry).id for item in opened}) == 303
    assert len({item.event.subject for item in opened}) == 303


def test_the_smallest_events_say_how_small_they_are() -> None:
    """Nobody reads 100 bytes in a report when keys and signature alone took more."""
    source = _source(100)
    (opened,) = source.entries(1)
    assert len(opened.entry) == source.entry_bytes < 250


def test_what_was_not_taken_is_sent_again(supply: Supply) -> None:
    """Of a bulk request only the entries that the node refused for lack of room go again."""
    pending = {"status": "pending"}
    overloaded = {"status": "refused", "code": "overloaded"}
    answers: list[tuple[int, object]] = [
        (503, {"code": "overloaded"}),
        (202, {"receipts": [pending, overloaded, pending]}),
        (202, {"receipts": [pending]}),
    ]
    client, gateway = _published(supply, answers)
    assert client.fault is None
    assert [len(body) for body in gateway.bodies] == [3, 3, 1]
    assert gateway.bodies[2][0] == gateway.bodies[0][1]
    assert client.overloaded == 2
    assert len(client.finished) == 1


def test_a_refusal_ends_the_measurement(supply: Supply) -> None:
    """An event refused for another reason is a fault of the run, not a slow success."""
    refused = {"status": "refused", "code": "bad_signature"}
    client, _ = _published(supply, [(202, {"receipts": [refused] * 3})])
    assert client.fault is not None
    with pytest.raises(RuntimeError, match="bad_signature"):
        stop_clients([client])


def test_quantiles() -> None:
    """The summary of 1 to 10,000 ms, and that of nothing: nearest ranks, as few as possible."""
    summary = quantiles([float(number) for number in range(10_000, 0, -1)])
    assert (summary.p50_ms, summary.p99_ms, summary.p999_ms) == (5000.5, 9_900, 9_990)
    assert (summary.max_ms, summary.count) == (10_000, 10_000)
    assert quantiles([]).count == 0
