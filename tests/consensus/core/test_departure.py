"""Who leaves the validator set stays as long as somebody can learn of it from nobody else."""

from collections.abc import Sequence

import msgspec
import pytest

from consensus.core.departure import Departure
from ledger.core.block import Block
from ledger.core.epoch import EpochStart
from ledger.core.ids import Epoch, Height, NodeIndex
from tests.consensus.core.bench import Bench
from tests.support.federation import make_genesis

OPENING = Height(9)


class _Chain:
    """The blocks of an epoch, which begin above ``OPENING``."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = blocks

    def block(self, height: Height) -> Block | None:
        return self._blocks[height - OPENING - 1]


def _departure(stay_count: int, **renewed: bytes) -> Departure:
    """Give that of a member of four, of whom so many are in the next set, which has four too.

    ``renewed`` is what the first of the next set has instead of what it had.
    """
    genesis, _ = make_genesis(8)
    before = msgspec.structs.replace(EpochStart.of_genesis(genesis), members=genesis.validators[:4])
    members = genesis.validators[4 - stay_count : 8 - stay_count]
    members = (msgspec.structs.replace(members[0], **renewed), *members[1:])
    start = msgspec.structs.replace(before, number=Epoch(1), height=OPENING, members=members)
    return Departure(before, start)


def _blocks(authors: Sequence[int], *, signers: Sequence[int] = (), epoch: int = 1) -> _Chain:
    bench = Bench()
    rows = tuple((NodeIndex(signer), bytes(64)) for signer in signers)
    qc = msgspec.structs.replace(bench.genesis_qc, signatures=rows)
    plain = bench.block(1, None, qc=qc, epoch=Epoch(epoch))
    return _Chain([msgspec.structs.replace(plain, author=NodeIndex(one)) for one in authors])


def test_who_leaves_many_behind_goes_with_the_first_final_block() -> None:
    """Three of four stay: also who lags knows an honest one of them."""
    departure = _departure(3)
    departure.follow(_blocks([]), OPENING)
    assert not departure.is_due
    departure.follow(_blocks([0]), Height(OPENING + 1))
    assert departure.is_due


@pytest.mark.parametrize("kind", ["key", "peer_key"])
def test_who_has_a_new_key_has_not_stayed(kind: str) -> None:
    """A new voting key is of another process, and with another TLS key nobody behind knows it."""
    departure = _departure(3, **{kind: b"n" * 32})
    departure.follow(_blocks([0]), Height(OPENING + 1))
    assert not departure.is_due


@pytest.mark.parametrize("stay_count", [0, 1, 2])
def test_who_leaves_few_behind_waits_for_all(stay_count: int) -> None:
    """The one of the new set that lags may know nobody else."""
    departure = _departure(stay_count)
    for height in range(OPENING + 1, OPENING + 4):
        departure.follow(_blocks([0, 1, 2, 3]), Height(height))
        assert not departure.is_due
    departure.follow(_blocks([0, 1, 2, 3]), Height(OPENING + 4))
    assert departure.is_due


def test_a_signature_shows_a_member_too() -> None:
    """Who does not lead soon is seen by its votes."""
    departure = _departure(0)
    departure.follow(_blocks([0], signers=[1, 2]), Height(OPENING + 1))
    assert not departure.is_due
    departure.follow(_blocks([0, 0], signers=[1, 3]), Height(OPENING + 2))
    assert departure.is_due


def test_blocks_of_another_epoch_show_nothing() -> None:
    """An index of a later epoch is another member's."""
    departure = _departure(0)
    departure.follow(_blocks([0, 1, 2, 3], epoch=2), Height(OPENING + 4))
    assert not departure.is_due
