"""Synchronising with other nodes directly, as Desmoses do at their start and every night.

What the ledger tells of, the ledger decides: such an entity is never taken from here. So a peer
can give what nobody published, in its own name, and nothing else.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, NamedTuple

import anyio
import structlog

from adapters.tmf.caller import Caller
from adapters.tmf.desmos.audit import TAKEN, Trader
from adapters.tmf.desmos.audit_log import AuditedVersion, AuditLog
from adapters.tmf.desmos.bundles import Parcel
from adapters.tmf.desmos.hash import hashed_name
from adapters.tmf.desmos.kinds import RESOURCES, TYPES
from adapters.tmf.desmos.offers import Offer, is_replicable, is_wanted, offer_of
from adapters.tmf.desmos.originals import keep_original
from adapters.tmf.desmos.peers import DesmosPeers
from adapters.tmf.desmos.shelf import Shelf
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import OWN
from adapters.tmf.refusal import TmfError
from adapters.tmf.replication.context import Acceptance
from adapters.tmf.replication.core.model import NONE, Told
from adapters.tmf.replication.form import Taken
from adapters.tmf.replication.shared import kebab_of
from adapters.tmf.replication.tracking import lines
from adapters.tmf.resources.registry import RESOURCES as REGISTRY
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Reading, Writing
from ledger.core.errors import ConcordatError, DecodeError
from ledger.core.limits import DESMOS_SYNC_IDS, DESMOS_SYNC_RETRY_MS

__all__ = ["Peer", "PeerSync", "Surroundings", "Synchronised", "until_night_ms"]

_log: Final = structlog.get_logger("desmos")
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_NIGHT_MS: Final = 2 * _HOUR_MS  # 02:00 UTC


class Peer(NamedTuple):
    """A node that is synchronised with.

    Attributes:
        url: its external domain, without a slash at the end, as it calls itself in X-Issuer.
        did: of its member, who owns what is taken from it.
    """

    url: str
    did: str


class Synchronised(NamedTuple):
    """What came of one synchronisation: how many entities were stored, and how many refused."""

    taken: int
    refused: int


@dataclass(frozen=True)
class Surroundings:
    """What synchronising needs.

    Attributes:
        accepts: judges an entity before it is stored, as for replicas of the ledger.
        now_ms: Unix time in milliseconds.
    """

    store: Store
    entities: Entities
    shelf: Shelf
    log: AuditLog
    peers: DesmosPeers
    accepts: Acceptance
    now_ms: Callable[[], int]


class PeerSync:
    """Synchronises with some peers."""

    def __init__(self, around: Surroundings, peers: Iterable[Peer]) -> None:
        self._around = around
        self._peers: Mapping[str, Peer] = {peer.url: peer for peer in peers}
        self._wake = anyio.Event()
        self._is_due = True  # at the start
        self._offered: dict[str, Sequence[Offer]] = {}

    def start(self) -> None:
        """Synchronise with all peers now."""
        self._is_due = True
        self._wake.set()

    def offered(self, issuer: str, offers: Sequence[Offer]) -> None:
        """Take from a peer what it has newer; who is none of the peers is not asked back."""
        if issuer.rstrip("/") in self._peers:
            self._offered[issuer.rstrip("/")] = offers
            self._wake.set()

    async def run(self) -> None:
        """Synchronise at the start, every night, and when told, until cancelled."""
        while True:
            self._wake = anyio.Event()
            is_well = True
            if self._is_due:
                self._is_due = False
                for peer in self._peers.values():
                    is_well &= await self._try(peer, None)
            while self._offered:
                url, offers = self._offered.popitem()
                await self._try(self._peers[url], offers)
            pause_ms = until_night_ms(self._around.now_ms()) if is_well else DESMOS_SYNC_RETRY_MS
            with anyio.move_on_after(pause_ms / 1000) as pause:
                await self._wake.wait()
            self._is_due |= pause.cancelled_caught

    async def synchronise(self, peer: Peer) -> Synchronised:
        """Tell a peer what we have, and take what it has newer.

        Raises:
            Unavailable, DecodeError: the peer does not answer as it should.
        """
        offers = await self._around.store.in_thread(lambda store: self._shown_to(peer, store))
        return await self.take(peer, await self._around.peers.discover(peer.url, offers))

    async def take(self, peer: Peer, offers: Sequence[Offer]) -> Synchronised:
        """Take what a peer offers and has newer. Raises as :meth:`synchronise`."""
        known = {(offer.id, offer.type): offer for offer in offers}
        wanted = await self._around.store.in_thread(
            lambda store: self._wanted(store, known.values())
        )
        taken = refused = 0
        for start in range(0, len(wanted), DESMOS_SYNC_IDS):
            ids = [offer.id for offer in wanted[start : start + DESMOS_SYNC_IDS]]
            for parcel in await self._around.peers.entities(peer.url, ids):
                try:
                    taken += await self._take_one(peer, parcel, known.get((parcel.id, parcel.type)))
                except (TmfError, DecodeError) as error:
                    refused += 1
                    _log.warning("entity_refused", peer=peer.url, id=parcel.id, reason=str(error))
        return Synchronised(taken, refused)

    # --- one entity -------------------------------------------------------------------------

    async def _take_one(self, peer: Peer, parcel: Parcel, offer: Offer | None) -> bool:
        """Store one entity; False when it is no news.

        Raises:
            TmfError, DecodeError: it is refused.
        """
        if offer is not None and parcel.hash != offer.hash:
            raise DecodeError("its hash is not the one that was told")
        if parcel.resource is None:
            return False
        around, taken = self._around, parcel.taken()
        # What belongs to an entity and was not told of itself can only be compared.
        offer = offer or offer_of(parcel.type, taken.document)

        def is_news(store: Store) -> bool:
            with store.read() as reading:
                return _is_news(reading, offer)

        def write(store: Store) -> bool:
            with store.write() as txn:
                return self._store(txn, peer, taken, offer)

        if not await around.store.in_thread(is_news):
            return False
        await around.accepts(_told(peer, parcel.resource, parcel.id), taken)
        return await around.store.in_thread(write)

    def _store(self, txn: Writing, peer: Peer, taken: Taken, offer: Offer) -> bool:
        if not _is_news(txn, offer):  # the ledger told of it meanwhile
            return False
        resource, id_ = taken.resource, taken.id
        self._around.entities.accept(txn, peer.did, REGISTRY[resource], id_, taken.document)
        keep_original(txn, resource, id_, taken)
        version = AuditedVersion(
            entity_id=id_,
            entity_type=TYPES[resource],
            entity_hash=taken.hash,
            entity_hashlink=offer.hashlink or taken.hash,
            data_location=peer.url,
            trader=Trader.CONSUMER,
        )
        self._around.log.append(txn.connection, version, TAKEN)
        return True

    # --- what there is ----------------------------------------------------------------------

    def _shown_to(self, peer: Peer, store: Store) -> list[Offer]:
        """Tell what the peer's member may see."""
        with store.read() as reading:
            return list(self._around.shelf.offers(reading, Caller(peer.did)))

    def _wanted(self, store: Store, offers: Iterable[Offer]) -> list[Offer]:
        now_ms = self._around.now_ms()
        with store.read() as reading:
            return [
                offer
                for offer in offers
                if is_replicable(offer, now_ms) and _is_news(reading, offer)
            ]

    # --- when -------------------------------------------------------------------------------

    async def _try(self, peer: Peer, offers: Sequence[Offer] | None) -> bool:
        """Synchronise with a peer, or take what it offers; False when that failed."""
        try:
            if offers is None:
                came = await self.synchronise(peer)
            else:
                came = await self.take(peer, offers)
        except ConcordatError as error:
            _log.warning("synchronisation_failed", peer=peer.url, reason=str(error))
            return False
        _log.info("synchronised", peer=peer.url, taken=came.taken, refused=came.refused)
        return True


def until_night_ms(now_ms: int) -> int:
    """Give how long it is to the next 02:00 UTC, in milliseconds; a day when it is that now."""
    return _DAY_MS - (now_ms - _NIGHT_MS) % _DAY_MS


def _is_news(reading: Reading, offer: Offer) -> bool:
    """Say whether an entity is newer than ours, and nothing else decides about it."""
    resource = RESOURCES.get(offer.type)
    if resource is None or lines(reading.connection, [_key(resource, offer.id)]):
        return False
    entity = reading.get(resource, offer.id)
    if entity is None:
        return True
    return entity.origin != OWN and is_wanted(offer, offer_of(offer.type, entity.document()))


def _key(resource: str, id_: str) -> str:
    """Give the entity's key in replication."""
    return f"{kebab_of(resource)}/{sha256(id_.encode(errors='replace')).hexdigest()}"


def _told(peer: Peer, resource: str, id_: str) -> Told:
    """Give what is judged like an event of the ledger."""
    return Told(
        form="desmos-peer",
        key=_key(resource, id_),
        resource=kebab_of(resource),
        subject=hashed_name(id_),
        publisher=peer.did,
        sequence=-1,
        version=NONE,
        previous=NONE,
        location=peer.url,
    )
