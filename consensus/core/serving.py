"""Which committed blocks one answer to a peer that lacks them holds."""

from typing import Final, Protocol

from consensus.core.messages import BlocksResponse, EpochEnd
from ledger.core.block import Block
from ledger.core.certificate import QuorumCertificate
from ledger.core.codec import encode
from ledger.core.epoch import EpochStart
from ledger.core.ids import Epoch, Height
from ledger.core.limits import (
    CONSENSUS_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    SYNC_BLOCKS_MAX,
    SYNC_BYTES_MAX,
)

__all__ = ["BlockSource", "EpochSource", "blocks_from", "end_of_epoch"]

_BYTES_MAX: Final = FRAME_BYTES_MAX - CONSENSUS_FRAME_BYTES_MAX  # room for one more block


class BlockSource(Protocol):
    """One snapshot of a chain."""

    def block(self, height: Height, /) -> Block | None:
        """Give the block at ``height``; there is none at 0 and above the head."""
        ...

    def certificate(self, height: Height, /) -> QuorumCertificate | None:
        """Give the certificate that commits exactly the block at ``height``, when it has one."""
        ...


class EpochSource(Protocol):
    """One snapshot of a chain, asked for its epochs."""

    def epoch_start(self, number: Epoch, /) -> EpochStart:
        """Give how an epoch began. Raises LookupError when it has not begun."""
        ...

    def certificate(self, height: Height, /) -> QuorumCertificate | None:
        """Give the certificate that commits exactly the block at ``height``, when it has one."""
        ...


def end_of_epoch(chain: EpochSource, epoch: Epoch) -> EpochEnd | None:
    """Give the certificate that ended ``epoch``, or None while it goes on."""
    try:
        following = chain.epoch_start(Epoch(epoch + 1))
    except LookupError:
        return None
    certificate = chain.certificate(following.height)
    return None if certificate is None else EpochEnd(certificate)


def blocks_from(chain: BlockSource, start: Height) -> BlocksResponse | None:
    """Give committed blocks from ``start`` on that end with one that has its own certificate.

    Their number and size are limited, except that the first certified block is reached in any
    case, and the last block of an epoch is the last of an answer. None when the chain is shorter
    or the first certified block is too far away for one answer.
    """
    blocks: list[Block] = []
    certified_count = 0
    size = 0
    for height in range(max(start, 1), start + SYNC_BLOCKS_MAX):
        block = chain.block(Height(height))
        if block is None or size >= (SYNC_BYTES_MAX if certified_count else _BYTES_MAX):
            break
        blocks.append(block)
        size += len(encode(block))
        if chain.certificate(Height(height)) is not None:
            certified_count = len(blocks)
        if block.next_set_hash is not None:
            break
    if not certified_count:
        return None
    blocks = blocks[:certified_count]
    return BlocksResponse(tuple(blocks), chain.certificate(blocks[-1].height))
