"""The delivery store: durable before said, many changes in one transaction, one process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from ledger.core.errors import Unavailable
from ledger.io.environment import Environment
from ledger.io.errors import StorageError
from pubsub.io import delivery_store
from pubsub.io.delivery_store import Change, DeliveryStore


@asynccontextmanager
async def running(path: Path) -> AsyncIterator[DeliveryStore]:
    """Open a store and run its writer."""
    store = DeliveryStore.open(path)
    async with anyio.create_task_group() as group:
        group.start_soon(store.run)
        yield store
        group.cancel_scope.cancel()
    store.close()


async def test_rows_survive(tmp_path: Path) -> None:
    """What was written is there after a restart, in order of the keys; what was deleted is not."""
    async with running(tmp_path / "d") as store:
        await store.write([Change("webhooks", key, key * 2) for key in (b"b", b"a", b"c")])
        await store.write([Change("webhooks", b"b", None), Change("webhooks", b"x", None)])
    async with running(tmp_path / "d") as store:
        assert list(store.rows("webhooks")) == [(b"a", b"aa"), (b"c", b"cc")]
        assert list(store.rows("audit")) == []


async def test_many_writers_share_a_transaction(tmp_path: Path) -> None:
    """What is put while a transaction is written waits for the next one, all together."""
    async with running(tmp_path / "d") as store:
        async with anyio.create_task_group() as group:
            for number in range(300):
                group.start_soon(store.write, [Change("audit", b"%d" % number, b"x")])
        assert len(list(store.rows("audit"))) == 300
        assert store.commits_count <= 3


async def test_last_value_counts(tmp_path: Path) -> None:
    """Of several changes of a row in one transaction the last counts; functions are asked once."""
    calls: list[int] = []

    def value() -> bytes:
        calls.append(1)
        return b"asked"

    async with running(tmp_path / "d") as store:
        store.put([Change("audit", b"a", b"1"), Change("audit", b"a", value)])
        store.put([Change("audit", b"a", value), Change("audit", b"b", b"2")])
        assert calls == []
        await store.synced()
        assert list(store.rows("audit")) == [(b"a", b"asked"), (b"b", b"2")]
        assert calls == [1]


async def test_what_is_left_is_written_at_the_end(tmp_path: Path) -> None:
    """Changes nobody waits for are written when the gateway ends; later ones are refused."""
    async with running(tmp_path / "d") as store:
        store.put([Change("audit", b"a", b"1")])
    with pytest.raises(Unavailable):
        store.put([Change("audit", b"b", b"1")])
    async with running(tmp_path / "d") as store:
        assert list(store.rows("audit")) == [(b"a", b"1")]


async def test_failed_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed transaction fails everybody who waits for it, the writer, and all that follows."""
    store = DeliveryStore.open(tmp_path / "d")

    def fail(_rows: object) -> None:
        raise StorageError(store.path, "broken", "Replace it")

    monkeypatch.setattr(store, "commit_rows", fail)
    failures: list[BaseException] = []

    async def write() -> None:
        try:
            await store.write([Change("audit", b"a", b"1")])
        except StorageError as error:
            failures.append(error)

    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012 - both are needed
        async with anyio.create_task_group() as group:
            group.start_soon(write)
            group.start_soon(write)
            group.start_soon(store.run)
    assert caught.value.subgroup(StorageError) is not None
    assert len(failures) == 2
    with pytest.raises(StorageError):
        store.put([])
    store.close()


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """A second gateway with the same directory is told who has it."""
    store = DeliveryStore.open(tmp_path / "d")
    with pytest.raises(StorageError, match="another process"):
        DeliveryStore.open(tmp_path / "d")
    store.close()
    DeliveryStore.open(tmp_path / "d").close()


def test_newer_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of a newer release is refused, and so is one that is no delivery store."""
    DeliveryStore.open(tmp_path / "d").close()
    monkeypatch.setattr(delivery_store, "_FORMAT", 2)
    with pytest.raises(StorageError, match="format 1"):
        DeliveryStore.open(tmp_path / "d")
    other = Environment.create(tmp_path / "other", "delivery")
    with other.write() as transaction:
        other.seal(transaction)
    other.close()
    with pytest.raises(StorageError, match="format 0"):
        DeliveryStore.open(tmp_path / "other")


def test_interrupted_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a crash left of a creation is nothing: the store is made beside its place."""

    def crash(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", crash)
        with pytest.raises(KeyboardInterrupt):
            DeliveryStore.open(tmp_path / "d")
    assert not (tmp_path / "d").exists()
    DeliveryStore.open(tmp_path / "d").close()
