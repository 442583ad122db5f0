"""What a node tells the publisher of an event that was overtaken and stands in a block twice."""

from pathlib import Path

import msgspec
import pytest

from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.execute import execute_block
from ledger.core.ids import Height
from ledger.io.chain_store import ChainStore, Receipt
from tests.ledger.sample_network import GENESIS, batch, block_after
from tests.ledger.snapshot_world import grow
from tests.ledger.topics.topic_world import HASHES, rule_entry, update

A, B, C = HASHES[:3]


@pytest.mark.parametrize("is_reversed", [False, True])
def test_the_reason_is_kept_and_not_the_repetition(tmp_path: Path, *, is_reversed: bool) -> None:
    """Whichever copy is told first, the receipt says that the event was overtaken."""
    stale = update(3, "x", C, B)
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        grow(store, [rule_entry("catalog.>", 1, expects=True)], 1)
        grow(store, [update(2, "x", b"", A)], 2)
        with store.write() as writer:
            id_, encoded = batch([stale, stale], 3)
            writer.store_batch(id_, encoded)
            block_id, block = block_after(writer.root, writer.reader.head().block_id, [id_])
            result = execute_block(writer, block_id, block, lambda _: False)
            codes = [item.code for item in result.refused]
            assert codes == [RejectCode.PREVIOUS_HASH_MISMATCH, RejectCode.DUPLICATE]
            if is_reversed:
                result = msgspec.structs.replace(result, refused=result.refused[::-1])
            writer.apply(result)
        with store.read() as reader:
            receipt = reader.receipt(open_entry(stale).id)
            assert receipt == Receipt(Height(3), None, RejectCode.PREVIOUS_HASH_MISMATCH)
