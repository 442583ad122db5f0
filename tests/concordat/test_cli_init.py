"""``concordat init`` and ``concordat testnet``: homes, cards, the genesis file, joining."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pytest
from click.testing import Result

from concordat.config_file import load_config
from concordat.home import Home, HomeError, load_genesis, split_address
from ledger.core.ids import PublicKey
from ledger.core.limits import SOCKET_PATH_BYTES_MAX
from ledger.io.keystore import KeyPurpose, open_key, read_key_info


class Run(Protocol):
    """The command line; see conftest."""

    def __call__(
        self, *arguments: object, code: int = 0, stdin: str | bytes | None = None
    ) -> Result: ...


RunJson = Callable[..., dict[str, object]]


def make_member(concordat: Run, home: Path, name: str, *arguments: object, code: int = 0) -> Result:
    """Make a member's home with open keys."""
    did, address = f"did:example:{name}", f"{name}.example:26600"
    chosen = ("--name", name, "--did", did, "--address", address, "--unencrypted")
    return concordat("init", "member", home, *chosen, *arguments, code=code)


def test_members_make_a_network(concordat: Run, concordat_json: RunJson, tmp_path: Path) -> None:
    """Three members, a publisher without validator, one genesis file: all see one network."""
    homes = [tmp_path / name for name in ("alpha", "beta", "gamma")]
    for home in homes:
        make_member(concordat, home, home.name)
    key = tmp_path / "shop.json"
    concordat("keys", "new", key, "--did", "did:example:shop", "--unencrypted")
    entry = concordat("keys", "export-public", key, "--name", "Shop", "--topic", "shop.>").stdout
    (tmp_path / "entry.json").write_text(entry)
    cards = [item for home in homes[1:] for item in ("--card", home / "member.json")]
    participant = ("--participant", tmp_path / "entry.json")
    made = concordat_json("init", "genesis", homes[0], "--network", "dome", *cards, *participant)
    shared = homes[0] / "genesis.json"
    for home in homes[1:]:
        joined = concordat_json("init", "join", home, "--genesis", shared)
        assert joined == made | {"home": str(home)}
    genesis = load_genesis(homes[2] / "genesis.json")
    assert genesis.chain_id == made["chain_id"]
    assert [v.name for v in genesis.validators] == ["alpha", "beta", "gamma"]
    assert [p.did for p in genesis.participants][-1] == "did:example:shop"
    assert genesis.governors.threshold == 3
    assert genesis.participants[0].topics == ("alpha.>",)
    for index, home in enumerate(homes):
        info = read_key_info(home / "keys" / "validator.json")
        assert Home.open(home).index_in(genesis, info.public_key) == index


def test_home_holds_what_a_member_needs(concordat: Run, tmp_path: Path) -> None:
    """Each key is for its purpose; the settings follow the address; the card is public."""
    home = tmp_path / "alpha"
    make_member(concordat, home, "alpha", "--topic", "a.>", "--topic", "b.*")
    seeds = [
        open_key(home / "keys" / f"{purpose}.json", purpose, password=None).seed.hex()
        for purpose in KeyPurpose
    ]
    card = (home / "member.json").read_text()
    assert json.loads(card)["participant"]["topics"] == ["a.>", "b.*"]
    assert not [seed for seed in seeds if seed in card]
    config = load_config(home / "concordat.toml")
    assert config.node.listen == "0.0.0.0:26600"
    assert config.keys.allow_unencrypted


def test_gateway_listens_where_it_is_told(concordat: Run, tmp_path: Path) -> None:
    """In a container that is every address of it; what is no address is refused."""
    make_member(concordat, tmp_path / "alpha", "alpha", "--gateway", "0.0.0.0:8080")
    assert load_config(tmp_path / "alpha" / "concordat.toml").gateway.listen == "0.0.0.0:8080"
    refused = make_member(concordat, tmp_path / "b", "b", "--gateway", "somewhere", code=2)
    assert "not an address and a port" in refused.stderr


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--name", "Not Lower Case"),
        ("--did", "nobody"),
        ("--address", "nowhere"),
        ("--topic", "a..b"),
    ],
)
def test_wrong_member_data_make_no_home(
    concordat: Run, tmp_path: Path, option: str, value: str
) -> None:
    """What no genesis file could hold is refused before any key is made."""
    home = tmp_path / "alpha"
    result = make_member(concordat, home, "alpha", option, value, code=2)
    assert option.removeprefix("--") in result.stderr
    assert not home.exists()


def test_home_is_never_overwritten(concordat: Run, tmp_path: Path) -> None:
    """A second init of the same home changes nothing."""
    make_member(concordat, tmp_path / "alpha", "alpha")
    before = (tmp_path / "alpha" / "keys" / "validator.json").read_bytes()
    result = make_member(concordat, tmp_path / "alpha", "alpha", code=2)
    assert "nothing was changed" in result.stderr
    assert (tmp_path / "alpha" / "keys" / "validator.json").read_bytes() == before


def test_member_joins_only_where_it_is_listed(concordat: Run, tmp_path: Path) -> None:
    """A genesis file without the member's key is refused; so is a second network."""
    alpha, beta = tmp_path / "alpha", tmp_path / "beta"
    for home in (alpha, beta):
        make_member(concordat, home, home.name)
    concordat("init", "genesis", alpha, "--network", "dome")
    result = concordat("init", "join", beta, "--genesis", alpha / "genesis.json", code=2)
    assert "member.json" in result.stderr
    assert not (beta / "genesis.json").exists()
    result = concordat("init", "genesis", alpha, "--network", "other", code=2)
    assert "belongs to the network dome-" in result.stderr


def test_same_member_twice_is_no_network(concordat: Run, tmp_path: Path) -> None:
    """Two equal cards are refused in words, not with a traceback."""
    make_member(concordat, tmp_path / "alpha", "alpha")
    card = ("--card", tmp_path / "alpha" / "member.json")
    result = concordat("init", "genesis", tmp_path / "alpha", "--network", "dome", *card, code=2)
    assert "make no network" in result.stderr


@pytest.mark.parametrize("content", ["", "{", "[]", '{"validator": 1}', '{"surprise": {}}'])
def test_malformed_cards_and_entries_are_refused(
    concordat: Run, tmp_path: Path, content: str
) -> None:
    """A file that is no card, or no entry that makes sense, is named."""
    home, wrong = tmp_path / "alpha", tmp_path / "wrong.json"
    make_member(concordat, home, "alpha")
    wrong.write_text(content)
    for option in ("--card", "--participant"):
        result = concordat("init", "genesis", home, "--network", "dome", option, wrong, code=2)
        assert "wrong.json" in result.stderr or "make no network" in result.stderr
    assert not (home / "genesis.json").exists()


def test_testnet_is_complete(concordat_json: RunJson, concordat: Run, tmp_path: Path) -> None:
    """Each home of a testnet is a member of it with ports of its own; publishers have rights."""
    made = concordat_json("testnet", tmp_path / "net", "--publishers", 2, "--base-port", 30_000)
    genesis = load_genesis(tmp_path / "net" / "genesis.json")
    assert made["chain_id"] == genesis.chain_id
    assert len(genesis.validators) == 4
    addresses = set()
    for name in ("node0", "node1", "node2", "node3"):
        home = Home.open(tmp_path / "net" / name)
        assert home.genesis() == genesis
        info = read_key_info(home.path / "keys" / "validator.json")
        validator = genesis.validators[home.index_in(genesis, info.public_key)]
        assert (validator.name, validator.address) == (name, home.config.node.listen)
        addresses |= {home.config.node.listen, home.config.gateway.listen}
    assert len(addresses) == 8
    publisher = read_key_info(tmp_path / "net" / "publishers" / "publisher1.json")
    entry = next(p for p in genesis.participants if p.did == publisher.owner)
    assert entry.keys[0].key == publisher.public_key
    assert entry.topics == ("publisher1.>",)
    result = concordat("testnet", tmp_path / "net", code=2)
    assert "holds a network already" in result.stderr


def test_home_explains_what_is_missing(tmp_path: Path, concordat: Run) -> None:
    """No home, no genesis file, a broken one: each says what to do."""
    with pytest.raises(HomeError, match="make one with"):
        Home.open(tmp_path)
    make_member(concordat, tmp_path / "a", "alpha")
    home = Home.open(tmp_path / "a")
    with pytest.raises(HomeError, match="has joined no network"):
        home.genesis()
    home.genesis_path.write_text("{}")
    with pytest.raises(HomeError, match="not a genesis file"):
        home.genesis()
    with pytest.raises(HomeError, match="cannot read"):
        load_genesis(tmp_path)


def test_control_socket_path_has_the_systems_limit(concordat: Run, tmp_path: Path) -> None:
    """A path that no Unix socket can have is refused when the home is opened."""
    make_member(concordat, tmp_path / "a", "alpha")
    config = tmp_path / "a" / "concordat.toml"
    prefix = tmp_path / "a" / "s"
    for length, is_accepted in ((SOCKET_PATH_BYTES_MAX, True), (SOCKET_PATH_BYTES_MAX + 1, False)):
        name = str(prefix) + "x" * (length - len(str(prefix)))
        config.write_text(f'[node]\ncontrol_socket = "{name}"\n')
        if is_accepted:
            assert str(Home.open(tmp_path / "a").control_path) == name
        else:
            with pytest.raises(HomeError, match="too long for a Unix socket"):
                Home.open(tmp_path / "a")


def test_foreign_key_has_no_index(concordat: Run, tmp_path: Path) -> None:
    """A key that the genesis file does not list is told with the remedy."""
    make_member(concordat, tmp_path / "a", "alpha")
    concordat("init", "genesis", tmp_path / "a", "--network", "dome")
    home = Home.open(tmp_path / "a")
    with pytest.raises(HomeError, match=r"member\.json"):
        home.index_in(home.genesis(), PublicKey(b"\1" * 32))


def test_addresses_are_split() -> None:
    """Host and port are taken apart, brackets of IPv6 included."""
    assert split_address("node.example:26600") == ("node.example", 26600)
    assert split_address("[::1]:80") == ("::1", 80)
