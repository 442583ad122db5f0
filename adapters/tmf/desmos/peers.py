"""Asking other Desmoses: one entity, what they have, and many entities.

Owns the three requests and what their answers mean. Each carries the machine's token.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Final

import msgspec

from adapters.tmf.desmos.bundles import Parcel, read_bundle
from adapters.tmf.desmos.offers import Offer, read_offers, write_offers
from adapters.tmf.replication.core.model import Code
from adapters.tmf.replication.form import FetchFailed
from adapters.tmf.replication.native import Carrier
from ledger.core.errors import Unavailable
from ledger.core.limits import DESMOS_BODY_BYTES_MAX, DESMOS_ENTITIES_BYTES_MAX
from pubsub.io.egress import EgressError, Errand, Reply

__all__ = ["DISCOVERY", "ENTITIES", "ISSUER", "LINES", "DesmosPeers"]

DISCOVERY: Final = "/api/v2/sync/p2p/discovery"
ENTITIES: Final = "/api/v2/sync/p2p/entities"
ISSUER: Final = "x-issuer"
LINES: Final = "application/x-ndjson"
_JSON: Final = "application/json"
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class DesmosPeers:
    """Asks other nodes."""

    def __init__(
        self, carrier: Carrier, token: Callable[[], Awaitable[str]], public_url: str
    ) -> None:
        """Ask with ``token``'s; ``public_url`` is what this node is called by."""
        self._carrier = carrier
        self._token = token
        self._public_url = public_url

    async def entity(self, url: str) -> bytes:
        """Get an entity and what belongs to it from a data location, not looked at yet.

        ``hl`` stays in the location: Desmos does not look at it, and nodes of ours give the very
        version that it names.

        Raises:
            FetchFailed: it is not served, not for us, or too large.
            Unavailable: it is out of reach for now, or our token was not taken.
        """
        errand = await self._errand("GET", url, DESMOS_ENTITIES_BYTES_MAX, _JSON)
        try:
            reply = await self._carrier.run(errand)
        except EgressError as error:
            raise FetchFailed("faulty", Code.LOCATION_FORBIDDEN, str(error)) from None
        detail = f"the origin answered {reply.status}"
        if reply.status == HTTPStatus.FORBIDDEN:
            raise FetchFailed("withheld", Code.NOT_SERVED, detail)
        if reply.status in _GONE:
            raise FetchFailed("faulty", Code.NOT_SERVED, detail)
        if reply.status != HTTPStatus.OK:
            raise Unavailable(detail)
        if reply.body is None:
            detail = f"above {DESMOS_ENTITIES_BYTES_MAX} bytes"
            raise FetchFailed("faulty", Code.TOO_LARGE, detail)
        return reply.body

    async def discover(self, base: str, offers: Sequence[Offer]) -> list[Offer]:
        """Tell a node what we have and learn what it has.

        Raises:
            Unavailable: it is out of reach, or refuses.
            DecodeError: its answer is no discovery.
        """
        errand = await self._errand("POST", base + DISCOVERY, DESMOS_BODY_BYTES_MAX, LINES)
        errand = _with_body(errand, LINES, write_offers(offers), {ISSUER: self._public_url})
        return read_offers(await self._answer(errand))

    async def entities(self, base: str, ids: Sequence[str]) -> list[Parcel]:
        """Get entities and what belongs to them, by id.

        Raises:
            Unavailable: the node is out of reach, or refuses.
            DecodeError: its answer holds no entities.
        """
        errand = await self._errand("POST", base + ENTITIES, DESMOS_ENTITIES_BYTES_MAX, LINES)
        body = msgspec.json.encode([{"id": id_} for id_ in ids])
        return read_bundle(await self._answer(_with_body(errand, _JSON, body, {})))

    async def _errand(self, method: str, url: str, bytes_max: int, accept: str) -> Errand:
        headers = {"authorization": f"Bearer {await self._token()}", "accept": accept}
        return Errand(method, url, bytes_max, headers, wants_answer=True)

    async def _answer(self, errand: Errand) -> bytes:
        try:
            reply: Reply = await self._carrier.run(errand)
        except EgressError as error:
            raise Unavailable(str(error)) from None
        if reply.status != HTTPStatus.OK or reply.body is None:
            raise Unavailable(f"{errand.url} answered {reply.status}")
        return reply.body


def _with_body(errand: Errand, media_type: str, body: bytes, headers: dict[str, str]) -> Errand:
    together = {**errand.headers, "content-type": media_type, **headers}
    return errand._replace(headers=together, body=body)
