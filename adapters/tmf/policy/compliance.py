"""A product specification's certificate of compliance: where it stands, what it must say.

Owns the reading of the characteristic ``Compliance:VC`` and the demands on the certificate in it.
Whether its signature, issuer and status hold is found out by ``adapters/tmf/trust/compliance.py``,
outside of any transaction, and comes back as a ``Verdict``.
"""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from adapters.tmf.entity import JsonObject

__all__ = [
    "LABEL",
    "LEVELS",
    "Certificate",
    "Fault",
    "Verdict",
    "certificate_of",
    "is_certificate",
    "subject_fault",
]

LABEL: Final = "gx:LabelCredential"
LEVELS: Final = ("BL", "P", "PP")
_NAME: Final = "compliance:vc"
_LEVEL: Final = "gx:labelLevel"


class Fault(NamedTuple):
    """Why a certificate does not count.

    Attributes:
        code: stable, such as "compliance-expired".
        message: one sentence.
    """

    code: str
    message: str


class Certificate(NamedTuple):
    """A certificate as it stands in a specification; nothing about it is verified.

    Attributes:
        specification: id of the specification that it must be about.
        token: the credential as a compact JWS.
    """

    specification: str
    token: str

    @property
    def digest(self) -> bytes:
        """What a verdict is remembered by: 32 bytes."""
        return sha256(f"{self.specification}\0{self.token}".encode(errors="replace")).digest()


class Verdict(NamedTuple):
    """What was found out about a certificate.

    Attributes:
        fault: None when it counts.
        until_ms: it must be found out again from this time on.
    """

    fault: Fault | None
    until_ms: int


def is_certificate(characteristic: object) -> bool:
    """Say whether a characteristic is the certificate, however its name is spaced and cased."""
    name = characteristic.get("name") if isinstance(characteristic, dict) else None
    return isinstance(name, str) and name.strip().casefold() == _NAME


def certificate_of(specification: JsonObject) -> Certificate | Fault:
    """Find the certificate of a product specification, or say why there is none."""
    found = [
        row for row in _rows(specification, "productSpecCharacteristic") if is_certificate(row)
    ]
    values = [value for row in found for value in _rows(row, "productSpecCharacteristicValue")]
    if not found:
        return Fault("compliance-missing", "the specification has no Compliance:VC")
    if len(found) > 1 or len(values) != 1:
        return Fault("compliance-ambiguous", "not exactly one Compliance:VC with one value")
    token = values[0].get("value") if isinstance(values[0], dict) else None
    if not isinstance(token, str):
        return Fault("compliance-malformed", "the value of Compliance:VC is no text")
    return Certificate(str(specification.get("id", "")), token)


def subject_fault(subject: Mapping[str, object], specification: str) -> Fault | None:
    """Say why a verified certificate is not one of this specification; None when it is."""
    if subject.get("id") != specification:
        return Fault("compliance-subject", "the certificate is about another product")
    if subject.get(_LEVEL) not in LEVELS:
        return Fault("compliance-level", f"{_LEVEL} is none of {', '.join(LEVELS)}")
    return None


def _rows(document: JsonObject, name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []
