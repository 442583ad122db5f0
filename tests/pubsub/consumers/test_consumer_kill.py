"""A real gateway is killed again and again while subscribers pull and the log grows."""

import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from concordat.free_ports import free_ports
from tests.pubsub.consumers.kill_gateway import start
from tests.pubsub.gateway_world import Chain, sample

Process: TypeAlias = "subprocess.Popen[bytes]"

EVENTS = 1_500
KILLS = 4
DEADLINE_S = 50


class Puller(threading.Thread):
    """Fetches and acknowledges, whatever happens to the gateway.

    Attributes:
        log: (sequence, deliveries) of each event that it was given, in order.
        confirmed: events whose acknowledgement was answered.
    """

    def __init__(self, url: str, name: str, shared: "Shared") -> None:
        super().__init__(daemon=True)
        self._url = f"{url}/v1/consumers/{name}"
        self._shared = shared
        self._http = httpx.Client(timeout=10)

    def run(self) -> None:
        with self._http:
            while not self._shared.stopping.is_set():
                try:
                    self._round()
                except httpx.HTTPError:
                    time.sleep(0.02)

    def _round(self) -> None:
        settled = self._shared.confirmed_now()
        found = self._ask("fetch", {"max_events": 7, "wait_ms": 200})["deliveries"]
        if not found:
            return
        sequences = [row["sequence"] for row in found]
        self._shared.note([(row["sequence"], row["deliveries"]) for row in found], settled)
        if self._shared.is_cumulative:
            # Not through what a killed gateway's lost answer had: this would confirm it unseen.
            sequences = [each for each in sequences if each <= self._shared.whole_through()]
            if sequences:
                self._ask("settle", {"ack_through": sequences[-1]})
        else:
            self._ask("settle", {"ack": sequences})
        self._shared.confirm(sequences)

    def _ask(self, action: str, body: object) -> Any:  # noqa: ANN401 - JSON
        answer = self._http.post(f"{self._url}/{action}", json=body)
        answer.raise_for_status()
        return answer.json()


class Shared:
    """What all pullers of one consumer have seen."""

    def __init__(self, *, is_cumulative: bool = False) -> None:
        self.is_cumulative = is_cumulative
        self.stopping = threading.Event()
        self.seen: Counter[int] = Counter()
        self.counted: Counter[int] = Counter()
        self.order: list[int] = []
        self.confirmed: set[int] = set()
        self.faults: list[str] = []
        self._lock = threading.Lock()

    def confirmed_now(self) -> set[int]:
        """Give the events that are acknowledged now, so that no later fetch may give them."""
        with self._lock:
            return set(self.confirmed)

    def whole_through(self) -> int:
        """Give the last event before the first one that was not seen."""
        with self._lock:
            return next(each for each in count(-1) if each + 1 not in self.seen)

    def note(self, rows: list[tuple[int, int]], settled: set[int]) -> None:
        """Note events that were given out to a fetch that began when ``settled`` were done."""
        with self._lock:
            for sequence, deliveries in rows:
                self.seen[sequence] += 1
                self.order.append(sequence)
                if sequence in settled:
                    self.faults.append(f"{sequence} came after its acknowledgement")
                self.counted[sequence] = max(self.counted[sequence], deliveries)

    def confirm(self, sequences: list[int]) -> None:
        """Note events whose acknowledgement was answered."""
        with self._lock:
            self.confirmed |= set(sequences)


def make(url: str, name: str, **config: object) -> None:
    """Make a consumer whose failures are short."""
    body = {"name": name, "start": {"policy": "first"}, "ack_wait_ms": 400, "backoff_ms": [100]}
    httpx.post(f"{url}/v1/consumers", json={**body, **config}).raise_for_status()


def load(chain: Chain, running: list[Process], again: Callable[[], Process]) -> None:
    """Publish all events, and kill the gateway that is running now and then."""
    blocks = [range(first, first + 25) for first in range(0, EVENTS, 25)]
    kill_at = set(random.Random(7).sample(range(len(blocks)), KILLS))
    for number, block in enumerate(blocks):
        chain.extend([sample(nonce).entry for nonce in block])
        time.sleep(0.02)
        if number in kill_at:
            running[-1].kill()
            running[-1].wait()
            running.append(again())


def settled(url: str, seen: dict[str, Shared]) -> dict[str, dict[str, int]]:
    """Wait until everything was given out and nothing is open; give the consumers' documents.

    An acknowledgement whose answer was lost with the gateway counts, though nobody was told.
    """
    deadline = time.monotonic() + DEADLINE_S
    while True:
        documents = {name: httpx.get(f"{url}/v1/consumers/{name}").json() for name in seen}
        rows = documents.values()
        is_open = any(row["in_flight"] + row["waiting"] for row in rows)
        is_done = all(len(shared.seen) == EVENTS for shared in seen.values()) and not is_open
        if is_done or time.monotonic() > deadline:
            return documents
        time.sleep(0.1)


@pytest.mark.process
def test_kill(tmp_path: Path) -> None:
    """Every event arrives, no confirmed one comes again, order holds where it was asked for."""
    chain, (port,) = Chain(tmp_path / "chain"), free_ports(1)
    url = f"http://127.0.0.1:{port}"
    running = [start(tmp_path, port)]
    make(url, "shared")
    make(url, "ordered", is_ordered=True)
    make(url, "cumulative", ack_policy="cumulative")
    seen = {"shared": Shared(), "ordered": Shared(), "cumulative": Shared(is_cumulative=True)}
    names = ["shared"] * 3 + ["ordered", "cumulative"]
    pullers = [Puller(url, name, seen[name]) for name in names]
    for puller in pullers:
        puller.start()
    try:
        load(chain, running, lambda: start(tmp_path, port))
        documents = settled(url, seen)
    finally:
        for shared in seen.values():
            shared.stopping.set()
        running[-1].kill()
        running[-1].wait()
        for puller in pullers:
            puller.join()
        chain.store.close()
    for name, shared in seen.items():
        assert shared.faults == [], name
        # One answer may overtake another, so counts are compared when all have come.
        assert all(shared.counted[each] >= times for each, times in shared.seen.items()), name
        assert set(shared.seen) == set(range(EVENTS)), name
        assert documents[name]["in_flight"] + documents[name]["waiting"] == 0, documents[name]
    order, highest = seen["ordered"].order, -1
    for sequence in order:
        assert sequence <= highest + 1, "an event came before one that it follows"
        highest = max(highest, sequence)
