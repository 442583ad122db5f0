"""Who asks, by the bearer token of the request.

Owns the way from a token to a caller: nobody without one; the operator with the node's own token,
or with a mandate of the operator's organisation that holds the power Onboarding/Execute; else the
organisation that the token speaks for, with those of its powers that the rules know.
"""

import hmac
from collections.abc import Iterable
from hashlib import sha256
from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from adapters.credentials.access import Access, AccessRefused, AccessVerifier, bearer_token
from adapters.http import HttpError
from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.policy.access import POWERS

__all__ = ["BearerCallers"]

_ONBOARDING: Final = ("Onboarding", "Execute")
_CHALLENGE: Final = {"www-authenticate": "Bearer"}
_ELSI: Final = "did:elsi:"


class BearerCallers:
    """Says who asks. See ``adapters.tmf.api.callers.CallerOf``."""

    def __init__(
        self, verifier: AccessVerifier, operator_token: bytes, operators: Iterable[str]
    ) -> None:
        """Believe these.

        Args:
            operator_token: who shows it is the operator; empty when there is none.
            operators: DIDs or organisation identifiers of the operator's organisations.
        """
        self._verifier = verifier
        # The hash has one length whatever is compared, so time says nothing about the token.
        self._operator = sha256(operator_token).digest() if operator_token else b""
        self._operators = frozenset(name.removeprefix(_ELSI) for name in operators)

    async def __call__(self, request: Request) -> Caller:
        """Give the caller of a request.

        Raises:
            HttpError: 401 when its token does not hold.
            Unavailable: it cannot be judged now.
        """
        header = request.headers.get("authorization")
        if header is None:
            return ANYBODY
        try:
            token = bearer_token(header)
            found = sha256(token.encode()).digest()
            if self._operator and hmac.compare_digest(found, self._operator):
                return OPERATOR
            return self._caller(await self._verifier.access(token))
        except AccessRefused as refused:
            challenge = _CHALLENGE if refused.status == HTTPStatus.UNAUTHORIZED else {}
            raise HttpError(refused.status, str(refused), challenge) from None

    def _caller(self, access: Access) -> Caller:
        powers = frozenset(name for name in POWERS.values() if access.may(*name.split("/")))
        is_own = access.organisation.removeprefix(_ELSI) in self._operators
        return Caller(access.organisation, powers, is_own and access.may(*_ONBOARDING))
