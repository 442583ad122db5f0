"""State bundles out of real stores: at every height of a whole one, and of a copied one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.core.ids import Height
from ledger.core.state_proof import build_state_bundle, verify_state_bundle
from ledger.core.trust.lists import entry_codec, entry_key
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import GENESIS
from tests.ledger.snapshot_world import copy_all, follow, make_source, manifest_of

KEY = entry_key("schemas", "id-7-1")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainStore]:
    """A chain whose blocks change a list."""
    with make_source(tmp_path_factory.mktemp("source") / "chain") as store:
        yield store


def test_every_height_of_a_whole_chain_is_answered(source: ChainStore) -> None:
    """At each height that a header carries the bundle shows what the state held then."""
    with source.read() as reader:
        newest = build_state_bundle(reader, KEY)
        assert newest is not None
        seen = set()
        for height in range(newest.root.height + 1):
            bundle = build_state_bundle(reader, KEY, Height(height))
            assert bundle is not None
            shown = verify_state_bundle(bundle, GENESIS)
            root = reader.root(Height(height))
            assert root is not None
            assert (shown.height, shown.value) == (height, reader.state(root).get(KEY))
            seen.add(shown.value is None)
        assert seen == {True, False}
        assert build_state_bundle(reader, KEY, Height(newest.root.height + 1)) is None


def test_a_copied_chain_answers_from_its_beginning_on(source: ChainStore, tmp_path: Path) -> None:
    """What a member that joined by a copy never had is answered by the first state that it has."""
    with copy_all(source, tmp_path / "copy") as copy, source.read() as old:
        begin = manifest_of(old).root.height
        with copy.read() as reader:
            assert build_state_bundle(reader, KEY, Height(1)) in (
                None,
                build_state_bundle(reader, KEY),
            )
        follow(copy, source)
        with copy.read() as reader:
            for height in (0, 1, begin - 1, begin):
                bundle = build_state_bundle(reader, KEY, Height(height))
                assert bundle is not None
                shown = verify_state_bundle(bundle, GENESIS)
                assert shown.height >= begin
                assert shown.value is not None
                assert entry_codec.decode(shown.value).kind == "schema"
