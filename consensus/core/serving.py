"""Which committed blocks one answer to a peer that lacks them holds."""

from typing import Final, Protocol

from consensus.core.messages import BlocksResponse
from ledger.core.block import Block
from ledger.core.certificate import QuorumCertificate
from ledger.core.codec import encode
from ledger.core.ids import Height
from ledger.core.limits import (
    CONSENSUS_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    SYNC_BLOCKS_MAX,
    SYNC_BYTES_MAX,
)

__all__ = ["BlockSource", "blocks_from"]

_BYTES_MAX: Final = FRAME_BYTES_MAX - CONSENSUS_FRAME_BYTES_MAX  # room for one more block


class BlockSource(Protocol):
    """One snapshot of a chain."""

    def block(self, height: Height, /) -> Block | None:
        """Give the block at ``height``; there is none at 0 and above the head."""
        ...

    def certificate(self, height: Height, /) -> QuorumCertificate | None:
        """Give the certificate that commits exactly the block at ``height``, when it has one."""
        ...


def blocks_from(chain: BlockSource, start: Height) -> BlocksResponse | None:
    """Give committed blocks from ``start`` on that end with one that has its own certificate.

    Their number and size are limited, except that the first certified block is reached in any
    case. None when the chain is shorter or that block is too far away for one answer.
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
    if not certified_count:
        return None
    blocks = blocks[:certified_count]
    return BlocksResponse(tuple(blocks), chain.certificate(blocks[-1].height))
