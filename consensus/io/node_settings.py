"""What a validator process needs to know, and its peers in each epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from consensus.core.context import OBSERVER
from consensus.core.pacemaker import Tuning
from consensus.io.network import Address, Network
from consensus.io.tls import PeerIdentity
from ledger.core.epoch import EpochStart
from ledger.core.errors import Unavailable
from ledger.core.genesis import Genesis
from ledger.core.ids import NodeIndex, PublicKey
from ledger.core.signing import Signer
from ledger.core.validators import Validator

__all__ = ["NodeSettings", "network_of"]


@dataclass(frozen=True)
class NodeSettings:
    """What a validator process needs to know.

    Attributes:
        signer: holds the voting key; peer_seed: 32 bytes, seed of the TLS identity.
        control_path: where gateways find the node.
        listen: host and port on which peers are awaited.
        peer_addresses: where to dial validators of these names, instead of where the ledger says.
    """

    genesis: Genesis
    signer: Signer
    peer_seed: bytes = field(repr=False)
    chain_dir: Path
    safety_dir: Path
    control_path: Path
    listen: Address
    peer_addresses: Mapping[str, Address] = field(default_factory=dict)
    tuning: Tuning = field(default_factory=Tuning)


def network_of(settings: NodeSettings, start: EpochStart, before: EpochStart | None) -> Network:
    """Find a node's peers in an epoch: the other validators, and guests of the epoch ``before``.

    Raises:
        Unavailable: its peer key is another than the one that its set gives it.
    """
    index = start.validator_set().index_of(settings.signer.public_key)
    identity = PeerIdentity(settings.peer_seed)
    if index is not None and identity.public_key != start.members[index].peer_key:
        raise Unavailable("the peer key is not the one that the network gives this validator")
    peers = {NodeIndex(i): member for i, member in enumerate(start.members)}
    known = {member.peer_key for member in start.members} | {identity.public_key}
    strangers = [m for m in (before.members if before else ()) if m.peer_key not in known]
    guests = {NodeIndex(OBSERVER + 1 + i): member for i, member in enumerate(strangers)}
    others = {i: m for i, m in {**peers, **guests}.items() if m.peer_key != identity.public_key}
    return Network(
        identity=identity,
        genesis_hash=settings.genesis.hash,
        index=NodeIndex(0) if index is None else index,
        keys={i: PublicKey(member.peer_key) for i, member in others.items()},
        addresses={i: _address_of(settings, member) for i, member in others.items()},
        guests=frozenset(guests),
    )


def _address_of(settings: NodeSettings, member: Validator) -> Address:
    if (given := settings.peer_addresses.get(member.name)) is not None:
        return given
    host, _, port = member.address.rpartition(":")
    return host.strip("[]"), int(port)
