"""Connections between machines: up or down in each direction, with bounded lanes.

As in the shell, each end dials for itself: a machine holds a peer for up while its own connection
to it stands. What waits is bounded by the shell's own queue.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from consensus.core.inputs import PeerDown, PeerUp
from consensus.core.lane_queue import LaneQueue
from consensus.core.messages import Lane

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Link"]

_DIAL_US = 50_000  # a lost connection is dialled again after about this
_LANES: Final = tuple(Lane)


class Link:
    """What one machine sends to another.

    Attributes:
        is_up: whether the sender holds the receiver for connected.
        epoch: number of times that what was on the way was lost.
        down_until_us: it is not dialled before.
    """

    __slots__ = (
        "_arrive",
        "_clogged_until_us",
        "_is_narrow",
        "_is_sending",
        "_queues",
        "_world",
        "down_until_us",
        "epoch",
        "is_up",
        "receiver",
        "sender",
    )

    def __init__(
        self,
        world: "World",
        sender: "Machine",
        receiver: "Machine",
        arrive: Callable[["Link", bytes, int], None],
    ) -> None:
        """Let frames arrive by ``arrive(link, frame, delay in us)``."""
        self._world = world
        self._arrive = arrive
        self._queues = tuple(LaneQueue(lane) for lane in _LANES)
        self._is_sending = [False for _ in _LANES]
        self._clogged_until_us = 0
        self._is_narrow = world.scenario.weather.bytes_per_ms > 0
        self.sender = sender
        self.receiver = receiver
        self.is_up = False
        self.epoch = 0
        self.down_until_us = 0

    # --- frames -----------------------------------------------------------------------------

    def send(self, lane: Lane, frame: bytes, delay_us: int) -> None:
        """Let a frame arrive after a while, or wait its turn."""
        if self.is_up and not self._is_narrow and self._world.now_us >= self._clogged_until_us:
            self._arrive(self, frame, delay_us)
            return
        weather = self._world.scenario.weather
        held_us = delay_us - weather.latency_us - weather.jitter_us
        if held_us > 0:
            self._world.at(held_us, lambda: self._put(lane, frame))
        else:
            self._put(lane, frame)

    def _put(self, lane: Lane, frame: bytes) -> None:
        if self.sender.is_up:
            self._queues[lane].put(frame)
            self._pump(lane)

    @property
    def _is_clogged(self) -> bool:
        return self._world.now_us < self._clogged_until_us

    def _pump(self, lane: Lane) -> None:
        """Send what waits, one frame after the other."""
        queue, weather = self._queues[lane], self._world.scenario.weather
        while len(queue) and self.is_up and not self._is_clogged and not self._is_sending[lane]:
            frame = queue.pop()
            if not weather.bytes_per_ms:
                self._arrive(self, frame, weather.latency_us)
                continue
            self._is_sending[lane] = True
            epoch, took_us = self.epoch, 1 + len(frame) * 1_000 // weather.bytes_per_ms
            self._world.at(took_us, partial(self._sent, lane, epoch, frame))
            return

    def _sent(self, lane: Lane, epoch: int, frame: bytes) -> None:
        if epoch == self.epoch:
            self._is_sending[lane] = False
            self._arrive(self, frame, self._world.scenario.weather.latency_us)
            self._pump(lane)

    def clog(self, duration_us: int) -> None:
        """Let nothing leave for a while."""
        self._clogged_until_us = self._world.now_us + duration_us
        self._world.at(duration_us, self.pump)

    def unclog(self) -> None:
        """Let go what was held back."""
        self._clogged_until_us = 0
        self.pump()

    def pump(self) -> None:
        """Send what waits on all lanes."""
        for lane in _LANES:
            if len(self._queues[lane]):
                self._pump(lane)

    # --- the connection ---------------------------------------------------------------------

    def connect(self) -> None:
        """Connect, if both ends run and nothing forbids it; what waited leaves."""
        if self.is_up or not self.sender.is_up or not self.receiver.is_up:
            return
        if self._world.now_us < self.down_until_us:
            return
        self.is_up = True
        for queue in self._queues:
            queue.set_open(is_open=True)
        self.sender.step(PeerUp(self.sender.roster.seat_of(self.receiver.index)))
        self.pump()

    def lose(self) -> None:
        """Lose what is on the way, and let the sender notice."""
        self.cut()
        if self.is_up:
            self.is_up = False
            for queue in self._queues:
                queue.set_open(is_open=False)
            self.sender.step(PeerDown(self.sender.roster.seat_of(self.receiver.index)))

    def cut(self) -> None:
        """Lose what is on the way, without anybody noticing."""
        self.epoch += 1
        self._is_sending = [False for _ in _LANES]

    def forget(self) -> None:
        """The sender's memory is gone."""
        self.cut()
        self.is_up = False
        self._queues = tuple(LaneQueue(lane) for lane in _LANES)

    def reset(self, down_us: int) -> None:
        """Break the connection, and dial again after a while."""
        self.down_until_us = max(self.down_until_us, self._world.now_us + down_us + _DIAL_US)
        self.lose()
        self._world.at(self.down_until_us - self._world.now_us, self.connect)
