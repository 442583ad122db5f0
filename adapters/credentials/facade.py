"""The gateway's authorisation: the endpoints of EBSI and DOME, and the verifier for all facades.

One object is both, because both need the ledger that the gateway reads. It judges nothing before
its routes are mounted.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl

import anyio
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.credentials.access import Access, AccessRefused, Refusal
from adapters.credentials.certificates import TrustAnchors
from adapters.credentials.checker import Checker
from adapters.credentials.fetching import Fetcher, HttpFetcher, Remembered
from adapters.credentials.grants import CLIENT_CREDENTIALS, VP_TOKEN, Form, Grants
from adapters.credentials.keys import KeyFinder
from adapters.credentials.members import malformed
from adapters.credentials.replay import ReplayMemory
from adapters.credentials.scopes import OPENID, SCOPES, presentation_definition
from adapters.credentials.tokens import TokenKeys
from adapters.credentials.trust import GatewayLedger
from adapters.credentials.verifier import ExternalVerifier, OwnTokens, TokenVerifier
from adapters.http import HttpError, route
from ledger.core.errors import Unavailable
from ledger.core.limits import (
    JWKS_FRESH_MS,
    JWKS_STALE_MS_MAX,
    STATUS_FRESH_MS,
    TOKEN_CHARS_MAX,
    TOKEN_ROTATION_MS,
)
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["Authorisation", "AuthorisationSettings"]

_EBSI: Final = ("/authorisation/v3", "/authorisation/v4")
_DOME_TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
_DOME_KEYS: Final = "/oauth2/jwks"
_CONFIGURATION: Final = "/.well-known/openid-configuration"
_FORM: Final = "application/x-www-form-urlencoded"
_FORM_BYTES_MAX: Final = 2 * TOKEN_CHARS_MAX
_FIELDS_MAX: Final = 16
_PUBLIC: Final = {"cache-control": "public, max-age=300"}
_SECRET: Final = {"cache-control": "no-store", "pragma": "no-cache"}

_pairs = partial(parse_qsl, strict_parsing=True, keep_blank_values=True)

Grant = Callable[[Form, str, frozenset[str]], Awaitable[dict[str, object]]]


@dataclass(frozen=True)
class AuthorisationSettings:
    """What the operator decides.

    Attributes:
        base_url: what everybody calls this gateway, `https://...` without a slash at its end. It
            names us in every token, so it never comes from a request.
        key_path: file of the token keys; made when it is not there.
        trust_anchors: PEM certificates that may certify organisations.
        verifiers: whose access tokens are accepted.
        allowed_origins: that may be fetched from though they are private or plain http, such as
            the operator's own verifier.
    """

    base_url: str
    key_path: Path
    trust_anchors: bytes = b""
    verifiers: tuple[ExternalVerifier, ...] = ()
    allowed_origins: tuple[str, ...] = ()


def _clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Authorisation:
    """Facade and access verifier in one."""

    def __init__(
        self,
        settings: AuthorisationSettings,
        fetcher: Fetcher | None = None,
        clock_ms: Callable[[], int] = _clock_ms,
    ) -> None:
        """Open the token keys.

        Raises:
            ledger.io.keystore.KeyFileError: they cannot be used.
            ValueError: the trust anchors are no certificates.
        """
        self._base = settings.base_url.rstrip("/")
        self._settings = settings
        self._clock_ms = clock_ms
        self._fetcher = fetcher or HttpFetcher(settings.allowed_origins)
        self._anchors = TrustAnchors(settings.trust_anchors)
        self._keys = TokenKeys(settings.key_path, clock_ms)
        self._verifier: TokenVerifier | None = None

    async def access(self, token: str) -> Access:
        """Judge a bearer token. See ``AccessVerifier``."""
        if self._verifier is None:
            raise Unavailable("the gateway is not ready")
        return await self._verifier.access(token)

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the routes, and begin to read the gateway's ledger."""
        ledger = GatewayLedger(gateway)
        documents = self._remembered(STATUS_FRESH_MS, STATUS_FRESH_MS)
        key_sets = self._remembered(JWKS_FRESH_MS, JWKS_STALE_MS_MAX)
        finder = KeyFinder(ledger, self._fetcher, self._anchors)
        checker = Checker(ledger, finder, documents, ReplayMemory(), self._clock_ms)
        grants = Grants(checker, ledger, self._keys)
        issuers = frozenset({self._base, *(self._base + mount for mount in _EBSI)})
        self._verifier = TokenVerifier(
            checker,
            OwnTokens(self._keys, issuers),
            {verifier.issuer: verifier for verifier in self._settings.verifiers},
            key_sets,
            self._audiences,
        )
        found: list[BaseRoute] = []
        for mount in _EBSI:
            grant = partial(self._token, gateway, VP_TOKEN, grants.presentation, mount)
            found += [
                _route(gateway, f"{mount}/token", "POST", grant),
                _route(gateway, f"{mount}/jwks", "GET", self._get_keys),
                _route(gateway, mount + _CONFIGURATION, "GET", partial(self._get_ebsi, mount)),
                _route(gateway, f"{mount}/presentation-definitions", "GET", _get_definition),
            ]
        machine = partial(self._token, gateway, CLIENT_CREDENTIALS, grants.machine, "")
        return [
            *found,
            _route(gateway, _DOME_TOKEN, "POST", machine),
            _route(gateway, _DOME_KEYS, "GET", self._get_keys),
            _route(gateway, _CONFIGURATION, "GET", self._get_dome),
        ]

    async def run(self, gateway: Gateway) -> None:
        """Rotate the token keys."""
        del gateway
        while True:
            await anyio.sleep(TOKEN_ROTATION_MS / 1000)
            await anyio.to_thread.run_sync(self._keys.rotate)

    @property
    def _audiences(self) -> frozenset[str]:
        """Every name under which a presentation may address us."""
        paths = ("", "/", _DOME_TOKEN, *_EBSI, *(f"{mount}/token" for mount in _EBSI))
        return frozenset(self._base + path for path in paths)

    def _remembered(self, fresh_ms: int, stale_ms: int) -> Remembered:
        return Remembered(self._fetcher, self._clock_ms, fresh_ms, stale_ms)

    async def _token(
        self, gateway: Gateway, grant_type: str, grant: Grant, mount: str, request: Request
    ) -> Response:
        form = await _read_form(gateway, request)
        if form.get("grant_type") != grant_type:
            return _oauth_error(HTTPStatus.BAD_REQUEST, "unsupported_grant_type", grant_type)
        answer = await grant(form, self._base + mount, self._audiences)
        return json_response(answer, HTTPStatus.OK, _SECRET)

    async def _get_keys(self, request: Request) -> Response:
        del request
        return json_response(self._keys.jwks, HTTPStatus.OK, _PUBLIC)

    async def _get_ebsi(self, mount: str, request: Request) -> Response:
        del request
        issuer = self._base + mount
        algs = {"alg_values_supported": ["ES256", "ES256K"]}
        document = {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "presentation_definition_endpoint": f"{issuer}/presentation-definitions",
            "jwks_uri": f"{issuer}/jwks",
            "scopes_supported": [OPENID, *SCOPES],
            "response_types_supported": ["token"],
            "response_modes_supported": ["query"],
            "grant_types_supported": [VP_TOKEN],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "subject_syntax_types_supported": ["did:ebsi", "did:key", "did:elsi", "did:web"],
            "subject_trust_frameworks_supported": ["ebsi"],
            "vp_formats_supported": {"jwt_vp": algs, "jwt_vp_json": algs},
            "token_endpoint_auth_methods_supported": ["none"],
        }
        return json_response(document, HTTPStatus.OK, _PUBLIC)

    async def _get_dome(self, request: Request) -> Response:
        del request
        document = {
            "issuer": self._base,
            "token_endpoint": self._base + _DOME_TOKEN,
            "jwks_uri": self._base + _DOME_KEYS,
            "scopes_supported": ["machine", "learcredential"],
            "grant_types_supported": [CLIENT_CREDENTIALS],
            "response_types_supported": ["token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            "token_endpoint_auth_signing_alg_values_supported": ["ES256", "ES256K", "EdDSA"],
        }
        return json_response(document, HTTPStatus.OK, _PUBLIC)


async def _get_definition(request: Request) -> Response:
    names = request.query_params.get("scope", "").split()
    scope = next((name for name in names if name in SCOPES), None)
    if scope is None or set(names) - {OPENID, scope}:
        raise AccessRefused(Refusal.SCOPE, "scope must be openid and one of the supported ones")
    return json_response(presentation_definition(scope), HTTPStatus.OK, _PUBLIC)


async def _read_form(gateway: Gateway, request: Request) -> Form:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {_FORM}")
    async with gateway.bodies.read(request, _FORM_BYTES_MAX) as body:
        try:
            pairs = _pairs(body.decode("ascii"), errors="strict", max_num_fields=_FIELDS_MAX)
        except ValueError:
            raise malformed("the body is no form") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise malformed("a field stands twice")
    return form


def _route(
    gateway: Gateway, path: str, method: str, answer: Callable[[Request], Awaitable[Response]]
) -> BaseRoute:
    async def answered(request: Request) -> Response:
        try:
            return await answer(request)
        except AccessRefused as refusal:
            return _refused(refusal, path)

    return route(gateway, path, _other_error, {method: answered})


def _refused(refusal: AccessRefused, path: str) -> Response:
    """Answer with an error of OAuth 2.0 (RFC 6749, 5.2)."""
    if refusal.code is Refusal.BUSY:
        return _oauth_error(HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable", str(refusal))
    if refusal.code is Refusal.SCOPE:
        return _oauth_error(HTTPStatus.BAD_REQUEST, "invalid_scope", str(refusal))
    if path == _DOME_TOKEN and refusal.code is not Refusal.MALFORMED:
        return _oauth_error(HTTPStatus.UNAUTHORIZED, "invalid_client", str(refusal))
    return _oauth_error(HTTPStatus.BAD_REQUEST, "invalid_request", str(refusal))


def _other_error(status: int, detail: str, request: Request) -> Response:
    del request
    is_ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return _oauth_error(status, "server_error" if is_ours else "invalid_request", detail)


def _oauth_error(status: int, error: str, description: str) -> Response:
    return json_response({"error": error, "error_description": description}, status, _SECRET)
