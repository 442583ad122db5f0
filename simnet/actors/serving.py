"""Members that lie when they are asked: block sync, batches, proposals, claims about rounds."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from consensus.core.effects import Effect, Send, ServeBatches, ServeBlocks
from consensus.core.messages import (
    BatchMessage,
    BlocksResponse,
    ProposalMessage,
    ProposalResponse,
    SyncInfo,
)
from ledger.core.block import Batch, Block, block_id
from ledger.core.certificate import QuorumCertificate, genesis_certificate
from ledger.core.codec import encode
from ledger.core.ids import BlockId, Height, Round
from ledger.core.limits import SYNC_BLOCKS_MAX
from simnet.actors.byzantine import Byzantine

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["BLOCK_LIES", "LyingServer", "lie_about_blocks"]

BLOCK_LIES: Final = (
    "empty",
    "silent",
    "uncertified",
    "wrong parent",
    "gap",
    "cut",
    "stale",
    "forged",
    "uncommitting",
    "fork",
    "inflated",
    "too high",
    "endless",
    "backwards",
)
"""What block sync is answered with; ``lie_about_blocks`` makes it."""

_ANSWERS: Final = 8  # to one question, of a server that does not stop


def lie_about_blocks(answer: BlocksResponse, kind: str) -> list[BlocksResponse]:
    """Give what a lying server sends instead of a true answer of at least one block."""
    blocks, certificate = answer.blocks, answer.certificate
    assert blocks, "there is nothing to lie about"
    assert certificate is not None
    match kind:
        case "empty":
            return [BlocksResponse((), None)]
        case "silent":
            return []
        case "uncertified":
            return [BlocksResponse(blocks, None)]
        case "wrong parent":
            wrong = msgspec.structs.replace(blocks[0], parent_id=block_id(blocks[-1]))
            return [BlocksResponse((wrong, *blocks[1:]), certificate)]
        case "gap":
            return [BlocksResponse((blocks[0], *blocks[2:]), certificate)]
        case "cut":
            return [BlocksResponse(blocks[:-1], certificate)]
        case "stale":
            return [BlocksResponse(blocks, blocks[-1].qc)]
        case "uncommitting":
            return [BlocksResponse(blocks, msgspec.structs.replace(certificate, commit=None))]
        case _:
            return _bold_lie(blocks, certificate, kind)


def _bold_lie(
    blocks: tuple[Block, ...], certificate: QuorumCertificate, kind: str
) -> list[BlocksResponse]:
    """Give the lies that make up blocks or answers."""
    match kind:
        case "forged":
            rows = tuple((signer, bytes(64)) for signer, _ in certificate.signatures)
            forged = msgspec.structs.replace(certificate, signatures=rows)
            return [BlocksResponse(blocks, forged)]
        case "fork":
            other = _chain(blocks, time_ms=1)
            return [BlocksResponse(other, _for_last(other, certificate))]
        case "inflated":
            other = _chain(blocks, height=1_000)
            return [BlocksResponse(other, _for_last(other, certificate))]
        case "too high":
            return [BlocksResponse(blocks[1:], certificate), BlocksResponse(blocks[2:], None)]
        case "endless":
            padded = (*blocks, *[blocks[-1]] * (SYNC_BLOCKS_MAX // 4))
            return [BlocksResponse(padded, certificate)] * _ANSWERS
        case "backwards":
            return [BlocksResponse(blocks[::-1], certificate)]
        case _:
            raise AssertionError(kind)


def _chain(blocks: tuple[Block, ...], **added: int) -> tuple[Block, ...]:
    """Give another, well linked chain: each block with some of its numbers raised."""
    made: list[Block] = []
    for block in blocks:
        fields: dict[str, object] = {k: getattr(block, k) + v for k, v in added.items()}
        if made:
            fields["parent_id"] = block_id(made[-1])
        made.append(msgspec.structs.replace(block, **fields))
    return tuple(made)


def _for_last(blocks: tuple[Block, ...], true: QuorumCertificate) -> QuorumCertificate:
    assert true.commit is not None
    last = blocks[-1]
    commit = msgspec.structs.replace(true.commit, block_id=block_id(last), height=last.height)
    return msgspec.structs.replace(true, commit=commit)


class LyingServer(Byzantine):
    """Answers questions with lies, and proves old or newer rounds than it is in."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        genesis_id = BlockId(machine.world.genesis.block_id)
        self._genesis_qc = genesis_certificate(genesis_id)

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Answer falsely."""
        match effect:
            case ServeBlocks(peer, from_height):
                kind = self.pick(f"blocks {from_height} for {peer}", len(BLOCK_LIES))
                answer = self.machine.storage.blocks_from(from_height) if kind else None
                if answer is None or not answer.blocks:
                    yield effect
                    return
                for lie in lie_about_blocks(answer, BLOCK_LIES[kind - 1]):
                    yield from self.say(peer, lie)
            case ServeBatches(peer):
                yield from self._serve_batches(effect, self.pick(f"batches for {peer}", 4))
            case Send(peer, ProposalResponse()):
                kind = self.pick(f"response for {peer}", 3)
                yield from self._answer_proposal(effect, kind)
            case Send(peer, SyncInfo() as info):
                kind = self.pick(f"claim for {peer}", 3)
                yield from self._claim(effect, info, kind)
            case _:
                yield effect

    def _serve_batches(self, effect: ServeBatches, kind: int) -> Iterable[Effect]:
        match kind:
            case 1:
                return  # nothing
            case 2:
                yield Send(effect.peer, BatchMessage(b"\xc0"))
            case 3:
                other = encode(Batch(self.machine.index, 1, (b"bad lie",)))
                yield Send(effect.peer, BatchMessage(other))
            case 4:
                for id_ in effect.batch_ids:
                    held = self.machine.storage.batch(id_)
                    if held is not None:
                        yield Send(effect.peer, BatchMessage(held + b"\x00"))
            case _:
                yield effect

    def _answer_proposal(self, effect: Send, kind: int) -> Iterable[Effect]:
        assert isinstance(effect.message, ProposalResponse)
        proposal = effect.message.proposal
        match kind:
            case 1:
                return
            case 2:
                block = msgspec.structs.replace(proposal.block, time_ms=proposal.block.time_ms + 1)
                other = msgspec.structs.replace(proposal, block=block)
                yield Send(effect.peer, ProposalResponse(other))
            case 3:
                yield Send(effect.peer, ProposalMessage(proposal))  # as if it were its leader
            case _:
                yield effect

    def _claim(self, effect: Send, info: SyncInfo, kind: int) -> Iterable[Effect]:
        """Prove less than before (a peer's claims go back), or pretend more."""
        match kind:
            case 1:
                yield effect
                yield from self.say(effect.peer, SyncInfo(self._genesis_qc, None))
            case 2:
                yield from self.say(effect.peer, SyncInfo(self._genesis_qc, info.high_tc))
            case 3:
                high = msgspec.structs.replace(
                    info.high_qc, round=Round(info.high_qc.round + 1_000_000)
                )
                if high.commit is not None:
                    height = Height(high.commit.height + 1_000_000)
                    commit = msgspec.structs.replace(high.commit, height=height)
                    high = msgspec.structs.replace(high, commit=commit)
                yield from self.say(effect.peer, SyncInfo(high, info.high_tc))
            case _:
                yield effect
