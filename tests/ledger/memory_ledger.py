"""A ledger in memory that blocks can be executed on, with the plainest possible structures."""

from collections.abc import Sequence

from ledger.core.block import Block, LedgerRoot
from ledger.core.event import id_of_key
from ledger.core.execute import BlockResult, execute_block, genesis_result
from ledger.core.genesis import Genesis
from ledger.core.ids import BatchId, BlockId, EventId, EventKey
from ledger.core.state import StateView
from tests.ledger.sample_network import GENESIS, batch, block_after


class MemoryLedger:
    """A LedgerView that applies results."""

    def __init__(self, genesis: Genesis = GENESIS) -> None:
        self.chain_id = genesis.chain_id
        self.entries: list[bytes] = []
        self.events: set[EventId] = set()
        self.batches: dict[BatchId, bytes] = {}
        self.tiles: dict[tuple[int, int], bytes] = {}
        self.nodes: dict[bytes, bytes] = {}
        result = genesis_result(genesis)
        self.root: LedgerRoot = result.root
        self.head_id: BlockId = result.block_id
        self._keep(result)

    def read_tile(self, level: int, index: int) -> bytes:
        """Give the hashes of a tile."""
        return self.tiles.get((level, index), b"")

    def read_node(self, node_hash: bytes) -> bytes:
        """Give a node of the state map."""
        return self.nodes.get(node_hash, b"")

    def known_events(self, keys: Sequence[EventKey]) -> set[EventKey]:
        """Give those of the events that were accepted."""
        return {key for key in keys if id_of_key(key) in self.events}

    def read_batch(self, batch_id: BatchId) -> bytes | None:
        """Give a batch."""
        return self.batches.get(batch_id)

    def execute(
        self,
        payload: Sequence[tuple[BatchId, bytes]],
        *,
        checked: bool = False,
        time_ms: int | None = None,
    ) -> BlockResult:
        """Execute the next block with these batches, without applying it."""
        self.batches.update(payload)
        id_, block = self.next_block([row[0] for row in payload], time_ms)
        return execute_block(self, id_, block, lambda _: checked)

    def next_block(
        self, payload: Sequence[BatchId], time_ms: int | None = None
    ) -> tuple[BlockId, Block]:
        """Give the block that follows."""
        return block_after(self.root, self.head_id, payload, time_ms)

    def extend(self, *entries: bytes, number: int = 0, time_ms: int | None = None) -> BlockResult:
        """Execute and apply the next block with one batch of these entries."""
        result = self.execute([batch(entries, number)], time_ms=time_ms)
        self._keep(result)
        return result

    def _keep(self, result: BlockResult) -> None:
        self.entries += [item.entry for item in result.accepted]
        self.events |= {item.id for item in result.accepted}
        self.tiles |= result.tiles
        self.nodes |= result.nodes
        self.root, self.head_id = result.root, result.block_id
        self.state = StateView(self.read_node, self.root.state_root)
