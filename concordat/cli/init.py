"""``concordat init``: a member's home, the genesis file of a new network, joining a network.

1. each member:  concordat init member HOME --name alpha --did DID --address HOST:PORT
                 and hands HOME/member.json to whoever makes the genesis file
2. one of them:  concordat init genesis HOME --network dome --card beta.json --card gamma.json
                 and hands HOME/genesis.json to all
3. the others:   concordat init join HOME --genesis genesis.json

A member that comes later does 1., then 3. with --later; governors then add its validator.
"""

import time
from pathlib import Path

import click
import msgspec

from concordat.cli.output import emit, json_option
from concordat.cli.passwords import new_password
from concordat.compose.node import make_stores
from concordat.config_file import Value
from concordat.config_section import Address
from concordat.home import Home, HomeError, load_genesis
from concordat.membership import Governing, Json, Member, create_home, make_genesis, read_card
from ledger.core.genesis import Genesis
from ledger.core.limits import KEY_FILE_BYTES_MAX
from ledger.io.keystore import read_key_info, write_private_file

__all__ = ["init"]

_file = click.Path(dir_okay=False, exists=True, path_type=Path)
_home = click.argument("home", type=click.Path(file_okay=False, path_type=Path))


@click.group()
def init() -> None:
    """Make a member's home, make a genesis file, or join a network."""


@init.command()
@_home
@click.option("--name", required=True, help="Short name, lower case, unique in the network.")
@click.option("--did", required=True, help="DID of the organisation.")
@click.option("--address", required=True, help="host:port where other validators reach it.")
@click.option(
    "--gateway",
    metavar="HOST:PORT",
    callback=lambda _context, _option, address: _require_address(address),
    help="Where the gateway listens. Default: 127.0.0.1:8080. In a container: 0.0.0.0:8080.",
)
@click.option(
    "--topic", "topics", multiple=True, help="Pattern of topics to publish to. Default: NAME.>"
)
@click.option("--password-file", type=_file, help="Password of the keys. Default: ask.")
@click.option("--unencrypted", is_flag=True, help="Keys without a password. For development only.")
@json_option
def member(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    name: str,
    did: str,
    address: str,
    gateway: str | None,
    topics: tuple[str, ...],
    password_file: Path | None,
    unencrypted: bool,
    as_json: bool,
) -> None:
    """Make a member's home in HOME: keys, configuration, and the public card member.json."""
    port = address.rpartition(":")[2]
    settings: dict[str, dict[str, Value]] = {"node": {"listen": f"0.0.0.0:{port}"}}
    if gateway is not None:
        settings["gateway"] = {"listen": gateway}
    card = create_home(
        home,
        Member(
            name=name,
            did=did,
            address=address,
            topics=topics or (f"{name}.>",),
            password=None if unencrypted else new_password(password_file),
            settings=settings,
        ),
    )
    human = (
        f"Made {home} for {name}.\n"
        f"Next: hand {home / 'member.json'} to whoever makes the genesis file, then\n"
        f"      concordat init join {home} --genesis genesis.json"
    )
    emit(card, human, as_json=as_json)


@init.command()
@_home
@click.option("--network", required=True, help="Name of the network, lower case.")
@click.option("--card", "cards", type=_file, multiple=True, help="Another member's member.json.")
@click.option(
    "--participant",
    "participants",
    type=_file,
    multiple=True,
    help="A publisher without a validator: the output of `concordat keys export-public`.",
)
@click.option(
    "--governor",
    "governors",
    multiple=True,
    metavar="DID",
    help="A participant that governs. Default: every validator's organisation.",
)
@click.option(
    "--threshold",
    type=click.IntRange(1, 100),
    help="How many governors decide. Default: more than two thirds.",
)
@json_option
def genesis(  # noqa: PLR0913 - one argument for each option
    *,
    home: Path,
    network: str,
    cards: tuple[Path, ...],
    participants: tuple[Path, ...],
    governors: tuple[str, ...],
    threshold: int | None,
    as_json: bool,
) -> None:
    """Make the genesis file of a new network out of cards; HOME's own is included."""
    opened = Home.open(home)
    made = make_genesis(
        network,
        [read_card(card) for card in (opened.path / "member.json", *cards)],
        [_read_participant(path) for path in participants],
        time.time_ns() // 1_000_000,
        Governing(governors, threshold or 0),
    )
    _install(opened, made)
    _report(opened, made, as_json=as_json)


@init.command()
@_home
@click.option("--genesis", "genesis_file", type=_file, required=True, help="The shared file.")
@click.option(
    "--later", is_flag=True, help="The network runs already, and will be asked to add this member."
)
@json_option
def join(*, home: Path, genesis_file: Path, later: bool, as_json: bool) -> None:
    """Join the network of a genesis file, which names the member in HOME, or will be told of it."""
    opened = Home.open(home)
    shared = load_genesis(genesis_file)
    _install(opened, shared, later=later)
    _report(opened, shared, as_json=as_json, later=later)


def _require_address(address: str | None) -> str | None:
    if address is not None:
        try:
            msgspec.convert(address, Address)
        except msgspec.ValidationError:
            raise click.BadParameter(f"not an address and a port: {address!r}") from None
    return address


def _install(home: Home, genesis: Genesis, *, later: bool = False) -> None:
    if home.genesis_path.exists():
        raise HomeError(
            f"{home.path} belongs to the network {home.genesis().chain_id} already; "
            f"a member of another network needs another home"
        )
    key = read_key_info(home.resolve(home.config.keys.validator)).public_key
    if not later:
        home.index_in(genesis, key)
    make_stores(home, genesis)
    write_private_file(home.genesis_path, genesis.to_json())


def _report(home: Home, genesis: Genesis, *, as_json: bool, later: bool = False) -> None:
    validators = genesis.validator_set()
    document = {
        "home": str(home.path),
        "chain_id": genesis.chain_id,
        "genesis_hash": genesis.hash.hex(),
        "validators": [validator.name for validator in validators.members],
        "participants": len(genesis.participants),
        "governors": list(genesis.governors.members),
        "threshold": genesis.governors.threshold,
    }
    human = (
        f"{home.path} belongs to the network {genesis.chain_id}\n"
        f"  genesis hash  {genesis.hash.hex()}\n"
        f"  validators    {', '.join(v.name for v in validators.members)}"
        f" (tolerates {validators.faulty_max} faulty)\n"
        f"  participants  {len(genesis.participants)}\n"
        f"  governors     any {genesis.governors.threshold} of {len(genesis.governors.members)}\n"
        f"Every member must see this hash. {_next_step(home, later=later)}"
    )
    emit(document, human, as_json=as_json)


def _next_step(home: Home, *, later: bool) -> str:
    if not later:
        return f"Next: concordat run --home {home.path}"
    return (
        f"Next:\n"
        f"  concordat join {home.path} --from URL   copies the ledger from a member's gateway\n"
        f"  concordat run --home {home.path}        follows it from then on\n"
        f"and a governor proposes {home.path / 'member.json'}:\n"
        f"  concordat governance propose-validators --add member.json"
    )


def _read_participant(path: Path) -> Json:
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(KEY_FILE_BYTES_MAX), type=Json)
    except OSError as error:
        raise HomeError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise HomeError(f"{path} is no participant entry: {error}") from None
