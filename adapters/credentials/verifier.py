"""Judges bearer tokens: our own, those of configured verifiers, and presentations themselves.

Owns the decision whose token it is, by its issuer, before any key is looked for. A credential
inside a token is held against the ledger again at every access, so that a revocation counts at
once; its own signature was verified by whoever issued the token.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from adapters.credentials.access import Access, AccessRefused, Refusal
from adapters.credentials.checker import Checker, Expected
from adapters.credentials.credential import Credential, read_credential
from adapters.credentials.did_keys import is_did
from adapters.credentials.fetching import Remembered
from adapters.credentials.jose import VerifyingKey, key_of_jwk, parse_jws, verify_jws
from adapters.credentials.members import Reader, malformed, read_json
from adapters.credentials.presentation import need_audience
from adapters.credentials.scopes import SCOPES
from adapters.credentials.tokens import TokenKeys
from ledger.core.errors import Unavailable
from ledger.core.limits import JWKS_KEYS_MAX, JWKS_RETRY_MS, TOKEN_SKEW_MS
from pubsub.core.compact_jws import CompactJws

__all__ = ["ExternalVerifier", "OwnTokens", "TokenVerifier", "access_of"]


@dataclass(frozen=True)
class ExternalVerifier:
    """A verifier whose access tokens are accepted.

    Attributes:
        issuer: the `iss` of its tokens.
        jwks_url: where its keys are; None asks `<issuer>/.well-known/openid-configuration`.
        audiences: a token must name one of them.
        rechecks: hold the credential in a token against the ledger, too; otherwise the verifier
            alone decides about issuers and revocations.
    """

    issuer: str
    audiences: frozenset[str]
    jwks_url: str | None = None
    rechecks: bool = True


@dataclass(frozen=True)
class OwnTokens:
    """What this gateway issues: the keys, and every `iss` that it uses; `aud` is the same."""

    keys: TokenKeys
    issuers: frozenset[str]


class TokenVerifier:
    """Judges every kind of bearer token. See ``adapters.credentials.access.AccessVerifier``."""

    def __init__(
        self,
        checker: Checker,
        own: OwnTokens | None,
        external: Mapping[str, ExternalVerifier],
        key_sets: Remembered,
        audiences: frozenset[str],
    ) -> None:
        """Judge with these.

        Args:
            own: None where no tokens are issued.
            external: by issuer.
            audiences: that a presentation used as a bearer token must name.
        """
        self._checker = checker
        self._own = own
        self._external = external
        self._key_sets = key_sets
        self._expected = Expected(audiences)

    async def access(self, token: str) -> Access:
        """Judge a bearer token."""
        jws = parse_jws(token)
        if "vp" in jws.payload or ("verifiableCredential" in jws.payload and "type" in jws.payload):
            presented = await self._checker.presentation(token, self._expected)
            return access_of(presented.credentials[0], presented.holder)
        issuer = Reader(jws.payload, "token").need_text("iss")
        if self._own is not None and issuer in self._own.issuers:
            return await self._own_access(jws, issuer, self._own.keys)
        verifier = self._external.get(issuer)
        if verifier is None:
            raise AccessRefused(Refusal.UNKNOWN_ISSUER, "tokens of this issuer are not accepted")
        return await self._external_access(jws, verifier)

    async def _own_access(self, jws: CompactJws, issuer: str, keys: TokenKeys) -> Access:
        key = keys.verifying_key(jws.header.get("kid"))
        if key is None:
            raise AccessRefused(Refusal.UNKNOWN_KEY, "kid names none of our keys")
        expires_ms = self._need_token(jws, key, frozenset({issuer}))
        claims = Reader(jws.payload, "token")
        body = claims.inner("vc")
        if body is not None:
            credential = await self._checker.credential_body(body.members)
            return _narrowed(access_of(credential, claims.need_text("sub")), claims, expires_ms)
        subject = claims.need_text("sub")
        if not is_did(subject):
            raise malformed("the token's subject is no DID")
        return Access(subject, subject, "", frozenset(), _scopes(claims), expires_ms)

    async def _external_access(self, jws: CompactJws, verifier: ExternalVerifier) -> Access:
        key = await self._external_key(jws, verifier)
        expires_ms = self._need_token(jws, key, verifier.audiences)
        claims = Reader(jws.payload, "token")
        found = claims.members.get("vc") or claims.members.get("verifiableCredential")
        if isinstance(found, str):
            credential = await self._checker.credential(found)
        elif found is None:
            raise AccessRefused(Refusal.CREDENTIAL_TYPE, "the token holds no credential")
        else:
            body = Reader(found, "vc").members
            if verifier.rechecks:
                credential = await self._checker.credential_body(body)
            else:
                credential = read_credential({"vc": body})
                credential.need_time(self._checker.clock_ms())
        access = _narrowed(access_of(credential, claims.text("sub") or ""), claims, expires_ms)
        return access._replace(scopes=access.scopes - SCOPES.keys())  # those are ours to give

    def _need_token(self, jws: CompactJws, key: VerifyingKey, audiences: frozenset[str]) -> int:
        """Verify an access token; give when it expires."""
        verify_jws(jws, key)
        need_audience(jws, audiences, "token")
        claims, now_ms = Reader(jws.payload, "token"), self._checker.clock_ms()
        expires_ms = claims.seconds("exp")
        if expires_ms is None:
            raise malformed("the token has no exp")
        if now_ms >= expires_ms:
            raise AccessRefused(Refusal.EXPIRED, "the token has expired")
        if now_ms + TOKEN_SKEW_MS < max(claims.seconds("nbf") or 0, claims.seconds("iat") or 0):
            raise AccessRefused(Refusal.NOT_YET_VALID, "the token comes from the future")
        return expires_ms

    async def _external_key(self, jws: CompactJws, verifier: ExternalVerifier) -> VerifyingKey:
        """Give the key that a token names; an unknown name makes us look again, but not often."""
        kid = Reader(jws.header, "header").need_text("kid")
        url = verifier.jwks_url or await self._discover(verifier.issuer)
        for age_ms in (None, JWKS_RETRY_MS):
            key_set = await self._key_sets.fetch(url, younger_than_ms=age_ms)
            for jwk in _key_set(key_set):
                if jwk.members.get("kid") == kid:
                    return key_of_jwk(jwk.members)
        raise AccessRefused(Refusal.UNKNOWN_KEY, "kid names no key of the issuer")

    async def _discover(self, issuer: str) -> str:
        base = issuer.rstrip("/")
        document = await self._key_sets.fetch(f"{base}/.well-known/openid-configuration")
        try:
            configuration = Reader(read_json(document, "openid-configuration"), "configuration")
            if configuration.need_text("issuer").rstrip("/") == base:
                return configuration.need_text("jwks_uri")
        except AccessRefused:
            pass
        raise Unavailable("the verifier's openid-configuration is not its own")


def access_of(credential: Credential, subject: str) -> Access:
    """Give the access that a verified credential grants."""
    return Access(
        credential.organisation,
        subject,
        credential.type,
        credential.powers,
        frozenset(),
        credential.until_ms,
    )


def _narrowed(access: Access, claims: Reader, expires_ms: int) -> Access:
    return access._replace(scopes=_scopes(claims), expires_ms=min(access.expires_ms, expires_ms))


def _scopes(claims: Reader) -> frozenset[str]:
    texts = (*claims.texts("scp"), *claims.texts("scope"))
    return frozenset(name for text in texts for name in text.split())


def _key_set(document: bytes) -> list[Reader]:
    try:
        keys = Reader(read_json(document, "JWKS"), "JWKS").inners("keys")
    except AccessRefused:
        raise Unavailable("the verifier's keys cannot be read") from None
    if len(keys) > JWKS_KEYS_MAX:
        raise Unavailable(f"the verifier has more than {JWKS_KEYS_MAX} keys")
    return keys
