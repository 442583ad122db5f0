"""What a facade learns from a bearer token: for whom it speaks and what it may do, or a refusal.

Facades depend on this file alone. A granted access never widens what the ledger allows: the
gateway still writes as its own member, whose rights the state machine judges.
"""

from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from ledger.core.errors import ConcordatError

__all__ = [
    "DOME",
    "Access",
    "AccessRefused",
    "AccessVerifier",
    "Power",
    "Refusal",
    "bearer_token",
]

DOME: Final = "DOME"
_BEARER: Final = "bearer"


class Refusal(StrEnum):
    """Why an access was refused. The values are stable: clients branch on them."""

    MISSING = "missing"  # no bearer token at all
    MALFORMED = "malformed"  # size, depth, encoding, duplicate or missing members
    ALGORITHM = "algorithm"  # not allowed, or not that of the key
    UNKNOWN_KEY = "unknown_key"  # `kid` names no key of the signer
    UNKNOWN_ISSUER = "unknown_issuer"  # the token's issuer is not one that we accept
    BAD_SIGNATURE = "bad_signature"
    CERTIFICATE = "certificate"  # x5c: chain broken, out of its time, or no trust anchor
    CERTIFICATE_SUBJECT = "certificate_subject"  # x5c: leaf of another organisation
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    AUDIENCE = "audience"
    NONCE = "nonce"  # not the one that was given out, or used before
    REPLAYED = "replayed"  # the same presentation or assertion was seen before
    HOLDER = "holder"  # the presentation is not signed by whom the credential was given to
    CREDENTIAL_TYPE = "credential_type"  # not a type that is asked for
    ISSUER_NOT_TRUSTED = "issuer_not_trusted"  # not in the list of trusted issuers
    ISSUER_NOT_FOR_TYPE = "issuer_not_for_type"  # listed, but for other credentials
    ISSUER_OUT_OF_TIME = "issuer_out_of_time"  # listed, but outside its validity
    CLAIM_NOT_ALLOWED = "claim_not_allowed"  # listed, but not for this claim's value
    REVOKED = "revoked"
    STATUS_UNKNOWN = "status_unknown"  # the credential's status list cannot be judged
    SCOPE = "scope"  # unknown scope, or one that this access does not have
    POWER = "power"  # the mandate does not hold the power that is needed
    RIGHT = "right"  # the ledger gives this organisation no such right
    BUSY = "busy"  # too many presentations are remembered; try again later


_FORBIDDEN: Final = frozenset({Refusal.SCOPE, Refusal.POWER, Refusal.RIGHT})


class AccessRefused(ConcordatError):  # noqa: N818 - the protocol's word for it
    """A token, credential or presentation was refused and changed nothing.

    Attributes:
        code: stable machine-readable reason.
        detail: one sentence for people, without personal data; may change between releases.
        status: HTTP status that fits: 401 (who?), 403 (not this), 503 (not now).
    """

    def __init__(self, code: Refusal, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else str(code))
        self.code = code
        self.detail = detail

    @property
    def status(self) -> int:
        """Give the HTTP status."""
        if self.code is Refusal.BUSY:
            return 503
        return 403 if self.code in _FORBIDDEN else 401


class Power(NamedTuple):
    """One power of a mandate, spelled as in the credential.

    Attributes:
        function: such as "Onboarding" or "ProductOffering".
        action: one action, such as "Execute" or "Create"; a credential's list is split up.
        domain: such as "DOME"; empty when the credential names none.
    """

    function: str
    action: str
    domain: str


class Access(NamedTuple):
    """Somebody who may ask, and for what.

    Attributes:
        organisation: DID on whose behalf it asks: the mandator's `did:elsi:...`, or the DID
            itself for a token of our own authorisation endpoint.
        subject: who holds the token: the mandatee's id, or the DID again. May name a person: never
            log it and never put it on the ledger.
        credential_type: such as "LEARCredentialEmployee"; empty when no credential was needed.
        powers: of the mandate.
        scopes: OAuth scopes of the token, such as "tir_write".
        expires_ms: milliseconds since 1970; afterwards the access is void.
    """

    organisation: str
    subject: str
    credential_type: str
    powers: frozenset[Power]
    scopes: frozenset[str]
    expires_ms: int

    def may(self, function: str, action: str, domain: str = DOME) -> bool:
        """Say whether the mandate holds a power, whatever the case of its letters."""
        wanted = Power(function, action, domain)
        return any(_folded(power) == _folded(wanted) for power in self.powers)

    def need_power(self, function: str, action: str, domain: str = DOME) -> None:
        """Raise AccessRefused(POWER) unless the mandate holds the power."""
        if not self.may(function, action, domain):
            raise AccessRefused(Refusal.POWER, f"needs {function}/{action} in {domain}")

    def need_scope(self, *any_of: str) -> None:
        """Raise AccessRefused(SCOPE) unless the token has one of these scopes."""
        if self.scopes.isdisjoint(any_of):
            raise AccessRefused(Refusal.SCOPE, f"needs the scope {' or '.join(any_of)}")


class AccessVerifier(Protocol):
    """Judges bearer tokens; one object for the whole gateway."""

    async def access(self, token: str) -> Access:
        """Judge a bearer token: an access token or a signed presentation.

        Raises:
            AccessRefused: with the code of the first check that failed.
            Unavailable: a key or status list cannot be fetched now.
        """
        ...


def bearer_token(authorization: str | None) -> str:
    """Take the token out of an `Authorization` header.

    Raises:
        AccessRefused: MISSING.
    """
    scheme, _, token = (authorization or "").strip().partition(" ")
    if scheme.lower() != _BEARER or not token.strip():
        raise AccessRefused(Refusal.MISSING, "needs a bearer token")
    return token.strip()


def _folded(power: Power) -> tuple[str, ...]:
    return tuple(part.casefold() for part in power)
