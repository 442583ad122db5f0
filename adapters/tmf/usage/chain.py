"""The chain of a seller's blocks: that none is missing, forked or out of order.

Owns what anybody concludes from the ledger alone, without a single record.
"""

from collections.abc import Sequence

from adapters.tmf.usage.block import UsageBlock, block_hash, encode_block, open_block
from ledger.core.errors import ProofError
from ledger.core.event import Event

__all__ = ["audit_chain"]


def audit_chain(events: Sequence[Event]) -> tuple[str, ...]:
    """Find what is missing, forked or out of order among the blocks of one seller.

    Args:
        events: of one seller, in the order of the ledger; a block may be published again.

    Returns:
        One sentence for each fault; none when the chain is whole from block 1 to the last.

    Raises:
        ProofError: an event is no usage block, or there are two sellers.
    """
    faults: list[str] = []
    seen: dict[int, bytes] = {}
    tip: UsageBlock | None = None
    for event in events:
        block = open_block(event)
        if tip is not None and block.seller != tip.seller:
            raise ProofError(f"blocks of {tip.seller} and of {block.seller}")
        hash_ = block_hash(event.data)
        if (known := seen.setdefault(block.number, hash_)) != hash_:
            faults.append(f"there are two blocks {block.number}: {known.hex()}, {hash_.hex()}")
        elif tip is None or block.number > tip.number:
            faults += _break(tip, block)
            tip = block
    return tuple(faults)


def _break(tip: UsageBlock | None, block: UsageBlock) -> list[str]:
    """Say how a block fails to follow the one before."""
    number = tip.number + 1 if tip else 1
    if block.number != number:
        return [f"blocks {number} to {block.number - 1} are missing"]
    if tip is None:
        return []
    faults = []
    if block.previous != block_hash(encode_block(tip)):
        faults.append(f"block {block.number} follows another block {tip.number}")
    if block.first != tip.last + 1:
        faults.append(f"records {tip.last + 1} to {block.first - 1} are in no block")
    return faults
