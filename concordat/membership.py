"""Making members and networks: homes, public cards, and the genesis file out of cards.

A member makes its home alone, its private keys never leave it, and it hands out a *card*: its
validator's and its publisher's public entry, in the words of the genesis file. Whoever makes the
genesis file collects the cards of all. Governors are the members unless others are named; more
than two thirds of them decide together.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from concordat.config_file import Value, render_config
from concordat.home import HomeError
from ledger.core.errors import DecodeError
from ledger.core.genesis import Genesis, Participant, read_genesis
from ledger.core.ids import PublicKey
from ledger.core.limits import KEY_FILE_BYTES_MAX
from ledger.core.signing import SeedSigner
from ledger.core.validators import Validator
from ledger.io.keystore import KeyPurpose, create_key, write_private_file

__all__ = [
    "Card",
    "Governing",
    "Member",
    "create_home",
    "make_genesis",
    "participant_entry",
    "read_card",
]

Json = dict[str, object]
"""A JSON object."""

_POSITION = re.compile(r"- at `\$\[([23])\]\[(\d+)\]\[(\d+)\][^`]*`")
_VALIDATORS_POSITION = str(Genesis.__struct_fields__.index("validators"))


@dataclass(frozen=True, slots=True)
class Member:
    """What a new member says about itself.

    Attributes:
        name: short name, lower case, unique in the network.
        did: DID of the organisation.
        address: ``host:port`` where the other validators reach it.
        topics: patterns of the topics that it asks to publish to.
        password: seals its keys; None for the development form.
        settings: settings that differ from their defaults, by section and name.
    """

    name: str
    did: str
    address: str
    topics: tuple[str, ...]
    password: bytes | None
    settings: dict[str, dict[str, Value]]


@dataclass(frozen=True, slots=True)
class Governing:
    """Who governs a new network.

    Attributes:
        members: DIDs of participants; empty for the validators' organisations.
        threshold: how many of them decide; 0 for more than two thirds.
    """

    members: Sequence[str] = ()
    threshold: int = 0


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A member's public entries, as they stand in a genesis file."""

    validator: Json
    participant: Json


def create_home(path: Path, member: Member) -> Card:
    """Make a home with keys, configuration and card; it has no genesis file yet.

    Raises:
        HomeError: there is a home already, it cannot be made, or the member's data are wrong.
        KeyFileError: a key cannot be made.
    """
    if (path / "concordat.toml").exists():
        raise HomeError(f"{path} is a member home already; nothing was changed")
    _check(member)
    try:
        (path / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
        (path / "data").mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise HomeError(f"cannot make {path}: {error.strerror}") from None
    keys = {
        purpose: create_key(
            path / "keys" / f"{purpose}.json", purpose, member.did, password=member.password
        ).public_key
        for purpose in KeyPurpose
    }
    card = _card(member, keys)
    settings = dict(member.settings)
    if member.password is None:
        settings["keys"] = {**settings.get("keys", {}), "allow_unencrypted": True}
    document = msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"
    write_private_file(path / "member.json", document)
    # The configuration last: a home that was made only in part is no home.
    write_private_file(path / "concordat.toml", render_config(settings).encode())
    return card


def participant_entry(did: str, key: PublicKey, name: str, topics: Sequence[str]) -> Json:
    """Give a publisher's entry for a genesis file."""
    return {
        "did": did,
        "name": name,
        "keys": [{"key": key.hex(), "revoked": False}],
        "topics": list(topics),
    }


def read_card(path: Path) -> Card:
    """Read a member's card.

    Raises:
        HomeError: it cannot be read or is no card.
    """
    try:
        with path.open("rb") as file:
            return msgspec.json.decode(file.read(KEY_FILE_BYTES_MAX), type=Card)
    except OSError as error:
        raise HomeError(f"cannot read {path}: {error.strerror}") from None
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise HomeError(f"{path} is no member card: {error}") from None


def make_genesis(
    name: str,
    cards: Sequence[Card],
    participants: Sequence[Json],
    time_ms: int,
    governors: Governing = Governing(),
) -> Genesis:
    """Put cards, and participants that run no validator, together into a genesis.

    Validators stand in the order of their names, so that the same cards give the same network.

    Raises:
        HomeError: the network could not run, or nobody could govern; the message says why.
    """
    ordered = sorted(cards, key=lambda card: str(card.validator.get("name")))
    members = list(dict.fromkeys(governors.members)) or sorted(
        {str(card.validator.get("did")) for card in ordered}
    )
    document = {
        "name": name,
        "time_ms": time_ms,
        "validators": [card.validator for card in ordered],
        "participants": [*(card.participant for card in ordered), *participants],
        "governors": {"threshold": governors.threshold or _majority(members), "members": members},
    }
    try:
        genesis = read_genesis(json.dumps(document).encode())
    except DecodeError as error:
        raise HomeError(f"these members make no network: {_in_words(str(error))}") from None
    known = {participant.did for participant in genesis.participants}
    if strangers := [did for did in members if did not in known]:
        raise HomeError(f"the governor {strangers[0]} is no participant and could sign nothing")
    return genesis


def _majority(members: Sequence[str]) -> int:
    """More than two thirds: a Byzantine third can neither decide nor prevent."""
    return len(members) * 2 // 3 + 1


def _in_words(message: str) -> str:
    """Name the entry and the field where a decoder's message gives only their positions."""
    found = _POSITION.search(message)
    if found is None:
        return message
    entry = Validator if found[1] == _VALIDATORS_POSITION else Participant
    field = entry.__struct_fields__[int(found[3])]
    kind = entry.__name__.lower()
    return _POSITION.sub(f"in the {field} of {kind} {int(found[2]) + 1}", message)


def _card(member: Member, keys: Mapping[KeyPurpose, PublicKey]) -> Card:
    return Card(
        validator={
            "name": member.name,
            "did": member.did,
            "key": keys[KeyPurpose.VALIDATOR].hex(),
            "peer_key": keys[KeyPurpose.PEER].hex(),
            "address": member.address,
        },
        participant=participant_entry(
            member.did, keys[KeyPurpose.PUBLISHER], member.name, member.topics
        ),
    )


def _check(member: Member) -> None:
    """Refuse data that no genesis file could hold, before any key is made."""
    throw_away = {
        purpose: SeedSigner(bytes([number] * 32)).public_key
        for number, purpose in enumerate(KeyPurpose, start=1)
    }
    make_genesis("check", [_card(member, throw_away)], [], 0)
