"""A certifier for the demonstration: a certification authority of its own, a seal, credentials.

What a certifier of DOME does with a qualified seal: it certifies a product specification, as a JWT
whose header carries the chain of its certificate.
"""

import datetime as dt
import json
import uuid
from base64 import b64encode
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jws
from joserfc.jwk import ECKey

__all__ = ["LABEL_TYPE", "Certifier"]

LABEL_TYPE: Final = "gx:LabelCredential"
_ORGANIZATION_IDENTIFIER: Final = x509.ObjectIdentifier("2.5.4.97")
_DAYS: Final = 30


class Certifier:
    """Certifies products.

    Attributes:
        did: who it is, as the trusted issuers list names it.
        anchor: the authority that the marketplaces trust, PEM.
    """

    def __init__(self, organisation: str) -> None:
        """Be the organisation with this identifier, such as ``VATFR-12345678901``."""
        self.did = f"did:elsi:{organisation}"
        authority, seal = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        name = _name((x509.NameOID.COMMON_NAME, "Demonstration authority"))
        subject = _name(
            (x509.NameOID.COMMON_NAME, "Seal"), (_ORGANIZATION_IDENTIFIER, organisation)
        )
        root = _certificate(name, name, authority.public_key(), authority, is_authority=True)
        leaf = _certificate(subject, name, seal.public_key(), authority, is_authority=False)
        self.anchor = root.public_bytes(Encoding.PEM)
        self._chain = [b64encode(leaf.public_bytes(Encoding.DER)).decode()]
        self._key = ECKey.import_key(seal)

    def certify(self, specification: str) -> str:
        """Give the credential that says that a product specification complies, as a JWT."""
        now = dt.datetime.now(dt.UTC)
        credential: dict[str, Any] = {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "id": f"urn:uuid:{uuid.uuid4()}",
            "type": ["VerifiableCredential", LABEL_TYPE],
            "issuer": self.did,
            "validFrom": _text(now - dt.timedelta(minutes=1)),
            "validUntil": _text(now + dt.timedelta(days=_DAYS)),
            "credentialSubject": {"id": specification, "gx:labelLevel": "P"},
        }
        payload = {"iss": self.did, "iat": int(now.timestamp()), "vc": credential}
        header = {"alg": "ES256", "typ": "JWT", "x5c": self._chain}
        return jws.serialize_compact(header, json.dumps(payload), self._key)


def _name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


def _text(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    public: ec.EllipticCurvePublicKey,
    private: ec.EllipticCurvePrivateKey,
    *,
    is_authority: bool,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    others = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
    unused = dict.fromkeys((*others, "crl_sign", "encipher_only", "decipher_only"), False)
    usage = x509.KeyUsage(digital_signature=not is_authority, key_cert_sign=is_authority, **unused)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(private.public_key()),
            critical=False,
        )
    )
    return builder.sign(private, SHA256())
