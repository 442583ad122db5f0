"""Votes, timeouts, acknowledgements, and the certificates that quorums of them make.

Every statement is bound to the network (its genesis hash) and the epoch, and has a domain of its
own, so that no signature can serve for another purpose, network or epoch. A certificate holds
its signers in rising order, each once, and *every* signature in it is verified, also beyond the
quorum: a certificate is evidence that others will reuse.

Source of the rules: Jolteon (arXiv 2106.10362) and docs/consensus.md.
"""

from collections.abc import Callable, Iterable
from typing import Annotated

from msgspec import Meta

from ledger.core.codec import Record, Signature64, encode
from ledger.core.errors import Offence, PeerFault
from ledger.core.hashing import derived_digest
from ledger.core.ids import BatchId, BlockId, Epoch, Height, NodeIndex, PublicKey, Round
from ledger.core.limits import INT_MAX, VALIDATORS_COUNT_MAX
from ledger.core.signing import SignatureCheck, Signer, signable, verify_many
from ledger.core.validators import ValidatorSet

__all__ = [
    "Ack",
    "BatchCertificate",
    "BatchIdField",
    "BlockIdField",
    "Commit",
    "Domain",
    "EpochField",
    "HeightField",
    "IndexField",
    "QuorumCertificate",
    "RoundField",
    "Timeout",
    "TimeoutCertificate",
    "TimeoutEntry",
    "Vote",
    "genesis_certificate",
    "opening_certificate",
]

_id = Meta(min_length=32, max_length=32)
_uint = Meta(ge=0, le=INT_MAX)
BlockIdField = Annotated[BlockId, _id]
BatchIdField = Annotated[BatchId, _id]
HeightField = Annotated[Height, _uint]
RoundField = Annotated[Round, _uint]
EpochField = Annotated[Epoch, _uint]
IndexField = Annotated[NodeIndex, Meta(ge=0, lt=VALIDATORS_COUNT_MAX)]

_vote_digest = derived_digest("vote")
_timeout_digest = derived_digest("timeout")
_ack_digest = derived_digest("ack")

SignatureRow = tuple[IndexField, Signature64]
SignatureRows = Annotated[tuple[SignatureRow, ...], Meta(max_length=VALIDATORS_COUNT_MAX)]


class Domain:
    """What signatures of one network are bound to: its genesis hash and a validator set."""

    __slots__ = ("epoch", "genesis_hash", "validators")

    def __init__(self, genesis_hash: bytes, epoch: Epoch, validators: ValidatorSet) -> None:
        self.genesis_hash = genesis_hash
        self.epoch = epoch
        self.validators = validators

    def has_verified(self, certificate: "QuorumCertificate") -> bool:
        """Say whether exactly this certificate was verified before; a plain domain forgets."""
        del certificate
        return False

    def note_verified(self, certificate: "QuorumCertificate") -> None:
        """Note that a certificate holds."""

    def require_epoch(self, epoch: Epoch) -> None:
        """Raise PeerFault unless ``epoch`` is this domain's."""
        if epoch != self.epoch:
            raise PeerFault(Offence.BAD_CERTIFICATE, f"epoch {epoch}, expected {self.epoch}")

    def signer_checks(
        self, signers: Iterable[tuple[NodeIndex, bytes, bytes]]
    ) -> list[SignatureCheck]:
        """Turn (signer, message, signature) rows into checks.

        Raises:
            PeerFault: a signer is unknown, repeated or out of order, or they are too few.
        """
        checks: list[SignatureCheck] = []
        last = -1
        for index, message, signature in signers:
            key = self.validators.key(index)
            if key is None or index <= last:
                raise PeerFault(Offence.BAD_CERTIFICATE, "signers must be known and in order")
            last = index
            checks.append((key, message, signature))
        if len(checks) < self.validators.quorum:
            raise PeerFault(Offence.BAD_CERTIFICATE, f"{len(checks)} signers are no quorum")
        return checks

    def require_signatures(self, signers: Iterable[tuple[NodeIndex, bytes, bytes]]) -> None:
        """Verify every (signer, message, signature) row, also those beyond the quorum.

        Raises:
            PeerFault: as :meth:`signer_checks`, or a signature does not verify.
        """
        if not all(verify_many(self.signer_checks(signers))):
            raise PeerFault(Offence.BAD_SIGNATURE)


class Commit(Record, frozen=True):
    """The block that a quorum certificate finalises; see docs/consensus.md, decision 1."""

    block_id: BlockIdField
    height: HeightField
    next_set_hash: Annotated[bytes, _id] | None


def _vote_message(domain: Domain, round_: Round, block_id: BlockId, commit: Commit | None) -> bytes:
    statement = (domain.genesis_hash, domain.epoch, round_, block_id, commit)
    return signable("vote", _vote_digest(encode(statement)))


def _timeout_message(domain: Domain, round_: Round, qc_round: Round) -> bytes:
    statement = (domain.genesis_hash, domain.epoch, round_, qc_round)
    return signable("timeout", _timeout_digest(encode(statement)))


def _ack_message(domain: Domain, batch_id: BatchId) -> bytes:
    return signable("ack", _ack_digest(encode((domain.genesis_hash, domain.epoch, batch_id))))


class Vote(Record, frozen=True):
    """One validator's vote for a block, and for the ancestor that it thereby commits."""

    epoch: EpochField
    round: RoundField
    block_id: BlockIdField
    commit: Commit | None
    signer: IndexField
    signature: Signature64

    def check(self, domain: Domain) -> SignatureCheck:
        """Give the signature check. Raises PeerFault for a foreign epoch or signer."""
        message = _vote_message(domain, self.round, self.block_id, self.commit)
        return _single_check(domain, self.epoch, self.signer, message, self.signature)

    @staticmethod
    def make(
        domain: Domain, round_: Round, block_id: BlockId, commit: Commit | None, signer: Signer
    ) -> "Vote":
        """Sign a vote as ``signer``, who must be of ``domain``."""
        signature = signer.sign(_vote_message(domain, round_, block_id, commit))
        index = _index(domain, signer.public_key)
        return Vote(domain.epoch, round_, block_id, commit, index, signature)


class QuorumCertificate(Record, frozen=True):
    """A quorum voted for ``block_id`` in ``round``; with ``commit`` also a finality proof."""

    epoch: EpochField
    round: RoundField
    block_id: BlockIdField
    commit: Commit | None
    signatures: SignatureRows

    def verify(self, domain: Domain) -> None:
        """Verify every signature. The genesis certificate is the caller's business.

        Raises:
            PeerFault: it is not a valid certificate of ``domain``.
        """
        if domain.has_verified(self):
            return
        domain.require_epoch(self.epoch)
        message = _vote_message(domain, self.round, self.block_id, self.commit)
        domain.require_signatures(((i, message, s) for i, s in self.signatures))
        domain.note_verified(self)


def opening_certificate(epoch: Epoch, block_id: BlockId) -> QuorumCertificate:
    """Give the certificate that an epoch begins with, valid by definition: nobody signs it."""
    return QuorumCertificate(epoch, Round(0), block_id, None, ())


def genesis_certificate(block_id: BlockId) -> QuorumCertificate:
    """Give the opening certificate of epoch 0."""
    return opening_certificate(Epoch(0), block_id)


class TimeoutEntry(Record, frozen=True):
    """One signer of a timeout certificate and the round of its highest certificate."""

    signer: IndexField
    qc_round: RoundField
    signature: Signature64


class TimeoutCertificate(Record, frozen=True):
    """A quorum gave up ``round``; carries the highest certificate that any of them had."""

    epoch: EpochField
    round: RoundField
    entries: Annotated[tuple[TimeoutEntry, ...], Meta(max_length=VALIDATORS_COUNT_MAX)]
    high_qc: QuorumCertificate

    @property
    def qc_round_max(self) -> Round:
        """The highest certificate round that a signer reported."""
        return max((entry.qc_round for entry in self.entries), default=Round(0))

    def verify(self, domain: Domain, verify_qc: Callable[[QuorumCertificate], None]) -> None:
        """Verify the entries and, through ``verify_qc``, the certificate inside.

        Raises:
            PeerFault: it is not a valid certificate of ``domain``.
        """
        domain.require_epoch(self.epoch)
        if self.high_qc.round != self.qc_round_max or self.high_qc.round >= self.round:
            raise PeerFault(Offence.BAD_CERTIFICATE, "high_qc is not the highest reported")
        domain.require_signatures(
            (
                (e.signer, _timeout_message(domain, self.round, e.qc_round), e.signature)
                for e in self.entries
            ),
        )
        verify_qc(self.high_qc)


class Timeout(Record, frozen=True):
    """One validator gives up ``round``, with the proof of how it got there."""

    epoch: EpochField
    round: RoundField
    high_qc: QuorumCertificate
    last_tc: TimeoutCertificate | None
    signer: IndexField
    signature: Signature64

    def check(self, domain: Domain) -> SignatureCheck:
        """Give the signature check. Raises PeerFault for a foreign epoch or signer."""
        message = _timeout_message(domain, self.round, self.high_qc.round)
        return _single_check(domain, self.epoch, self.signer, message, self.signature)

    @staticmethod
    def make(
        domain: Domain,
        round_: Round,
        high_qc: QuorumCertificate,
        last_tc: TimeoutCertificate | None,
        signer: Signer,
    ) -> "Timeout":
        """Sign a timeout as ``signer``, who must be of ``domain``."""
        signature = signer.sign(_timeout_message(domain, round_, high_qc.round))
        index = _index(domain, signer.public_key)
        return Timeout(domain.epoch, round_, high_qc, last_tc, index, signature)


class Ack(Record, frozen=True):
    """One validator holds the batch durably and found every client signature in it valid."""

    epoch: EpochField
    batch_id: BatchIdField
    signer: IndexField
    signature: Signature64

    def check(self, domain: Domain) -> SignatureCheck:
        """Give the signature check. Raises PeerFault for a foreign epoch or signer."""
        message = _ack_message(domain, self.batch_id)
        return _single_check(domain, self.epoch, self.signer, message, self.signature)

    @staticmethod
    def make(domain: Domain, batch_id: BatchId, signer: Signer) -> "Ack":
        """Sign an acknowledgement as ``signer``, who must be of ``domain``."""
        signature = signer.sign(_ack_message(domain, batch_id))
        return Ack(domain.epoch, batch_id, _index(domain, signer.public_key), signature)


class BatchCertificate(Record, frozen=True):
    """A quorum holds the batch: at least f + 1 honest validators can serve its bytes."""

    epoch: EpochField
    batch_id: BatchIdField
    signatures: SignatureRows

    def verify(self, domain: Domain) -> None:
        """Verify every signature.

        Raises:
            PeerFault: it is not a valid certificate of ``domain``.
        """
        domain.require_epoch(self.epoch)
        message = _ack_message(domain, self.batch_id)
        domain.require_signatures(((i, message, s) for i, s in self.signatures))


def _single_check(
    domain: Domain, epoch: Epoch, signer: NodeIndex, message: bytes, signature: bytes
) -> SignatureCheck:
    domain.require_epoch(epoch)
    key = domain.validators.key(signer)
    if key is None:
        raise PeerFault(Offence.BAD_SIGNATURE, f"no validator has index {signer}")
    return key, message, signature


def _index(domain: Domain, key: PublicKey) -> NodeIndex:
    index = domain.validators.index_of(key)
    if index is None:
        msg = "the signer is no validator of this epoch"
        raise ValueError(msg)
    return index
