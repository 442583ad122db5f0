"""Reading the lists: pages, children, revisions, at one snapshot."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.lists import Lists
from ledger.core.execute import execute_block
from ledger.core.trust.operations import ChangeList, PutEntry, RevokeEntry
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import GENESIS, batch, block_after
from tests.ledger.trust.test_application import operation_entry

IDS = ("did:elsi:V1", "did:elsi:V1-2", "did:elsi:V10", "did:elsi:V2")
CREDENTIAL = b'{"credentialsType":"A"}'


def change(store: ChainStore, operation: ChangeList, number: int) -> None:
    """Apply an operation in a block of its own."""
    id_, encoded = batch([operation_entry(operation, number)], number)
    with store.write() as writer:
        writer.store_batch(id_, encoded)
        parent = writer.reader.head().block_id
        block_id, block = block_after(writer.root, parent, [id_])
        result = execute_block(writer, block_id, block, lambda _: False)
        assert not result.refused
        writer.apply(result)


def put(id_: str, body: bytes = b"", kind: str = "issuer") -> PutEntry:
    """Put an entry without limits of time."""
    return PutEntry(id_, kind, body, 0, 0, None)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ChainStore]:
    """Give a store with four issuers, two of which have two attributes each."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as opened:
        change(opened, ChangeList("issuers", tuple(map(put, reversed(IDS)))), 1)
        attributes = [put(f"{id_}/{n}", CREDENTIAL, "credential") for id_ in IDS[:2] for n in "ab"]
        change(opened, ChangeList("issuers", tuple(attributes)), 2)
        yield opened


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 9])
def test_pages_hold_each_entry_once_in_order_without_children(
    store: ChainStore, limit: int
) -> None:
    """All pages together are all issuers, whatever sorts between an issuer and its attributes."""
    with store.read() as reader:
        lists = Lists(reader)
        pages = [lists.page("issuers", offset, limit) for offset in range(0, len(IDS), limit)]
        assert [id_ for page in pages for id_, _ in page.items] == sorted(IDS)
        assert {page.total for page in pages} == {len(IDS)}
        assert lists.page("schemas", 0, 10) == (0, [])


def test_children_are_those_of_one_entry(store: ChainStore) -> None:
    """An issuer's attributes are found under it, not under one whose id is longer."""
    with store.read() as reader:
        lists = Lists(reader)
        for id_, expected in zip(IDS, (["a", "b"], ["a", "b"], [], []), strict=True):
            assert [name for name, _ in lists.children("issuers", id_)] == expected


def test_revoked_entries_are_gone_but_for_their_history(store: ChainStore) -> None:
    """After a revocation the entry is neither found nor counted; both revisions can be read."""
    revoked = RevokeEntry(IDS[0], None), RevokeEntry(f"{IDS[0]}/a", None)
    change(store, ChangeList("issuers", revoked), 3)
    with store.read() as reader:
        lists = Lists(reader)
        assert lists.entry("issuers", IDS[0]) is None
        assert lists.page("issuers", 0, 9).total == len(IDS) - 1
        assert [name for name, _ in lists.children("issuers", IDS[0])] == ["b"]
        history = lists.revisions("issuers", IDS[0])
        assert [(entry.revision, int(entry.status)) for entry in history] == [(1, 0), (2, 1)]
        assert lists.revisions("issuers", "did:elsi:NOBODY") == []
