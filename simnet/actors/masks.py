"""Members that show what they say to some peers only: twins, withholders, the silent and the late.

The mask of recipients is drawn anew for each message, by its kind and round.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from consensus.core.effects import Broadcast, Effect
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import (
    AckMessage,
    BatchMessage,
    CertificateMessage,
    Message,
    ProposalMessage,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from simnet.actors.byzantine import Byzantine
from simnet.network import label_of

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["LateVoter", "Miser", "SilentLeader", "Twin", "VoteWithholder", "Withholder"]

_TWIN_CLOCK_US: Final = 40_000
_LATE_US: Final = 800_000


class _Masker(Byzantine):
    """Gives messages of some kinds to a part of the peers."""

    kinds: tuple[type[Message], ...] = ()

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Leave recipients out."""
        if isinstance(effect, Broadcast) and isinstance(effect.message, self.kinds):
            mask = self.pick_mask(f"mask {label_of(effect.message)}")
            if mask != self.everybody:
                yield from self.show(mask, effect.message)
                return
        yield effect


class Withholder(_Masker):
    """Shows proposals, certificates and batches to some peers only."""

    kinds = (
        ProposalMessage,
        TimeoutCertificateMessage,
        CertificateMessage,
        BatchMessage,
        SyncInfo,
    )


class VoteWithholder(_Masker):
    """Shows votes and timeouts to some peers only."""

    kinds = (VoteMessage, TimeoutMessage)


class Twin(_Masker):
    """One of two machines with one key: each speaks to some, hears some, and has its own clock.

    Both are honest for themselves; together they contradict each other.
    """

    kinds = (ProposalMessage, VoteMessage, TimeoutMessage, TimeoutCertificateMessage)

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        machine.clock_us += self.pick("clock", _TWIN_CLOCK_US)

    def incoming(self, input_: Input) -> Iterable[Input]:
        """Leave out what this one does not hear."""
        if isinstance(input_, PeerMessage) and isinstance(input_.message, self.kinds):
            heard = self.pick_mask(f"hear {label_of(input_.message)}")
            if not heard >> input_.peer & 1:
                return
        yield input_


class _Mute(Byzantine):
    """Does not send messages of some kinds at all."""

    kinds: tuple[type[Message], ...] = ()

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Swallow them."""
        match effect:
            case Broadcast(message) if isinstance(message, self.kinds):
                if not self.pick(f"mute {label_of(message)}", 1):
                    yield effect
            case _:
                yield effect


class SilentLeader(_Mute):
    """Never proposes, and goes on voting."""

    kinds = (ProposalMessage,)


class Miser(_Mute):
    """Votes and times out like everybody, but gives nobody a batch of its own."""

    kinds = (BatchMessage, AckMessage)


class LateVoter(Byzantine):
    """Sends votes and timeouts long after they were due, often for rounds that are over."""

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Hold votes back."""
        match effect:
            case Broadcast(VoteMessage() | TimeoutMessage() as message):
                what = f"late {label_of(message)}"
                late_us = self.choose(what, lambda draw: draw.heavy(_LATE_US))
                if late_us:
                    self.machine.world.at(late_us, lambda: self._send(message))
                    return
            case _:
                pass
        yield effect

    def _send(self, message: Message) -> None:
        for peer in self.peers:
            self.machine.world.network.send(self.machine, peer, message)
