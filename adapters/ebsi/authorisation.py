"""Authorisation v3 and v4: the endpoints in front of whoever gives access tokens."""

from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from adapters.credentials.access import AccessRefused, Refusal
from adapters.ebsi.access import TokenIssuer
from adapters.ebsi.problems import EbsiProblem, bad_request
from ledger.core.limits import EBSI_BODY_BYTES_MAX
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["Authorisation"]

_FORM: Final = "application/x-www-form-urlencoded"
_OPENID: Final = "openid "
_FIELDS_MAX: Final = 16
_ERRORS: Final = {Refusal.SCOPE: "invalid_scope", Refusal.MALFORMED: "invalid_request"}


class Authorisation:
    """The endpoints of one version.

    Args:
        mount: path of the version.
        base_url: what URLs begin with, or None for what the client called.
    """

    def __init__(
        self, gateway: Gateway, issuer: TokenIssuer, mount: str, base_url: str | None
    ) -> None:
        self._gateway = gateway
        self._issuer = issuer
        self._mount = mount
        self._base_url = base_url

    async def get_configuration(self, request: Request) -> Response:
        """Answer with the description of the token endpoint."""
        return json_response(self._issuer.openid_configuration(self._url(request)))

    async def get_jwks(self, _request: Request) -> Response:
        """Answer with the keys that access tokens are signed with."""
        return json_response(self._issuer.jwks())

    async def get_definition(self, request: Request) -> Response:
        """Answer with what must be presented for a scope."""
        scope = request.query_params.get("scope", "")
        if not scope.startswith(_OPENID):
            raise bad_request("scope must be a valid scope")
        try:
            definition = self._issuer.presentation_definition(scope.removeprefix(_OPENID))
        except AccessRefused:
            raise bad_request("scope must be a valid scope") from None
        return json_response(definition)

    async def post_token(self, request: Request) -> Response:
        """Answer with an access token, or with an error of OAuth 2.0."""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != _FORM:
            return _oauth_error("invalid_request", f"the body must be {_FORM}")
        async with self._gateway.bodies.read(request, EBSI_BODY_BYTES_MAX) as body:
            try:
                pairs = parse_qsl(
                    body.decode("ascii"),
                    keep_blank_values=True,
                    strict_parsing=True,
                    max_num_fields=_FIELDS_MAX,
                )
            except ValueError:
                return _oauth_error("invalid_request", "the body is no form")
        if len(dict(pairs)) != len(pairs):
            return _oauth_error("invalid_request", "a parameter is given twice")
        try:
            response = await self._issuer.token(self._url(request), dict(pairs))
        except AccessRefused as refused:
            if refused.status == HTTPStatus.SERVICE_UNAVAILABLE:
                raise EbsiProblem(refused.status, "Service Unavailable", refused.detail) from None
            code = _ERRORS.get(refused.code, "invalid_grant")
            return _oauth_error(code, refused.detail or str(refused.code))
        return json_response(response, headers={"cache-control": "no-store"})

    def _url(self, request: Request) -> str:
        return (self._base_url or str(request.base_url).rstrip("/")) + self._mount


def _oauth_error(code: str, text: str) -> Response:
    document = {"error": code, "error_description": text}
    return json_response(document, HTTPStatus.BAD_REQUEST, {"cache-control": "no-store"})
