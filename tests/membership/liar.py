"""``concordat`` with a node that says two things whenever it leads: for tests of real networks.

As leader it signs two blocks for each of its rounds and shows one to half of its peers and the
other to the rest; it votes for both, and everybody hears both votes. All else is the real node.
"""

import msgspec

from concordat.cli.main import main
from consensus.core.effects import Broadcast
from consensus.core.messages import ProposalMessage, VoteMessage
from consensus.io.node import _Node
from ledger.core.block import Block, block_id, block_message
from ledger.core.certificate import Domain, Vote

_honest = _Node._broadcast
_second: dict[int, Block] = {}


def _domain(node: _Node) -> Domain:
    return node._core._parts.context.domain


def _lie(node: _Node, effect: Broadcast) -> None:
    message = effect.message
    signer = node._settings.signer
    match message:
        case ProposalMessage(proposal):
            block = msgspec.structs.replace(proposal.block, time_ms=proposal.block.time_ms + 1)
            signature = signer.sign(block_message(block_id(block)))
            proposal = msgspec.structs.replace(proposal, block=block, signature=signature)
            other = ProposalMessage(proposal)
            _second.clear()
            _second[block.round] = block
        case VoteMessage(vote) if vote.round in _second:
            id_ = block_id(_second[vote.round])
            second = Vote.make(_domain(node), vote.round, id_, vote.commit, signer)
            node._transport.broadcast(VoteMessage(second))
            _honest(node, effect)
            return
        case _:
            _honest(node, effect)
            return
    for peer in list(node._transport._up):
        node._transport.send(peer, other if peer % 2 else message)


_Node._broadcast = _lie  # type: ignore[assignment,method-assign] # it lies

if __name__ == "__main__":
    main()
