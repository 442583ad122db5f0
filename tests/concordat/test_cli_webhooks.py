"""``concordat webhooks``: what is asked of a gateway, what is printed, and how it fails."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]

HEALTH = {"failing_since_ms": 1_795_257_000_000}
WEBHOOK = {
    "id": "wh_1",
    "url": "https://shop.example/",
    "state": "pending",
    "reason": None,
    "health": HEALTH,
    "interest": {"topics": ["a.>"]},
    "lag": 3,
    "in_flight": 2,
    "dead_letters": 1,
}
ATTEMPT = {
    "at_ms": 1_795_257_000_000,
    "purpose": "delivery",
    "sequences": [7],
    "attempt": 2,
    "outcome": "refused",
    "status": 500,
    "ms": 12,
}
SECRET = {"signature": "v1", "key": "whsec_abc"}
ANSWERS: dict[str, tuple[int, Any]] = {
    "POST /v1/webhooks": (201, {"webhook": WEBHOOK, "secrets": [SECRET]}),
    "GET /v1/webhooks": (200, {"webhooks": [WEBHOOK]}),
    "GET /v1/webhooks/wh_1": (200, WEBHOOK),
    "GET /v1/webhooks/wh_1/deliveries": (200, {"attempts": [ATTEMPT]}),
    "POST /v1/webhooks/wh_1/verify": (200, WEBHOOK),
    "POST /v1/webhooks/wh_1/enable": (200, WEBHOOK),
    "POST /v1/webhooks/wh_1/ping": (200, ATTEMPT),
    "POST /v1/webhooks/wh_1/rotate": (200, SECRET),
    "POST /v1/webhooks/wh_1/redeliver": (200, {"attempts": [ATTEMPT]}),
    "POST /v1/webhooks/wh_1/dead-letters/replay": (200, {"replayed": 4}),
    "DELETE /v1/webhooks/wh_1": (204, None),
}
PROBLEM = {"code": "webhook_not_found", "detail": "no webhook of yours is named that"}


class Gateway:
    """A gateway that a test plays; it keeps what it was asked: (what, token, body)."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[tuple[str, str | None, Any]] = []


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """Give a gateway of canned answers."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            what = f"{self.command} {self.path}"
            document = json.loads(body) if body else None
            played.asked.append((what, self.headers.get("authorization"), document))
            status, answer = ANSWERS.get(what, (404, PROBLEM))
            text = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    played = Gateway(server.server_address[1])
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield played
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "arguments, asked, printed",
    [
        (("list",), ("GET /v1/webhooks", None), "https://shop.example/"),
        (("show", "wh_1"), ("GET /v1/webhooks/wh_1/deliveries", None), "delivery 7 attempt 2"),
        (("verify", "wh_1"), ("POST /v1/webhooks/wh_1/verify", None), "wh_1: pending"),
        (("enable", "wh_1"), ("POST /v1/webhooks/wh_1/enable", None), "failing since"),
        (("ping", "wh_1"), ("POST /v1/webhooks/wh_1/ping", None), "refused 500 in 12 ms"),
        (
            ("rotate", "wh_1"),
            ("POST /v1/webhooks/wh_1/rotate", {"signature": "v1"}),
            "v1 whsec_abc",
        ),
        (
            ("rotate", "wh_1", "--leaked", "--signature", "v1a"),
            ("POST /v1/webhooks/wh_1/rotate", {"signature": "v1a", "overlap_ms": 0}),
            "whsec_abc",
        ),
        (
            ("redeliver", "wh_1", "7", "8"),
            ("POST /v1/webhooks/wh_1/redeliver", {"sequences": [7, 8]}),
            "delivery 7",
        ),
        (("replay", "wh_1"), ("POST /v1/webhooks/wh_1/dead-letters/replay", {}), "4 events"),
        (("remove", "wh_1"), ("DELETE /v1/webhooks/wh_1", None), "Removed wh_1"),
    ],
)
def test_commands(
    concordat: Run,
    gateway: Gateway,
    arguments: tuple[str, ...],
    asked: tuple[str, object],
    printed: str,
) -> None:
    """Each asks for one thing and says what came of it."""
    result = concordat("webhooks", *arguments, "--url", gateway.url)
    assert printed in result.stdout
    assert gateway.asked[-1] == (asked[0], None, asked[1])


def test_add(concordat: Run, gateway: Gateway, tmp_path: Path) -> None:
    """What is asked for is passed on, the secret printed, and what to do next said."""
    token, authorization = tmp_path / "token", tmp_path / "authorization"
    token.write_text("concordat_abc\n")
    authorization.write_text("Bearer of-the-receiver\n")
    options = ("--topic", "a.>", "--mode", "batch", "--signature", "v1a", "--rate", "60")
    files = ("--token-file", token, "--authorization-file", authorization)
    result = concordat(
        "webhooks", "add", "https://shop.example/", *options, *files, "--url", gateway.url
    )
    assert "v1 whsec_abc\nStore the secret now" in result.stdout
    assert "concordat webhooks verify wh_1" in result.stdout
    (asked,) = gateway.asked
    wish = {
        "url": "https://shop.example/",
        "interest": {"topics": ["a.>"]},
        "mode": "batch",
        "signatures": ["v1a"],
        "start": {"policy": "new"},
        "rate": 60,
        "is_ordered": False,
        "authorization": "Bearer of-the-receiver",
    }
    assert asked == ("POST /v1/webhooks", "Bearer concordat_abc", wish)


def test_refusals_and_silence(concordat: Run, gateway: Gateway) -> None:
    """A problem's code is told; a gateway that does not answer has an exit code of its own."""
    result = concordat("webhooks", "ping", "wh_2", "--url", gateway.url, code=1)
    assert "webhook_not_found: no webhook of yours is named that" in result.stderr
    concordat("webhooks", "list", "--url", "http://127.0.0.1:1", code=3)
