"""Offerings are launched, and taken from other members, with a certified specification only.

Owns when a certificate is needed, and the memory of verdicts. A policy judges inside a database
transaction, where nothing may be fetched and waited for. So a certificate whose verdict is not
known makes it raise ``VerdictNeeded``, which undoes the transaction; whoever began it has the
certificate verified and begins again (``adapters/tmf/trust/compliance.py``). A verdict lasts for a
minute at most, so a revocation counts that soon.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entity import JsonObject
from adapters.tmf.policy.compliance import Certificate, Fault, Verdict, certificate_of
from adapters.tmf.policy.launching import ids_under, is_launching
from adapters.tmf.policy.neutral import NeutralPolicy
from adapters.tmf.policy.refusals import forbidden
from adapters.tmf.store.ports import Reading
from ledger.core.errors import Unavailable
from ledger.core.limits import TMF_VERDICTS_MAX

__all__ = ["CertifiedRules", "VerdictNeeded", "Verdicts", "certificates_for"]

_SPECIFICATION: Final = "productSpecification"


class VerdictNeeded(Unavailable):
    """A certificate must be verified first; the same transaction can then be tried again."""

    def __init__(self, certificate: Certificate) -> None:
        super().__init__("the certificate of compliance is not verified yet")
        self.certificate = certificate


class Verdicts:
    """What was found out about certificates, for as long as it holds.

    Read in worker threads, written by the one task that verifies.
    """

    def __init__(self, now_ms: Callable[[], int], count_max: int = TMF_VERDICTS_MAX) -> None:
        self._now_ms = now_ms
        self._count_max = count_max
        self._verdicts: OrderedDict[bytes, Verdict] = OrderedDict()

    def of(self, certificate: Certificate) -> Verdict | None:
        """Give the verdict on a certificate while it holds."""
        verdict = self._verdicts.get(certificate.digest)
        return None if verdict is None or self._now_ms() >= verdict.until_ms else verdict

    def remember(self, certificate: Certificate, verdict: Verdict) -> None:
        """Keep a verdict; the oldest go when there are too many."""
        self._verdicts.pop(certificate.digest, None)
        self._verdicts[certificate.digest] = verdict
        while len(self._verdicts) > self._count_max:
            self._verdicts.popitem(last=False)


class CertifiedRules(NeutralPolicy):
    """The certificate as a condition of launch and of acceptance."""

    def __init__(self, verdict_of: Callable[[Certificate], Verdict | None]) -> None:
        self._verdict_of = verdict_of

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Refuse an offering that is launched without a certificate that counts.

        Raises:
            TmfError: 403, with a stable code for each cause.
            VerdictNeeded: see the module.
        """
        if not is_launching(proposed):
            return
        assert proposed.after is not None, "it is launched"
        for found in certificates_for(proposed.after, reading):
            fault = found if isinstance(found, Fault) else self._fault(found)
            if fault is not None:
                raise forbidden(fault.code, f"the offering cannot be launched: {fault.message}")

    def _fault(self, certificate: Certificate) -> Fault | None:
        verdict = self._verdict_of(certificate)
        if verdict is None:
            raise VerdictNeeded(certificate)
        return verdict.fault


def certificates_for(offering: JsonObject, reading: Reading) -> list[Certificate | Fault]:
    """Give the certificates that the launch of an offering needs, or why one is not there.

    A bundle needs none: its parts were launched, each with its own.
    """
    if offering.get("isBundle") is True:
        return []
    ids = ids_under(offering, _SPECIFICATION) or [""]
    return [_certificate(reading, id_) for id_ in ids]


def _certificate(reading: Reading, id_: str) -> Certificate | Fault:
    entity = reading.get(_SPECIFICATION, id_) if id_ else None
    if entity is None:
        return Fault("compliance-specification", "its product specification is not here")
    return certificate_of(entity.document())
