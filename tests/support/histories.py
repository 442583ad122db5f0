"""From a member's store to what the checker of promises judges."""

from ledger.core.block import block_id
from ledger.core.ids import Height, Sequence
from ledger.io.chain_store import ChainReader
from simnet.checkers.promises import History, event_id

__all__ = ["read_store"]


def read_store(history: History, name: str, reader: ChainReader) -> None:
    """Take a member's log, blocks and ledger root into ``history``."""
    head = reader.head()
    entries = (reader.entry(Sequence(number)) for number in range(head.log_size))
    history.logs[name] = [event_id(entry or b"") for entry in entries]
    blocks = (reader.block(Height(height)) for height in range(1, head.height + 1))
    history.blocks[name] = [b"" if block is None else block_id(block) for block in blocks]
    root = reader.root(head.height)
    assert root is not None
    history.roots[name] = root.log_root + root.state_root
