"""From a home's configuration to an access node's settings: what is read, made and refused."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from concordat.compose.access_node import _settings, public_url
from concordat.compose.desmos import desmos_settings
from concordat.config_file import Value, render_config
from concordat.home import Home, HomeError
from ledger.io.keystore import KeyFileError
from tests.adapters.credentials.credential_world import did_key, machine_v1, new_key, sign

MEMBER = "did:elsi:VATES-99999999"
Make = Callable[[Mapping[str, Mapping[str, Value]]], Home]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a home with a configuration."""

    def home(values: Mapping[str, Mapping[str, Value]]) -> Home:
        (tmp_path / "keys").mkdir(exist_ok=True)
        (tmp_path / "concordat.toml").write_text(render_config(values))
        return Home.open(tmp_path)

    return home


def test_plain_home_is_safe_by_default(make: Make) -> None:
    """Tokens are asked for, the operator's is made once, private, and other nodes are public."""
    home = make({})
    settings = _settings(home, MEMBER)
    assert settings.tokens is not None
    assert settings.tokens.operators == (MEMBER,)
    path = home.path / "keys" / "access-node-token"
    assert path.stat().st_mode & 0o777 == 0o600
    assert settings.tokens.operator_token == path.read_bytes().strip()
    assert len(settings.tokens.operator_token) > 40
    assert _settings(home, MEMBER).tokens == settings.tokens
    assert (settings.callbacks.allows_private, settings.peers.allows_private) == (True, False)
    assert settings.database == f"sqlite:///{home.path}/data/access-node.sqlite"
    assert settings.desmos is None
    assert public_url(home) == "http://127.0.0.1:8090"


def test_settings_reach_the_node(make: Make) -> None:
    """What the operator chose is what the node is told."""
    chosen: dict[str, Value] = {
        "profile": "dome",
        "life_cycles": "strict",
        "access": "open",
        "references": "checked",
        "certificates": "required",
        "notifications": "listener",
        "callbacks": "public",
        "peers": "private",
        "database": "postgresql://node@db/access",
        "usage_block_records": 5,
        "journal_days": 2,
    }
    settings = _settings(make({"access_node": chosen}), MEMBER)
    assert settings.tokens is None
    profile = settings.profile
    assert (profile.name, profile.member) == ("dome", MEMBER)
    assert (profile.checks_references, profile.needs_certificates) == (True, True)
    assert (settings.life_cycles, settings.delivery) == ("strict", "listener")
    assert (settings.callbacks.allows_private, settings.peers.allows_private) == (False, True)
    assert settings.database == chosen["database"]
    assert settings.blocks.records == 5
    assert settings.journal_ms == 2 * 24 * 3_600_000


def test_tokens_of_the_members_gateway_are_accepted(make: Make) -> None:
    """With authorisation the member's own gateway is one of the verifiers."""
    values: dict[str, dict[str, Value]] = {
        "facades": {"base_url": "https://ledger.example"},
        "authorisation": {
            "enabled": True,
            "verifiers": {"https://v.example": "https://a https://b"},
        },
        "access_node": {"operators": "VATES-1 did:elsi:VATES-2", "operator_token": ""},
    }
    tokens = _settings(make(values), MEMBER).tokens
    assert tokens is not None
    found = {verifier.issuer: verifier.audiences for verifier in tokens.verifiers}
    assert found == {
        "https://v.example": frozenset({"https://a", "https://b"}),
        "https://ledger.example": frozenset({"https://ledger.example"}),
    }
    assert tokens.operators == ("VATES-1", "did:elsi:VATES-2")
    assert tokens.operator_token == b""


def test_missing_anchors_are_named(make: Make) -> None:
    """A file that is not there is no empty list of anchors."""
    with pytest.raises(HomeError, match=r"cannot read .*anchors\.pem"):
        _settings(make({"authorisation": {"trust_anchors": "anchors.pem"}}), MEMBER)


# --- Desmos ---------------------------------------------------------------------------------

DESMOS: dict[str, Value] = {
    "enabled": True,
    "credential": "machine.jwt",
    "token_url": "https://verifier.example/token",
    "verifier": "https://verifier.example",
}
PRODUCTION: dict[str, dict[str, Value]] = {"access_node": {"environment": "prd"}}


def machine_files(home: Path, key: ec.EllipticCurvePrivateKey | None = None) -> str:
    """Write a credential and a key; give its holder."""
    holder = did_key(new_key())
    (home / "machine.jwt").write_text(sign(machine_v1(holder), new_key()) + "\n")
    private = key or ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (home / "keys").mkdir(exist_ok=True)
    (home / "keys" / "machine.pem").write_bytes(pem)
    (home / "keys" / "machine.pem").chmod(0o600)
    return holder


def test_machine_asks_in_the_name_of_its_mandate(make: Make, tmp_path: Path) -> None:
    """Holder and organisation are the credential's; key and verifier are the configured ones."""
    holder = machine_files(tmp_path)
    peers: dict[str, str] = {"https://desmos.example": "did:elsi:VATES-11111111"}
    settings = desmos_settings(make({**PRODUCTION, "desmos": {**DESMOS, "peers": peers}}))
    assert settings is not None
    assert settings.machine is not None
    assert (settings.machine.holder, settings.machine.client_id) == (holder, "VATES-C12345678")
    assert settings.machine.audience == "https://verifier.example"
    assert (settings.peers, settings.is_native_too) == (peers, True)


def test_node_without_a_credential_asks_nobody(make: Make) -> None:
    """Serving Desmoses needs no credential."""
    settings = desmos_settings(make({**PRODUCTION, "desmos": {"enabled": True}}))
    assert settings is not None
    assert settings.machine is None
    assert desmos_settings(make({"desmos": {"organisation": "X"}})) is None


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda _: {"access_node": {}}, HomeError, "needs access_node.environment"),
        (lambda _: {"desmos": {**DESMOS, "verifier": ""}}, HomeError, "needs desmos.token_url"),
        (lambda home: (home / "machine.jwt").unlink(), HomeError, "cannot read"),
        (lambda home: (home / "machine.jwt").write_text("a.b.c"), HomeError, "malformed"),
        (lambda home: (home / "keys/machine.pem").unlink(), KeyFileError, "cannot read"),
        (lambda home: (home / "keys/machine.pem").chmod(0o640), KeyFileError, "chmod 600"),
        (lambda home: (home / "keys/machine.pem").write_text("x"), KeyFileError, "no PEM key"),
        (
            lambda home: machine_files(home, ec.generate_private_key(ec.SECP384R1())),
            KeyFileError,
            "P-256",
        ),
    ],
)
def test_what_desmos_mode_lacks_is_named(
    make: Make,
    tmp_path: Path,
    spoil: Callable[[Path], object],
    error: type[Exception],
    message: str,
) -> None:
    """Each thing that is missing or wrong is refused before anything is served."""
    machine_files(tmp_path)
    values: dict[str, dict[str, Value]] = {**PRODUCTION, "desmos": DESMOS}
    changed = spoil(tmp_path)
    if isinstance(changed, dict):
        values |= json.loads(json.dumps(changed))
    with pytest.raises(error, match=message):
        desmos_settings(make(values))
