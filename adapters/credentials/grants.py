"""The two ways to a token of ours: EBSI's presentation, and the assertion of a machine of DOME.

Pure in their rules; both verify through the `Checker` and sign with the gateway's token keys.
"""

import secrets
from collections.abc import Mapping
from typing import Final, NamedTuple

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.certificates import ELSI
from adapters.credentials.checker import Checker, Expected
from adapters.credentials.credential import EMPLOYEE, MACHINE
from adapters.credentials.jose import decode_base64, decode_base64url, parse_jws, verify_jws
from adapters.credentials.members import Json, Reader, malformed, read_json
from adapters.credentials.presentation import need_audience, need_time, read_presentation
from adapters.credentials.scopes import OPENID, SCOPES
from adapters.credentials.tokens import TokenKeys
from adapters.credentials.trust import LedgerView
from ledger.core.limits import TOKEN_LIFE_MS

__all__ = ["ASSERTION_TYPE", "CLIENT_CREDENTIALS", "VP_TOKEN", "Form", "Grants"]

Form = Mapping[str, str]
VP_TOKEN: Final = "vp_token"  # noqa: S105 - the name of a grant
CLIENT_CREDENTIALS: Final = "client_credentials"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MACHINE_SCOPE: Final = "machine learcredential"


class _Subject(NamedTuple):
    """For whom a token is made."""

    id: str
    scope: str
    claims: Json
    until_ms: int


class Grants:
    """Gives tokens to those who show that they should have one."""

    def __init__(self, checker: Checker, ledger: LedgerView, keys: TokenKeys) -> None:
        self._checker = checker
        self._ledger = ledger
        self._keys = keys

    async def presentation(
        self, form: Form, issuer: str, audiences: frozenset[str]
    ) -> dict[str, object]:
        """Answer EBSI's `grant_type=vp_token`.

        Raises:
            AccessRefused: SCOPE, RIGHT, or what is wrong with the presentation.
            Unavailable: something cannot be fetched now.
        """
        scope = _scope(form)
        rule = SCOPES[scope]
        _need_submission(form, scope)
        types = frozenset(rule.credential_types)
        expected = Expected(
            audiences,
            types=types or None,
            needs_credential=bool(types),
            onboards=scope == "didr_invite",
        )
        token = _need(form, "vp_token")
        did = read_presentation(parse_jws(token, "presentation")).holder
        # The right comes first: for a DID that has none, nothing is looked up outside.
        if not await self._ledger.ask(lambda ledger: rule.is_entitled(ledger, did)):
            raise AccessRefused(Refusal.RIGHT, f"{did} has no right to {scope}")
        presented = await self._checker.presentation(token, expected)
        until_ms = min((item.until_ms for item in presented.credentials), default=2**62)
        nonce = Reader(parse_jws(token).payload, "presentation").text("nonce")
        named = f"{OPENID} {scope}"
        answer = self._answer(_Subject(did, named, {"scp": named}, until_ms), issuer)
        identity = self._claims(_Subject(did, named, {}, until_ms), issuer) | {"aud": did}
        if nonce is not None:
            identity["nonce"] = nonce
        return answer | {"id_token": self._keys.sign(identity)}

    async def machine(
        self, form: Form, issuer: str, audiences: frozenset[str]
    ) -> dict[str, object]:
        """Answer `grant_type=client_credentials` of a machine with a LEARCredential.

        Raises:
            AccessRefused: what is wrong with the assertion, the presentation or the credential.
            Unavailable: something cannot be fetched now.
        """
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise malformed(f"client_assertion_type must be {ASSERTION_TYPE}")
        assertion = parse_jws(_need(form, "client_assertion"), "assertion")
        claims = Reader(assertion.payload, "assertion")
        client = claims.need_text("iss")
        if claims.need_text("sub") != client or form.get("client_id", client) != client:
            raise malformed("iss, sub and client_id are not one")
        need_audience(assertion, audiences, "assertion")
        need_time(assertion, self._checker.clock_ms(), "assertion")
        presentation_jws = parse_jws(_inner_token(claims.need_text("vp_token")), "presentation")
        self._need_inner_claims(presentation_jws.payload, audiences)
        presentation = read_presentation(presentation_jws)
        expected = Expected(audiences, types=frozenset({MACHINE, EMPLOYEE}))
        presented = await self._checker.bound(presentation_jws, presentation, expected)
        credential = presented.credentials[0]
        if client not in (
            presented.holder,
            credential.organisation,
            credential.organisation.removeprefix(ELSI),
        ):
            raise AccessRefused(Refusal.HOLDER, "the client is not whom the mandate names")
        verify_jws(assertion, presented.key, "assertion")
        self._checker.use_once(assertion.digest, f"{client} {claims.need_text('jti')}".encode())
        more = {"vc": credential.body, "scope": _MACHINE_SCOPE, "client_id": client}
        subject = _Subject(presented.holder, _MACHINE_SCOPE, more, credential.until_ms)
        return self._answer(subject, issuer)

    def _need_inner_claims(self, payload: Json, audiences: frozenset[str]) -> None:
        """Hold a machine's presentation to what it says; the assertion around it is fresh."""
        claims = Reader(payload, "presentation")
        if "aud" in payload and audiences.isdisjoint(claims.texts("aud")):
            raise AccessRefused(Refusal.AUDIENCE, "the presentation is not meant for us")
        ends_ms = claims.seconds("exp", or_milliseconds=True)
        if ends_ms is not None and self._checker.clock_ms() >= ends_ms:
            raise AccessRefused(Refusal.EXPIRED, "the presentation has expired")

    def _answer(self, subject: _Subject, issuer: str) -> dict[str, object]:
        claims = {**self._claims(subject, issuer), **subject.claims}
        life = int(str(claims["exp"])) - int(str(claims["iat"]))
        return {
            "access_token": self._keys.sign(claims),
            "token_type": "Bearer",
            "expires_in": life,
            "scope": subject.scope,
        }

    def _claims(self, subject: _Subject, issuer: str) -> dict[str, object]:
        now_ms = self._checker.clock_ms()
        return {
            "iss": issuer,
            "aud": issuer,
            "sub": subject.id,
            "jti": secrets.token_urlsafe(24),
            "iat": now_ms // 1000,
            "exp": min(now_ms + TOKEN_LIFE_MS, subject.until_ms) // 1000,
        }


def _need(form: Form, name: str) -> str:
    value = form.get(name)
    if not value:
        raise malformed(f"{name} is missing")
    return value


def _scope(form: Form) -> str:
    """Give the one scope of ours in `openid <scope>`."""
    names = _need(form, "scope").split()
    found = [name for name in names if name in SCOPES]
    if OPENID not in names or len(found) != 1 or len(names) != len(found) + 1:
        raise AccessRefused(Refusal.SCOPE, "scope must be openid and one of the supported ones")
    return found[0]


def _need_submission(form: Form, scope: str) -> None:
    """Refuse a submission for another definition than the scope's."""
    text = _need(form, "presentation_submission")
    submission = Reader(read_json(text.encode(), "presentation_submission"), "submission")
    if submission.need_text("definition_id") != f"{scope}_presentation":
        raise malformed(f"definition_id must be {scope}_presentation")
    ids = {row.need_text("id") for row in submission.inners("descriptor_map")}
    wanted = {f"{scope}_credential"} if SCOPES[scope].credential_types else set[str]()
    if ids != wanted:
        raise malformed(f"descriptor_map must describe {', '.join(wanted) or 'nothing'}")


def _inner_token(text: str) -> str:
    """Give the presentation in a `vp_token`: base64 of one alphabet or the other."""
    try:
        data = decode_base64(text, "vp_token")
    except AccessRefused:
        data = decode_base64url(text.rstrip("="), "vp_token")
    try:
        return data.decode("ascii")
    except UnicodeDecodeError:
        raise malformed("vp_token holds no JWT") from None
