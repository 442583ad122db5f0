"""The simulated network: every message may be late, lost, doubled or held until a partition heals.

Delays have heavy tails: a message that is held back and released rounds later reaches states that
a lost one never does. Links keep no order. Each decision is keyed by link, label and occurrence.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from consensus.core.inputs import PeerMessage
from consensus.core.messages import (
    Lane,
    Message,
    ProposalMessage,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
    decode_message,
    encode_message,
)
from ledger.core.ids import NodeIndex
from ledger.core.limits import PEER_COOLDOWN_MS
from simnet.links import Link

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Network", "label_of"]

_DECODED_MAX: Final = 256
_Packed = tuple[bytes, str, Lane]


_LABELS: Final[dict[type[Message], Callable[[Any], str]]] = {
    VoteMessage: lambda message: f"vote {message.vote.round}",
    ProposalMessage: lambda message: f"proposal {message.proposal.block.round}",
    TimeoutMessage: lambda message: f"timeout {message.timeout.round}",
    TimeoutCertificateMessage: lambda message: f"tc {message.certificate.round}",
    SyncInfo: lambda message: f"sync {message.high_qc.round}",
}


def label_of(message: Message) -> str:
    """Name a message for keys and traces: its kind, and its round where it has one."""
    label = _LABELS.get(type(message))
    if label is None:
        return type(message).__name__.removesuffix("Message").lower()
    return label(message)


class Network:
    """Carries encoded messages between machines.

    Attributes:
        bytes_sent: since the start, for the checker of limits.
        links: (sender's name, receiver's name) -> connection.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._occurrences: dict[str, int] = {}
        weather = self._weather = world.scenario.weather
        self._is_replay = world.choices.is_replay
        self._may_drop = self._is_replay or weather.drop > 0
        self._may_hold = self._is_replay or weather.hold > 0
        self._may_copy = self._is_replay or weather.copy > 0
        self._closed: dict[int, tuple[int, int, int, bool]] = {}
        self._decoded: dict[bytes, Message] = {}
        self._outgoing: dict[str, dict[int, list[Link]]] = {}
        self.bytes_sent = 0
        self.links: dict[tuple[str, str], Link] = {}

    def join(self, machines: list["Machine"]) -> None:
        """Lay a link from every machine to every other member's."""
        for sender in machines:
            by_index = self._outgoing.setdefault(sender.name, {})
            for receiver in machines:
                if receiver.index != sender.index:
                    link = Link(self._world, sender, receiver, self._arrive)
                    self.links[sender.name, receiver.name] = link
                    by_index.setdefault(receiver.index, []).append(link)

    def between(self, sender: int, receiver: int) -> list[Link]:
        """Give the links from the machines of one member to those of another."""
        return [
            link
            for link in self.links.values()
            if link.sender.index == sender and link.receiver.index == receiver
        ]

    def on_start(self, machine: "Machine") -> None:
        """A machine runs: everybody who runs dials it, and it dials them."""
        for link in self.links.values():
            if link.receiver is machine:
                link.lose()  # whoever had not noticed that it was gone does now
        for other in self._world.machines:
            if other.index != machine.index:
                self.links[machine.name, other.name].connect()
                self.links[other.name, machine.name].connect()

    def on_stop(self, machine: "Machine", *, is_noticed: bool) -> None:
        """A machine is gone; ``is_noticed`` unless it vanished without a last word."""
        for link in self.links.values():
            if link.sender is machine:
                link.forget()
            elif link.receiver is machine and is_noticed:
                link.lose()
            elif link.receiver is machine:
                link.cut()

    def silence(self, machine: "Machine", offender: NodeIndex) -> None:
        """Do not hear a peer for as long as the shell does not."""
        for other in self._world.machines_of(NodeIndex(machine.roster.member_at(offender))):
            self.links[other.name, machine.name].reset(PEER_COOLDOWN_MS * 1_000)

    def heal(self) -> None:
        """Open every cut, and let everything go that waits."""
        self._closed.clear()
        for link in self.links.values():
            link.down_until_us = 0
            link.connect()
            link.unclog()

    # --- partitions -------------------------------------------------------------------------

    def close(
        self, number: int, senders: int, receivers: int, until_us: int, *, hold: bool
    ) -> None:
        """Cut the links from the members of one bit mask to those of another until a time."""
        self._closed[number] = (senders, receivers, until_us, hold)

    def open(self, number: int) -> None:
        """Heal a cut."""
        self._closed.pop(number, None)

    def _cut_us(self, sender: int, receiver: int) -> int:
        """Give how long a cut holds back what is sent on a link, -1 when it is lost."""
        for senders, receivers, until_us, hold in self._closed.values():
            if senders >> sender & 1 and receivers >> receiver & 1:
                return max(0, until_us - self._world.now_us) if hold else -1
        return 0

    # --- messages ---------------------------------------------------------------------------

    def broadcast(self, sender: "Machine", message: Message) -> None:
        """Send a message to every other member; it is encoded once."""
        packed = encode_message(message), label_of(message), message.lane
        for receiver in sender.roster.others:
            self._send(sender, receiver, message, packed)

    def send(self, sender: "Machine", receiver: NodeIndex, message: Message) -> None:
        """Send a message to one member."""
        packed = encode_message(message), label_of(message), message.lane
        member = sender.roster.member_at(receiver)
        if member in self._outgoing[sender.name]:
            self._send(sender, NodeIndex(member), message, packed)

    def _send(
        self, sender: "Machine", receiver: NodeIndex, message: Message, packed: _Packed
    ) -> None:
        """Decide what becomes of a message, and let it arrive."""
        world = self._world
        for look in world.on_sent:
            look(sender, receiver, message)
        frame, label, lane = packed
        self.bytes_sent += len(frame)
        key = f"{sender.name}>{receiver} {label}"
        occurrence = self._occurrences.get(key, 0)
        self._occurrences[key] = occurrence + 1
        if occurrence:
            key = f"{key} #{occurrence}"
        delay_us, copied_us = self._fate(key)
        if delay_us < 0:
            return
        if self._closed:
            cut_us = self._cut_us(sender.index, receiver)
            if cut_us < 0:
                return
            delay_us += cut_us
        for link in self._outgoing[sender.name][receiver]:
            link.send(lane, frame, delay_us)
            if copied_us:
                link.send(lane, frame, delay_us + copied_us)

    def _fate(self, key: str) -> tuple[int, int]:
        """Give how long a message takes, and how much later its copy comes; (-1, 0) when lost."""
        weather, choices = self._weather, self._world.choices
        draw = choices.draw(key)
        delay_us, copied_us = weather.latency_us, 0
        if weather.jitter_us:
            delay_us += draw.below(weather.jitter_us + 1)
        if not choices.is_over:
            if self._may_drop and self._settle("drop", key, int(draw.hits(weather.drop))):
                return -1, 0
            if self._may_hold:
                held_us = draw.heavy(weather.hold_us) if draw.hits(weather.hold) else 0
                delay_us += self._settle("hold", key, held_us)
            if self._may_copy:
                copied_us = draw.heavy(weather.hold_us) if draw.hits(weather.copy) else 0
                copied_us = self._settle("copy", key, copied_us)
        return delay_us, copied_us

    def _settle(self, what: str, key: str, drawn: int) -> int:
        """Settle whether a message is lost, or how long it is held back or its copy is late."""
        if not (drawn or self._is_replay):
            return 0
        key, world = f"{what} {key}", self._world
        value = world.choices.settle(key, drawn)
        if value:
            world.tell_fault(key, value)
        return value

    def _arrive(self, link: Link, frame: bytes, delay_us: int) -> None:
        self._world.at(delay_us, partial(self._give, link, link.epoch, frame))

    def _give(self, link: Link, epoch: int, frame: bytes) -> None:
        if link.epoch == epoch:
            receiver = link.receiver
            seat = receiver.roster.seat_of(link.sender.index)
            receiver.step(PeerMessage(seat, self._decode(frame)))

    def _decode(self, frame: bytes) -> Message:
        """Decode a frame once for all its receivers: messages never change."""
        message = self._decoded.get(frame)
        if message is None:
            if len(self._decoded) >= _DECODED_MAX:
                self._decoded.clear()
            message = self._decoded[frame] = decode_message(frame)
        return message
