"""``concordat tokens``, and what ``[access]`` says about who may do what."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import Result

from concordat import testnet
from concordat.compose.access import rights_settings
from concordat.config_file import ConfigError
from concordat.home import Home, HomeError
from pubsub.core.oidc import Grant
from pubsub.core.rights import DEFAULT_ANONYMOUS, Scope
from pubsub.core.tokens import GRANTABLE, token_digest
from pubsub.io.rights import Rights
from pubsub.io.token_file import load_tokens, save_uses


class Run(Protocol):
    """The command line; see conftest."""

    def __call__(
        self, *arguments: object, code: int = 0, stdin: str | bytes | None = None
    ) -> Result: ...


RunJson = Callable[..., dict[str, object]]

ISSUER = """
[access.issuers.market]
issuer = "https://login.example/realms/market"
audience = ["concordat"]
claim = ["realm_access", "roles"]

[access.issuers.market.grants.partner]
scopes = ["read", "consume"]
topics = ["dome.private.>"]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A member's home with the settings that nobody changed."""
    (tmp_path / "concordat.toml").write_text("")
    return tmp_path


def add(concordat: Run, home: Path, name: str, *more: str, code: int = 0) -> str:
    """Make a token that may read, and give what is printed."""
    options = ("--scope", "read", *more, "--home", home)
    return concordat("tokens", "add", name, *options, code=code).stdout


def listed(concordat: Run, home: Path, *more: str) -> list[dict[str, object]]:
    """Give the listed tokens."""
    text = concordat("tokens", "list", *more, "--home", home, "--json").stdout
    rows: list[dict[str, object]] = json.loads(text)
    return rows


# --- the command ----------------------------------------------------------------------------


def test_a_token_is_printed_once_and_stored_as_digest(concordat: Run, home: Path) -> None:
    """Standard output is the token alone; the file has its digest, rights and life."""
    text = add(concordat, home, "shop", "--topic", "dome.>", "--expires", "90d").strip()
    digest = token_digest(text)
    assert digest is not None
    path = home / "keys" / "api-tokens.json"
    assert text.encode() not in path.read_bytes()
    (token,) = load_tokens(path).tokens
    assert token.digest == digest.hex()
    assert (token.scopes, token.topics) == ((Scope.READ,), ("dome.>",))
    assert token.expires_ms == token.made_ms + 90 * 24 * 3_600_000


def test_json_has_the_token_too(concordat_json: RunJson, home: Path) -> None:
    """Programs get the token in the one object that is printed."""
    document = concordat_json(
        "tokens", "add", "a", "--scope", "operate", "--all-topics", "--expires", "never",
        "--home", home,
    )  # fmt: skip
    assert token_digest(str(document["token"])) is not None
    assert (document["topics"], document["expires_ms"]) == (None, None)


def test_tokens_are_listed_with_their_last_use(concordat: Run, home: Path) -> None:
    """Those that are gone are listed only when asked for; no list shows a token or digest."""
    add(concordat, home, "shop")
    add(concordat, home, "gone")
    concordat("tokens", "revoke", "gone", "--home", home)
    shop, gone = load_tokens(home / "keys" / "api-tokens.json").tokens
    save_uses(home / "data" / "api-token-uses.json", {shop.digest: 7})
    assert [(row["name"], row["last_used_ms"]) for row in listed(concordat, home)] == [("shop", 7)]
    assert [row["name"] for row in listed(concordat, home, "--all")] == ["shop", "gone"]
    table = concordat("tokens", "list", "--all", "--home", home).stdout
    assert "1970-01-01 00:00Z" in table
    assert "revoked" in table
    for secret in ("cct_", shop.digest, gone.digest):
        assert secret not in table


def test_revoked_is_revoked(concordat: Run, home: Path) -> None:
    """A token is revoked once, and its name can be used again."""
    add(concordat, home, "shop")
    concordat("tokens", "revoke", "shop", "--home", home)
    concordat("tokens", "revoke", "shop", "--home", home, code=1)
    add(concordat, home, "shop")
    assert len(listed(concordat, home)) == 1


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("Bad Name",), 1),
        (("a", "--topic", "a..b"), 1),
        (("a", "--topic", "a", "--all-topics"), 2),
        (("a", "--scope", "public"), 2),
        (("a", "--expires", "90"), 2),
        (("a", "--expires", "0d"), 2),
        (("a", "--expires", "999999999d"), 2),
    ],
)
def test_wrong_tokens_are_refused(
    concordat: Run, home: Path, arguments: tuple[str, ...], code: int
) -> None:
    """What is wrong makes no token, and no file."""
    add(concordat, home, *arguments, code=code)
    assert not (home / "keys" / "api-tokens.json").exists()


def test_a_name_in_use_is_refused(concordat: Run, home: Path) -> None:
    """Two tokens of one name would be one principal."""
    add(concordat, home, "shop")
    add(concordat, home, "shop", code=1)


# --- the settings ---------------------------------------------------------------------------


def settings_of(home: Path, text: str) -> "Rights":
    """Read rights out of a configuration file."""
    (home / "concordat.toml").write_text(text)
    return Rights(rights_settings(Home.open(home)))


def test_defaults_leave_reading_and_publishing_to_everybody(home: Path) -> None:
    """Without any setting anonymous clients read and publish, and nothing is restricted."""
    settings = settings_of(home, "").settings
    assert settings.anonymous == DEFAULT_ANONYMOUS
    assert (settings.restricted, settings.issuers, settings.publish_rate) == ((), (), 0)
    assert settings.tokens_path == home / "keys" / "api-tokens.json"


def test_settings_are_taken(home: Path) -> None:
    """Scopes, patterns and issuers are what the file says."""
    text = '[access]\nanonymous = ["consume"]\nrestricted = ["dome.private.>"]\npublish_rate = 5\n'
    settings = settings_of(home, text + ISSUER).settings
    assert settings.anonymous == {Scope.CONSUME}
    assert (settings.restricted, settings.publish_rate) == (("dome.private.>",), 5)
    (issuer,) = settings.issuers
    assert issuer.url == "https://login.example/realms/market"
    assert (issuer.jwks_url, issuer.is_private, issuer.leeway_ms) == (None, False, 30_000)
    grant = Grant(frozenset({Scope.READ, Scope.CONSUME}), ("dome.private.>",))
    assert issuer.grants == {"partner": grant}
    assert issuer.algorithms == ("RS256", "PS256", "ES256", "EdDSA")


@pytest.mark.parametrize(
    "text",
    [
        '[access]\nanonymous = ["public"]',
        '[access]\nanonymous = ["everything"]',
        '[access]\nrestricted = ["a..b"]',
        '[access]\nrestricted = [">.a"]',
        '[access]\nrestricted = ["a\\n"]',
        "[access]\npublish_rate = -1",
        ISSUER.replace('["concordat"]', '"concordat"'),
        ISSUER.replace("market]", "Mar.ket]"),
        ISSUER + "\n[access.issuers.other]",
        ISSUER.replace("claim", "algorithms = ['HS256']\nclaim"),
        ISSUER.replace("claim", "algorithms = ['none']\nclaim"),
        ISSUER.replace("claim", "leeway_ms = 999999\nclaim"),
        ISSUER.replace("claim", "unknown = 1\nclaim"),
    ],
)
def test_wrong_settings_are_refused(home: Path, text: str) -> None:
    """What is unknown or unsafe is refused when the file is read."""
    with pytest.raises(ConfigError, match="access"):
        settings_of(home, text)


@pytest.mark.parametrize(
    "text",
    [
        ISSUER.replace("https:", "http:"),
        ISSUER.replace("claim", 'jwks_url = "http://login.example/keys"\nclaim'),
        ISSUER.replace('["concordat"]', "[]"),
        ISSUER.replace('["realm_access", "roles"]', "[]"),
        ISSUER.replace("claim", "algorithms = []\nclaim"),
    ],
)
def test_issuers_that_cannot_be_believed(home: Path, text: str) -> None:
    """Keys over plain http, and a token for anybody, are refused before the gateway starts."""
    with pytest.raises(HomeError, match=r"access\.issuers\.market"):
        settings_of(home, text)


def test_a_private_network_may_be_plain(home: Path) -> None:
    """Where the operator says that the issuer is private, http will do."""
    text = ISSUER.replace("https:", "http:").replace("claim", "private_network = true\nclaim", 1)
    assert settings_of(home, text).settings.issuers[0].is_private


def test_a_testnet_leaves_everything_to_everybody(tmp_path: Path) -> None:
    """Networks for development are open, and say so in their configuration file."""
    rows = [("solo", testnet.Ports(1, 2))]
    made = testnet.create_testnet(tmp_path / "net", testnet.TestnetPlan("open", rows))
    home = Home.open(made.homes["solo"])
    assert rights_settings(home).anonymous == frozenset(GRANTABLE)
    assert '\nanonymous = ["read", "publish"' in (home.path / "concordat.toml").read_text()
