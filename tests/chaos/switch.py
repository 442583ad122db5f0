"""A network in user space: carries IP packets between members, late, out of order or not at all.

Each member has one TUN device (see ``wire.py``); its address ends in its number plus one. `Links`
is the pure part: it decides from the packets' addresses and from seeded dice which packet arrives
where and when. As a program it moves packets between the devices whose descriptors it was given,
and takes a new matrix of links as one line of JSON on standard input; it ends with that input.
Only the standard library is imported, so that it starts at once.
"""

import heapq
import json
import os
import random
import select
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Link", "Links"]

_PACKET_BYTES_MAX = 65_536
_PACKETS_AT_ONCE = 64
_WAITING_MAX = 20_000  # packets on their way; more are lost, as in any full queue
_HEADER_BYTES = 20
_VERSION_4 = 4
_REORDER_FACTOR = 2.0  # an overtaken packet comes this many times its delay later


@dataclass(frozen=True, slots=True)
class Link:
    """How packets travel from one member to one other.

    Attributes:
        delay_s, jitter_s: each packet takes ``delay_s`` plus up to ``jitter_s``, never earlier
            than the one before unless it is reordered.
        loss, reorder: shares of packets, 0.0 to 1.0, that vanish or let others overtake them.
        is_cut: nothing arrives.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    reorder: float = 0.0
    is_cut: bool = False


class Links:
    """What is on its way between members.

    Attributes:
        lost_count: packets that were dropped on purpose.
    """

    def __init__(self, members_count: int, dice: random.Random) -> None:
        self._links = [[Link()] * members_count for _ in range(members_count)]
        self._free_s = [[0.0] * members_count for _ in range(members_count)]
        self._dice = dice
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = 0
        self.lost_count = 0

    def change(self, links: Sequence[Sequence[Link]]) -> None:
        """Let packets travel as ``links[from][to]`` says from now on."""
        self._links = [list(row) for row in links]

    def put(self, now_s: float, packet: bytes) -> None:
        """Take a packet that a member sent; what is for no member is dropped."""
        if len(packet) < _HEADER_BYTES or packet[0] >> 4 != _VERSION_4:
            return
        source, target = packet[15] - 1, packet[19] - 1
        if not (0 <= source < len(self._links) and 0 <= target < len(self._links)):
            return
        link, dice = self._links[source][target], self._dice
        if link.is_cut or dice.random() < link.loss or len(self._waiting) >= _WAITING_MAX:
            self.lost_count += 1
            return
        arrival_s = now_s + link.delay_s + link.jitter_s * dice.random()
        if dice.random() < link.reorder:
            arrival_s += _REORDER_FACTOR * (link.delay_s + link.jitter_s)
        else:
            arrival_s = max(arrival_s, self._free_s[source][target])
            self._free_s[source][target] = arrival_s
        self._count += 1
        heapq.heappush(self._waiting, (arrival_s, self._count, target, packet))

    def due(self, now_s: float) -> Iterator[tuple[int, bytes]]:
        """Give (member, packet) of all that arrive by now, in the order of their arrival."""
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, target, packet = heapq.heappop(self._waiting)
            yield target, packet

    def next_s(self) -> float | None:
        """Give the moment of the next arrival."""
        return self._waiting[0][0] if self._waiting else None


def main() -> None:
    """Carry packets until standard input ends."""
    seed, *descriptors = map(int, sys.argv[1:])
    devices = dict(enumerate(descriptors))
    links = Links(len(devices), random.Random(seed))
    poll = select.epoll()
    for device in (sys.stdin.fileno(), *devices.values()):
        os.set_blocking(device, False)
        poll.register(device, select.EPOLLIN)
    while True:
        now_s, next_s = time.monotonic(), links.next_s()
        for device, _ in poll.poll(-1 if next_s is None else max(0.0, next_s - now_s)):
            if device == sys.stdin.fileno():
                line = sys.stdin.readline()
                if not line:
                    return
                links.change([[Link(*link) for link in row] for row in json.loads(line)])
            else:
                _take_all(device, links)
        for member, packet in links.due(time.monotonic()):
            try:
                os.write(devices[member], packet)
            except OSError:
                links.lost_count += 1  # the device's queue is full


def _take_all(device: int, links: Links) -> None:
    now_s = time.monotonic()
    for _ in range(_PACKETS_AT_ONCE):
        try:
            links.put(now_s, os.read(device, _PACKET_BYTES_MAX))
        except BlockingIOError:
            return


if __name__ == "__main__":
    main()
