"""The newest cosigned checkpoint in the chain store."""

from pathlib import Path

import pytest

from ledger.core.errors import InvariantError
from ledger.core.ids import Epoch
from ledger.core.tlog.checkpoint import StoredCheckpoint
from ledger.io.chain_schema import CHECKPOINT_KEY
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from tests.ledger.sample_network import GENESIS, batch, entry
from tests.ledger.test_chain_store import extend


def test_the_newest_replaces_the_older(tmp_path: Path) -> None:
    """There is none at first, then the last one that was put, also after opening again."""
    path = tmp_path / "chain"
    with ChainStore.create(path, GENESIS) as store:
        with store.read() as reader:
            assert reader.checkpoint() is None
        extend(store, batch([entry(1), entry(2)], 1))
        for size in (0, 1, 2):
            newest = StoredCheckpoint(Epoch(0), 1_000 + size, size, b"note")
            with store.write() as writer:
                writer.put_checkpoint(newest)
                assert writer.reader.checkpoint() == newest
    with ChainStore.open_readonly(path) as store, store.read() as reader:
        assert reader.checkpoint() == newest


def test_none_is_ahead_of_the_log(tmp_path: Path) -> None:
    """A checkpoint of a longer log than the stored one is refused, and what was there stays."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        with pytest.raises(InvariantError), store.write() as writer:
            writer.put_checkpoint(StoredCheckpoint(Epoch(0), 1_000, 1, b"note"))
        with store.read() as reader:
            assert reader.checkpoint() is None


def test_damage(tmp_path: Path) -> None:
    """Bytes that are no checkpoint are damage of the disk."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        with store._environment.write() as transaction:
            transaction.put(CHECKPOINT_KEY, b"\x00", db=store._tables.meta)
        with store.read() as reader, pytest.raises(StorageError):
            reader.checkpoint()
