"""What Byzantine members share: recorded decisions, their own signatures, a way to say things."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from consensus.core.effects import Effect, Send
from consensus.core.inputs import PeerMisbehaved
from consensus.core.messages import Message, decode_message, encode_message
from ledger.core.block import Block, Proposal, block_id, block_message
from ledger.core.certificate import Domain
from ledger.core.errors import DecodeError, Offence
from ledger.core.ids import Epoch, NodeIndex
from simnet.actor import Actor
from simnet.choices import Draw

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["Byzantine"]

_APPETITES = (1_000_000, 1_000_000, 300_000, 50_000)


class Byzantine(Actor):
    """Base: decides by keys that name the member, what it is about, and the occurrence.

    Attributes:
        domain: what its signatures are bound to.
        peers: everybody else.
        everybody: bit mask of all members.
        appetite: how often it misbehaves, per million occasions; drawn once for a run.
    """

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        world = machine.world
        validators = world.genesis.validator_set()
        self.domain = Domain(world.genesis.hash, Epoch(0), validators)
        self.peers = tuple(NodeIndex(i) for i in range(len(validators)) if i != machine.index)
        self.everybody = (1 << len(validators)) - 1
        self._choices = world.choices
        self._occasions: Counter[str] = Counter()
        draw = self._choices.draw(f"appetite {machine.name}")
        self.appetite = _APPETITES[draw.below(len(_APPETITES))]

    # --- decisions --------------------------------------------------------------------------

    def pick(self, what: str, bound: int) -> int:
        """Decide on an occasion: 0 to behave, or one of 1 to ``bound``, which say how not to."""
        return self.choose(what, lambda draw: 1 + draw.below(bound))

    def choose(self, what: str, how: Callable[[Draw], int]) -> int:
        """Decide on an occasion: 0 to behave, or the number that ``how`` draws."""
        occasion = f"{what} {self.machine.name}"
        number = self._occasions[occasion]
        self._occasions[occasion] = number + 1
        key = f"{occasion} #{number}" if number else occasion
        draw = self._choices.draw(key)
        drawn = how(draw) if draw.hits(self.appetite) else 0
        return self._choices.settle_for_ever(key, drawn)

    def pick_mask(self, what: str) -> int:
        """Decide who gets something: bit mask of members, everybody when behaving."""
        return self.pick(what, self.everybody) - 1 & self.everybody

    # --- speaking ---------------------------------------------------------------------------

    def say(self, peer: NodeIndex, message: Message) -> Iterable[Effect]:
        """Send a message that may be one that no decoder takes; its receiver then notes that."""
        try:
            yield Send(peer, decode_message(encode_message(message)))
        except DecodeError:
            # The shell disconnects, and tells the core who it was.
            me, member = self.machine, self.machine.roster.member_at(peer)
            for machine in [m for m in me.world.machines if m.index == member]:
                fault = PeerMisbehaved(machine.roster.seat_of(me.index), Offence.MALFORMED)
                machine.later(1_000, partial(msgspec.structs.replace, fault))

    def say_to_all(self, message: Message) -> Iterable[Effect]:
        """Send a message to everybody, as :meth:`say`."""
        for peer in self.peers:
            yield from self.say(peer, message)

    def show(self, mask: int, message: Message, other: Message | None = None) -> Iterable[Effect]:
        """Send one message to the peers in a mask and perhaps another to the others."""
        for peer in self.peers:
            if mask >> peer & 1:
                yield from self.say(peer, message)
            elif other is not None:
                yield from self.say(peer, other)

    def sign(self, block: Block, like: Proposal) -> Proposal:
        """Sign a block as its author, with the batches that another proposal carries."""
        signature = self.machine.signer.sign(block_message(block_id(block)))
        return msgspec.structs.replace(like, block=block, signature=signature)
