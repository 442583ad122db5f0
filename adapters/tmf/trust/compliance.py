"""Verifies certificates of compliance, outside of any transaction, and remembers the verdicts.

Owns the order of the checks: what the certificate says first, then issuer, revocation, chain of
certificates, signature and status, as for any credential (``adapters/credentials/checker.py``). The
transaction that needed a verdict is begun again with it (``verified.py``).
"""

from typing import Final

import structlog

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.certificates import ELSI
from adapters.credentials.checker import Checker
from adapters.credentials.credential import read_credential
from adapters.credentials.jose import parse_jws
from adapters.credentials.members import Json
from adapters.tmf.policy.certified import Verdicts
from adapters.tmf.policy.compliance import LABEL, Certificate, Fault, Verdict, subject_fault
from ledger.core.limits import STATUS_FRESH_MS

__all__ = ["CertificateVerifier"]

_log: Final = structlog.get_logger("tmf")


class CertificateVerifier:
    """Finds verdicts with one checker."""

    def __init__(self, checker: Checker, verdicts: Verdicts) -> None:
        self._checker = checker
        self._verdicts = verdicts

    async def verify(self, certificate: Certificate) -> None:
        """Find the verdict on a certificate and remember it.

        Raises:
            Unavailable: the ledger or a status list cannot be read now; nothing is remembered.
        """
        until_ms = self._checker.clock_ms() + STATUS_FRESH_MS
        fault: Fault | None = None
        try:
            fault, ends_ms = await self._judge(certificate)
            until_ms = min(until_ms, ends_ms)
        except AccessRefused as refused:
            code = str(refused.code).replace("_", "-")
            fault = Fault(f"compliance-{code}", refused.detail or code)
        _log.info(
            "certificate_judged",
            specification=certificate.specification,
            fault=None if fault is None else fault.code,
        )
        self._verdicts.remember(certificate, Verdict(fault, until_ms))

    async def _judge(self, certificate: Certificate) -> tuple[Fault | None, int]:
        """Give the fault of what it says, and when it ends. Raises AccessRefused, Unavailable."""
        jws = parse_jws(certificate.token, "certificate")
        credential = read_credential(_with_vc(jws.payload), is_about_thing=True)
        if not credential.issuer.startswith(ELSI) or "x5c" not in jws.header:
            raise AccessRefused(Refusal.CERTIFICATE, "not sealed by a certified organisation (x5c)")
        fault = subject_fault(credential.subject, certificate.specification)
        if fault is None:
            await self._checker.verify(jws, credential, frozenset({LABEL}))
        return fault, credential.until_ms


def _with_vc(payload: Json) -> Json:
    """Give a payload whose credential stands under ``vc``, where DOME's stands elsewhere."""
    inner = payload.get("verifiableCredential")
    return {**payload, "vc": inner} if isinstance(inner, dict) and "vc" not in payload else payload
