"""A store that forgets contents keeps every proof, and goes on as if it had forgotten nothing."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledger.core.errors import Forgotten, ProofError
from ledger.core.event import open_entry
from ledger.core.ids import Height, Sequence
from ledger.core.limits import EVENT_AGE_MS_MAX
from ledger.core.merkle import inclusion_proof, leaf_hash
from ledger.core.merkle_proof import verify_inclusion
from ledger.core.proof import Verifier, build_bundle, with_entry
from ledger.io import batch_appender, chain_pruning, chain_writer
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import event_numbers
from ledger.io.chain_store import ChainStore, Selection
from ledger.io.store_copy import copy_store
from tests.ledger.pruned_world import HOUR_MS, TOPICS, Twins, prune
from tests.ledger.sample_network import GENESIS, batch

ROOT = Path(__file__).parents[2]


@contextmanager
def twins(seed: int) -> Iterator[Twins]:
    """Give twins whose rows hold few events, and whose steps few rows."""
    with (
        TemporaryDirectory() as name,
        patch.object(chain_writer, "LOG_ROW_PLACES_MAX", 5),
        patch.object(chain_writer, "FILED_BYTES_MIN", 1_000),
        patch.object(batch_appender, "FILE_BYTES", 10_000),
        patch.object(chain_writer, "EVENT_ROW_EVENTS_MAX", 3),
        patch.object(chain_writer, "POSTING_NUMBERS_MAX", 3),
        patch.object(chain_pruning, "STEP_ROWS", 7),
    ):
        world = Twins(Path(name), seed)
        try:
            yield world
        finally:
            world.close()


def check(world: Twins, first: int) -> None:
    """Compare what the twin tells that forgot what is below ``first``."""
    with world.forgetful.read() as pruned, world.complete.read() as whole:
        assert pruned.first_held() == first
        sampled = set(world.dice.sample(range(len(world.entries)), min(6, len(world.entries))))
        assert pruned.entries(Sequence(first), 10**6, 10**9) == world.entries[first:]
        for number, entry in enumerate(world.entries):
            sequence, opened = Sequence(number), open_entry(entry)
            assert pruned.height_of(sequence) == whole.height_of(sequence)
            assert pruned.sequence_of(opened.id) == number
            root = pruned.stored_head(pruned.head_height()).root
            path = inclusion_proof(pruned.read_tile, sequence, root.log_size)
            verify_inclusion(number, root.log_size, leaf_hash(entry), root.log_root, path)
            if number in sampled:
                check_bundle(pruned, whole, sequence, entry)
            if number < first:
                with pytest.raises(Forgotten) as gone:
                    pruned.entry(sequence)
                assert (gone.value.sequence, gone.value.first_held) == (number, first)
            else:
                assert pruned.entry(sequence) == entry
                assert pruned.sequence_of(opened.id, opened.event.time_ms) == number
        for height in range(1, whole.head_height() + 1):
            before, block = whole.root(Height(height - 1)), whole.block(Height(height))
            assert before is not None
            assert block is not None
            if before.log_size < first:
                continue
            for id_ in block.payload:  # peers that were away ask for all of them
                assert pruned.batch(id_) == whole.batch(id_)
        for wanted in (*(Selection(topic=t) for t in TOPICS), Selection(subject="s1"), Selection()):
            found = whole.scan(wanted, first - 1, 10**6)
            assert pruned.scan(wanted, first - 1, 10**6) == found
            if first:
                with pytest.raises(Forgotten):
                    pruned.scan(wanted, first - 2, 10**6)


def check_bundle(pruned: ChainReader, whole: ChainReader, sequence: Sequence, entry: bytes) -> None:
    """Compare the proofs of one event: they differ in the entry alone, and that can be added."""
    expected, bundle = build_bundle(whole, sequence), build_bundle(pruned, sequence)
    if expected is None or bundle is None:
        assert expected is bundle
        return
    if sequence < pruned.first_held():
        assert not bundle.entry
        with pytest.raises(ProofError, match="forgotten"):
            Verifier(GENESIS).verify(bundle)
        with pytest.raises(ProofError):
            Verifier(GENESIS).verify(with_entry(bundle, entry[:-1] + bytes([entry[-1] ^ 1])))
    assert with_entry(bundle, entry) == expected
    assert Verifier(GENESIS).verify(with_entry(bundle, entry)).sequence == sequence


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
@given(seed=st.integers(0, 10**6), shares=st.lists(st.floats(0, 1.2), min_size=1, max_size=3))
def test_pruned_store_proves_and_goes_on_like_its_twin(seed: int, shares: list[float]) -> None:
    """At any border: proofs of all events, contents of the kept ones, later blocks, are the same.

    Later blocks repeat forgotten events, within the day in which this is a duplicate and behind it.
    """
    with twins(seed) as world:
        first = 0
        world.grow(4)
        for share in shares:
            world.grow(2, hours=world.dice.choice((0, 11, 25)))
            wanted = int(share * len(world.entries))
            before, first = first, prune(world.forgetful, wanted)
            assert before <= first <= max(before, min(wanted, len(world.entries) - 1))
            if world.dice.random() < 0.5:
                world.reopen()
            check(world, first)
        world.grow(4, hours=5)
        check(world, first)


def test_border_is_the_start_of_a_row_and_never_goes_back() -> None:
    """Contents are held from a row's beginning at most 5 entries earlier, and for good."""
    with twins(1) as world:
        world.grow(12)
        wanted = len(world.entries) - 5
        first = prune(world.forgetful, wanted)
        assert wanted - 5 < first <= wanted
        assert prune(world.forgetful, 3) == first
        assert prune(world.forgetful, 10**9) <= len(world.entries) - 1
        with world.forgetful.read() as reader:
            assert reader.entry(Sequence(len(world.entries) - 1)) == world.entries[-1]


def tables_of(store: ChainStore) -> dict[str, int]:
    """Give the rows of each table that forgets; of the table of events, those."""
    tables = store._tables
    names = ("log", "batches", "refused", "topics", "publishers", "types")
    with store._environment.read() as transaction, transaction.cursor(tables.events) as events:
        counts = {name: transaction.stat(getattr(tables, name))["entries"] for name in names}
        return counts | {"events": sum(len(event_numbers(row)) for _, row in events)}


def test_what_is_forgotten_is_deleted() -> None:
    """Of every table that may forget, hardly anything is left; keys of a day's events stay."""
    with twins(2) as world:
        world.grow(30)
        prune(world.forgetful, 10**9)
        few, all_ = tables_of(world.forgetful), tables_of(world.complete)
        earliest_ms = world.time_ms - EVENT_AGE_MS_MAX
        young = sum(open_entry(item).event.time_ms >= earliest_ms for item in world.entries)
        assert young <= few.pop("events") <= young + 5 < all_.pop("events")
        for name, count in all_.items():
            assert few[name] <= 5 < count, name
        world.grow(1, hours=2 * EVENT_AGE_MS_MAX // 3_600_000)
        prune(world.forgetful, 10**9)
        assert tables_of(world.forgetful)["events"] <= 45


def test_batches_that_no_block_names_yet_are_kept() -> None:
    """What waits to be ordered is not old, however it looks."""
    with twins(3) as world:
        world.grow(10)
        with world.forgetful.write() as writer:
            writer.store_batch(b"b" * 32, b"open")  # type: ignore[arg-type] # a BatchId
        prune(world.forgetful, 10**9)
        with world.forgetful.read() as reader:
            assert reader.batch(b"b" * 32) == b"open"  # type: ignore[arg-type]


def test_ids_are_remembered_of_batches_that_are_named_again_alone() -> None:
    """A long log makes no long list: all other batches are judged by their first block."""
    with twins(4) as world:
        world.grow(60)
        first = prune(world.forgetful, len(world.entries) // 3)
        check(world, first)
        pruner = world.forgetful.pruner()
        with world.forgetful._environment.read() as transaction:
            forgotten = pruner._forgotten(transaction)
        early, late = set[bytes](), set[bytes]()
        with world.complete.read() as reader:
            for height in range(1, reader.head_height() + 1):
                block = reader.block(Height(height))
                assert block is not None
                ids = early if height <= forgotten.height else late
                ids.update(id_[:8] for id_ in block.payload)
        assert forgotten.needed == early & late
        assert 0 < len(forgotten.needed) < len(late) / 5


def test_receipt_of_an_event_whose_key_is_gone() -> None:
    """It stays accepted, however often a block repeats it and refuses it as too old."""
    with twins(9) as world:
        world.grow(5)
        old = open_entry(world.entries[0])
        world.grow(2, hours=2 * EVENT_AGE_MS_MAX // HOUR_MS)
        prune(world.forgetful, 10**9)
        with world.forgetful.read() as reader:
            assert not reader.has_event(old.id, old.event.time_ms)
            before = reader.receipt(old.id)
            assert before is not None
            assert reader.receipt(old.id, old.event.time_ms) == before
        assert world.apply([batch([old.entry], 900)]).refused
        with world.forgetful.read() as reader:
            assert reader.receipt(old.id) == reader.receipt(old.id, old.event.time_ms) == before


def test_copy_of_a_pruned_store_is_pruned_the_same(tmp_path: Path) -> None:
    """Backups and compaction copy what is held, and what is forgotten stays forgotten."""
    with twins(5) as world:
        world.grow(12)
        first = prune(world.forgetful, 60)
        path = world.forgetful.path
        world.forgetful.close()
        copy_store(path, "chain", tmp_path / "copy", lambda *_: None)
        world.forgetful = ChainStore.open(tmp_path / "copy", GENESIS)
        check(world, first)
        world.grow(2)


KILLED = """
import os, signal, sys
from pathlib import Path
from ledger.io import chain_pruning
from ledger.io.chain_store import ChainStore
from tests.ledger.sample_network import GENESIS, batch
chain_pruning.STEP_ROWS = 7
pruner = ChainStore.open(Path(sys.argv[1]), GENESIS).pruner()
pruner.forget_below(int(sys.argv[2]))
for number, _ in enumerate(pruner.sweep()):
    if number == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("steps", [0, 3, 9, 30])
def test_killed_in_the_middle(steps: int) -> None:
    """Whenever it is killed, the store opens, shows what it holds, goes on, and is swept later."""
    with twins(6) as world:
        world.grow(14)
        path, wanted = world.forgetful.path, len(world.entries) - 9
        world.forgetful.close()
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, path, str(wanted), str(steps)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert killed.returncode == -signal.SIGKILL, killed.stderr
        world.forgetful = ChainStore.open(path, GENESIS)
        with world.forgetful.read() as reader:
            first = reader.first_held()
        assert wanted - 5 < first <= wanted
        check(world, first)
        world.grow(2)
        check(world, first)
        assert prune(world.forgetful, 0) == first
        assert tables_of(world.forgetful)["log"] < tables_of(world.complete)["log"] / 2
        check(world, first)


def test_batches_of_blocks_that_accept_nothing_are_kept_for_who_needs_them() -> None:
    """At the end of a ledger's log: also what follows before the next block with a new event."""
    with twins(8) as world:
        world.grow(6)
        first = len(world.entries)
        repeated = [batch([entry], 900 + n) for n, entry in enumerate(world.entries[:3])]
        for row in repeated:
            assert not world.apply([row]).accepted
        world.grow(3)
        assert prune(world.forgetful, first) == first
        check(world, first)
        with world.forgetful.read() as reader:
            assert all(reader.has_batch(id_) for id_, _ in repeated)
