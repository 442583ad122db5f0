"""Faulty validators for a federation: each turns what a real core wants into something worse.

An actor is installed as ``Node.tamper`` of one node. It signs only with that node's key.
"""

from collections.abc import Iterable

import msgspec

from consensus.core.effects import Broadcast, Effect, Send
from consensus.core.messages import (
    AckMessage,
    BatchMessage,
    BlocksResponse,
    ProposalMessage,
    VoteMessage,
)
from ledger.core.block import Block, Proposal, block_id, block_message
from ledger.core.certificate import Domain, QuorumCertificate, Vote
from ledger.core.ids import Epoch, NodeIndex, Round
from tests.support.federation import Federation, Tamper


def _peers(world: Federation, index: int) -> list[NodeIndex]:
    return [node.index for node in world.nodes if node.index != index]


def _domain(world: Federation) -> Domain:
    return Domain(world.genesis.hash, Epoch(0), world.genesis.validator_set())


def equivocator(world: Federation, index: int) -> Tamper:
    """Propose two blocks in each of its rounds, one to each half, and vote for both."""
    signer, domain = world.signers[index], _domain(world)
    halves = _peers(world, index)[::2], _peers(world, index)[1::2]
    others: dict[Round, Block] = {}

    def second(proposal: Proposal) -> Proposal:
        block = msgspec.structs.replace(proposal.block, time_ms=proposal.block.time_ms + 1)
        others[block.round] = block
        signature = signer.sign(block_message(block_id(block)))
        return msgspec.structs.replace(proposal, block=block, signature=signature)

    def tamper(effect: Effect) -> Iterable[Effect]:
        match effect:
            case Broadcast(ProposalMessage(proposal)):
                other = second(proposal)
                for half, shown in zip(halves, (proposal, other), strict=True):
                    yield from (Send(peer, ProposalMessage(shown)) for peer in half)
            case Broadcast(VoteMessage(vote)) if vote.round in others:
                other_id = block_id(others[vote.round])
                double = Vote.make(domain, vote.round, other_id, vote.commit, signer)
                for half, shown_vote in zip(halves, (vote, double), strict=True):
                    yield from (Send(peer, VoteMessage(shown_vote)) for peer in half)
            case _:
                yield effect

    return tamper


def withholder(world: Federation, index: int) -> Tamper:
    """Show proposals to one peer only, a different one each time."""
    peers = _peers(world, index)

    def tamper(effect: Effect) -> Iterable[Effect]:
        match effect:
            case Broadcast(ProposalMessage(proposal)):
                yield Send(peers[proposal.block.round % len(peers)], ProposalMessage(proposal))
            case _:
                yield effect

    return tamper


def forger(world: Federation, index: int) -> Tamper:
    """Sign nothing validly: votes and acknowledgements with a broken signature."""
    _ = world, index

    def broken(signature: bytes) -> bytes:
        return signature[:-1] + bytes([signature[-1] ^ 1])

    def tamper(effect: Effect) -> Iterable[Effect]:
        match effect:
            case Broadcast(VoteMessage(vote)):
                forged = msgspec.structs.replace(vote, signature=broken(vote.signature))
                yield Broadcast(VoteMessage(forged))
            case Send(peer, AckMessage(ack)):
                forged_ack = msgspec.structs.replace(ack, signature=broken(ack.signature))
                yield Send(peer, AckMessage(forged_ack))
            case _:
                yield effect

    return tamper


def miser(world: Federation, index: int) -> Tamper:
    """Vote and time out like everybody, but give nobody a batch of its own."""
    _ = world, index

    def tamper(effect: Effect) -> Iterable[Effect]:
        match effect:
            case Broadcast(BatchMessage()):
                pass
            case _:
                yield effect

    return tamper


def spoiler(world: Federation, index: int) -> Tamper:
    """Propose in every round that it votes in, in the place of the leader."""
    signer = world.signers[index]

    def tamper(effect: Effect) -> Iterable[Effect]:
        yield effect
        node = world.nodes[index]
        if isinstance(effect, Broadcast) and isinstance(effect.message, VoteMessage) and node.core:
            held = node.core._parts.tree.get(effect.message.vote.block_id)
            if held is not None and held.proposal is not None:
                block = msgspec.structs.replace(held.block, author=NodeIndex(index))
                signature = signer.sign(block_message(block_id(block)))
                spoiled = msgspec.structs.replace(held.proposal, block=block, signature=signature)
                yield Broadcast(ProposalMessage(spoiled))

    return tamper


def lie_about_blocks(answer: BlocksResponse, kind: str) -> BlocksResponse:
    """Give a lying version of an answer of block sync."""
    blocks, certificate = answer.blocks, answer.certificate
    assert blocks
    assert certificate is not None
    match kind:
        case "empty":
            return BlocksResponse((), None)
        case "uncertified":
            return BlocksResponse(blocks, None)
        case "wrong parent":
            wrong = msgspec.structs.replace(blocks[0], parent_id=block_id(blocks[-1]))
            return BlocksResponse((wrong, *blocks[1:]), certificate)
        case "gap":
            return BlocksResponse((blocks[0], *blocks[2:]), certificate)
        case "cut":
            return BlocksResponse(blocks[:-1], certificate)
        case "stale":
            return BlocksResponse(blocks, blocks[-1].qc)
        case "forged":
            return BlocksResponse(blocks, _forge(certificate))
        case "uncommitting":
            return BlocksResponse(blocks, msgspec.structs.replace(certificate, commit=None))
        case _:
            raise AssertionError(kind)


def _forge(certificate: QuorumCertificate) -> QuorumCertificate:
    rows = tuple((signer, bytes(64)) for signer, _ in certificate.signatures)
    return msgspec.structs.replace(certificate, signatures=rows)
