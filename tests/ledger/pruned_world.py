"""Twins of one chain: one forgets, the other keeps everything, and both take the same blocks."""

import random
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ledger.core.block import Block, block_id
from ledger.core.execute import BlockResult, execute_block
from ledger.core.ids import BatchId, Height
from ledger.core.limits import EVENT_AGE_MS_MAX
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import GENESIS, START_MS, batch, block_after, certificate_of, entry

HOUR_MS = 3_600_000
TOPICS = ("catalog.a", "catalog.b", "catalog.c.d")


def prune(store: ChainStore, at_most: int) -> int:
    """Forget and sweep; give the first sequence that is held."""
    pruner = store.pruner()
    first = pruner.forget_below(at_most)
    for _ in pruner.sweep():
        pass
    return first


class Twins:
    """Two stores with the same blocks.

    Attributes:
        forgetful, complete: the stores.
        entries: of the log.
        offered: everything that was ever offered to them, also what was refused.
        topics: of the events to come.
    """

    def __init__(self, directory: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.forgetful = ChainStore.create(directory / "forgetful", GENESIS)
        self.complete = ChainStore.create(directory / "complete", GENESIS)
        self.entries: list[bytes] = []
        self.offered: list[bytes] = []
        self.topics: tuple[str, ...] = (*TOPICS, "news")  # Alice may not publish news
        self._batches: list[tuple[BatchId, bytes]] = []
        self.time_ms = START_MS

    def close(self) -> None:
        """Close both."""
        self.forgetful.close()
        self.complete.close()

    def reopen(self) -> None:
        """Close the one that forgets, and open it with all checks."""
        path = self.forgetful.path
        self.forgetful.close()
        self.forgetful = ChainStore.open(path, GENESIS)

    def grow(self, blocks: int, hours: int = 0) -> list[BlockResult]:
        """Apply blocks so many hours apart, of new events, old events, now and then old batches."""
        results = []
        for _ in range(blocks):
            self.time_ms += hours * HOUR_MS + 1_000
            rows = [
                batch([self._event() for _ in range(size)], self.dice.getrandbits(40))
                for size in self.dice.choices((0, 1, 2, 20), k=2)
            ]
            if self._batches and self.dice.random() < 0.3:
                rows.append(self.dice.choice(self._batches))
            self._batches += rows
            results.append(self.apply(rows))
        return results

    def apply(self, rows: Sequence[tuple[BatchId, bytes]]) -> BlockResult:
        """Apply a block of these batches to both."""
        with self.complete.read() as reader:
            head, height = reader.head(), reader.head_height()
            root = reader.stored_head(height).root
            executed = reader.root(Height(max(0, height - 1)))
            assert executed is not None
        _, block = block_after(root, head.block_id, [id_ for id_, _ in rows], self.time_ms)
        block = msgspec.structs.replace(
            block, executed_height=executed.height, ledger_root=executed.digest
        )
        result = _apply(self.complete, block, rows)
        assert _apply(self.forgetful, block, rows) == result
        self.entries += [item.entry for item in result.accepted]
        return result

    def _event(self) -> bytes:
        """Give a new event of today or of the day before, or one that was offered before."""
        if self.offered and self.dice.random() < 0.3:
            return self.dice.choice(self.offered)
        number = len(self.offered)
        made = entry(
            number,
            topic=self.dice.choice(self.topics),
            subject=f"s{self.dice.randrange(5)}",
            type=f"t{self.dice.randrange(3)}",
            time_ms=self.time_ms - self.dice.choice((0, 0, HOUR_MS, EVENT_AGE_MS_MAX)),
        )
        self.offered.append(made)
        return made


def _apply(store: ChainStore, block: Block, rows: Sequence[tuple[BatchId, bytes]]) -> BlockResult:
    with store.write() as writer:
        for id_, encoded in rows:
            writer.store_batch(id_, encoded)
        result = execute_block(writer, block_id(block), block, lambda _: False)
        writer.apply(result, certificate_of(result.block_id, block.height))
    return result
