"""The check of a chain store at opening: does its end agree with its own hashes?

Owns the pair check of what ``chain_writer`` asserted when it wrote. It looks at the last block,
the last entry, the right edge of the log's tree and the root of the state: a few milliseconds,
whatever the size of the store.
"""

from pathlib import Path

from ledger.core import merkle, statemap
from ledger.core.block import LedgerRoot, block_id
from ledger.core.errors import InvariantError
from ledger.core.genesis import Genesis
from ledger.core.ids import Height, Sequence
from ledger.core.merkle import TILE_WIDTH, leaf_hash
from ledger.core.state import VALIDATORS_KEY
from ledger.io.chain_reader import ChainReader
from ledger.io.errors import StorageError, damaged

__all__ = ["verify_head"]


def verify_head(reader: ChainReader, genesis: Genesis, path: Path) -> None:
    """Compare the end of the chain with its hashes.

    Raises:
        StorageError: something stored is not what was written.
    """
    try:
        fault = _fault(reader, genesis)
    except StorageError:
        raise
    except InvariantError as error:
        raise damaged(path, str(error)) from error
    if fault:
        raise damaged(path, fault)


def _fault(reader: ChainReader, genesis: Genesis) -> str:
    """Say what is wrong, or nothing."""
    height = reader.head_height()
    head = reader.stored_head(height)
    if head.root.height != height:
        return f"block {height} is stored with the root of block {head.root.height}"
    if reader.stored_head(Height(0)).block_id != genesis.block_id:
        return "its first block is not that of its genesis"
    block = reader.block(height)
    if block is None:
        if height != 0:
            return f"block {height} is missing"
    elif block_id(block) != head.block_id or block.time_ms != head.time_ms:
        return f"block {height} is not the one that was stored"
    else:
        executed = reader.root(block.executed_height)
        if executed is None or executed.digest != block.ledger_root:
            return f"the ledger after block {block.executed_height} is not the agreed one"
    return _log_fault(reader, head.root) or _state_fault(reader, head.root, genesis)


def _log_fault(reader: ChainReader, root: LedgerRoot) -> str:
    size = root.log_size
    if merkle.root(reader.read_tile, size) != root.log_root:
        return f"the log of {size} entries has another root than the one stored with it"
    if reader.location(Sequence(size)) is not None:
        return f"the log has more than {size} entries"
    return _last_entry_fault(reader, Sequence(size - 1)) if size else ""


def _last_entry_fault(reader: ChainReader, last: Sequence) -> str:
    entry = reader.entry(last)
    tile = reader.read_tile(0, last // TILE_WIDTH)
    if entry is None or not tile.endswith(leaf_hash(entry)):
        return f"entry {last} is not the one in the log"
    height = reader.height_of(last)
    before, after = reader.root(Height(max(height - 1, 0))), reader.root(height)
    if before is None or after is None or not before.log_size <= last < after.log_size:
        return f"entry {last} is not of block {height}"
    return ""


def _state_fault(reader: ChainReader, root: LedgerRoot, genesis: Genesis) -> str:
    validators = statemap.get(reader.read_node, root.state_root, VALIDATORS_KEY)
    if validators is None or root.set_hash != genesis.validator_set().hash:
        return "the state has lost the validators"
    return ""
