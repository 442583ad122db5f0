"""Who may write: the access token's scope and subject, and whose addresses act for a DID.

The rule, after docs/decisions/0003: a gateway writes as its own member, so it carries out only what
that member or somebody whom that member registered has signed. A DID is registered by the member
that wrote the first revision of its DID document, or of its entry among the participants when it
has no document. An address acts for a DID while its entry stands that this member wrote.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

from starlette.requests import Request

from adapters.credentials.access import (
    Access,
    AccessRefused,
    AccessVerifier,
    Refusal,
    bearer_token,
)
from adapters.ebsi.did_plans import ADDRESS
from adapters.ebsi.ethereum import checksum_address
from adapters.ebsi.planning import View
from adapters.ebsi.problems import EbsiProblem
from adapters.ebsi.refusals import RpcRefused

__all__ = ["require_access", "require_control", "require_scope"]

_MISSING: Final = "Invalid or missing JWT"
_MANDATE: Final = "Invalid Access Token: sub must be the DID that writes"
_UNAUTHORIZED: Final = "Unauthorized"
_BUSY: Final = "Service Unavailable"


async def require_access(verifier: AccessVerifier | None, request: Request) -> Access:
    """Give whom a request's token speaks for: a DID, as EBSI has it, and no mandate's holder.

    Raises:
        EbsiProblem: 401 with EBSI's text; without a verifier no token is valid.
        Unavailable: the token cannot be checked now.
    """
    if verifier is None:
        raise EbsiProblem(HTTPStatus.UNAUTHORIZED, _UNAUTHORIZED, _MISSING)
    try:
        access = await verifier.access(bearer_token(request.headers.get("authorization")))
    except AccessRefused as refused:
        if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise EbsiProblem(refused.status, _BUSY, refused.detail) from None
        detail = _MISSING
        if refused.code is not Refusal.MISSING:
            detail = f"Invalid Access Token: {refused.detail or refused.code}"
        raise EbsiProblem(HTTPStatus.UNAUTHORIZED, _UNAUTHORIZED, detail) from None
    if access.subject != access.organisation:
        raise EbsiProblem(HTTPStatus.UNAUTHORIZED, _UNAUTHORIZED, _MANDATE)
    return access


def require_scope(access: Access, method: str, scopes: Sequence[str]) -> None:
    """Refuse a method for which the token has none of the scopes."""
    if access.scopes.isdisjoint(scopes):
        needed = "' or '".join(scopes)
        raise RpcRefused(f"'{method}' requires an access token with the scope '{needed}'")


def require_control(view: View, did: str, address: bytes, member: str) -> None:
    """Refuse a signer that does not act for a DID, or a DID that is not this member's.

    Raises:
        RpcRefused: with EBSI's text where EBSI has the rule too.
    """
    if did != member and view.registrar(did) != member:
        raise RpcRefused(f"The DID {did} was not registered by the member of this gateway")
    entry = view.lists.entry("did-documents", f"{did}{ADDRESS}{address.hex()}")
    stands = entry is not None and entry.writer == member and entry.is_valid_at(view.time_ms)
    if not stands:
        signer = checksum_address(address)
        raise RpcRefused(f"The DID {did} is not controlled by the address {signer}")
