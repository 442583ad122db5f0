"""OIDC bearer tokens: which issuers count, what their claims must say, and which rights follow.

Owns every rule about a token but its signature. Judged in this order: form, algorithm, issuer,
(the key and the signature: ``pubsub/io/oidc.py``), times, audience. Keys in a token's header are
never used: a token that brings one, or says where one is, is refused, so is anything critical.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Literal

import msgspec

from ledger.core.errors import ConcordatError, DecodeError
from ledger.core.limits import INT_MAX
from pubsub.core.compact_jws import CompactJws, Json, read_compact_jws
from pubsub.core.limits import (
    AUTHORIZATION_CHARS_MAX,
    OIDC_GRANT_VALUES_MAX,
    OIDC_HEADER_CHARS_MAX,
    OIDC_KEY_ID_CHARS_MAX,
    OIDC_SUBJECT_CHARS_MAX,
)
from pubsub.core.rights import Scope

__all__ = [
    "Algorithm",
    "Grant",
    "Issuer",
    "OidcToken",
    "TokenFault",
    "TokenRefused",
    "Verdict",
    "judge_claims",
    "read_oidc_token",
]

Algorithm = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""Signatures with public keys: whoever can check one cannot make one."""

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
_KEYS_INSIDE: Final = frozenset({"jwk", "jku", "x5c", "x5u"})


class TokenFault(StrEnum):
    """Why what was shown proves nothing. The values are stable: clients branch on them."""

    MALFORMED = "malformed"  # size, encoding, a member twice or missing, anything critical
    UNKNOWN_TOKEN = "unknown_token"  # no API token of this gateway  # noqa: S105
    REVOKED = "revoked"
    ALGORITHM = "algorithm"  # not one that the issuer is allowed
    KEY_IN_HEADER = "key_in_header"  # the token brings its own key, or says where one is
    UNKNOWN_ISSUER = "unknown_issuer"
    UNKNOWN_KEY = "unknown_key"  # `kid` names no key of the issuer that fits the algorithm
    BAD_SIGNATURE = "bad_signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    AUDIENCE = "audience"


class TokenRefused(ConcordatError):  # noqa: N818 - like Refusal, it is an answer
    """A token proves nothing.

    Attributes:
        fault: the stable code; detail: one sentence for people, without anything of the token.
    """

    def __init__(self, fault: TokenFault, detail: str) -> None:
        super().__init__(f"{fault}: {detail}")
        self.fault = fault
        self.detail = detail


class Grant(msgspec.Struct, frozen=True):
    """What one value of the claim gives; ``topics`` None opens all restricted topics."""

    scopes: frozenset[Scope]
    topics: tuple[str, ...] | None = ()


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer whose tokens count.

    Attributes:
        name: by which the operator calls it; a part of its principals' names.
        url: the ``iss`` of its tokens, exactly.
        audiences: a token must name one of them.
        jwks_url: where its keys are; None asks its discovery document.
        algorithms: that it may sign with.
        claim: path of the claim that the rights come from, such as realm_access, roles.
        grants: by value of that claim.
        leeway_ms: by which clocks may differ.
        is_private: its keys may be fetched from private addresses, over http too.
    """

    name: str
    url: str
    audiences: tuple[str, ...]
    jwks_url: str | None
    algorithms: tuple[Algorithm, ...]
    claim: tuple[str, ...]
    grants: Mapping[str, Grant]
    leeway_ms: int
    is_private: bool


class OidcToken(msgspec.Struct, frozen=True):
    """A token whose form, algorithm and issuer are good; its signature is not verified yet."""

    jws: CompactJws
    issuer: Issuer
    algorithm: Algorithm
    key_id: str


class Verdict(msgspec.Struct, frozen=True):
    """What a good token says: whose it is, what it grants, and until when."""

    subject: str
    scopes: frozenset[Scope]
    topics: tuple[str, ...] | None
    expires_ms: int


def read_oidc_token(text: str, issuers: Mapping[str, Issuer]) -> OidcToken:
    """Take a token apart and find its issuer by URL. Raises TokenRefused."""
    try:
        jws = read_compact_jws(text, AUTHORIZATION_CHARS_MAX, OIDC_HEADER_CHARS_MAX)
    except DecodeError as error:
        raise _malformed(str(error)) from None
    header = jws.header
    if "crit" in header or "b64" in header:
        raise _malformed("critical header parameters are not understood")
    if _KEYS_INSIDE & header.keys():
        raise TokenRefused(TokenFault.KEY_IN_HEADER, "keys inside a token are not trusted")
    if str(header.get("typ", "JWT")).lower() not in _TYPES:
        raise _malformed("typ is not that of an access token")
    issuer = issuers.get(_text(jws.payload, "iss", INT_MAX))
    if issuer is None:
        raise TokenRefused(TokenFault.UNKNOWN_ISSUER, "tokens of this issuer are not accepted")
    for algorithm in issuer.algorithms:
        if algorithm == header.get("alg"):
            key_id = _text(header, "kid", OIDC_KEY_ID_CHARS_MAX)
            return OidcToken(jws, issuer, algorithm, key_id)
    allowed = ", ".join(issuer.algorithms)
    raise TokenRefused(TokenFault.ALGORITHM, f"allowed are {allowed}")


def judge_claims(token: OidcToken, now_ms: int) -> Verdict:
    """Judge the claims of a token whose signature is good. Raises TokenRefused."""
    issuer, claims = token.issuer, token.jws.payload
    expires_ms = _moment(claims, "exp")
    if expires_ms is None:
        raise _malformed("exp is missing")
    if now_ms >= expires_ms + issuer.leeway_ms:
        raise TokenRefused(TokenFault.EXPIRED, "the token has expired")
    since_ms = max(_moment(claims, "nbf") or 0, _moment(claims, "iat") or 0)
    if now_ms + issuer.leeway_ms < since_ms:
        raise TokenRefused(TokenFault.NOT_YET_VALID, "the token comes from the future")
    if not set(_texts(claims.get("aud"))) & set(issuer.audiences):
        raise TokenRefused(TokenFault.AUDIENCE, "the token is meant for somebody else")
    subject = _text(claims, "sub", OIDC_SUBJECT_CHARS_MAX)
    grants = [issuer.grants[value] for value in _granting(claims, issuer.claim, issuer.grants)]
    return Verdict(
        subject,
        frozenset(scope for grant in grants for scope in grant.scopes),
        _topics(grants),
        expires_ms + issuer.leeway_ms,
    )


def _granting(claims: Json, path: tuple[str, ...], known: Iterable[str]) -> list[str]:
    """Give the known values of the claim; text is a list with spaces between, as `scope` is."""
    value: object = claims
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    values = value.split(" ") if isinstance(value, str) else _texts(value)
    if len(values) > OIDC_GRANT_VALUES_MAX:
        raise _malformed("the claim of rights has too many values")
    held = set(values)
    return [value for value in known if value in held]


def _topics(grants: Iterable[Grant]) -> tuple[str, ...] | None:
    patterns: dict[str, None] = {}
    for grant in grants:
        if grant.topics is None:
            return None
        patterns |= dict.fromkeys(grant.topics)
    return tuple(patterns)


def _text(members: Json, name: str, chars_max: int) -> str:
    """Give a text that must be there. Raises TokenRefused."""
    value = members.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= chars_max:
        raise _malformed(f"{name} is missing, or no text of the right length")
    return value


def _texts(value: object) -> list[str]:
    """Give a text or those of a list; what is no text names nothing that counts."""
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]


def _moment(claims: Json, name: str) -> int | None:
    """Give a NumericDate in milliseconds since 1970, or None. Raises TokenRefused."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**40:
        raise _malformed(f"{name} is no NumericDate")
    return int(value * 1000)


def _malformed(detail: str) -> TokenRefused:
    return TokenRefused(TokenFault.MALFORMED, detail)
