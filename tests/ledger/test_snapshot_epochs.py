"""Snapshots of later epochs: who decides follows from genesis, and a liar's epochs are refused."""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from ledger.core.block import block_id
from ledger.core.certificate import Commit, Domain
from ledger.core.errors import ProofError
from ledger.core.execute import execute_block
from ledger.core.ids import Epoch, Height, Sequence
from ledger.core.limits import SNAPSHOT_GAP_BLOCKS_MAX
from ledger.core.proof import build_bundle, verify_bundle
from ledger.core.snapshot_manifest import (
    EndedEpoch,
    Manifest,
    new_manifest,
    require_one_history,
    verify_manifest,
)
from ledger.io.chain_store import ChainStore
from ledger.io.snapshot_store import SnapshotStore
from tests.ledger.epochs_world import (
    NEW_KEYS,
    EpochsChain,
    beyond_the_end,
    make_epochs,
    member_of,
    sign,
)
from tests.ledger.sample_network import DOMAIN, GENESIS, VALIDATORS, network
from tests.ledger.snapshot_world import (
    KEPT,
    copy_all,
    copy_blocks,
    copy_log,
    copy_state,
    manifest_of,
    open_copy,
)

change = msgspec.structs.replace


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EpochsChain]:
    """A chain of three epochs."""
    chain = make_epochs(tmp_path_factory.mktemp("epochs") / "chain")
    with chain.store:
        yield chain


@pytest.fixture
def manifest(chain: EpochsChain) -> Manifest:
    """Its newest certified ledger."""
    with chain.store.read() as reader:
        return manifest_of(reader)


def follow(copy: ChainStore, source: EpochsChain) -> None:
    """Apply the blocks that a copy lacks, with the certificates of their network."""
    with source.store.read() as reader, copy.write() as writer:
        for number in range(writer.root.height + 1, reader.head_height() + 1):
            height = Height(number)
            block = reader.block(height)
            assert block is not None
            for id_ in block.payload:
                writer.store_batch(id_, reader.batch(id_) or b"")
            result = execute_block(writer, block_id(block), block, lambda _: True)
            writer.apply(result, reader.certificate(height))


def test_the_validators_of_the_last_epoch_are_shown_from_genesis(manifest: Manifest) -> None:
    """Two changes, after which nobody of genesis is left."""
    verify_manifest(manifest, GENESIS)
    assert [end.last.epoch for end in manifest.epoch_ends] == [0, 1]
    assert manifest.header.epoch == 2
    last = manifest.epoch_ends[-1].ending.validators
    assert not {member.key for member in last} & {one.public_key for one in VALIDATORS}


def test_a_copy_knows_how_every_epoch_began(chain: EpochsChain, tmp_path: Path) -> None:
    """Each start, the block and the certificate behind it are the original's."""
    with copy_all(chain.store, tmp_path) as copy, copy.read() as new, chain.store.read() as old:
        for number in range(3):
            start = old.epoch_start(Epoch(number))
            assert new.epoch_start(Epoch(number)) == start
            if number:
                assert new.certificate(start.height) == old.certificate(start.height) is not None
                assert new.block(start.height) == old.block(start.height) is not None
        assert new.epoch_start() == old.epoch_start()
        with pytest.raises(LookupError):
            new.epoch_start(Epoch(3))


def test_a_copy_goes_on_into_the_next_epoch_and_can_be_copied(tmp_path: Path) -> None:
    """It takes the next change like the original; its events are proven, its copy holds too."""
    chain = make_epochs(tmp_path / "chain")
    with chain.store, copy_all(chain.store, tmp_path / "copy") as copy:
        with copy.read() as new:
            assert new_manifest(new) is None
        chain.change(NEW_KEYS[:4])
        chain.events(4)
        follow(copy, chain)
        with chain.store.read() as old, copy.read() as new:
            assert new.head() == old.head()
            assert new.epoch_start() == old.epoch_start()
            assert new_manifest(new) == new_manifest(old)
            for sequence in (0, new.head().log_size // 2, new.head().log_size - 40):
                bundle = build_bundle(new, Sequence(sequence))
                assert bundle is not None
                assert verify_bundle(bundle, GENESIS).entry == old.entry(Sequence(sequence))
        with copy_all(copy, tmp_path / "second") as second, second.read() as third:
            assert third.epoch_start().number == 3


def test_the_newest_validators_say_how_many_blocks_are_needed(
    chain: EpochsChain, tmp_path: Path
) -> None:
    """The leader schedule of a set needs blocks by its own size, not by that of genesis."""
    asked: list[int] = []

    def needed(count: int) -> int:
        asked.append(count)
        return KEPT

    with SnapshotStore.open(tmp_path, GENESIS, needed) as copy, chain.store.read() as reader:
        copy.begin(manifest_of(reader))
        copy_blocks(reader, copy)
    assert set(asked) == {len(NEW_KEYS[3:])}


@pytest.mark.parametrize("steps", range(1, 9))
def test_around_a_change_every_manifest_holds(steps: int, tmp_path: Path) -> None:
    """Before, at and after the last block of an epoch: what is offered can be copied."""
    chain = EpochsChain(tmp_path / "chain")
    with chain.store:
        chain.events(3)
        if steps > 2:
            chain.change(NEW_KEYS[:4])
        for _ in range(steps):
            chain.grow()
        with copy_all(chain.store, tmp_path / "copy") as copy, copy.read() as reader:
            height = reader.head_height()
        with ChainStore.open(tmp_path / "copy", GENESIS) as copy:
            follow(copy, chain)
            with copy.read() as new, chain.store.read() as old:
                assert new.first_height() == height
                assert new.head() == old.head()
                assert new.epoch_start() == old.epoch_start()


def _foreign(manifest: Manifest) -> tuple[EndedEpoch, ...]:
    """Give ends that validators of another network with the same keys signed."""
    domain = Domain(network("other").hash, Epoch(0), GENESIS.validator_set())
    first = manifest.epoch_ends[0]
    commit = first.ending.certificate.commit
    assert commit is not None
    signed = sign(domain, VALIDATORS[:3], commit, 30)
    return (
        change(first, ending=change(first.ending, certificate=signed)),
        *manifest.epoch_ends[1:],
    )


def _own_set(manifest: Manifest) -> tuple[EndedEpoch, ...]:
    """Give ends of which the last leads to the liar's own validators."""
    first, second = manifest.epoch_ends
    own = tuple(member_of(signer) for signer in NEW_KEYS[:4])
    return (first, change(second, ending=change(second.ending, validators=own)))


def _unnamed(manifest: Manifest) -> tuple[EndedEpoch, ...]:
    """Give an end whose certificate names no next set."""
    first, second = manifest.epoch_ends
    commit = Commit(block_id(first.last), first.last.height, None)
    plain = sign(DOMAIN, VALIDATORS[:3], commit, 30)
    return (change(first, ending=change(first.ending, certificate=plain)), second)


def _few(manifest: Manifest) -> tuple[EndedEpoch, ...]:
    first, second = manifest.epoch_ends
    certificate = first.ending.certificate
    cut = change(certificate, signatures=certificate.signatures[:2])
    return (change(first, ending=change(first.ending, certificate=cut)), second)


def _other_block(manifest: Manifest) -> tuple[EndedEpoch, ...]:
    first, second = manifest.epoch_ends
    return (first, change(second, last=change(second.last, time_ms=second.last.time_ms + 1)))


LIES: dict[str, tuple[Callable[[Manifest], tuple[EndedEpoch, ...]], str]] = {
    "none": (lambda _: (), "of epoch 2, but the ends of 0 epochs"),
    "short": (lambda m: m.epoch_ends[:-1], "of epoch 2, but the ends of 1 epochs"),
    "the first missing": (lambda m: m.epoch_ends[1:], "of epoch 2, but the ends of 1 epochs"),
    "too many": (lambda m: (*m.epoch_ends, m.epoch_ends[-1]), "the ends of 3 epochs"),
    "turned round": (lambda m: m.epoch_ends[::-1], "the end of epoch 0 does not hold"),
    "one twice": (lambda m: m.epoch_ends[:1] * 2, "the end of epoch 1 does not hold"),
    "foreign": (_foreign, "the end of epoch 0 does not hold"),
    "the liar's own set": (_own_set, "another set than the named one follows epoch 1"),
    "no next set": (_unnamed, "does not end epoch 0"),
    "too few signers": (_few, "the end of epoch 0 does not hold: .*2 signers are no quorum"),
    "another last block": (_other_block, "another block than the one that ended epoch 1"),
}


@pytest.mark.parametrize("name", list(LIES))
def test_wrong_ends_of_epochs_are_refused(manifest: Manifest, tmp_path: Path, name: str) -> None:
    """The message says which epoch does not follow; nothing is begun."""
    lie, words = LIES[name]
    wrong = change(manifest, epoch_ends=lie(manifest))
    with open_copy(tmp_path) as copy:
        with pytest.raises(ProofError, match=words):
            copy.begin(wrong)
        assert copy.manifest is None


@pytest.mark.parametrize("is_first", [True, False])
def test_validators_of_the_past_contradict_the_present_ones(
    manifest: Manifest, *, is_first: bool
) -> None:
    """Each of the two holds alone; both together show that somebody has old keys."""
    liar = beyond_the_end(manifest, 5_000)
    verify_manifest(liar, GENESIS)
    both = [liar, manifest] if is_first else [manifest, liar]
    with pytest.raises(ProofError, match="beyond the end of its epoch"):
        require_one_history(both, GENESIS)
    require_one_history([manifest, manifest], GENESIS)


def test_a_ledger_of_the_epoch_before_is_none_of_this(chain: EpochsChain) -> None:
    """A quorum that says so would be more than f liars; even then the parts must agree."""
    with chain.store.read() as reader:
        right = manifest_of(reader)
        start = reader.epoch_start()
        below = reader.root(Height(start.height - 1))
        here = reader.root(start.height)
    assert below is not None
    assert here is not None
    for root, height, words in (
        (below, start.height + 1, "begins above the ledger"),
        (change(right.root, set_hash=GENESIS.validator_set().hash), None, "other validators"),
        (here, start.height + SNAPSHOT_GAP_BLOCKS_MAX + 1, "is no header for the ledger"),
    ):
        header = change(right.header, executed_height=root.height, ledger_root=root.digest)
        if height is not None:
            header = change(header, height=Height(height))
        commit = Commit(block_id(header), header.height, None)
        signed = sign(chain.domain, chain.signers[:3], commit, 99)
        with pytest.raises(ProofError, match=words):
            verify_manifest(change(right, root=root, header=header, certificate=signed), GENESIS)


def test_an_interrupted_copy_goes_on_after_another_change(tmp_path: Path) -> None:
    """What was begun in one epoch is completed while the network is in the next."""
    chain = make_epochs(tmp_path / "chain")
    with chain.store:
        with open_copy(tmp_path / "copy") as copy, chain.store.read() as reader:
            copy.begin(manifest_of(reader))
        chain.change(NEW_KEYS[:4])
        chain.events(2)
        with open_copy(tmp_path / "copy") as copy:
            with chain.store.read() as reader:
                copy_blocks(reader, copy)
                copy_state(reader, copy)
                copy_log(reader, copy)
            copy.finish()
        with ChainStore.open(tmp_path / "copy", GENESIS) as store:
            follow(store, chain)
            with store.read() as reader:
                assert reader.epoch_start().number == 3
                assert reader.epoch_start().members == tuple(map(member_of, NEW_KEYS[:4]))
