"""Judging OIDC bearer tokens: their signatures, with keys of issuers that the operator named."""

import time
from collections.abc import Iterable
from typing import Final

from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from pubsub.core.oidc import (
    Issuer,
    OidcToken,
    TokenFault,
    TokenRefused,
    Verdict,
    judge_claims,
    read_oidc_token,
)
from pubsub.io.oidc_keys import Fetch, IssuerKeys, PublicJwk, egress_fetch

__all__ = ["Oidc"]

_ALGORITHMS: Final = JWSRegistry.algorithms


class Oidc:
    """The issuers whose tokens count, and their keys."""

    def __init__(self, issuers: Iterable[Issuer], fetch: Fetch | None = None) -> None:
        """Accept tokens of ``issuers``; ``fetch`` stands in for the network in tests."""
        rows = tuple(issuers)
        self.issuers = {issuer.url: issuer for issuer in rows}
        self._keys = {
            issuer.name: IssuerKeys(
                issuer, fetch or egress_fetch(is_private=issuer.is_private), _monotonic_ms
            )
            for issuer in rows
        }

    async def judge(self, text: str) -> tuple[Issuer, Verdict]:
        """Say whose token it is and what it grants.

        Raises:
            TokenRefused: with the code of the first check that failed.
            Unavailable: the issuer's keys cannot be fetched.
        """
        token = read_oidc_token(text, self.issuers)
        key = await self._keys[token.issuer.name].key(token.key_id, token.algorithm)
        _verify(token, key)
        return token.issuer, judge_claims(token, time.time_ns() // 1_000_000)


def _verify(token: OidcToken, key: PublicJwk) -> None:
    """Verify the signature with the algorithm that both the issuer and the key are for."""
    try:
        is_good = _ALGORITHMS[token.algorithm].verify(token.jws.signed, token.jws.signature, key)
    except (JoseError, ValueError, TypeError):
        is_good = False
    if not is_good:
        raise TokenRefused(TokenFault.BAD_SIGNATURE, "the token's signature is wrong")


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000
