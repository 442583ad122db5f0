"""Epochs: which validator set decides from which block on.

Owns the statement of how an epoch begins. Genesis begins epoch 0; the last block of an epoch, the
first that names a next set, begins the one after it (docs/decisions/0004-epochs.md).
"""

from typing import Annotated

from msgspec import Meta

from ledger.core.certificate import (
    BlockIdField,
    EpochField,
    HeightField,
    QuorumCertificate,
    opening_certificate,
)
from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.genesis import Genesis
from ledger.core.ids import BlockId, Epoch, Height
from ledger.core.limits import VALIDATORS_COUNT_MAX
from ledger.core.validators import Validator, ValidatorSet

__all__ = ["EpochStart", "epochs_codec"]


class EpochStart(Record, frozen=True):
    """What an epoch begins with.

    Attributes:
        genesis_hash: the network.
        number: of the epoch, 0 for the first.
        height, block_id, time_ms: of the block that opened it, which is the last one of the epoch
            before, or genesis.
        members: its validators, in the order of their indexes.
    """

    genesis_hash: Hash32
    number: EpochField
    height: HeightField
    block_id: BlockIdField
    time_ms: UInt
    members: Annotated[tuple[Validator, ...], Meta(min_length=1, max_length=VALIDATORS_COUNT_MAX)]

    @classmethod
    def of_genesis(cls, genesis: Genesis) -> "EpochStart":
        """Give the start of epoch 0."""
        return cls(
            genesis_hash=genesis.hash,
            number=Epoch(0),
            height=Height(0),
            block_id=BlockId(genesis.block_id),
            time_ms=genesis.time_ms,
            members=genesis.validators,
        )

    def validator_set(self) -> ValidatorSet:
        """Give the set in force.

        Raises:
            ValueError: its members cannot be one; no state holds such.
        """
        return ValidatorSet(self.members)

    @property
    def certificate(self) -> QuorumCertificate:
        """The opening certificate: of round 0, valid by definition in this epoch alone."""
        return opening_certificate(self.number, self.block_id)


epochs_codec = Codec(EpochStart)
