"""Who asks: tokens in the header become principals, and what does not hold is refused."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import httpx
import pytest
from msgspec.structs import replace

from ledger.core.errors import Unavailable
from ledger.core.limits import FETCH_BYTES_MAX
from ledger.io.keystore import KeyFileError
from pubsub.core.limits import AUTHORIZATION_CHARS_MAX
from pubsub.core.rights import Principal, Scope
from pubsub.core.tokens import ApiToken, token_digest, token_text, with_token, without_token
from pubsub.io import rights as rights_module
from pubsub.io.rights import Rights, RightsSettings
from pubsub.io.token_file import change_tokens, load_uses
from tests.pubsub.gateway_world import World, gateway_world
from tests.pubsub.rights.oidc_world import ISSUER, Site, claims, token

NOW_MS = rights_module._now_ms()
HOUR_MS = 3_600_000


def text_of(name: str) -> str:
    """Give the token that is called ``name``."""
    return token_text(name.encode().ljust(32, b"."))


def api_token(name: str, *scopes: Scope, **changes: object) -> ApiToken:
    """Give what is kept of that token."""
    digest = token_digest(text_of(name))
    assert digest is not None
    made = ApiToken(
        name=name,
        digest=digest.hex(),
        scopes=scopes,
        topics=(),
        made_ms=NOW_MS,
        made_by="root",
        expires_ms=NOW_MS + HOUR_MS,
    )
    return replace(made, **changes)


def settings_of(directory: Path, **changes: object) -> RightsSettings:
    """Give settings with a file of tokens in ``directory``."""
    return RightsSettings(
        tokens_path=directory / "tokens.json",
        uses_path=directory / "uses.json",
        **changes,  # type: ignore[arg-type] # any field
    )


def add(settings: RightsSettings, token: ApiToken) -> None:
    """Put a token into the file."""
    assert settings.tokens_path is not None
    change_tokens(settings.tokens_path, lambda file: with_token(file, token))


def revoke(settings: RightsSettings, name: str) -> None:
    """Revoke a token of the file."""
    assert settings.tokens_path is not None
    change_tokens(settings.tokens_path, lambda file: without_token(file, name, NOW_MS, "root"))


@pytest.fixture
def settings(tmp_path: Path) -> RightsSettings:
    """Give settings with three tokens."""
    made = settings_of(tmp_path)
    add(made, api_token("reader", Scope.READ))
    add(made, api_token("boss", Scope.OPERATE, topics=None, expires_ms=None))
    add(made, api_token("old", Scope.READ, expires_ms=NOW_MS - 1))
    return made


@pytest.fixture
async def guarded(
    tmp_path: Path, settings: RightsSettings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """Give a gateway with these tokens that looks at the file often."""
    monkeypatch.setattr(rights_module, "TOKEN_WATCH_MS", 5)
    async with gateway_world(tmp_path, rights=settings, with_node=False) as world:
        yield world


async def ask(world: World, target: str, *shown: str, bearer: str = "") -> httpx.Response:
    """Send a GET request that shows something."""
    rows = [("authorization", text) for text in shown]
    if bearer:
        rows.append(("authorization", f"Bearer {bearer}"))
    return await world.http.get(target, headers=rows)


# --- what is shown --------------------------------------------------------------------------


async def test_a_good_token_is_its_principal(guarded: World) -> None:
    """With the scope that an operation needs a token is let through."""
    assert (await ask(guarded, "/v1/events", bearer=text_of("reader"))).status_code == 200
    assert (await ask(guarded, "/v1/audit", bearer=text_of("boss"))).status_code == 200


async def test_who_shows_nothing_is_asked_for_a_token(guarded: World) -> None:
    """What anonymous clients may not do is a 401 that says how to do it."""
    answer = await ask(guarded, "/v1/audit")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="concordat"'
    assert "reason" not in answer.json()
    assert (await ask(guarded, "/v1/events")).status_code == 200


async def test_a_scope_that_lacks_is_named(guarded: World) -> None:
    """A token without the scope is a 403 that names it."""
    answer = await ask(guarded, "/v1/audit", bearer=text_of("reader"))
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert 'error="insufficient_scope", scope="operate"' in answer.headers["www-authenticate"]
    assert (await ask(guarded, "/v1/events", bearer=text_of("boss"))).status_code == 403


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (["Bearer " + text_of("nobody")], "unknown_token"),
        (["Bearer " + text_of("old")], "expired"),
        (["Bearer " + text_of("reader")[:-1]], "unknown_token"),
        (["Bearer a.b.c"], "unknown_token"),
        (["Bearer"], "unknown_token"),
        (["Basic dXNlcjpwYXNz"], "malformed"),
        (["Bearer " + text_of("reader"), "Bearer " + text_of("boss")], "malformed"),
        (["Bearer " + "a" * (AUTHORIZATION_CHARS_MAX + 1)], "malformed"),
        ([""], "malformed"),
    ],
)
async def test_what_does_not_hold_is_refused(guarded: World, shown: list[str], reason: str) -> None:
    """Whoever shows something void is never taken for anonymous, whatever it asks for."""
    for target in ("/v1/events", "/livez", "/v1/audit"):
        answer = await ask(guarded, target, *shown)
        assert (answer.status_code, answer.json()["reason"]) == (401, reason)
        assert f'error_description="{reason}"' in answer.headers["www-authenticate"]
        assert "cct_" not in answer.text


async def test_a_mistyped_token_is_told(guarded: World) -> None:
    """A token whose checksum is wrong is told from one that is not known here."""
    text = text_of("reader")
    mistyped = text[:10] + ("a" if text[10] != "a" else "b") + text[11:]
    answer = await ask(guarded, "/v1/events", bearer=mistyped)
    assert answer.json()["detail"].endswith("mistyped")
    answer = await ask(guarded, "/v1/events", bearer=text_of("nobody"))
    assert not answer.json()["detail"].endswith("mistyped")


async def test_the_scheme_may_be_in_any_case(guarded: World) -> None:
    """Bearer and bearer are the same."""
    answer = await ask(guarded, "/v1/events", f"bearer {text_of('reader')}")
    assert answer.status_code == 200


async def test_a_request_has_an_id(guarded: World) -> None:
    """A sound X-Request-Id comes back; any other request gets one of ours."""
    answer = await guarded.http.get("/livez", headers={"x-request-id": "mine-1.2_3"})
    assert answer.headers["x-request-id"] == "mine-1.2_3"
    for bad in ("", "a b", "x" * 65, "é"):
        headers = [(b"x-request-id", bad.encode("latin-1"))]
        answer = await guarded.http.get("/livez", headers=headers)
        assert len(answer.headers["x-request-id"]) == 16


# --- while the gateway runs -----------------------------------------------------------------


async def until(world: World, bearer: str, status: int) -> httpx.Response:
    """Ask until the answer has a status."""
    with anyio.fail_after(5):
        while True:
            answer = await ask(world, "/v1/audit", bearer=bearer)
            if answer.status_code == status:
                return answer
            await anyio.sleep(0.005)


async def test_changes_are_noticed_without_restart(
    guarded: World, settings: RightsSettings
) -> None:
    """A token that is added works, one that is revoked does not, within moments."""
    add(settings, api_token("late", Scope.OPERATE))
    await until(guarded, text_of("late"), 200)
    revoke(settings, "late")
    answer = await until(guarded, text_of("late"), 401)
    assert answer.json()["reason"] == "revoked"
    assert (await ask(guarded, "/v1/audit", bearer=text_of("boss"))).status_code == 200


async def test_a_broken_file_grants_nothing(guarded: World, settings: RightsSettings) -> None:
    """While the file cannot be read no token holds; mended, all do again."""
    assert settings.tokens_path is not None
    good = settings.tokens_path.read_bytes()
    settings.tokens_path.write_bytes(b"{")
    await until(guarded, text_of("boss"), 401)
    settings.tokens_path.write_bytes(good)
    answer = await until(guarded, text_of("boss"), 200)
    whats = [row["what"] for row in answer.json()["records"]]
    assert whats.count("token_added") == 3  # not recorded once more


async def test_tokens_are_audited(guarded: World, settings: RightsSettings) -> None:
    """What is done to the tokens is recorded, by whom, and without the token."""
    add(settings, api_token("late", Scope.READ, Scope.CONSUME, topics=("a.>",), made_by="eve"))
    await until(guarded, text_of("boss"), 200)
    revoke(settings, "late")
    with anyio.fail_after(5):
        while True:
            answer = await ask(guarded, "/v1/audit", bearer=text_of("boss"))
            rows = {(row["what"], row["target"]): row for row in answer.json()["records"]}
            if ("token_revoked", "late") in rows:
                break
            await anyio.sleep(0.005)
    added = rows["token_added", "late"]
    assert added["who"] == "local/eve"
    assert added["details"] == "scopes read consume; restricted topics a.>"
    assert added["time_ms"] == NOW_MS
    assert rows["token_revoked", "late"]["who"] == "local/root"
    assert rows["access_loaded", "access"]["details"].startswith("anonymous: publish read;")
    assert "cct_" not in answer.text
    digest = token_digest(text_of("late"))
    assert digest is not None
    assert digest.hex() not in answer.text


async def test_last_use_is_written(tmp_path: Path, settings: RightsSettings) -> None:
    """When a token was used last is in a file of the gateway's own, for `concordat tokens list`."""
    async with gateway_world(tmp_path, rights=settings, with_node=False) as world:
        assert (await ask(world, "/v1/events", bearer=text_of("reader"))).status_code == 200
        await ask(world, "/v1/events", bearer=text_of("old"))
    assert settings.uses_path is not None
    uses = load_uses(settings.uses_path)
    assert list(uses) == [api_token("reader").digest]
    assert uses[api_token("reader").digest] >= NOW_MS


def test_a_gateway_does_not_start_with_a_broken_file(settings: RightsSettings) -> None:
    """A file of tokens that is broken or open to others ends the start, and says why."""
    assert settings.tokens_path is not None
    settings.tokens_path.chmod(0o644)
    with pytest.raises(KeyFileError, match="others"):
        Rights(settings)


# --- those who do not ask themselves --------------------------------------------------------


def test_rights_of_an_owner(settings: RightsSettings) -> None:
    """Of a name that owns something the rights are those that it has now."""
    rights = Rights(settings)
    boss = Principal("token/boss", frozenset({Scope.OPERATE}), None, (), None)
    assert rights.owner("token/boss") == boss
    anonymous = rights.owner("anonymous")
    assert anonymous is not None
    assert anonymous.scopes == {Scope.READ, Scope.PUBLISH}
    for name in ("token/old", "token/nobody", "token/", "oidc/market/alice", "", "boss"):
        assert rights.owner(name) is None


def test_what_holds_no_longer(settings: RightsSettings) -> None:
    """A principal holds until its token is revoked or expires, or grants something else."""
    rights = Rights(settings)
    boss, anonymous = rights.owner("token/boss"), rights.owner("anonymous")
    assert boss is not None
    assert anonymous is not None
    assert rights.holds(boss)
    assert rights.holds(anonymous)
    revoke(settings, "boss")
    rights = Rights(settings)
    assert not rights.holds(boss)
    other = api_token("other").digest
    add(settings, api_token("boss", Scope.READ, expires_ms=None, digest=other))
    assert not Rights(settings).holds(boss)
    of_issuer = Principal("oidc/market/alice", frozenset(), (), (), NOW_MS + HOUR_MS)
    assert rights.holds(of_issuer)
    assert not rights.holds(replace(of_issuer, expires_ms=NOW_MS))


# --- issuers --------------------------------------------------------------------------------


async def issuer_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site, text: str
) -> httpx.Response:
    """Ask for the audit trail with a token of the issuer."""
    rights = settings_of(tmp_path, issuers=(ISSUER,), restricted=("dome.private.>",))
    monkeypatch.setattr("pubsub.io.oidc.egress_fetch", lambda **_: site.fetch)
    async with gateway_world(tmp_path, rights=rights, with_node=False) as world:
        return await ask(world, "/v1/audit", bearer=text)


async def test_a_token_of_an_issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights come from its claim; the problem of one without says which scope it lacks."""
    site, now_s = Site(), NOW_MS // 1000
    payload = claims(exp=now_s + 3600, iat=now_s, realm_access={"roles": ["operator"]})
    answer = await issuer_answer(tmp_path, monkeypatch, site, token(payload=payload))
    assert answer.status_code == 200
    payload = claims(exp=now_s + 3600, iat=now_s)
    (tmp_path / "two").mkdir()
    answer = await issuer_answer(tmp_path / "two", monkeypatch, site, token(payload=payload))
    assert answer.status_code == 403


async def test_a_bad_token_of_an_issuer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Why it proves nothing is the stable reason of the problem."""
    answer = await issuer_answer(tmp_path, monkeypatch, Site(), token(None, alg="none"))
    assert (answer.status_code, answer.json()["reason"]) == (401, "algorithm")


async def test_an_issuer_that_is_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its keys cannot be had that is a 503, not a refusal of the token."""
    site = Site()
    site.is_down = True
    answer = await issuer_answer(tmp_path, monkeypatch, site, token())
    assert (answer.status_code, answer.json()["code"]) == (503, "issuer_unavailable")
    assert "retry-after" in answer.headers


ANSWERS: dict[str, tuple[int, bytes]] = {
    "/keys": (200, json.dumps({"keys": Site().keys}).encode()),
    "/moved": (302, b""),
    "/missing": (404, json.dumps({"keys": Site().keys}).encode()),
    "/long": (200, b'{"keys":[],"a":"' + b"a" * FETCH_BYTES_MAX + b'"}'),
}


class Handler(BaseHTTPRequestHandler):
    """An issuer's web server."""

    def do_GET(self) -> None:
        """Answer what the table says."""
        status, body = ANSWERS[self.path]
        self.send_response(status)
        self.send_header("location", "/keys")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Say nothing."""


@pytest.fixture
def issuer_site() -> Iterator[str]:
    """Give the URL of an issuer's web server on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("path", "is_good"),
    [("/keys", True), ("/moved", False), ("/missing", False), ("/long", False)],
)
async def test_keys_are_fetched_over_http(issuer_site: str, path: str, is_good: bool) -> None:
    """One whole answer of status 200 gives keys; no redirect is followed, nothing endless read."""
    issuer = replace(ISSUER, jwks_url=issuer_site + path, is_private=True)
    rights = Rights(RightsSettings(issuers=(issuer,)))
    now_s = NOW_MS // 1000
    text = token(payload=claims(exp=now_s + 3600, iat=now_s))
    if is_good:
        assert (await rights._oidc.judge(text))[1].subject == "alice"
    else:
        with pytest.raises(Unavailable):
            await rights._oidc.judge(text)


async def test_keys_are_fetched_under_the_rules_of_egress() -> None:
    """The keys of an issuer that is not said to be private come from the internet alone."""
    private = replace(ISSUER, jwks_url="https://127.0.0.1/keys")
    plain = replace(ISSUER, jwks_url="http://issuer.example/keys")
    for issuer in (private, plain):
        rights = Rights(RightsSettings(issuers=(issuer,)))
        with pytest.raises(Unavailable):
            await rights._oidc.judge(token())
