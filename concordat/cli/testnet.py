"""``concordat testnet``: a network on this machine for development."""

from pathlib import Path

import click

from concordat.cli.output import emit, json_option
from concordat.testnet import Ports, TestnetPlan, create_testnet
from ledger.core.limits import VALIDATORS_COUNT_MAX

__all__ = ["testnet"]


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--validators",
    type=click.IntRange(1, VALIDATORS_COUNT_MAX),
    default=4,
    show_default=True,
    help="Number of members that run a validator; each may also publish.",
)
@click.option(
    "--publishers",
    type=click.IntRange(0, 1000),
    default=0,
    show_default=True,
    help="Number of further participants that only publish.",
)
@click.option("--name", default="testnet", show_default=True, help="Name of the network.")
@click.option(
    "--base-port",
    type=click.IntRange(1024, 63_000),
    default=26_600,
    show_default=True,
    help="Member i listens to peers on this port + i, serves HTTP 1000 above that and its access "
    "node 2000 above that.",
)
@click.option(
    "--right",
    "rights",
    multiple=True,
    metavar="NAME=TOPIC",
    help="Let a member or publisher publish there, too, such as "
    "publisher0=ledger.lists.issuers; may be repeated.",
)
@click.option(
    "--governor", "governors", multiple=True, metavar="NAME", help="Default: every validator."
)
@click.option(
    "--threshold",
    type=click.IntRange(1, 100),
    help="How many governors decide. Default: more than two thirds.",
)
@json_option
def testnet(  # noqa: PLR0913 - one argument for each option
    *,
    directory: Path,
    validators: int,
    publishers: int,
    name: str,
    base_port: int,
    rights: tuple[str, ...],
    governors: tuple[str, ...],
    threshold: int | None,
    as_json: bool,
) -> None:
    """Make a network in DIRECTORY: member homes with UNENCRYPTED keys, and a genesis file.

    Start each member with `concordat run --home DIRECTORY/node0` and so on.
    """
    made = create_testnet(
        directory,
        TestnetPlan(
            name=name,
            validators=[
                (f"node{i}", Ports(*(base_port + step + i for step in (0, 1000, 2000))))
                for i in range(validators)
            ],
            publishers=[f"publisher{i}" for i in range(publishers)],
            rights=_rights(rights),
            governors=governors,
            threshold=threshold or 0,
        ),
    )
    document = {
        "chain_id": made.genesis.chain_id,
        "genesis": str(made.genesis_path),
        "homes": {name: str(home) for name, home in made.homes.items()},
        "publisher_keys": {name: str(path) for name, path in made.publisher_keys.items()},
    }
    runs = "\n".join(f"  concordat run --home {home}" for home in made.homes.values())
    human = (
        f"Made the network {made.genesis.chain_id} in {directory}, FOR DEVELOPMENT ONLY:\n"
        f"its keys have no password. Start each member in a terminal of its own:\n{runs}"
    )
    emit(document, human, as_json=as_json)


def _rights(options: tuple[str, ...]) -> dict[str, list[str]]:
    rights: dict[str, list[str]] = {}
    for option in options:
        name, equals, topic = option.partition("=")
        if not equals or not topic:
            raise click.UsageError(f"--right is NAME=TOPIC, not {option!r}")
        rights.setdefault(name, []).append(topic)
    return rights
