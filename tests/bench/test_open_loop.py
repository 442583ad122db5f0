"""The open-loop client: moments that nobody can shift, and a stall that shows in full."""

import itertools
import socket
import statistics
import threading
import time
from collections.abc import Iterator

import pytest

from bench.load.open_loop import Answered, OpenLoop
from bench.load.schedule import Arrivals, schedule
from bench.report.results import quantiles

_STALL_S = 0.4
_RATE = 200
_SECONDS = 1.0


class _StallingServer(threading.Thread):
    """Answers requests of one connection at once, but for one stall; or never."""

    def __init__(self, stall_at: int, *, is_mute: bool = False) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._listener.getsockname()
        self._stall_at = stall_at
        self._is_mute = is_mute
        self.service_ms: list[float] = []

    def run(self) -> None:
        connection, _ = self._listener.accept()
        with connection, self._listener, connection.makefile("rwb") as file:
            while line := file.readline():
                begin = time.perf_counter()
                while line.strip():
                    line = file.readline()
                file.read(1)
                if self._is_mute:
                    continue
                if len(self.service_ms) == self._stall_at:
                    time.sleep(_STALL_S)
                file.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                file.flush()
                self.service_ms.append((time.perf_counter() - begin) * 1000)


@pytest.fixture
def moments() -> list[float]:
    """A second of evenly spread requests."""
    return schedule(Arrivals.UNIFORM, _RATE, _SECONDS)


def _run(server: _StallingServer, moments: list[float], drain_s: float) -> list[Answered]:
    server.start()
    loop = OpenLoop([server.address], "/", connections_max=1)
    return loop.run(time.perf_counter(), moments, [b"x"] * len(moments), drain_s)


def test_a_stall_is_charged_for_every_request_that_it_kept(moments: list[float]) -> None:
    """One slow answer among 200 makes p99 the stall: 80 requests were due in it.

    Counted from when each request could leave, as a closed loop does, only one would be slow.
    """
    server = _StallingServer(stall_at=20)
    answered = _run(server, moments, 5.0)
    summary = quantiles([(row.answered_s - row.intended_s) * 1000 for row in answered])
    assert summary.count == len(moments)
    assert summary.p99_ms > _STALL_S * 900
    assert sum((row.answered_s - row.intended_s) > _STALL_S / 4 for row in answered) > 40
    assert quantiles(server.service_ms).p99_ms < _STALL_S * 900, "what a closed loop would report"


def test_requests_without_an_answer_count_with_the_time_they_waited(moments: list[float]) -> None:
    """A dead server gives no empty, flattering summary: every request is there, unanswered."""
    answered = _run(_StallingServer(0, is_mute=True), moments, 0.1)
    assert len(answered) == len(moments)
    assert all(row.answer is None for row in answered)
    waited = sorted(row.answered_s - row.intended_s for row in answered)
    assert waited[0] > 0.09
    assert waited[-1] > _SECONDS


@pytest.mark.parametrize("arrivals", list(Arrivals))
def test_a_schedule_has_its_rate(arrivals: Arrivals) -> None:
    """Ascending moments within the window, as many as the rate says, the same each time."""
    found = schedule(arrivals, 1_000, 20)
    assert found == sorted(found) == schedule(arrivals, 1_000, 20)
    assert 0 <= found[0] <= found[-1] < 20
    assert len(found) == pytest.approx(20_000, rel=0.03)


def test_poisson_gaps_are_exponential() -> None:
    """Independent clients: the gaps' deviation is their mean, where even ones have none."""

    def gaps(arrivals: Arrivals) -> Iterator[float]:
        found = schedule(arrivals, 1_000, 20)
        return (late - early for early, late in itertools.pairwise(found))

    assert statistics.pstdev(gaps(Arrivals.POISSON)) == pytest.approx(0.001, rel=0.05)
    assert statistics.pstdev(gaps(Arrivals.UNIFORM)) < 1e-6
