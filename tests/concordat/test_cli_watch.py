"""``concordat status --watch``: what it computes of two looks, how it shows it, and how it ends."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
from click.testing import Result
from rich.console import Console

from concordat.cli.watch_sample import Metrics, Sample
from concordat.cli.watch_screen import line, screen, sparkline
from concordat.cli.watch_view import View, quantile, view_of
from pubsub.core.documents import Status

ROOT = Path(__file__).parents[2]
NODE = {
    "round": 12,
    "leader": "beta",
    "connected": 3,
    "validators": 4,
    "quorum": 3,
    "members": ["alpha", "beta", "gamma", "delta"],
    "missing": ["delta"],
    "mempool_entries": 5,
}
METRICS = """\
# TYPE concordat_gateway_log_size gauge
concordat_gateway_log_size {log_size}
# TYPE concordat_gateway_requests_total counter
concordat_gateway_requests_total{{route="/a",status="200"}} {requests}
concordat_gateway_requests_total{{route="/a",status="503"}} 4
# TYPE concordat_gateway_finality_seconds histogram
concordat_gateway_finality_seconds_bucket{{le="0.01"}} 0
concordat_gateway_finality_seconds_bucket{{le="0.02"}} {requests}
concordat_gateway_finality_seconds_bucket{{le="+Inf"}} {requests}
# TYPE concordat_gateway_consumer_consumers gauge
concordat_gateway_consumer_consumers{{kind="pull"}} 2
# TYPE concordat_gateway_consumer_lag_events gauge
concordat_gateway_consumer_lag_events{{kind="pull"}} 7
# TYPE concordat_gateway_store_disk_free_bytes gauge
concordat_gateway_store_disk_free_bytes{{store="chain"}} 3221225472
"""


def status_document(state: str = "ok", name: str = "alpha") -> dict[str, object]:
    """Give what a gateway answers at /v1/status."""
    return {
        "chain_id": "net-1",
        "progress": {"state": state, "explanation": "As it says."},
        "chain": {"height": 9, "block_id": "00", "time_ms": 0, "age_ms": 1_500, "log_size": 40},
        "gateway": {
            "name": name,
            "version": "0.1.0",
            "node_connected": True,
            "node_error": None,
            "streams": 1,
            "waits": 0,
        },
        "node": NODE,
    }


def sample(at_s: float, log_size: int, requests: int, state: str = "ok") -> Sample:
    """Make what one look gives."""
    status = msgspec.convert(
        {**status_document(state), "node": msgspec.Raw(json.dumps(NODE).encode())}, Status
    )
    metrics = Metrics.read(METRICS.format(log_size=log_size, requests=requests))
    return Sample("http://a", at_s, status, metrics)


def drawn(views: list[View], width: int) -> str:
    """Draw a screen of that width, without colours."""
    console = Console(width=width, color_system=None, force_terminal=True)
    with console.capture() as capture:
        console.print(screen(views, [0.0, 5.0, 10.0], width, "12:00:00Z"))
    return capture.get()


def test_rates_are_of_the_time_between_two_looks() -> None:
    """Counters become rates, histograms quantiles, of what happened between the looks alone."""
    view = view_of([sample(10.0, 100, 50), sample(12.0, 140, 60)])
    assert (view.events_per_s, view.requests_per_s, view.failed_per_s) == (20.0, 5.0, 0.0)
    assert view.finality_p50_ms == 15.0
    assert view.safety_write_p99_ms is None
    assert view.consumers["pull"].lag_events == 7
    assert view.disk_free_bytes == 3 * 2**30
    assert view.is_well


def test_process_that_began_anew_has_no_rate() -> None:
    """A counter that fell is no negative rate."""
    view = view_of([sample(10.0, 100, 50), sample(12.0, 140, 20)])
    assert view.requests_per_s is None
    assert view.finality_p99_ms is None


def test_first_look_has_no_rates() -> None:
    """One look alone shows the state, and no rate."""
    view = view_of([sample(10.0, 100, 50)])
    assert view.events_per_s is None
    assert view.height == 9


def test_gateway_that_is_gone_keeps_its_name() -> None:
    """Without an answer the view says why, under the name that was known."""
    view = view_of([sample(1.0, 1, 1), Sample("http://a", 2.0, error="refused\x1b[2J")], "alpha")
    assert (view.name, view.state, view.is_well) == ("alpha", "gateway_down", False)
    assert "refused" in view.explanation
    assert "\x1b" not in view.explanation


@pytest.mark.parametrize(
    ("part", "expected"), [(0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 1.5), (1.0, 2.0)]
)
def test_quantiles_are_interpolated(part: float, expected: float) -> None:
    """As Prometheus does it, within the bucket in which the quantile lies."""
    found = quantile({1.0: 5, 2.0: 5}, {1.0: 15, 2.0: 25}, part)
    assert found == pytest.approx(expected)


def test_quantiles_beyond_the_last_bound() -> None:
    """What is above all bounds counts as the last of them; nothing observed has no quantile."""
    assert quantile({}, {1.0: 0, float("inf"): 5}, 0.5) == 1.0
    assert quantile({1.0: 5}, {1.0: 5}, 0.5) is None
    assert quantile({}, {}, 0.5) is None
    assert quantile({1.0: 5, 2.0: 5}, {1.0: 3, 2.0: 8}, 0.5) is None


def test_sparkline_is_scaled_to_its_highest_value() -> None:
    """Bars fill the height, and only the newest ones that fit are drawn."""
    assert sparkline([0, 5, 10], 10) == "▁▅█"
    assert sparkline([0, 5, 10], 2) == "▅█"
    assert sparkline([0, 0], 5) == "▁▁"
    assert sparkline([1], 0) == ""


@pytest.mark.parametrize("width", [80, 120])
def test_screen_fits_the_terminal(width: int) -> None:
    """With one member and with four nothing is wider than the terminal, or lower than 24 lines."""
    view = view_of([sample(10.0, 100, 50), sample(12.0, 140, 60)])
    down = view_of([Sample("http://127.0.0.1:1", 1.0, error="refused")])
    for views in ([view], [view, view, view, down]):
        lines = drawn(views, width).splitlines()
        assert max(map(len, lines)) <= width
        assert len(lines) <= 24
    text = drawn([view], width)
    for part in ("alpha", "net-1", "block 9", "led by beta", "○ delta", "quorum 3", "3.0 GiB"):
        assert part in text
    assert "delta not connected: one more away" in " ".join(text.split())


def test_line_says_why_when_it_is_not_well() -> None:
    """A line holds names with values; the explanation follows when there is something to say."""
    well = line(view_of([sample(1.0, 1, 1)]), "12:00:00Z")
    assert well.startswith("12:00:00Z alpha ok height=9 round=12 leader=beta")
    assert "As it says" not in well
    assert line(view_of([sample(1.0, 1, 1, "stalled")]), "x").endswith("| As it says.")


class Gateway(BaseHTTPRequestHandler):
    """A gateway that answers the same thing always, and a little more in its metrics."""

    state: ClassVar[str] = "ok"
    looks: ClassVar[int] = 0

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/v1/status":
            body = json.dumps(status_document(self.state)).encode()
        else:
            Gateway.looks += 1
            body = METRICS.format(log_size=10 * self.looks, requests=self.looks).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """Where the gateway answers."""
    Gateway.state = "ok"
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_pipe_gets_a_line_for_each_look(concordat: Callable[..., Result], url: str) -> None:
    """Without a terminal each look is a line, or with --json an object, and --count ends it."""
    watch = ("status", "--url", url, "--watch", "--interval", "0.2", "--count", 2)
    began = time.monotonic()
    lines = concordat(*watch).stdout.splitlines()
    assert time.monotonic() - began >= 0.2
    assert len(lines) == 2
    assert "events_per_s=-" in lines[0]
    assert "events_per_s=-" not in lines[1]
    objects = [json.loads(row) for row in concordat(*watch, "--json").stdout.splitlines()]
    assert [row["name"] for row in objects] == ["alpha", "alpha"]
    assert objects[1]["events_per_s"] > 0


def test_exit_code_is_that_of_the_last_look(concordat: Callable[..., Result], url: str) -> None:
    """A member without progress ends the watch with 3; another one's trouble does not."""
    one = ("status", "--watch", "--count", 1)
    down = concordat(*one, "--url", url, "--also", "http://127.0.0.1:9").stdout
    assert "gateway_down" in down
    Gateway.state = "stalled"
    concordat(*one, "--url", url, code=3)
    concordat(*one, "--url", "http://127.0.0.1:9", code=3)


def test_terminal_is_left_as_it_was(url: str) -> None:
    """On a terminal the screen is another one, and Ctrl-C ends it with 0 and no traceback."""
    ours, theirs = pty.openpty()
    # Tests in the background of a shell ignore SIGINT, and children would inherit that.
    python = ("env", "--default-signal=INT", sys.executable)
    process = subprocess.Popen(
        [*python, "-m", "concordat", "status", "--url", url, "--watch", "--interval", "0.2"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), "COLUMNS": "80"},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        deadline = time.monotonic() + 20
        while b"led by beta" not in shown and select.select([ours], [], [], 20)[0]:
            shown += os.read(ours, 65_536)
            assert time.monotonic() < deadline, shown
        process.send_signal(signal.SIGINT)
        while True:
            assert select.select([ours], [], [], 20)[0], "it goes on without a word"
            assert time.monotonic() < deadline + 20, "it goes on"
            try:
                shown += os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
        assert process.wait(10) == 0
    finally:
        process.kill()
        os.close(ours)
    text = shown.decode()
    assert text.index("\x1b[?1049h") < text.index("\x1b[?1049l")
    assert "led by beta" in text[text.index("\x1b[?1049l") :]
    assert "Traceback" not in text
