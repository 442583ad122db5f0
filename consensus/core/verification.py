"""Signature verification that remembers.

The same vote signature arrives alone, then inside a certificate, then inside blocks and
timeouts. Each (signer, message, signature) is verified once; a bounded memory answers the rest.
"""

from collections.abc import Iterable

from ledger.core.certificate import Domain
from ledger.core.errors import Offence, PeerFault
from ledger.core.ids import Epoch, NodeIndex
from ledger.core.limits import VERIFIED_SIGNATURES_MAX
from ledger.core.signing import SignatureCheck, verify_many
from ledger.core.validators import ValidatorSet

__all__ = ["RememberingDomain"]


class RememberingDomain(Domain):
    """A domain that verifies each distinct signature once."""

    __slots__ = ("_known",)

    def __init__(self, genesis_hash: bytes, epoch: Epoch, validators: ValidatorSet) -> None:
        super().__init__(genesis_hash, epoch, validators)
        self._known: dict[SignatureCheck, None] = {}

    def verdicts(self, checks: list[SignatureCheck]) -> list[bool]:
        """Give the verdict of each check; the good ones are remembered."""
        unknown = [check for check in checks if check not in self._known]
        if not unknown:
            return [True] * len(checks)
        fresh = dict(zip(unknown, verify_many(unknown), strict=True))
        for check, valid in fresh.items():
            if valid:
                self.remember(check)  # which may forget others of these checks
        return [fresh.get(check, True) for check in checks]

    def remember(self, check: SignatureCheck) -> None:
        """Note that ``check`` holds, because it was verified or made here."""
        if len(self._known) >= VERIFIED_SIGNATURES_MAX:
            del self._known[next(iter(self._known))]
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
