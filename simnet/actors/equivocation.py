"""Members that say one thing to some and another to others, or speak out of turn."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from consensus.core.effects import Broadcast, Effect
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import ProposalMessage, VoteMessage
from ledger.core.block import Block, Proposal, block_id
from ledger.core.certificate import Commit, Vote
from ledger.core.ids import BlockId, Height, Round
from simnet.actors.byzantine import Byzantine
from simnet.network import label_of

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["EquivocatingLeader", "EquivocatingVoter", "Usurper"]

_ROUNDS_REMEMBERED: Final = 8


class EquivocatingLeader(Byzantine):
    """Proposes two blocks in its rounds, each to a part of the peers, and votes for both."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self._second: OrderedDict[Round, Block] = OrderedDict()

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Double proposals, and the votes for them."""
        match effect:
            case Broadcast(ProposalMessage(proposal) as message):
                mask = self.pick(f"second {label_of(message)}", self.everybody)
                if mask:
                    second = self._vary(proposal, mask)
                    yield from self.show(mask, ProposalMessage(second), message)
                    return
            case Broadcast(VoteMessage(vote) as message) if vote.round in self._second:
                mask = self.pick(f"second {label_of(message)}", self.everybody)
                other_id = block_id(self._second[vote.round])
                other = Vote.make(
                    self.domain, vote.round, other_id, vote.commit, self.machine.signer
                )
                yield from self.show(mask, VoteMessage(other), message)
                return
            case _:
                pass
        yield effect

    def _vary(self, proposal: Proposal, mask: int) -> Proposal:
        """Give another valid block for the round: empty if the first is not, or a little later."""
        block = proposal.block
        if block.payload and mask & 1:
            proposal = msgspec.structs.replace(proposal, certificates=(), inline=())
            block = msgspec.structs.replace(block, payload=())
        else:
            block = msgspec.structs.replace(block, time_ms=block.time_ms + 1)
        self._second[block.round] = block
        while len(self._second) > _ROUNDS_REMEMBERED:
            self._second.popitem(last=False)
        return self.sign(block, proposal)


class EquivocatingVoter(Byzantine):
    """Votes for what it should not, too: another block, no block at all, or the wrong commit."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self._proposed: OrderedDict[tuple[Round, BlockId], Block] = OrderedDict()

    def incoming(self, input_: Input) -> Iterable[Input]:
        """Remember what was proposed."""
        match input_:
            case PeerMessage(_, ProposalMessage(proposal)):
                block = proposal.block
                self._proposed[block.round, block_id(block)] = block
                while len(self._proposed) > _ROUNDS_REMEMBERED:
                    self._proposed.popitem(last=False)
            case _:
                pass
        yield input_

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Send a second vote to some, before or instead of the first."""
        match effect:
            case Broadcast(VoteMessage(vote) as message):
                kind = self.pick(f"kind {label_of(message)}", 6)
                if kind:
                    mask = self.pick_mask(f"mask {label_of(message)}")
                    other = VoteMessage(self._vary(vote, kind))
                    yield from self.show(mask, other, message)
                    if kind % 2:
                        yield effect  # the same peers get both
                    return
            case _:
                pass
        yield effect

    def _vary(self, vote: Vote, kind: int) -> Vote:
        others = [id_ for (round_, id_) in self._proposed if round_ == vote.round]
        target = next((id_ for id_ in others if id_ != vote.block_id), bytes([kind]) * 32)
        id_, commit = vote.block_id, vote.commit
        match kind:
            case 1 | 2:
                id_ = BlockId(target)
            case 3:
                commit = None
            case 4 if commit is not None:
                commit = msgspec.structs.replace(commit, height=commit.height + 1)
            case 5:
                commit = Commit(id_, Height(commit.height + 1 if commit else 1), None)
            case _ if commit is not None:
                commit = msgspec.structs.replace(commit, block_id=target)
            case _:
                pass
        return Vote.make(self.domain, vote.round, id_, commit, self.machine.signer)


class Usurper(Byzantine):
    """Proposes in rounds of others, in the leader's place: its block, or one of its own."""

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Follow a vote by an own proposal for the same round."""
        yield effect
        core = self.machine.core
        match effect:
            case Broadcast(VoteMessage(vote) as message) if core is not None:
                held = core._parts.tree.get(vote.block_id)
                kind = self.pick(f"spoil {label_of(message)}", 2)
                if kind and held is not None and held.proposal is not None:
                    block = msgspec.structs.replace(held.block, author=self.machine.index)
                    proposal = held.proposal
                    if kind == 2:
                        proposal = msgspec.structs.replace(proposal, certificates=(), inline=())
                        block = msgspec.structs.replace(block, payload=())
                    yield from self.say_to_all(ProposalMessage(self.sign(block, proposal)))
            case _:
                pass
