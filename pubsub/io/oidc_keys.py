"""The keys of one issuer: fetched under the rules of egress, remembered, fetched again sparingly.

Owns when to fetch. Keys that are fresh are not fetched again, but for a ``kid`` that nobody knows,
and that at most once a period, whoever asks and however often. While the issuer cannot be reached
its last keys hold, for a bounded time. Secret and symmetric keys are never taken.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey

from ledger.core.errors import DecodeError, Unavailable
from ledger.core.limits import (
    FETCH_BYTES_MAX,
    FETCH_MS_MAX,
    JWKS_FRESH_MS,
    JWKS_KEYS_MAX,
    JWKS_RETRY_MS,
    JWKS_STALE_MS_MAX,
    RSA_BITS_MAX,
    RSA_BITS_MIN,
)
from pubsub.core.compact_jws import Json, decode_base64url, read_json_object
from pubsub.core.oidc import Algorithm, Issuer, TokenFault, TokenRefused
from pubsub.io.egress import Courier, Egress, EgressError, Errand

__all__ = ["Fetch", "IssuerKeys", "PublicJwk", "egress_fetch", "read_key_set"]

Fetch = Callable[[str], Awaitable[bytes]]
PublicJwk = RSAKey | ECKey | OKPKey

_log = structlog.get_logger("gateway.oidc")
_OK: Final = 200
_ACCEPT: Final = {"accept": "application/json"}
_SECRET: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_NEEDED: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y"), "OKP": ("crv", "x")}
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "EdDSA": "Ed25519"}
_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class _Jwk:
    """One public key and what its issuer says that it is for."""

    def __init__(self, members: Json, key: PublicJwk) -> None:
        self.members = members
        self.key = key

    def serves(self, algorithm: Algorithm) -> bool:
        """Say whether a signature of this algorithm may be checked with it."""
        members = self.members
        operations = members.get("key_ops")
        return (
            members.get("kty") == _TYPES[algorithm[:2]]
            and members.get("alg") in (None, algorithm, "Ed25519" if algorithm == "EdDSA" else None)
            and members.get("use") in (None, "sig")
            and (operations is None or (isinstance(operations, list) and "verify" in operations))
            and (algorithm not in _CURVES or members.get("crv") == _CURVES[algorithm])
        )


KeySet = dict[str, list[_Jwk]]
"""The keys by ``kid``."""


class IssuerKeys:
    """The keys of one issuer.

    Attributes:
        fetched_count: how often they were fetched; failed_count: how often that failed.
    """

    def __init__(self, issuer: Issuer, fetch: Fetch, clock_ms: Callable[[], int]) -> None:
        """Begin without keys; the first token fetches them. ``clock_ms`` never goes back."""
        self._issuer = issuer
        self._fetch = fetch
        self._clock_ms = clock_ms
        self._keys: KeySet = {}
        self._fetched_ms: int | None = None
        self._tried_ms: int | None = None
        self._fetching = anyio.Lock()
        self.fetched_count = 0
        self.failed_count = 0

    async def key(self, key_id: str, algorithm: Algorithm) -> PublicJwk:
        """Give the key that a token names.

        Raises:
            TokenRefused: UNKNOWN_KEY.
            Unavailable: the issuer's keys could not be fetched for too long.
        """
        is_known = key_id in self._keys
        if not is_known or (self._age_ms() >= JWKS_FRESH_MS and not self._fetching.locked()):
            await self._refresh(key_id)
        if self._age_ms() >= JWKS_STALE_MS_MAX:
            raise Unavailable(f"the keys of the issuer {self._issuer.name} cannot be fetched")
        for jwk in self._keys.get(key_id, ()):
            if jwk.serves(algorithm):
                return jwk.key
        raise TokenRefused(TokenFault.UNKNOWN_KEY, "kid names no key of the issuer for this alg")

    def _age_ms(self) -> int:
        if self._fetched_ms is None:
            return JWKS_STALE_MS_MAX
        return self._clock_ms() - self._fetched_ms

    async def _refresh(self, key_id: str) -> None:
        """Fetch the keys, unless somebody did or tried to a moment ago."""
        async with self._fetching:
            now_ms = self._clock_ms()
            if self._age_ms() < JWKS_FRESH_MS and key_id in self._keys:
                return  # fetched while this request waited
            if self._tried_ms is not None and now_ms - self._tried_ms < JWKS_RETRY_MS:
                return
            self._tried_ms = now_ms
            try:
                url = self._issuer.jwks_url or await self._discover()
                keys = read_key_set(await self._fetch(url))
            except (Unavailable, DecodeError) as error:
                self.failed_count += 1
                _log.warning("oidc_keys_not_fetched", issuer=self._issuer.name, error=str(error))
                return
            self._keys, self._fetched_ms = keys, now_ms
            self.fetched_count += 1
            _log.info("oidc_keys_fetched", issuer=self._issuer.name, keys=sorted(keys))

    async def _discover(self) -> str:
        """Ask the issuer where its keys are. Raises Unavailable, DecodeError."""
        base = self._issuer.url.rstrip("/")
        document = read_json_object(await self._fetch(f"{base}/.well-known/openid-configuration"))
        url = document.get("jwks_uri")
        if document.get("issuer") != self._issuer.url or not isinstance(url, str):
            raise DecodeError("the openid-configuration is not the issuer's own")
        return url


def egress_fetch(*, is_private: bool) -> Fetch:
    """Give what fetches a document by the rules of egress.

    It raises Unavailable for every answer but a whole one of status 200.
    """
    egress = Egress(allows_private=is_private)

    async def fetch(url: str) -> bytes:
        courier = Courier(egress, FETCH_MS_MAX)
        try:
            reply = await courier.run(
                Errand("GET", url, FETCH_BYTES_MAX, _ACCEPT, wants_answer=True)
            )
        except EgressError as error:
            raise Unavailable(str(error)) from None
        finally:
            await courier.close()
        if reply.status != _OK or reply.body is None:
            raise Unavailable(f"status {reply.status}, or an answer that is too long")
        return reply.body

    return fetch


def read_key_set(data: bytes) -> KeySet:
    """Read a JWKS; keys that are of no use here are passed over. Raises DecodeError."""
    rows = read_json_object(data).get("keys")
    if not isinstance(rows, list):
        raise DecodeError("no JWKS")
    if len(rows) > JWKS_KEYS_MAX:
        raise DecodeError(f"more than {JWKS_KEYS_MAX} keys")
    keys: KeySet = {}
    for row in rows:
        jwk = _read_jwk(row) if isinstance(row, dict) else None
        if jwk is not None:
            keys.setdefault(str(jwk.members["kid"]), []).append(jwk)
    return keys


def _read_jwk(members: Json) -> _Jwk | None:
    """Read one public key with a name; None for any other."""
    needed = _NEEDED.get(str(members.get("kty")), ())
    values = {name: members.get(name) for name in ("kty", "kid", *needed)}
    texts = {name: value for name, value in values.items() if isinstance(value, str) and value}
    if not needed or len(texts) != len(values) or _SECRET & members.keys():
        return None
    del texts["kid"]
    try:
        key = _import(texts)
    except (DecodeError, JoseError, ValueError, TypeError, KeyError, OverflowError):
        return None
    return None if key is None else _Jwk(members, key)


def _import(texts: dict[str, str]) -> PublicJwk | None:
    """Make a key of the members that make it. Raises what the library does."""
    if texts["kty"] == "EC":
        curve = ECKey.import_key(dict(texts))
        _ = curve.public_key  # decoded here, where a wrong point is refused
        return curve
    if texts["kty"] == "OKP":
        edwards = OKPKey.import_key(dict(texts))
        _ = edwards.public_key
        return edwards
    modulus = int.from_bytes(decode_base64url(texts["n"]))
    if not RSA_BITS_MIN <= modulus.bit_length() <= RSA_BITS_MAX:
        return None
    rsa = RSAKey.import_key(dict(texts))
    _ = rsa.public_key
    return rsa
