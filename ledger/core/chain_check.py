"""The check of a chain at opening: does its end agree with its own hashes?

Owns the pair check of what was asserted when the chain was written. It looks at the last block,
the last entry, the right edge of the log's tree and the root of the state: a few milliseconds,
whatever the size of the chain.
"""

from typing import Protocol

from ledger.core import merkle, statemap
from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.codec import encode
from ledger.core.epoch import EpochStart
from ledger.core.genesis import Genesis
from ledger.core.ids import BlockId, Height, Sequence
from ledger.core.merkle import TILE_WIDTH, leaf_hash
from ledger.core.state import VALIDATORS_KEY
from ledger.core.validators import set_hash

__all__ = ["ChainView", "HeadView", "chain_fault"]


class HeadView(Protocol):
    """The block at one height, and the ledger after it."""

    @property
    def block_id(self) -> BlockId:
        """Identity of the block."""
        ...

    @property
    def time_ms(self) -> int:
        """Time of the block."""
        ...

    @property
    def root(self) -> LedgerRoot:
        """The ledger after it."""
        ...


class ChainView(Protocol):
    """One snapshot of a chain; what it lacks it says by ``None``, ``b""`` or InvariantError."""

    def head_height(self) -> Height:
        """Give the height of the last applied block."""
        ...

    def first_height(self) -> Height:
        """Give the height from which on every ledger is here."""
        ...

    def stored_head(self, height: Height, /) -> HeadView:
        """Give identity, time and ledger of the block at ``height``."""
        ...

    def block(self, height: Height, /) -> Block | None:
        """Give the block at ``height``."""
        ...

    def root(self, height: Height, /) -> LedgerRoot | None:
        """Give the ledger after the block at ``height``."""
        ...

    def has_entry(self, sequence: Sequence, /) -> bool:
        """Say whether the log has an entry at ``sequence``."""
        ...

    def entry(self, sequence: Sequence, /) -> bytes | None:
        """Give the entry at ``sequence``."""
        ...

    def height_of(self, sequence: Sequence, /) -> Height:
        """Give the height of the block that took the entry at ``sequence``."""
        ...

    def read_tile(self, level: int, index: int, /) -> bytes:
        """Give the hashes that a tile of the log holds."""
        ...

    def epoch_start(self) -> EpochStart:
        """Give how the last epoch began."""
        ...

    def read_node(self, node_hash: bytes, /) -> bytes:
        """Give one node of the state map."""
        ...


def chain_fault(chain: ChainView, genesis: Genesis) -> str:
    """Say what at the end of the chain contradicts its hashes, or nothing.

    Raises:
        InvariantError: something that must be there is missing.
    """
    height = chain.head_height()
    head = chain.stored_head(height)
    if head.root.height != height:
        return f"block {height} is stored with the root of block {head.root.height}"
    if chain.stored_head(Height(0)).block_id != genesis.block_id:
        return "its first block is not that of its genesis"
    block = chain.block(height)
    if block is None:
        if height != 0:
            return f"block {height} is missing"
    elif block_id(block) != head.block_id or block.time_ms != head.time_ms:
        return f"block {height} is not the one that was stored"
    elif block.executed_height >= chain.first_height():
        executed = chain.root(block.executed_height)
        if executed is None or executed.digest != block.ledger_root:
            return f"the ledger after block {block.executed_height} is not the agreed one"
    return _log_fault(chain, head.root) or _state_fault(chain, head.root)


def _log_fault(chain: ChainView, root: LedgerRoot) -> str:
    size = root.log_size
    if merkle.root(chain.read_tile, size) != root.log_root:
        return f"the log of {size} entries has another root than the one stored with it"
    if chain.has_entry(Sequence(size)):
        return f"the log has more than {size} entries"
    return _last_entry_fault(chain, Sequence(size - 1)) if size else ""


def _last_entry_fault(chain: ChainView, last: Sequence) -> str:
    entry = chain.entry(last)
    tile = chain.read_tile(0, last // TILE_WIDTH)
    if entry is None or not tile.endswith(leaf_hash(entry)):
        return f"entry {last} is not the one in the log"
    height = chain.height_of(last)
    before, after = chain.root(Height(max(height - 1, 0))), chain.root(height)
    begin = 0 if height == chain.first_height() else None if before is None else before.log_size
    if begin is None or after is None or not begin <= last < after.log_size:
        return f"entry {last} is not of block {height}"
    return ""


def _state_fault(chain: ChainView, root: LedgerRoot) -> str:
    validators = statemap.get(chain.read_node, root.state_root, VALIDATORS_KEY)
    if validators is None or root.set_hash != set_hash(validators):
        return "the state has lost the validators"
    if encode(chain.epoch_start().members) != validators:
        return "its last epoch has other validators than the state"
    return ""
