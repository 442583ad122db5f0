"""A webhook receiver as anybody writes one, with `standardwebhooks` and `cloudevents`.

Its HTTP is the standard library's. Nothing of ours is imported here.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import standardwebhooks
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http
from cloudevents.core.formats.json import JSONFormat


@dataclass
class Received:
    """One delivery, as it came.

    Attributes:
        events: what stood in it; none where it was not accepted.
    """

    headers: dict[str, str]
    body: bytes
    events: list[BaseCloudEvent] = field(default_factory=list)

    @property
    def id(self) -> str:
        """By which repetitions are recognised."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """A receiver.

    Attributes:
        secret: the `whsec_` secret that deliveries must be signed with; empty: all are taken.
        consents: what an OPTIONS request is answered with.
        answer: gives status and headers for the n-th delivery (from 0).
        faults: why deliveries were not accepted.
    """

    port: int = 0
    secret: str = ""
    consents: dict[str, str] = field(default_factory=lambda: {"WebHook-Allowed-Origin": "*"})
    answer: Callable[[int], tuple[int, dict[str, str]]] = lambda _: (204, {})
    received: list[Received] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        """Where deliveries go."""
        return f"http://127.0.0.1:{self.port}/hook?a=b"

    @property
    def events(self) -> list[BaseCloudEvent]:
        """All events of accepted deliveries."""
        return [event for delivery in self.received for event in delivery.events]

    def until(self, count: int, seconds: float = 10) -> None:
        """Wait for so many deliveries."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, seconds), (
                len(self.received),
                self.faults,
            )

    def take(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str]]:
        """Judge a delivery."""
        delivery = Received(headers, body)
        status, extra = self.answer(len(self.received))
        try:
            if self.secret:
                standardwebhooks.Webhook(self.secret).verify(body, headers, json_parse=False)
            delivery.events = read_events(headers, body)
        except Exception as error:  # noqa: BLE001 - the test asks for it
            self.faults.append(error)
            status = 400
        with self.changed:
            self.received.append(delivery)
            self.changed.notify_all()
        return status, extra


def read_events(headers: dict[str, str], body: bytes) -> list[BaseCloudEvent]:
    """Read one event, or those of a batch."""
    if headers.get("content-type") == "application/cloudevents-batch+json":
        single = {"content-type": "application/cloudevents+json"}
        texts = [json.dumps(item).encode() for item in json.loads(body)]
        return [from_http(HTTPMessage(single, text), JSONFormat()) for text in texts]
    return [from_http(HTTPMessage(headers, body), JSONFormat())]


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Receive while the block runs."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_OPTIONS(self) -> None:
            receiver.asked.append(self._headers())
            self._answer(405, receiver.consents)  # a status says nothing here

        def do_POST(self) -> None:
            headers = self._headers()
            body = self.rfile.read(int(headers.get("content-length", "0")))
            self._answer(*receiver.take(headers, body))

        def _headers(self) -> dict[str, str]:
            return {name.lower(): value for name, value in self.headers.items()}

        def _answer(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
