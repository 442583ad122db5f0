"""Which facades a configuration gives, in whose name they write, and what contradicts itself."""

from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from concordat import testnet
from concordat.compose.facades import build_facades
from concordat.compose.gateway import wants_facades
from concordat.config_file import Value
from concordat.home import Home, HomeError
from ledger.io.keystore import KeyFileError, KeyPurpose, OpenKey, open_key
from tests.pubsub.gateway_world import gateway_world

Settings = dict[str, dict[str, Value]]
Make = Callable[[Settings], Home]
ALL: dict[str, Value] = {"ebsi": True, "fiware": True, "dome_registry": True}
BASE: dict[str, Value] = {"base_url": "https://ledger.example"}


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Make a member's home with some settings."""

    def make(settings: Settings) -> Home:
        ports = testnet.Ports(20_001, 20_002)
        plan = testnet.TestnetPlan("solo", [("solo", ports)], settings=settings)
        return Home.open(testnet.create_testnet(tmp_path / "net", plan).homes["solo"])

    return make


def opener(home: Home, opened: list[Path]) -> Callable[[], OpenKey]:
    """Open the member's key and note that."""

    def open_it() -> OpenKey:
        path = home.resolve(home.config.member.key)
        opened.append(path)
        return open_key(path, KeyPurpose.PUBLISHER, password=None)

    return open_it


@pytest.mark.parametrize(
    ("settings", "names", "is_opened"),
    [
        ({}, [], False),
        ({"facades": ALL}, ["EbsiFacade", "FiwareFacade", "DomeTrustFacade"], False),
        ({"facades": {"fiware": True, "writes": "open"}}, ["FiwareFacade"], True),
        ({"facades": {"writes": "open"}}, [], False),
        ({"dlt_adapter": {"enabled": True}}, ["DltAdapter"], True),
        (
            {
                "facades": {**ALL, **BASE, "writes": "tokens"},
                "authorisation": {"enabled": True},
                "dlt_adapter": {"enabled": True},
            },
            ["Authorisation", "EbsiFacade", "FiwareFacade", "DomeTrustFacade", "DltAdapter"],
            True,
        ),
    ],
)
def test_facades_are_those_of_the_configuration(
    make: Make, settings: Settings, names: list[str], is_opened: bool
) -> None:
    """Each switch gives its facade; the key is opened once, and only when one writes."""
    home = make(settings)
    opened: list[Path] = []
    facades = build_facades(home, opener(home, opened))
    assert [type(facade).__name__ for facade in facades] == names
    assert wants_facades(home.config) is bool(names)
    assert len(opened) == is_opened


@pytest.mark.parametrize("key", ["", "keys/nothing.json"])
def test_without_a_key_nothing_is_written_and_that_is_said(make: Make, key: str) -> None:
    """Registries are served for reading, the adapter that only writes is off; the log says so."""
    home = make(
        {
            "facades": {"fiware": True, "writes": "open"},
            "dlt_adapter": {"enabled": True},
            "member": {"key": key},
        }
    )
    opened: list[Path] = []
    with capture_logs() as logs:
        facades = build_facades(home, opener(home, opened))
    assert [type(facade).__name__ for facade in facades] == ["FiwareFacade"]
    assert opened == []
    assert [log for log in logs if "write nothing" in log["event"]]
    assert logs[-1]["writes"] == "off"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"facades": {"ebsi": True, "writes": "tokens"}}, "authorisation.enabled"),
        ({"authorisation": {"enabled": True}}, "facades.base_url"),
        ({"facades": {**ALL, "dome_registry_prefix": ""}}, "different prefixes"),
        (
            {"facades": {"fiware": True, "fiware_participants_prefix": ""}},
            "different prefixes",
        ),
        (
            {"facades": BASE, "authorisation": {"enabled": True, "trust_anchors": "none.pem"}},
            "none.pem",
        ),
        (
            {"facades": BASE, "authorisation": {"enabled": True, "trust_anchors": "genesis.json"}},
            "trust_anchors",
        ),
    ],
)
def test_contradictions_are_refused(make: Make, settings: Settings, reason: str) -> None:
    """What cannot be meant ends the start with the setting's name."""
    home = make(settings)
    with pytest.raises(HomeError, match=reason):
        build_facades(home, opener(home, []))


def test_an_open_key_needs_the_permission(make: Make) -> None:
    """A key without a password writes only where the configuration permits such keys."""
    home = make({"facades": {"fiware": True, "writes": "open"}})
    config = home.path / "concordat.toml"
    config.write_text(config.read_text().replace("allow_unencrypted = true", ""))
    strict = Home.open(home.path)
    with pytest.raises(KeyFileError, match="no password"):
        build_facades(strict, opener(strict, []))


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/lists", 200),
        ("/v1/events", 200),
        ("/docs", 200),
        ("/v4/issuers", 200),
        ("/issuer", 200),
        ("/trusted-participants/v4/issuers", 200),
        ("/trusted-issuers-registry/v5/issuers", 200),
        ("/trusted-schemas-registry/v3/schemas", 200),
        ("/did-registry/v5/identifiers", 200),
        ("/timestamp/v4/timestamps", 200),
        ("/authorisation/v4/jwks", 200),
        ("/authorisation/v9/jwks", 404),
        ("/oauth2/jwks", 200),
        ("/.well-known/openid-configuration", 200),
        ("/health", 200),
        ("/api/v1/subscribe", 200),
        ("/dome-trust-registry/v4/issuers", 200),
        ("/nowhere", 404),
    ],
)
async def test_all_facades_stand_side_by_side(
    make: Make, tmp_path: Path, target: str, status: int
) -> None:
    """Each interface is reached at its place beside the gateway's own, none hides another."""
    home = make(
        {
            "facades": {**ALL, **BASE, "writes": "tokens"},
            "authorisation": {"enabled": True},
            "dlt_adapter": {"enabled": True},
        }
    )
    facades = build_facades(home, opener(home, []))
    async with gateway_world(tmp_path, facades=facades) as world:
        assert (await world.get(target)).status_code == status
