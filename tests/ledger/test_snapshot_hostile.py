"""Whoever sends a snapshot is a stranger: each wrong piece is refused at once, and not kept."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.block import block_id
from ledger.core.codec import Codec
from ledger.core.errors import DecodeError, ProofError
from ledger.core.ids import BlockId, Height
from ledger.core.ids import Sequence as SequenceNumber
from ledger.core.limits import SNAPSHOT_CHUNK_ITEMS, SNAPSHOT_GAP_BLOCKS_MAX
from ledger.core.snapshot import (
    BlockLink,
    Blocks,
    LogPart,
    StatePart,
    blocks_codec,
    log_codec,
    read_blocks,
    read_log,
    read_state,
    state_codec,
    verify_blocks,
    verify_log,
)
from ledger.core.snapshot_manifest import Manifest, manifest_codec, verify_manifest
from ledger.core.statemap_node import Leaf, decode_node, encode_node
from ledger.io.chain_store import ChainStore
from ledger.io.snapshot_store import SnapshotStore
from tests.ledger.sample_network import GENESIS, certificate_of, entry, network
from tests.ledger.snapshot_world import (
    copy_blocks,
    copy_log,
    copy_state,
    make_source,
    manifest_of,
    open_copy,
)

CODECS = (manifest_codec, blocks_codec, state_codec, log_codec)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainStore]:
    """A chain."""
    with make_source(tmp_path_factory.mktemp("source") / "chain", 20) as store:
        yield store


@pytest.fixture
def manifest(source: ChainStore) -> Manifest:
    """Its newest certified ledger."""
    with source.read() as reader:
        return manifest_of(reader)


@pytest.fixture
def copy(manifest: Manifest, tmp_path: Path) -> Iterator[SnapshotStore]:
    """A copy that has begun."""
    with open_copy(tmp_path / "copy") as opened:
        opened.begin(manifest)
        yield opened


def forgeries(manifest: Manifest) -> dict[str, Manifest]:
    """Give manifests that are all wrong."""
    change = msgspec.structs.replace
    root, header, certificate = manifest.root, manifest.header, manifest.certificate
    richer = change(root, log_size=root.log_size + 1)
    signatures = certificate.signatures
    return {
        "another ledger": change(manifest, root=richer),
        "another header": change(manifest, header=change(header, time_ms=header.time_ms + 1)),
        "a header for another ledger": change(
            manifest, root=richer, header=change(header, ledger_root=richer.digest)
        ),
        "no commit": change(manifest, certificate=change(certificate, commit=None)),
        "too few signatures": change(
            manifest, certificate=change(certificate, signatures=signatures[:2])
        ),
        "one signer twice": change(
            manifest, certificate=change(certificate, signatures=(*signatures[:2], signatures[1]))
        ),
        "a forged signature": change(
            manifest,
            certificate=change(certificate, signatures=(*signatures[:2], (3, bytes(64)))),
        ),
    }


@pytest.mark.parametrize(
    "name",
    [
        "another ledger",
        "another header",
        "a header for another ledger",
        "no commit",
        "too few signatures",
        "one signer twice",
        "a forged signature",
    ],
)
def test_a_forged_manifest_is_refused(manifest: Manifest, tmp_path: Path, name: str) -> None:
    """What no quorum signed begins no copy."""
    with open_copy(tmp_path) as copy:
        with pytest.raises(ProofError):
            copy.begin(forgeries(manifest)[name])
        assert copy.manifest is None
    with open_copy(tmp_path) as copy:
        assert copy.manifest is None


def test_the_manifest_of_another_network_is_refused(manifest: Manifest) -> None:
    """The same validators in another network are another quorum."""
    verify_manifest(manifest, GENESIS)
    with pytest.raises(ProofError):
        verify_manifest(manifest, network("other"))


def test_a_header_far_above_its_ledger_is_refused(manifest: Manifest) -> None:
    """The blocks in between have to be fetched before anything else: their number has a limit."""
    root = manifest.root
    for gap, is_allowed in (
        (SNAPSHOT_GAP_BLOCKS_MAX, True),
        (SNAPSHOT_GAP_BLOCKS_MAX + 1, False),
        (0, False),
    ):
        height = Height(root.height + gap)
        header = msgspec.structs.replace(manifest.header, height=height)
        certificate = certificate_of(block_id(header), height)
        far = msgspec.structs.replace(manifest, header=header, certificate=certificate)
        if is_allowed:
            verify_manifest(far, GENESIS)
            continue
        with pytest.raises(ProofError, match="no header for the ledger"):
            verify_manifest(far, GENESIS)


def test_wrong_blocks_are_refused(source: ChainStore, copy: SnapshotStore) -> None:
    """Blocks that are not the chain, have a gap, or go on behind genesis, are refused whole."""
    with source.read() as reader:
        wanted = copy.next_block
        assert wanted is not None
        right = read_blocks(reader, wanted.height)
        assert right is not None
        blocks = right.blocks
        changed = msgspec.structs.replace(blocks[2], time_ms=blocks[2].time_ms + 1)
        for wrong in (
            (*blocks[:2], changed, *blocks[3:]),
            (blocks[0], *blocks[2:]),
            blocks[1:],
            (*blocks, blocks[-1]),
        ):
            with pytest.raises(ProofError):
                copy.add_blocks(Blocks(wrong))
            assert copy.next_block == wanted
        copy_blocks(reader, copy)
        assert copy.next_block is None


def test_a_chain_that_begins_elsewhere_is_refused(source: ChainStore) -> None:
    """The parent of the first block is this network's genesis."""
    with source.read() as reader:
        first = reader.block(Height(1))
    assert first is not None
    end = verify_blocks(BlockLink(Height(1), block_id(first)), [first], GENESIS)
    assert end == BlockLink(Height(0), GENESIS.block_id)
    foreign = msgspec.structs.replace(first, parent_id=BlockId(bytes(32)))
    with pytest.raises(ProofError, match="does not begin with this genesis"):
        verify_blocks(BlockLink(Height(1), block_id(foreign)), [foreign], GENESIS)


def test_wrong_state_is_refused(source: ChainStore, copy: SnapshotStore) -> None:
    """Nodes that are changed, left out, or more than there are, are refused whole."""
    with source.read() as reader:
        assert copy.manifest is not None
        right = read_state(reader.read_node, copy.manifest.root.state_root, "")
        assert right is not None
        nodes = right.nodes
        last = decode_node(nodes[-1])
        assert isinstance(last, Leaf)
        for wrong in (
            (*nodes[:3], encode_node(Leaf(b"key", b"value")), *nodes[4:]),
            (*nodes[:3], *nodes[4:]),
            (*nodes[:3], b"\x00", *nodes[4:]),
            (*nodes, nodes[-1]),
            (*nodes[:-1], encode_node(Leaf(last.key, last.value + b"!"))),
        ):
            with pytest.raises(ProofError):
                copy.add_state(StatePart(wrong))
            assert copy.next_node is not None
            assert copy.next_node.path == ""
        copy_state(reader, copy)
        assert copy.next_node is None


def _wrong_logs() -> dict[str, Callable[[LogPart], LogPart]]:
    def with_entries(change: Callable[[list[bytes]], list[bytes]]) -> Callable[[LogPart], LogPart]:
        return lambda part: LogPart(tuple(change(list(part.entries))), part.proof)

    return {
        "changed": with_entries(lambda rows: [rows[0][:-1] + b"\0", *rows[1:]]),
        "another": with_entries(lambda rows: [*rows[:-1], entry(999_999)]),
        "missing": with_entries(lambda rows: rows[1:]),
        "missing at the end": with_entries(lambda rows: rows[:-1]),
        "turned round": with_entries(lambda rows: rows[::-1]),
        "too many": with_entries(lambda rows: rows * 2),
        "endless": with_entries(lambda rows: (rows * 1_000)[:SNAPSHOT_CHUNK_ITEMS]),
        "no proof": lambda part: LogPart(part.entries, ()),
        "another proof": lambda part: LogPart(part.entries, part.proof[::-1]),
        "a longer proof": lambda part: LogPart(part.entries, (*part.proof, bytes(32))),
    }


@pytest.mark.parametrize("name", list(_wrong_logs()))
def test_wrong_entries_are_refused(
    source: ChainStore, copy: SnapshotStore, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that are not the next ones of the certified log are refused, and the copy goes on."""
    monkeypatch.setattr("ledger.core.snapshot.SNAPSHOT_CHUNK_ITEMS", 33)
    with source.read() as reader:
        copy_log(reader, copy, until=50)
        before = copy.log_size
        assert copy.manifest is not None
        right = read_log(reader, SequenceNumber(before), copy.manifest.root.log_size)
        assert right is not None
        with pytest.raises(ProofError):
            copy.add_log(_wrong_logs()[name](right))
        assert copy.log_size == before
        copy_blocks(reader, copy)
        copy_state(reader, copy)
        copy_log(reader, copy)
        assert copy.is_complete
        copy.finish()


def test_crumbs_are_refused(
    source: ChainStore, copy: SnapshotStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A right part that is smaller than it need be would make joining take for ever."""
    with source.read() as reader:
        assert copy.manifest is not None
        root = copy.manifest.root
        with monkeypatch.context() as patch:
            patch.setattr("ledger.core.snapshot.SNAPSHOT_CHUNK_ITEMS", 9)
            entries = read_log(reader, SequenceNumber(0), root.log_size)
            nodes = read_state(reader.read_node, root.state_root, "")
            assert entries is not None
            assert nodes is not None
        with pytest.raises(ProofError, match="before it is full"):
            copy.add_log(entries)
        with pytest.raises(ProofError, match="before it is full"):
            copy.add_state(nodes)
        for limit, is_full in ((8, True), (9, True), (10, False)):
            monkeypatch.setattr("ledger.core.snapshot.SNAPSHOT_CHUNK_ITEMS", limit)
            if is_full:
                verify_log(lambda *_: b"", 0, entries, root)
                continue
            with pytest.raises(ProofError, match="before it is full"):
                verify_log(lambda *_: b"", 0, entries, root)


@pytest.mark.parametrize("codec", CODECS, ids=["manifest", "blocks", "state", "log"])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_refused(codec: Codec[object], data: bytes) -> None:
    """Bytes are a piece or DecodeError."""
    with pytest.raises(DecodeError):
        codec.decode(data)


def test_empty_parts_are_refused() -> None:
    """A part without items would be asked for for ever."""
    for codec, empty in (
        (blocks_codec, Blocks(())),
        (state_codec, StatePart(())),
        (log_codec, LogPart((), ())),
    ):
        with pytest.raises(DecodeError):
            codec.decode(msgspec.msgpack.encode(empty))
