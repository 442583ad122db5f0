"""The ends of epochs: who follows from genesis, and what a quorum of the past can still prove."""

import pytest
from msgspec.structs import replace

from ledger.core.block import LedgerRoot, block_id
from ledger.core.certificate import Commit, Domain, QuorumCertificate, Vote
from ledger.core.epoch_proof import EpochEnding, SetChain
from ledger.core.errors import ProofError
from ledger.core.ids import BlockId, Epoch, Height, Round
from ledger.core.proof import CertifiedRoot, Verifier
from ledger.core.validators import ValidatorSet
from tests.ledger.sample_network import DOMAIN, GENESIS, VALIDATORS, block_after

END = Height(9)
NEXT = tuple(reversed(GENESIS.validators))
"""The validators of epoch 1: the same, in another order."""


def signed(domain: Domain, commit: Commit, round_: int = 10) -> QuorumCertificate:
    """Have three validators certify a block of an epoch, with a commit."""
    child = BlockId(bytes([9]) * 32)
    votes = [Vote.make(domain, Round(round_), child, commit, one) for one in VALIDATORS[:3]]
    rows = tuple(sorted((vote.signer, vote.signature) for vote in votes))
    return QuorumCertificate(domain.epoch, Round(round_), child, commit, rows)


def ending(id_: bytes = b"R" * 32, height: Height = END, round_: int = 10) -> EpochEnding:
    """Give the end of epoch 0 with a block."""
    commit = Commit(BlockId(id_), height, ValidatorSet(NEXT).hash)
    return EpochEnding(signed(DOMAIN, commit, round_), NEXT)


def root_at(height: int, time_ms: int = 1) -> CertifiedRoot:
    """Have the validators of epoch 0 make a header with a root final."""
    root = LedgerRoot(Height(height - 1), 0, bytes(32), bytes(32), GENESIS.validator_set().hash)
    id_, header = block_after(root, BlockId(bytes(32)), (), time_ms)
    assert id_ == block_id(header)
    return CertifiedRoot(root, header, signed(DOMAIN, Commit(id_, Height(height), None)))


def root_after_the_end(end: EpochEnding) -> CertifiedRoot:
    """Have the validators of epoch 1 make a header with a root final."""
    domain = Domain(GENESIS.hash, Epoch(1), ValidatorSet(NEXT))
    plain = root_at(END + 2)
    header = replace(plain.header, epoch=Epoch(1))
    commit = Commit(block_id(header), header.height, None)
    return CertifiedRoot(plain.root, header, signed(domain, commit), (end,))


def test_a_quorum_of_the_past_proves_nothing_beyond_its_end() -> None:
    """Keys that are out of use since an epoch ended cannot prove another history to who knows."""
    verifier = Verifier(GENESIS)
    verifier.verify_root(root_at(END - 1))
    verifier.verify_root(root_after_the_end(ending()))
    verifier.verify_root(root_at(END - 2))  # of the epoch while it was
    for height in (END, END + 1, END + 100):
        with pytest.raises(ProofError, match="beyond the end of its epoch"):
            verifier.verify_root(root_at(height))


def test_the_last_block_of_an_epoch_is_of_it() -> None:
    """The header of the very block that ended the epoch is accepted, from both epochs."""
    verifier, last = Verifier(GENESIS), root_at(END)
    end = ending(block_id(last.header))
    verifier.verify_root(root_after_the_end(end))
    verifier.verify_root(last)
    verifier.verify_root(last._replace(certificate=end.certificate))


def test_an_end_below_what_was_proven_is_a_fork() -> None:
    """However often it is shown, and whichever of the two histories is the true one."""
    verifier = Verifier(GENESIS)
    verifier.verify_root(root_at(END + 1))
    for _ in range(2):
        with pytest.raises(ProofError, match="beyond the end of its epoch"):
            verifier.verify_root(root_after_the_end(ending()))


def test_an_epoch_ends_once() -> None:
    """Two certificates of one end are one; another last block is a fork, also with the same set."""
    chain = SetChain(GENESIS)
    domain = chain.follow((ending(),))
    assert (domain.epoch, domain.validators.members) == (1, NEXT)
    assert chain.follow((ending(round_=12),)) is domain
    for other in (ending(b"S" * 32), ending(height=Height(END + 1))):
        with pytest.raises(ProofError, match="two ends of epoch 0"):
            chain.follow((other,))
