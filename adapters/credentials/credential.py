"""What a verifiable credential says: data model 1.1 and 2.0, both generations of LEARCredentials.

Pure reading: nothing here is verified. Where two members say the same thing they must agree, and
of all limits of time the narrowest counts.
"""

from collections.abc import Iterator
from itertools import product
from typing import Final, NamedTuple

from adapters.credentials.access import AccessRefused, Power, Refusal
from adapters.credentials.did_keys import is_did
from adapters.credentials.members import Json, Reader, malformed
from ledger.core.limits import LIST_ID_CHARS_MAX, MANDATE_POWERS_MAX, TOKEN_SKEW_MS

__all__ = ["EMPLOYEE", "MACHINE", "Credential", "StatusEntry", "read_credential"]

EMPLOYEE: Final = "LEARCredentialEmployee"
MACHINE: Final = "LEARCredentialMachine"
_GENERIC: Final = frozenset(
    {"VerifiableCredential", "VerifiableAttestation", "VerifiableAccreditation"}
)
_ELSI: Final = "did:elsi:"
_URN: Final = "urn:uuid:"


class StatusEntry(NamedTuple):
    """Where the issuer publishes whether the credential still counts."""

    type: str
    purpose: str
    position: str
    url: str


class Credential(NamedTuple):
    """A credential as its token says it.

    Attributes:
        id: as in the credential; `ids` gives every spelling of it.
        types: without those that every credential has; never empty.
        holders: DIDs that it was given to.
        holder_key: JWK that a presentation must be signed with, or None.
        organisation: DID of the mandator, or of the subject where there is no mandate; empty for a
            credential about a thing.
        from_ms: milliseconds since 1970 from which on it holds.
        until_ms: from which on it does not.
        subject: the credentialSubject.
        body: the credential without the token around it.
    """

    id: str
    types: tuple[str, ...]
    issuer: str
    holders: frozenset[str]
    holder_key: Json | None
    organisation: str
    powers: frozenset[Power]
    from_ms: int
    until_ms: int
    status: tuple[StatusEntry, ...]
    subject: Json
    body: Json

    @property
    def type(self) -> str:
        """The most particular type: the last one."""
        return self.types[-1]

    @property
    def ids(self) -> tuple[str, str]:
        """The identifier with and without `urn:uuid:`."""
        bare = self.id.removeprefix(_URN)
        return bare, _URN + bare

    def need_time(self, now_ms: int) -> None:
        """Raise AccessRefused(NOT_YET_VALID or EXPIRED) outside its time."""
        if now_ms + TOKEN_SKEW_MS < self.from_ms:
            raise AccessRefused(Refusal.NOT_YET_VALID, "the credential does not hold yet")
        if now_ms >= self.until_ms:
            raise AccessRefused(Refusal.EXPIRED, "the credential holds no longer")


def read_credential(payload: Json, *, is_about_thing: bool = False) -> Credential:
    """Read the payload of a credential's token, or a credential that stands in an access token.

    Args:
        payload: with the credential as its `vc` (1.1), or itself the credential (2.0).
        is_about_thing: its subject is a product or the like, and so no organisation.

    Raises:
        AccessRefused: MALFORMED.
    """
    claims = Reader(payload, "credential token")
    body = claims.inner("vc") or Reader(payload, "credential")
    types = tuple(name for name in body.texts("type") if name not in _GENERIC)
    subject = _only_subject(body)
    mandate = subject.inner("mandate")
    if mandate is None and (EMPLOYEE in types or MACHINE in types):
        raise malformed("a LEARCredential without a mandate")
    cnf = claims.inner("cnf") or body.inner("cnf")
    cnf_jwk = cnf and cnf.inner("jwk")
    from_ms, until_ms = _times(claims, body, mandate)
    return Credential(
        id=_id(claims, body),
        types=types or ("VerifiableCredential",),
        issuer=_issuer(claims, body),
        holders=_holders(claims, subject, mandate, cnf),
        holder_key=cnf_jwk.members if cnf_jwk else None,
        organisation="" if is_about_thing else _organisation(subject, mandate),
        powers=_powers(mandate) if mandate else frozenset(),
        from_ms=from_ms,
        until_ms=until_ms,
        status=tuple(_status(entry) for entry in body.inners("credentialStatus")),
        subject=subject.members,
        body=body.members,
    )


def _only_subject(body: Reader) -> Reader:
    subjects = body.inners("credentialSubject")
    if len(subjects) != 1:
        raise malformed("a credential has exactly one subject here")
    return subjects[0]


def _id(claims: Reader, body: Reader) -> str:
    id_ = body.text("id") or claims.need_text("jti")
    is_listable = id_.isascii() and id_.isprintable() and " " not in id_
    if not is_listable or len(id_) > LIST_ID_CHARS_MAX - len(_URN):
        raise malformed("the credential's id is none that could be revoked")
    return id_


def _issuer(claims: Reader, body: Reader) -> str:
    stated = body.members.get("issuer")
    named = Reader(stated, "issuer").text("id") if isinstance(stated, dict) else body.text("issuer")
    signer = claims.text("iss")
    issuer = named or signer or ""
    if signer not in (None, issuer) or not is_did(issuer):
        raise malformed("the issuer is no DID, or not the signer")
    return issuer


def _times(claims: Reader, body: Reader, mandate: Reader | None) -> tuple[int, int]:
    starts = body.moments("validFrom", "issuanceDate")
    ends = body.moments("validUntil", "expirationDate")
    starts += [claims.seconds("nbf") or 0]
    if (exp := claims.seconds("exp")) is not None:
        ends.append(exp)
    if span := mandate and mandate.inner("life_span", "lifeSpan"):
        starts += span.moments("start_date_time", "startDateTime", "start")
        ends += span.moments("end_date_time", "endDateTime", "end")
    if not ends:
        raise malformed("the credential never ends")
    return max(starts), min(ends)


def _holders(
    claims: Reader, subject: Reader, mandate: Reader | None, cnf: Reader | None
) -> frozenset[str]:
    mandatee = mandate and mandate.inner("mandatee")
    if cnf_kid := cnf and cnf.text("kid"):
        return frozenset({cnf_kid.partition("#")[0]})
    stated = {subject.text("id"), claims.text("sub"), mandatee.text("id") if mandatee else None}
    return frozenset(holder for holder in stated if holder and is_did(holder))


def _organisation(subject: Reader, mandate: Reader | None) -> str:
    if mandate is None:
        organisation = subject.text("id") or ""
    else:
        mandator = mandate.inner("mandator")
        if mandator is None:
            raise malformed("a mandate without a mandator")
        identifier = mandator.need_text("organizationIdentifier")
        organisation = identifier if identifier.startswith("did:") else _ELSI + identifier
        stated = mandator.text("id") or ""
        if is_did(stated) and stated != organisation:
            raise malformed("the mandator has two identifiers")
    if not is_did(organisation):
        raise malformed("the organisation has no DID")
    return organisation


def _powers(mandate: Reader) -> frozenset[Power]:
    found = {power for row in mandate.inners("power", "powers") for power in _power(row)}
    if len(found) > MANDATE_POWERS_MAX:
        raise malformed(f"more than {MANDATE_POWERS_MAX} powers")
    return frozenset(found)


def _power(row: Reader) -> Iterator[Power]:
    """Split one power up; the two spellings of a member must not differ."""
    function = row.need_text("function", "tmf_function")
    new, old = row.texts("action"), row.texts("tmf_action")
    if new and old and set(new) != set(old):
        raise malformed("a power has two different actions")
    domains = row.texts("domain") or row.texts("tmf_domain") or ("",)
    if row.texts("domain") and row.texts("tmf_domain") not in ((), domains):
        raise malformed("a power has two different domains")
    return (Power(function, action, domain) for action, domain in product(new or old, domains))


def _status(entry: Reader) -> StatusEntry:
    return StatusEntry(
        type=entry.need_text("type"),
        purpose=entry.text("statusPurpose") or "revocation",
        position=entry.text("statusListIndex") or "",
        url=entry.text("statusListCredential") or "",
    )
