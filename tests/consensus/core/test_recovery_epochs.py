"""A member that lost everything, recovers in one epoch, and had already signed in a later one."""

import msgspec
import pytest

from consensus.core.effects import Effect
from consensus.core.inputs import Started
from consensus.core.messages import SyncInfo
from consensus.core.node import NodeCore
from consensus.core.pacemaker import Tuning
from consensus.core.restoring import restored_from
from consensus.core.safety_record import SafetyRecord, encode_record, first_record
from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.epoch import EpochStart
from ledger.core.ids import BatchId, BlockId, Epoch, Height, Round
from ledger.core.limits import RECOVERY_MARGIN_ROUNDS
from tests.consensus.core.bench import Bench, timeouts_in, votes_in
from tests.support.federation import START_MS, Disk, make_genesis

END = Height(9)
PROVEN = 6
"""The round that peers of epoch 0 prove after the loss: as much as the signers of round 6 can."""


class _Chain:
    """A durable chain of two or more epochs that begins its last one."""

    def __init__(self, bench: Bench, end_round: int, *, epochs: int = 2) -> None:
        last = bench.block(end_round, None, next_set_hash=b"s" * 32)
        self._last = msgspec.structs.replace(last, height=END)
        self._starts = [EpochStart.of_genesis(bench.genesis)]
        self._starts += (
            EpochStart(
                genesis_hash=bench.genesis.hash,
                number=Epoch(number),
                height=Height(END + number - 1),
                block_id=BlockId(block_id(self._last)),
                time_ms=START_MS,
                members=bench.genesis.validators,
            )
            for number in range(1, epochs)
        )
        self._root = msgspec.structs.replace(bench.disk.roots[0], height=self.head_height())

    def head_height(self) -> Height:
        return self._starts[-1].height

    def first_height(self) -> Height:
        return self.head_height()

    def block(self, height: Height) -> Block | None:
        return self._last if height == END else None

    def root(self, height: Height) -> LedgerRoot | None:
        return self._root if height == self.head_height() else None

    def epoch_start(self, number: Epoch | None = None) -> EpochStart:
        return self._starts[-1 if number is None else number]

    def pending_set_hash(self, _height: Height) -> bytes | None:
        return None

    def open_batches(self, _epoch: Epoch) -> list[tuple[BatchId, bytes]]:
        return []


def _recovered() -> Bench:
    """Give a member that lost both stores; peers that lag let it sign again in epoch 0."""
    genesis, signers = make_genesis(4)
    disk = Disk(genesis, signers[0])
    key = signers[0].public_key
    disk.record = encode_record(first_record(EpochStart.of_genesis(genesis), key, sit_out=True))
    bench = Bench(disk=disk)
    for peer in (1, 2, 3):
        bench.say(peer, SyncInfo(bench.genesis_qc, bench.tc(PROVEN - 1)))
    assert (bench.record.sit_out, bench.record.recovered_round) == (False, PROVEN)
    return bench


def _begin_next(bench: Bench, chain: _Chain) -> SafetyRecord:
    """Go on with the core of the epoch that the chain is in; give its record."""
    restored = restored_from(bench.record, (), chain)
    bench.disk.record = encode_record(restored.record)
    bench.core = NodeCore(bench.signers[bench.me], restored, bench.disk, Tuning())
    bench.give(Started())
    return restored.record


def _first_round(bench: Bench, chain: _Chain) -> list[Effect]:
    """Have the leader of round 1 propose, and then the round pass."""
    start = chain.epoch_start()
    root = chain.root(start.height)
    assert root is not None
    block = bench.block(
        1,
        None,
        epoch=start.number,
        height=Height(start.height + 1),
        parent_id=start.block_id,
        qc=start.certificate,
        executed_height=start.height,
        ledger_root=root.digest,
    )
    return [*bench.say(block.author, bench.propose(block)), *bench.time_out()]


@pytest.mark.parametrize(
    ("end_round", "sits_out"),
    [(1, True), (PROVEN - 1, True), (PROVEN, False), (PROVEN + 50, False)],
)
def test_who_may_have_signed_in_the_next_epoch_signs_nothing_at_its_beginning(
    end_round: int, *, sits_out: bool
) -> None:
    """The epoch's end may have been certified, and seen by this key alone, before the loss."""
    bench = _recovered()
    chain = _Chain(bench, end_round)
    assert _begin_next(bench, chain).sit_out == sits_out
    effects = _first_round(bench, chain)
    assert bool(votes_in(effects) or timeouts_in(effects)) != sits_out


def test_it_signs_again_beyond_what_its_peers_prove_in_the_next_epoch() -> None:
    """As in the first: no round in which its key may have signed is signed again."""
    bench = _recovered()
    chain = _Chain(bench, end_round=1)
    _begin_next(bench, chain)
    opening = chain.epoch_start().certificate
    for peer in (1, 2, 3):
        assert bench.record.sit_out
        bench.say(peer, SyncInfo(opening, None))
    assert bench.record.acted_round == 1 + RECOVERY_MARGIN_ROUNDS
    assert (bench.record.sit_out, bench.record.recovered_round) == (False, 1)


@pytest.mark.parametrize(("end_round", "sits_out"), [(PROVEN - 1, True), (PROVEN, False)])
def test_epochs_that_pass_meanwhile_change_nothing(end_round: int, *, sits_out: bool) -> None:
    """The end of the epoch that the record is of decides, however many follow."""
    bench = _recovered()
    assert _begin_next(bench, _Chain(bench, end_round, epochs=3)).sit_out == sits_out


def test_a_record_that_was_never_lost_sits_out_nowhere() -> None:
    """Nor does one of an end that is not known, as long as it was never lost."""
    bench = Bench()
    record = restored_from(bench.record, (), _Chain(bench, end_round=1)).record
    assert (record.epoch, record.sit_out) == (1, False)


def test_an_end_that_is_not_known_counts_as_a_low_one() -> None:
    """A store that lacks the block cannot show that nothing was signed."""
    bench = _recovered()
    chain = _Chain(bench, PROVEN + 50)
    vars(chain)["block"] = lambda _height: None
    assert restored_from(bench.record, (), chain).record.sit_out
    assert Round(bench.record.recovered_round) == PROVEN
