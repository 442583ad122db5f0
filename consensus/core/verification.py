"""Signature verification that remembers.

The same vote signature arrives alone, then inside a certificate, then inside blocks and
timeouts. Each (signer, message, signature) is verified once; a bounded memory answers the rest.
The same certificate arrives in every message of a round: whole ones are remembered too.

A plain dict would look for its oldest key from its start, behind which all that were deleted still
have their places: 2 us for 8,192 signatures, with an OrderedDict 0.2.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from ledger.core.certificate import Domain, QuorumCertificate, TimeoutCertificate
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import Epoch, NodeIndex
from ledger.core.limits import VERIFIED_CERTIFICATES_MAX, VERIFIED_SIGNATURES_MAX
from ledger.core.signing import SignatureCheck, verify_many
from ledger.core.validators import ValidatorSet

__all__ = ["RememberingDomain"]


class RememberingDomain(Domain):
    """A domain that verifies each distinct signature once."""

    __slots__ = ("_certificates", "_known", "_timeout_certificates")

    def __init__(self, genesis_hash: bytes, epoch: Epoch, validators: ValidatorSet) -> None:
        super().__init__(genesis_hash, epoch, validators)
        self._known: OrderedDict[SignatureCheck, None] = OrderedDict()
        self._certificates: OrderedDict[QuorumCertificate, None] = OrderedDict()
        self._timeout_certificates: OrderedDict[TimeoutCertificate, None] = OrderedDict()

    def has_verified(self, certificate: QuorumCertificate) -> bool:
        """Say whether exactly this certificate, with these signatures, was found valid."""
        return certificate in self._certificates

    def note_verified(self, certificate: QuorumCertificate) -> None:
        """Remember a valid certificate, and forget the oldest beyond the limit."""
        if len(self._certificates) >= VERIFIED_CERTIFICATES_MAX:
            self._certificates.popitem(last=False)
        self._certificates[certificate] = None

    def require_timeout_certificate(
        self, certificate: TimeoutCertificate, verify_qc: Callable[[QuorumCertificate], None]
    ) -> None:
        """As :meth:`TimeoutCertificate.verify`, unless exactly this one was found valid before."""
        if certificate not in self._timeout_certificates:
            certificate.verify(self, verify_qc)
            if len(self._timeout_certificates) >= VERIFIED_CERTIFICATES_MAX:
                self._timeout_certificates.popitem(last=False)
            self._timeout_certificates[certificate] = None

    def verdicts(self, checks: list[SignatureCheck]) -> list[bool]:
        """Give the verdict of each check; the good ones are remembered."""
        known = self._known
        unknown = [check for check in checks if check not in known]
        if not unknown:
            return [True] * len(checks)
        verdicts = verify_many(unknown)
        for check, valid in zip(unknown, verdicts, strict=True):
            if valid:
                self.remember(check)  # which may forget others of these checks
        if len(unknown) == len(checks):
            return verdicts
        fresh = dict(zip(unknown, verdicts, strict=True))
        return [fresh.get(check, True) for check in checks]

    def remember(self, check: SignatureCheck) -> None:
        """Note that ``check`` holds, because it was verified or made here."""
        if len(self._known) >= VERIFIED_SIGNATURES_MAX:
            self._known.popitem(last=False)
        self._known[check] = None

    def require(self, check: SignatureCheck) -> None:
        """Raise PeerFault unless ``check`` holds."""
        if not self.verdicts([check])[0]:
            raise PeerFault(Offence.BAD_SIGNATURE)

    def require_signatures(self, signers: Iterable[tuple[NodeIndex, bytes, bytes]]) -> None:
        """As :meth:`Domain.require_signatures`, verifying only what is not yet known."""
        checks = self.signer_checks(signers)
        if not all(self.verdicts(checks)):
            raise PeerFault(Offence.BAD_SIGNATURE)
