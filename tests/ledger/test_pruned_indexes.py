"""Rows of the indexes with many rows under a key: exactly those of forgotten events go."""

import pytest

from ledger.io.chain_store import ChainStore
from tests.ledger.pruned_world import prune
from tests.ledger.test_chain_pruning import twins

INDEXES = ("topics", "publishers", "types")
_NUMBER = slice(0, 8)  # the last sequence of an index's row


def rows_of(store: ChainStore, name: str) -> list[tuple[bytes, bytes]]:
    """Give all rows of an index."""
    with (
        store._environment.read() as transaction,
        transaction.cursor(getattr(store._tables, name)) as cursor,
    ):
        return [(bytes(key), bytes(value)) for key, value in cursor]


@pytest.mark.parametrize("topics", [12, 40, 150])
def test_only_rows_of_forgotten_events_go(topics: int) -> None:
    """After every one of several prunings an index holds all rows that end with a held event."""
    with twins(topics) as world:
        world.topics = tuple(f"catalog.t{number}" for number in range(topics))
        world.grow(60)
        for share in (0.2, 0.45, 0.5, 0.75, 0.95):
            first = prune(world.forgetful, int(share * len(world.entries)))
            world.grow(3)
            for name in INDEXES:
                all_ = rows_of(world.complete, name)
                held = [row for row in all_ if int.from_bytes(row[1][_NUMBER], "big") >= first]
                assert rows_of(world.forgetful, name) == held, (name, share)
