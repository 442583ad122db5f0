"""A store whose transactions may ask for certificates to be verified.

Owns the repetition: a transaction that needs a verdict is undone by that, the certificate is
verified while no transaction is open, and the work is done again from its beginning. Work must
therefore be repeatable up to its commit, as transactions are.
"""

from collections.abc import Callable
from typing import TypeVar

from adapters.tmf.policy.certified import VerdictNeeded
from adapters.tmf.store.database import Store
from adapters.tmf.trust.compliance import CertificateVerifier
from ledger.core.errors import Unavailable
from ledger.core.limits import TMF_VERDICTS_NEEDED_MAX

__all__ = ["VerifiedStore"]

T = TypeVar("T")


class VerifiedStore(Store):
    """See ``adapters.tmf.store.database.Store``.

    Attributes:
        verifier: who finds verdicts; None where no policy asks for any.
    """

    verifier: CertificateVerifier | None = None

    async def in_thread(self, work: Callable[[Store], T]) -> T:
        """Do blocking work, again and again until no certificate is unverified.

        Raises:
            Unavailable: a certificate cannot be verified now.
        """
        for _ in range(TMF_VERDICTS_NEEDED_MAX):
            try:
                return await super().in_thread(work)
            except VerdictNeeded as needed:
                if self.verifier is None:
                    raise
                certificate = needed.certificate
            await self.verifier.verify(certificate)
        raise Unavailable(f"one change needs more than {TMF_VERDICTS_NEEDED_MAX} certificates")
