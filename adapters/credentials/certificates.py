"""`x5c`: from a chain of certificates to the key of the organisation that its leaf names.

Owns what ties did:elsi to a certificate: the chain ends in a configured trust anchor, every
certificate is in its time, and the leaf's one organizationIdentifier is the DID's suffix.
Revocation of certificates is not looked up: see the documentation.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.x509.verification import (
    ExtensionPolicy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.jose import VerifyingKey, decode_base64, key_of_public
from adapters.credentials.members import malformed, strings
from ledger.core.limits import CERTIFICATES_COUNT_MAX

__all__ = ["ELSI", "TrustAnchors"]

ELSI: Final = "did:elsi:"
_ORGANIZATION_IDENTIFIER: Final = x509.ObjectIdentifier("2.5.4.97")


class TrustAnchors:
    """The certificates that the operator trusts to certify organisations."""

    def __init__(self, pem: bytes = b"") -> None:
        """Take PEM certificates, one after the other; none is trusted when there are none.

        Raises:
            ValueError: they are no certificates.
        """
        anchors = x509.load_pem_x509_certificates(pem) if pem.strip() else []
        self._store = Store(anchors) if anchors else None

    def key_of(self, did: str, x5c: object, now_ms: int) -> VerifyingKey:
        """Give the key of the leaf, if the chain proves that it is one of the did:elsi's.

        Raises:
            AccessRefused: MALFORMED, CERTIFICATE, CERTIFICATE_SUBJECT or ALGORITHM.
        """
        leaf, *others = _read_chain(x5c)
        if _organisation_identifiers(leaf) != [did.removeprefix(ELSI)]:
            detail = "the leaf does not name the issuer as its only organizationIdentifier"
            raise AccessRefused(Refusal.CERTIFICATE_SUBJECT, detail)
        if not _may_sign(leaf):
            raise AccessRefused(Refusal.CERTIFICATE, "the leaf's key is not for signatures")
        self._verify(leaf, others, now_ms)
        return key_of_public(leaf.public_key())

    def _verify(self, leaf: x509.Certificate, others: list[x509.Certificate], now_ms: int) -> None:
        if self._store is None:
            raise AccessRefused(Refusal.CERTIFICATE, "no trust anchors are configured")
        verifier = (
            PolicyBuilder()
            .store(self._store)
            .time(datetime.fromtimestamp(now_ms // 1000, UTC))
            .max_chain_depth(CERTIFICATES_COUNT_MAX)
            .extension_policies(
                ca_policy=ExtensionPolicy.webpki_defaults_ca(),
                ee_policy=ExtensionPolicy.permit_all(),  # a seal has other extensions than a server
            )
            .build_client_verifier()
        )
        try:
            verifier.verify(leaf, others)
        except (VerificationError, ValueError) as error:
            text = " ".join(str(error).split())[:200]
            raise AccessRefused(Refusal.CERTIFICATE, f"the chain does not hold: {text}") from None


def _read_chain(x5c: object) -> list[x509.Certificate]:
    texts = strings(x5c) if isinstance(x5c, list) else ()
    if not 1 <= len(texts) <= CERTIFICATES_COUNT_MAX:
        raise malformed(f"x5c is no list of at most {CERTIFICATES_COUNT_MAX} certificates")
    try:
        return [x509.load_der_x509_certificate(decode_base64(text, "x5c")) for text in texts]
    except ValueError:
        raise malformed("x5c holds something that is no certificate") from None


def _organisation_identifiers(leaf: x509.Certificate) -> Sequence[object]:
    try:
        names = leaf.subject.get_attributes_for_oid(_ORGANIZATION_IDENTIFIER)
    except ValueError:
        raise malformed("x5c: the leaf's subject cannot be read") from None
    return [name.value for name in names]


def _may_sign(leaf: x509.Certificate) -> bool:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (ValueError, x509.DuplicateExtension):
        raise malformed("x5c: the leaf's extensions cannot be read") from None
    return usage.digital_signature or usage.content_commitment
