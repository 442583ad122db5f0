"""Desmos-compatible replication as a part of an access node: which object knows which.

Owns the wiring of this package, and who is trusted to send notifications: the access nodes of the
trusted list. A notification says no more than that looking at the ledger is worth it, and the
ledger is followed all the time, so nothing depends on one.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec
from starlette.routing import BaseRoute

from adapters.dome.dlt.identity import derived_address
from adapters.tmf.api.callers import CallerOf
from adapters.tmf.desmos.audit_log import AuditLog
from adapters.tmf.desmos.endpoints import DesmosApi, DesmosServing
from adapters.tmf.desmos.form import DesmosForm, DesmosMember
from adapters.tmf.desmos.machine import Machine, MachineTokens
from adapters.tmf.desmos.peers import DesmosPeers
from adapters.tmf.desmos.shelf import Shelf
from adapters.tmf.desmos.sync import Peer, PeerSync, Surroundings
from adapters.tmf.entities.service import Entities
from adapters.tmf.replication.context import Acceptance
from adapters.tmf.replication.couriers import Couriers
from adapters.tmf.replication.ledger import Identity
from adapters.tmf.store.database import Store
from ledger.core.errors import Unavailable
from ledger.core.limits import STATUS_FRESH_MS
from pubsub.client.async_trust import AsyncTrust
from pubsub.io.body import Bodies

__all__ = ["DesmosParts", "DesmosSettings", "DesmosSurroundings"]

_ACCESS_NODES: Final = "access-nodes"
_ELSI: Final = "did:elsi:"


@dataclass(frozen=True)
class DesmosSettings:
    """What an operator chose.

    Attributes:
        organisation: identifier that is hashed into ``iss``; empty: the member's DID.
        peers: DIDs of nodes that are synchronised with directly, by their URLs.
        machine: who asks other Desmoses; None asks nobody.
        is_native_too: own changes are published in the native form, too.
    """

    organisation: str = ""
    peers: Mapping[str, str] = field(default_factory=dict)
    machine: Machine | None = None
    is_native_too: bool = True


@dataclass(frozen=True)
class DesmosSurroundings:
    """The parts of the node that are used here."""

    store: Store
    entities: Entities
    identity: Identity
    couriers: Couriers
    trust: AsyncTrust
    accepts: Acceptance
    caller_of: CallerOf
    bodies: Bodies
    now_ms: Callable[[], int]
    new_id: Callable[[], str]


class DesmosParts:
    """The parts.

    Attributes:
        form: of events, for replication.
        sync: the task beside.
    """

    def __init__(self, settings: DesmosSettings, around: DesmosSurroundings) -> None:
        identity = around.identity
        log = AuditLog(around.now_ms, around.new_id)
        peers = DesmosPeers(around.couriers, _token_of(settings, around), identity.public_url)
        member = DesmosMember(
            identity.did,
            settings.organisation or identity.did.removeprefix(_ELSI),
            derived_address(identity.did),
            identity.public_url,
            identity.environment,
        )
        self.form = DesmosForm(member, peers, log, around.now_ms)
        shelf = Shelf(around.entities, around.now_ms)
        surroundings = Surroundings(
            around.store, around.entities, shelf, log, peers, around.accepts, around.now_ms
        )
        known = [Peer(url.rstrip("/"), did) for url, did in settings.peers.items()]
        self.sync = PeerSync(surroundings, known)
        self._serving = DesmosServing(
            store=around.store,
            shelf=shelf,
            sync=self.sync,
            bodies=around.bodies,
            caller_of=around.caller_of,
            trusted=_Trusted(around.trust, around.now_ms).addresses,
            hint=lambda: None,
            public_url=identity.public_url,
        )

    def routes(self) -> list[BaseRoute]:
        """Give the routes, to be mounted at the root."""
        return [*DesmosApi(self._serving).routes()]


class _AccessNode(msgspec.Struct):
    dlt_address: str


class _Trusted:
    """The addresses of trusted access nodes, as a gateway says, remembered for a minute."""

    def __init__(self, trust: AsyncTrust, now_ms: Callable[[], int]) -> None:
        self._trust = trust
        self._now_ms = now_ms
        self._known: frozenset[str] = frozenset()
        self._until_ms = 0

    async def addresses(self) -> Collection[str]:
        """Give them, "0x" and 40 digits in lower case. Raises Unavailable."""
        if self._now_ms() >= self._until_ms:
            rows = [row async for row in self._trust.entries(_ACCESS_NODES)]
            self._known = frozenset(_address_in(row.entry.body) for row in rows)
            self._until_ms = self._now_ms() + STATUS_FRESH_MS
        return self._known


def _address_in(body: bytes) -> str:
    """Give the address in an entry of the list; empty when it holds none."""
    try:
        return msgspec.json.decode(body, type=_AccessNode).dlt_address.lower()
    except msgspec.MsgspecError:  # anybody with the right to the list wrote it
        return ""


def _token_of(settings: DesmosSettings, around: DesmosSurroundings) -> Callable[[], Awaitable[str]]:
    if settings.machine is not None:
        return MachineTokens(settings.machine, around.couriers, around.now_ms).token

    async def none() -> str:
        raise Unavailable("this node has no credential to ask other Desmoses with")

    return none
