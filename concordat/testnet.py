"""A network on one machine for development: homes with open keys, a genesis, publishers.

directory/genesis.json
directory/<member>/            one home for each validator
directory/publishers/<name>.json   publisher keys of participants that run no validator
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from concordat.compose.node import make_stores
from concordat.config_file import Value
from concordat.home import Home, HomeError
from concordat.membership import (
    Governing,
    Json,
    Member,
    create_home,
    make_genesis,
    participant_entry,
)
from ledger.core.genesis import Genesis
from ledger.io.keystore import KeyPurpose, create_key, write_private_file
from pubsub.core.tokens import GRANTABLE

__all__ = ["Ports", "Testnet", "TestnetPlan", "create_testnet"]

_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Ports:
    """The TCP ports of one member; an access node is served on the usual one when 0."""

    peer: int
    gateway: int
    access_node: int = 0


@dataclass(frozen=True, slots=True)
class TestnetPlan:
    """What to make.

    Attributes:
        validators: names of the members that run a validator, with their ports; each may
            publish to ``<prefix><name>.>``.
        publishers: names of further participants, with the same right.
        topic_prefix: what every topic of the network begins with, ending in a dot, or empty.
        rights: further patterns of topics by name, such as ``ledger.lists.issuers``.
        governors: names of who governs; empty for the validators. threshold: how many of them
            decide; 0 for more than two thirds.
    """

    name: str
    validators: Sequence[tuple[str, Ports]]
    publishers: Sequence[str] = ()
    topic_prefix: str = ""
    settings: dict[str, dict[str, Value]] | None = None
    rights: Mapping[str, Sequence[str]] = field(default_factory=dict)
    governors: Sequence[str] = ()
    threshold: int = 0


@dataclass(frozen=True, slots=True)
class Testnet:
    """What was made: homes and publisher keys by name."""

    genesis: Genesis
    genesis_path: Path
    homes: dict[str, Path]
    publisher_keys: dict[str, Path]


def create_testnet(directory: Path, plan: TestnetPlan) -> Testnet:
    """Make the network's files in ``directory``, which is made when it is not there.

    Raises:
        HomeError: the directory has a network already or cannot be written, or the plan is wrong.
        KeyFileError: a key cannot be made.
    """
    genesis_path = directory / "genesis.json"
    if genesis_path.exists():
        raise HomeError(f"{directory} holds a network already; choose another directory")
    known = {*plan.publishers, *(name for name, _ in plan.validators)}
    if strangers := sorted({*plan.rights, *plan.governors} - known):
        raise HomeError(f"the network has no participant named {strangers[0]}")
    homes = {name: directory / name for name, _ in plan.validators}
    cards = [
        create_home(homes[name], _member(plan, name, ports)) for name, ports in plan.validators
    ]
    keys = {name: home / "keys" / "publisher.json" for name, home in homes.items()}
    participants: list[Json] = []
    if plan.publishers:
        (directory / "publishers").mkdir(mode=0o700, exist_ok=True)
    for name in plan.publishers:
        path = keys[name] = directory / "publishers" / f"{name}.json"
        info = create_key(path, KeyPurpose.PUBLISHER, _did(name), password=None)
        participants.append(
            participant_entry(info.owner, info.public_key, name, _topics(plan, name))
        )
    governing = Governing([*map(_did, plan.governors)], plan.threshold)
    now_ms = time.time_ns() // 1_000_000
    genesis = make_genesis(plan.name, cards, participants, now_ms, governing)
    for home in homes.values():
        make_stores(Home.open(home), genesis)
        write_private_file(home / "genesis.json", genesis.to_json())
    # Last, because it marks the network as complete.
    write_private_file(genesis_path, genesis.to_json())
    return Testnet(genesis, genesis_path, homes, keys)


def _member(plan: TestnetPlan, name: str, ports: Ports) -> Member:
    settings: dict[str, dict[str, Value]] = {
        section: dict(values) for section, values in (plan.settings or {}).items()
    }
    settings.setdefault("node", {})["listen"] = f"{_HOST}:{ports.peer}"
    settings.setdefault("gateway", {})["listen"] = f"{_HOST}:{ports.gateway}"
    # It is on this machine alone: whoever reaches it may try everything.
    settings.setdefault("access", {}).setdefault("anonymous", GRANTABLE)
    settings.setdefault("webhooks", {}).setdefault("endpoints", "private")
    if ports.access_node:
        settings.setdefault("access_node", {})["listen"] = f"{_HOST}:{ports.access_node}"
        settings["access_node"]["peers"] = "private"  # they are on this machine, too
    return Member(
        name=name,
        did=_did(name),
        address=f"{_HOST}:{ports.peer}",
        topics=_topics(plan, name),
        password=None,
        settings=settings,
    )


def _did(name: str) -> str:
    return f"did:example:{name}"


def _topics(plan: TestnetPlan, name: str) -> tuple[str, ...]:
    return (f"{plan.topic_prefix}{name}.>", *plan.rights.get(name, ()))
