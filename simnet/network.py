"""The simulated network: every message may be late, lost, doubled or held until a partition heals.

Delays have heavy tails: a message that is held back and released rounds later reaches states that
a lost one never does. Links keep no order. Each decision is keyed by link, label and occurrence.
"""

from collections import Counter
from typing import TYPE_CHECKING

from consensus.core.inputs import PeerMessage
from consensus.core.messages import (
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

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Network", "label_of"]


def label_of(message: Message) -> str:
    """Name a message for keys and traces: its kind, and its round where it has one."""
    match message:
        case ProposalMessage(proposal):
            return f"proposal {proposal.block.round}"
        case VoteMessage(vote):
            return f"vote {vote.round}"
        case TimeoutMessage(timeout):
            return f"timeout {timeout.round}"
        case TimeoutCertificateMessage(certificate):
            return f"tc {certificate.round}"
        case SyncInfo(high_qc):
            return f"sync {high_qc.round}"
        case _:
            return type(message).__name__.removesuffix("Message").lower()


class Network:
    """Carries encoded messages between machines.

    Attributes:
        bytes_sent: since the start, for the checker of limits.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._occurrences: Counter[str] = Counter()
        self._closed: dict[int, tuple[int, int, int, bool]] = {}
        self.bytes_sent = 0

    # --- partitions -------------------------------------------------------------------------

    def close(
        self, number: int, senders: int, receivers: int, until_us: int, *, hold: bool
    ) -> None:
        """Cut the links from the members of one bit mask to those of another until a time."""
        self._closed[number] = (senders, receivers, until_us, hold)

    def open(self, number: int) -> None:
        """Heal a cut."""
        self._closed.pop(number, None)

    def _cut(self, sender: int, receiver: int) -> tuple[int, bool] | None:
        """Give until when a link is cut and whether it holds what is sent, or None."""
        for senders, receivers, until_us, hold in self._closed.values():
            if senders >> sender & 1 and receivers >> receiver & 1:
                return until_us, hold
        return None

    # --- messages ---------------------------------------------------------------------------

    def send(self, sender: "Machine", receiver: NodeIndex, message: Message) -> None:
        """Decide what becomes of a message, and let it arrive."""
        world = self._world
        for observer in world.observers:
            observer.on_sent(sender, receiver, message)
        data = encode_message(message)
        self.bytes_sent += len(data)
        key = f"{sender.name}>{receiver} {label_of(message)}"
        occurrence = self._occurrences[key]
        self._occurrences[key] = occurrence + 1
        if occurrence:
            key = f"{key} #{occurrence}"
        weather, choices = world.scenario.weather, world.choices
        draw = choices.draw(key)
        delay_us = weather.latency_us + draw.below(weather.jitter_us + 1)
        if choices.settle(f"drop {key}", int(draw.hits(weather.drop))):
            world.tell_fault(f"drop {key}", 1)
            return
        held_us = draw.heavy(weather.hold_us) if draw.hits(weather.hold) else 0
        held_us = choices.settle(f"hold {key}", held_us)
        if held_us:
            world.tell_fault(f"hold {key}", held_us)
        delay_us += held_us
        cut = self._cut(sender.index, receiver)
        if cut is not None:
            until_us, hold = cut
            if not hold:
                return
            delay_us += max(0, until_us - world.now_us)
        self._arrive(sender.index, receiver, data, delay_us)
        copied_us = draw.heavy(weather.hold_us) if draw.hits(weather.copy) else 0
        copied_us = choices.settle(f"copy {key}", copied_us)
        if copied_us:
            world.tell_fault(f"copy {key}", copied_us)
            self._arrive(sender.index, receiver, data, delay_us + copied_us)

    def _arrive(self, sender: NodeIndex, receiver: NodeIndex, data: bytes, delay_us: int) -> None:
        for machine in self._world.machines_of(receiver):
            machine.later(delay_us, lambda: PeerMessage(sender, decode_message(data)))
