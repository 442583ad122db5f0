"""A member that joins with a copy of the ledger knows every rule, chain and entity."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.core.errors import RejectCode
from ledger.core.execute import BlockResult, execute_block
from ledger.core.ids import Height, Sequence
from ledger.core.topic_rules import rule_codec, rule_key
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import GENESIS, batch, block_after, entry
from tests.ledger.snapshot_world import copy_all, follow, grow
from tests.ledger.topics.topic_world import HASHES, TOPIC, naive_chain, rule_entry, update

A, B, C = HASHES[:3]


@pytest.fixture
def source(tmp_path: Path) -> Iterator[ChainStore]:
    """Give a ledger with both rules, some entities, and blocks behind them."""
    with ChainStore.create(tmp_path / "source", GENESIS) as store:
        grow(store, [entry(1), rule_entry("catalog.>", 2, complete=True, expects=True)], 1)
        grow(store, [update(3, "x", b"", A), update(4, "y", b"", B)], 2)
        grow(store, [update(5, "x", A, B)], 3)
        for number in range(4, 8):
            grow(store, [], number)
        yield store


def last_block(store: ChainStore, entries: list[bytes]) -> BlockResult:
    """Execute and apply a block, whatever it refuses."""
    id_, encoded = batch(entries, 99)
    with store.write() as writer:
        writer.store_batch(id_, encoded)
        block_id, block = block_after(writer.root, writer.reader.head().block_id, [id_])
        result = execute_block(writer, block_id, block, lambda _: False)
        writer.apply(result)
        return result


def test_a_copy_goes_on_as_the_original_does(source: ChainStore, tmp_path: Path) -> None:
    """It refuses and chains the same events, and comes to the same root."""
    with copy_all(source, tmp_path / "copy") as copy:
        with copy.read() as reader:
            assert reader.first_height() > 0
        grow(source, [update(6, "y", B, C), entry(7)], 8)
        follow(copy, source)
        entries = [update(8, "x", A, C), update(9, "x", B, C), update(10, "z", b"", A)]
        results = [last_block(store, entries) for store in (source, copy)]
        assert results[0].root == results[1].root
        assert [item.code for item in results[1].refused] == [RejectCode.PREVIOUS_HASH_MISMATCH]
        with copy.read() as reader:
            log = reader.entries(Sequence(0), 100, 2**20)
            state = reader.state(reader.stored_head(Height(reader.head_height())).root)
            chain = rule_codec.decode(state.get(rule_key("catalog.>")) or b"").chain
            flat = dict(reader.flat_state(b"topic-rule/"))
    assert chain is not None
    expected = naive_chain(log, (TOPIC,), 2, len(log))
    assert (chain.count, chain.last, chain.digest) == expected
    assert rule_codec.decode(flat[rule_key("catalog.>")]).chain == chain
