"""Who may write to the registries through a facade.

A facade writes only in its member's name, and the ledger judges the member. What is decided here
is who may speak for the member: nobody, unless a verifier of tokens is configured or the operator
opened writing because the network around the gateway is private.
"""

from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from adapters.credentials.access import AccessRefused, AccessVerifier, bearer_token
from adapters.http import HttpError

__all__ = ["EMPLOYEE", "MACHINE", "WriteAccess"]

EMPLOYEE: Final = "LEARCredentialEmployee"
MACHINE: Final = "LEARCredentialMachine"
_POWER: Final = ("Onboarding", "Execute")
_ELSI: Final = "did:elsi:"
_CHALLENGE: Final = {"www-authenticate": "Bearer"}


class WriteAccess:
    """Who may have the gateway's member write."""

    def __init__(
        self,
        verifier: AccessVerifier | None = None,
        organisations: Iterable[str] = (),
        *,
        is_open: bool = False,
    ) -> None:
        """Decide by tokens.

        Args:
            verifier: None refuses every write.
            organisations: identifiers or DIDs whose mandates count: the member's own, as a rule.
            is_open: everybody who reaches the gateway may write; for private networks only.
        """
        self._verifier = verifier
        self._organisations = frozenset(map(_identifier, organisations))
        self._is_open = is_open

    async def require(self, request: Request, credential_types: Collection[str]) -> None:
        """Refuse a request whose sender may not write.

        Args:
            credential_types: of which the token's credential must be one.

        Raises:
            HttpError: 401 without a valid token, 403 when it does not give the right.
            ledger.core.errors.Unavailable: the token cannot be checked for now.
        """
        if self._is_open:
            return
        if self._verifier is None:
            raise HttpError(HTTPStatus.FORBIDDEN, "this gateway takes no writes")
        try:
            access = await self._verifier.access(bearer_token(request.headers.get("authorization")))
            if _identifier(access.organisation) not in self._organisations:
                raise HttpError(HTTPStatus.FORBIDDEN, "the organisation may not write here")
            if access.credential_type not in credential_types:
                raise HttpError(HTTPStatus.FORBIDDEN, "the credential is of the wrong type")
            access.need_power(*_POWER)
        except AccessRefused as refusal:
            headers = _CHALLENGE if refusal.status == HTTPStatus.UNAUTHORIZED else {}
            raise HttpError(refusal.status, str(refusal), headers) from None


def _identifier(organisation: str) -> str:
    """Give the organizationIdentifier in a did:elsi, any other text as it is."""
    return organisation.removeprefix(_ELSI)
