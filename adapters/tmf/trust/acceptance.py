"""Replicas of offerings need a certified specification: verified before they are stored.

Owns the order alone: the verdict is found while one replica is fetched, so that a certificate that
cannot be verified now delays this replica and no other. What the verdict means is the policy's
business (``adapters/tmf/policy/certified.py``), in the transaction that stores it.
"""

from adapters.tmf.policy.certified import Verdicts, certificates_for
from adapters.tmf.policy.compliance import Certificate
from adapters.tmf.policy.refusals import is_launched
from adapters.tmf.replication.core.model import Told
from adapters.tmf.replication.form import Taken
from adapters.tmf.store.database import Store
from adapters.tmf.trust.compliance import CertificateVerifier

__all__ = ["CertifiedAcceptance"]


class CertifiedAcceptance:
    """Finds verdicts ahead of replicas."""

    def __init__(self, store: Store, verifier: CertificateVerifier, verdicts: Verdicts) -> None:
        self._store = store
        self._verifier = verifier
        self._verdicts = verdicts

    async def accepts(self, told: Told, taken: Taken) -> None:
        """Verify what a replica needs. See ``adapters.tmf.replication.context.Acceptance``.

        Raises:
            Unavailable: a certificate cannot be verified now.
        """
        del told
        if taken.resource != "productOffering" or not is_launched(taken.document):
            return

        def read(store: Store) -> list[Certificate]:
            with store.read() as reading:
                found = certificates_for(taken.document, reading)
            return [item for item in found if isinstance(item, Certificate)]

        for certificate in await self._store.in_thread(read):
            if self._verdicts.of(certificate) is None:
                await self._verifier.verify(certificate)
