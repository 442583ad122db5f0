"""Who the validators of an epoch are, shown from genesis on by the ends of all epochs before it.

Each set signs, with the certificate that ends its epoch, the digest of the set that follows it. The
sets themselves travel beside the certificates (docs/proofs.md).
"""

from typing import Annotated, Protocol

from msgspec import Meta

from ledger.core.certificate import Commit, Domain, QuorumCertificate
from ledger.core.codec import Record
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError, PeerFault, ProofError
from ledger.core.genesis import Genesis
from ledger.core.ids import Epoch, Height
from ledger.core.limits import PROOF_EPOCHS_MAX, VALIDATORS_COUNT_MAX
from ledger.core.validators import Validator, ValidatorSet

__all__ = ["EndingSource", "EpochEnding", "EpochEndings", "SetChain", "endings_before"]


class EpochEnding(Record, frozen=True):
    """How an epoch ended.

    Attributes:
        certificate: of its validators; it commits the last block and names the next set.
        validators: that set.
    """

    certificate: QuorumCertificate
    validators: Annotated[
        tuple[Validator, ...], Meta(min_length=1, max_length=VALIDATORS_COUNT_MAX)
    ]


EpochEndings = Annotated[tuple[EpochEnding, ...], Meta(max_length=PROOF_EPOCHS_MAX)]


class EndingSource(Protocol):
    """Where the ends of epochs are found."""

    def epoch_start(self, number: Epoch, /) -> EpochStart:
        """Give how an epoch began. Raises LookupError when it has not."""
        ...

    def certificate(self, height: Height, /) -> QuorumCertificate | None:
        """Give the certificate that commits exactly the block at ``height``."""
        ...


def endings_before(source: EndingSource, epoch: Epoch) -> tuple[EpochEnding, ...]:
    """Give the ends of all epochs before ``epoch``, oldest first.

    Raises:
        InvariantError: the chain lacks one.
    """
    endings: list[EpochEnding] = []
    for number in range(1, epoch + 1):
        start = source.epoch_start(Epoch(number))
        certificate = source.certificate(start.height)
        if certificate is None:
            raise InvariantError(f"the chain lacks the certificate that ended epoch {number - 1}")
        endings.append(EpochEnding(certificate, start.members))
    return tuple(endings)


class SetChain:
    """The validator sets that were shown so far, and how far each epoch goes.

    Two ends of one epoch are a fork. So is a block beyond the end: whoever left the set may have
    lost his key since, and a quorum of the past can sign what it likes in its own epoch.
    """

    __slots__ = ("_domains", "_endings", "_tops")

    def __init__(self, genesis: Genesis) -> None:
        """Trust ``genesis`` and nothing else."""
        self._domains = [Domain(genesis.hash, Epoch(0), genesis.validator_set())]
        self._endings: list[EpochEnding] = []
        self._tops: dict[Epoch, Commit] = {}  # the highest accepted block of each epoch

    def follow(self, endings: tuple[EpochEnding, ...]) -> Domain:
        """Check the ends of epochs, and give what signatures of the epoch after them are bound to.

        Raises:
            ProofError: one does not hold, or contradicts what did.
        """
        for number, ending in enumerate(endings):
            is_known = number < len(self._endings)
            if is_known and self._endings[number] == ending:
                continue
            domain = _following(self._domains[number], ending)
            if is_known:
                if ending.certificate.commit != self._endings[number].certificate.commit:
                    raise ProofError(f"fork: two ends of epoch {number} are proven")
            else:
                _require_not_above(self._tops.get(Epoch(number)), ending)
                self._endings.append(ending)
                self._domains.append(domain)
        return self._domains[len(endings)]

    def require_in_its_epoch(self, certificate: QuorumCertificate) -> None:
        """Refuse a verified certificate that commits a block beyond the end of its epoch.

        Raises:
            ProofError: its validators were not any more who decides.
        """
        if certificate.epoch < len(self._endings):
            _require_not_above(certificate.commit, self._endings[certificate.epoch])

    def note(self, certificate: QuorumCertificate) -> None:
        """Remember how far a certificate that was accepted goes."""
        commit, top = certificate.commit, self._tops.get(certificate.epoch)
        if commit is not None and (top is None or commit.height > top.height):
            self._tops[certificate.epoch] = commit


def _require_not_above(commit: Commit | None, ending: EpochEnding) -> None:
    last = ending.certificate.commit
    if commit is None or last is None or commit.height < last.height:
        return
    if (commit.height, commit.block_id) != (last.height, last.block_id):
        raise ProofError(
            f"fork: a block is proven final beyond the end of its epoch, {last.height}"
        )


def _following(domain: Domain, ending: EpochEnding) -> Domain:
    """Check that the validators of ``domain`` ended their epoch with this next set."""
    commit = ending.certificate.commit
    if commit is None or commit.next_set_hash is None:
        raise ProofError(f"the certificate does not end epoch {domain.epoch}")
    try:
        ending.certificate.verify(domain)
        validators = ValidatorSet(ending.validators)
    except (PeerFault, ValueError) as fault:
        raise ProofError(f"the end of epoch {domain.epoch} does not hold: {fault}") from None
    if validators.hash != commit.next_set_hash:
        raise ProofError(f"another set than the named one follows epoch {domain.epoch}")
    return Domain(domain.genesis_hash, Epoch(domain.epoch + 1), validators)
