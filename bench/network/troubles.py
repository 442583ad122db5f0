"""What is wrong with one or more members while the others are measured.

Owns how a network is troubled and that it is whole again afterwards, but for members that are dead.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum

from bench.load.flooder import start_flooder
from tests.support.processes import Part, RealNetwork

__all__ = ["Trouble", "troubled"]

_STOPPED_S = 0.3
_GOING_S = 0.7


class Trouble(StrEnum):
    """Of the last member, or the last f members."""

    NONE = "none"
    ONE_SLOW = "one slow"
    """Its node is stopped for 0.3 s of every second."""
    ONE_FLOODED = "one flooded"
    """A client posts valid, repeated, forged and noisy requests at its gateway without a pause."""
    ONE_DEAD = "one dead"
    F_DEAD = "f dead"


@contextmanager
def troubled(network: RealNetwork, trouble: Trouble) -> Iterator[Sequence[int]]:
    """Trouble a running network for the block; give the members that are to be measured."""
    everybody, last = range(network.size), network.size - 1
    if trouble is Trouble.ONE_SLOW:
        pulses = _Pulses(network.pids()[last, Part.NODE])
        pulses.start()
        try:
            yield everybody[:-1]
        finally:
            pulses.finish()
    elif trouble is Trouble.ONE_FLOODED:
        key = network.testnet.publisher_keys["publisher1"]
        flooder = start_flooder(network.address(last), key, network.testnet.genesis.chain_id)
        try:
            yield everybody[:-1]
            flooder.stop()
        finally:
            flooder.kill()
    else:
        dead = {Trouble.ONE_DEAD: 1, Trouble.F_DEAD: last // 3}.get(trouble, 0)
        alive = everybody[: network.size - dead]
        victims = [(member, part) for member in everybody[len(alive) :] for part in Part]
        network.kill(*(victim for victim in victims if network.is_running(*victim)))
        yield alive


class _Pulses(threading.Thread):
    """Stops and continues one process again and again."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._ending = threading.Event()

    def run(self) -> None:
        while not self._ending.is_set():
            os.kill(self._pid, signal.SIGSTOP)
            self._ending.wait(_STOPPED_S)
            os.kill(self._pid, signal.SIGCONT)
            self._ending.wait(_GOING_S)

    def finish(self) -> None:
        """Let the process go on for good."""
        self._ending.set()
        self.join()
