"""Who makes a request: the principal of an HTTP request or WebSocket, and what it lacks.

Owns the way from the ``Authorization`` header to a principal. Whoever shows nothing is the
anonymous principal; whoever shows something that does not hold is refused, never taken for
anonymous. A revoked API token is void everywhere within TOKEN_WATCH_MS.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import structlog
from starlette.requests import HTTPConnection

from ledger.core.errors import Unavailable
from ledger.io.keystore import KeyFileError
from pubsub.core.audit_documents import Act, Action
from pubsub.core.limits import (
    AUTHORIZATION_CHARS_MAX,
    TOKEN_USE_WRITE_MS,
    TOKEN_WATCH_MS,
)
from pubsub.core.oidc import Issuer, TokenFault, TokenRefused
from pubsub.core.problems import CHALLENGE, HttpCode, Refusal, Unauthenticated
from pubsub.core.rights import ANONYMOUS_NAME, DEFAULT_ANONYMOUS, Principal, Scope
from pubsub.core.tokens import (
    ApiToken,
    TokenBook,
    TokenFile,
    is_whole_token,
    token_digest,
)
from pubsub.io.audit import Audit
from pubsub.io.oidc import Oidc
from pubsub.io.oidc_keys import Fetch, IssuerKeys
from pubsub.io.token_file import TokenFileWatch, load_tokens, load_uses, save_uses

__all__ = ["Rights", "RightsSettings"]

_TOKEN: Final = "token/"  # noqa: S105 - a kind of principal
_OIDC: Final = "oidc/"
_log = structlog.get_logger("gateway.rights")


@dataclass(frozen=True)
class RightsSettings:
    """Who may do what at a gateway.

    Attributes:
        anonymous: the scopes of whoever shows no token.
        restricted: patterns of the topics that only principals may read to whom they are granted.
        tokens_path: file of the API tokens; None for none.
        uses_path: file of when they were last used; None keeps it in memory alone.
        issuers: whose access tokens count.
        publish_rate: events a second that a principal may hand in; 0 for any number.
        publish_burst: events that it may hand in at once after a pause.
    """

    anonymous: frozenset[Scope] = DEFAULT_ANONYMOUS
    restricted: tuple[str, ...] = ()
    tokens_path: Path | None = None
    uses_path: Path | None = None
    issuers: tuple[Issuer, ...] = ()
    publish_rate: int = 0
    publish_burst: int = 1


class Rights:
    """Resolves principals; ``run`` follows the file of tokens.

    Attributes:
        tokens: the API tokens as they were last read.
    """

    def __init__(self, settings: RightsSettings, fetch: Fetch | None = None) -> None:
        """Judge by ``settings``; ``fetch`` stands in for the network in tests.

        Raises:
            KeyFileError: the file of tokens is broken, or others may read it.
        """
        self.settings = settings
        self.tokens = TokenFile()
        self._anonymous = Principal(
            ANONYMOUS_NAME, settings.anonymous, topics=(), restricted=settings.restricted
        )
        self._oidc = Oidc(settings.issuers, fetch)
        self._book = TokenBook(self.tokens)
        self._watch = TokenFileWatch(settings.tokens_path) if settings.tokens_path else None
        self._uses = load_uses(settings.uses_path) if settings.uses_path else {}
        self._has_new_uses = False
        self._audit: Audit | None = None
        if self._watch is not None and self._watch.has_changed():
            self._take(load_tokens(self._watch.path))

    def begin(self, audit: Audit) -> None:
        """Record what holds now, and every change of the tokens from now on."""
        settings = self.settings
        details = (
            f"anonymous: {' '.join(sorted(settings.anonymous)) or 'nothing'}; "
            f"restricted: {' '.join(settings.restricted) or 'nothing'}; "
            f"issuers: {' '.join(issuer.url for issuer in settings.issuers) or 'none'}"
        )
        audit.put(Act("local", Action.ACCESS_LOADED, "access", details=details))
        audit.put_tokens(self.tokens)
        self._audit = audit

    @property
    def issuer_keys(self) -> Mapping[str, IssuerKeys]:
        """The keys of each issuer, by its name."""
        return self._oidc.keys

    async def principal(self, connection: HTTPConnection) -> Principal:
        """Give who asks, for an HTTP request or a WebSocket before it is accepted.

        Raises:
            Refusal: UNAUTHENTICATED, it shows something that does not prove who it is;
                ISSUER_UNAVAILABLE, that cannot be found out now.
        """
        shown = connection.headers.getlist("authorization")
        if not shown:
            return self._anonymous
        try:
            text = _bearer(shown)
            digest = token_digest(text)
            if digest is not None:
                return self._of_token(self._book.find(digest), text)
            return await self._of_issuer(text)
        except TokenRefused as error:
            raise Unauthenticated(error.detail, error.fault) from None
        except Unavailable as error:
            raise Refusal(HttpCode.ISSUER_UNAVAILABLE, str(error)) from None

    async def require(self, connection: HTTPConnection, scope: Scope) -> Principal:
        """Give who asks, if it has ``scope``.

        Raises:
            Refusal: UNAUTHENTICATED, FORBIDDEN or ISSUER_UNAVAILABLE.
        """
        principal = await self.principal(connection)
        if principal.may(scope):
            return principal
        if principal is self._anonymous:
            raise Unauthenticated(f"show a token with the scope {scope}")
        _log.info("forbidden", who=principal.name, scope=scope.value, path=connection.url.path)
        lack = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'
        raise Refusal(
            HttpCode.FORBIDDEN,
            f"the scope {scope} is needed",
            headers={"www-authenticate": lack},
        )

    def holds(self, principal: Principal) -> bool:
        """Say whether what ``principal`` was resolved from still holds, for what lasts long."""
        if principal.expires_ms is not None and _now_ms() >= principal.expires_ms:
            return False
        return not principal.name.startswith(_TOKEN) or self.owner(principal.name) == principal

    def owner(self, name: str) -> Principal | None:
        """Give the rights that a principal of that name has now, while it does not ask itself.

        None when its token was revoked or has expired; also for a principal of an issuer, whose
        rights are in its token alone.
        """
        if name == ANONYMOUS_NAME:
            return self._anonymous
        token = self._book.named(name.removeprefix(_TOKEN)) if name.startswith(_TOKEN) else None
        return self._principal_of(token) if token and token.is_good(_now_ms()) else None

    async def run(self) -> None:
        """Follow the file of tokens, and write when they were used, until cancelled."""
        written_ms = _now_ms()
        try:
            while True:
                await anyio.sleep(TOKEN_WATCH_MS / 1000)
                if self._watch is not None and self._watch.has_changed():
                    self._reload(self._watch.path)
                if _now_ms() - written_ms >= TOKEN_USE_WRITE_MS:
                    written_ms = _now_ms()
                    await anyio.to_thread.run_sync(self._write_uses, self._new_uses())
        finally:
            self._write_uses(self._new_uses())

    def _reload(self, path: Path) -> None:
        """Take the tokens of the file; of one that cannot be read, none."""
        try:
            self._take(load_tokens(path))
        except KeyFileError as error:
            self._take(TokenFile())
            _log.error("tokens_refused", error=str(error))
        else:
            if self._audit is not None:
                self._audit.put_tokens(self.tokens)

    def _take(self, file: TokenFile) -> None:
        self.tokens = file
        self._book = TokenBook(file)
        now_ms = _now_ms()
        good = sum(token.is_good(now_ms) for token in file.tokens)
        _log.info("tokens_loaded", good=good, all=len(file.tokens))

    def _of_token(self, token: ApiToken | None, text: str) -> Principal:
        """Give the principal of an API token. Raises TokenRefused."""
        if token is None:
            cause = "no API token of this gateway"
            raise TokenRefused(
                TokenFault.UNKNOWN_TOKEN, cause if is_whole_token(text) else f"{cause}: mistyped"
            )
        if token.revoked_ms is not None:
            raise TokenRefused(TokenFault.REVOKED, "the API token was revoked")
        now_ms = _now_ms()
        if not token.is_good(now_ms):
            raise TokenRefused(TokenFault.EXPIRED, "the API token has expired")
        self._uses[token.digest] = now_ms
        self._has_new_uses = True
        return self._principal_of(token)

    def _principal_of(self, token: ApiToken) -> Principal:
        return Principal(
            f"{_TOKEN}{token.name}",
            frozenset(token.scopes),
            token.topics,
            self.settings.restricted,
            token.expires_ms,
        )

    async def _of_issuer(self, text: str) -> Principal:
        """Give the principal of an issuer's token. Raises TokenRefused, Unavailable."""
        if not self._oidc.issuers:
            raise TokenRefused(TokenFault.UNKNOWN_TOKEN, "no API token of this gateway")
        issuer, verdict = await self._oidc.judge(text)
        return Principal(
            f"{_OIDC}{issuer.name}/{verdict.subject}",
            verdict.scopes,
            verdict.topics,
            self.settings.restricted,
            verdict.expires_ms,
        )

    def _new_uses(self) -> dict[str, int]:
        """Give what is to be written, empty when nothing is new."""
        if not self._has_new_uses:
            return {}
        self._has_new_uses = False
        known = {token.digest for token in self.tokens.tokens}
        self._uses = {digest: ms for digest, ms in self._uses.items() if digest in known}
        return dict(self._uses)

    def _write_uses(self, uses: dict[str, int]) -> None:
        if not uses or self.settings.uses_path is None:
            return
        try:
            save_uses(self.settings.uses_path, uses)
        except KeyFileError as error:
            _log.warning("token_uses_not_written", error=str(error))


def _bearer(shown: list[str]) -> str:
    """Take the token out of the ``Authorization`` headers. Raises TokenRefused."""
    scheme, _, text = shown[0].strip().partition(" ")
    if len(shown) > 1 or scheme.lower() != "bearer" or len(text) > AUTHORIZATION_CHARS_MAX:
        raise TokenRefused(TokenFault.MALFORMED, "show one bearer token that is not too long")
    return text.strip()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
