"""Judging OIDC bearer tokens: their signatures, with keys of issuers that the operator named."""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

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

__all__ = ["Clocks", "Oidc"]

_ALGORITHMS: Final = JWSRegistry.algorithms


class Clocks(NamedTuple):
    """Two clocks in milliseconds: since 1970, and one that never goes back."""

    wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000


class Oidc:
    """The issuers whose tokens count, and their keys.

    Attributes:
        issuers: by URL; keys: by the issuer's name.
    """

    def __init__(
        self, issuers: Iterable[Issuer], fetch: Fetch | None = None, clocks: Clocks | None = None
    ) -> None:
        """Accept tokens of ``issuers``; tests stand in for the network and the clocks."""
        clocks = clocks or Clocks()
        self._wall_ms = clocks.wall_ms
        rows = tuple(issuers)
        self.issuers = {issuer.url: issuer for issuer in rows}
        self.keys = {
            issuer.name: IssuerKeys(
                issuer,
                fetch or egress_fetch(is_private=issuer.is_private),
                clocks.monotonic_ms,
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
        key = await self.keys[token.issuer.name].key(token.key_id, token.algorithm)
        _verify(token, key)
        return token.issuer, judge_claims(token, self._wall_ms())


def _verify(token: OidcToken, key: PublicJwk) -> None:
    """Verify the signature with the algorithm that both the issuer and the key are for."""
    try:
        is_good = _ALGORITHMS[token.algorithm].verify(token.jws.signed, token.jws.signature, key)
    except (JoseError, ValueError, TypeError):
        is_good = False
    if not is_good:
        raise TokenRefused(TokenFault.BAD_SIGNATURE, "the token's signature is wrong")
