"""The registrations of a gateway: stored, and in memory as endpoints.

Owns what is durable about webhooks. A change is in memory and among what is written next in one
step; who made it is answered after it is on the disk.
"""

from collections.abc import Iterator

import msgspec

from ledger.core.errors import DecodeError
from ledger.io.errors import damaged
from pubsub.core.limits import WEBHOOKS_MAX, WEBHOOKS_OWNER_MAX
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.webhook.registration import (
    Registration,
    decode_registration,
    encode_registration,
)
from pubsub.io.delivery_store import Change, DeliveryStore
from pubsub.io.egress import Egress
from pubsub.io.webhooks.endpoint import Endpoint

__all__ = ["Registry"]

_TABLE = "webhooks"


class Registry:
    """The registered endpoints, by id."""

    def __init__(self, store: DeliveryStore, egress: Egress) -> None:
        """Load all registrations. Raises StorageError when the store is damaged."""
        self._store = store
        self._egress = egress
        self._endpoints: dict[str, Endpoint] = {}
        try:
            for _, row in store.rows(_TABLE):
                self._hold(decode_registration(row))
        except (msgspec.MsgspecError, DecodeError) as error:
            raise damaged(store.path, f"a webhook cannot be read: {error}") from error

    def __iter__(self) -> Iterator[Endpoint]:
        """Give all endpoints."""
        return iter(list(self._endpoints.values()))

    def get(self, id_: str) -> Endpoint | None:
        """Give an endpoint, if there is one."""
        return self._endpoints.get(id_)

    def require_room(self, owner: str) -> None:
        """Refuse an owner that has too many, or everybody when the gateway has."""
        if len(self._endpoints) >= WEBHOOKS_MAX:
            raise Refusal(HttpCode.TOO_MANY_WEBHOOKS, f"the gateway has {WEBHOOKS_MAX} already")
        owned = sum(one.registration.owner.name == owner for one in self._endpoints.values())
        if owned >= WEBHOOKS_OWNER_MAX:
            raise Refusal(HttpCode.TOO_MANY_WEBHOOKS, f"you have {WEBHOOKS_OWNER_MAX} already")

    async def add(self, registration: Registration) -> Endpoint:
        """Store a new registration."""
        endpoint = self._hold(registration)
        await self._store.write([self._change(registration)])
        return endpoint

    async def replace(self, endpoint: Endpoint, registration: Registration) -> None:
        """Store a changed registration; one that was deleted in between stays so."""
        if self._endpoints.get(registration.id) is endpoint:
            endpoint.go_on_with(registration)
            await self._store.write([self._change(registration)])

    async def remove(self, endpoint: Endpoint) -> None:
        """Delete a registration with its secrets."""
        id_ = endpoint.registration.id
        if self._endpoints.pop(id_, None) is not None:
            await self._store.write([Change(_TABLE, id_.encode(), None)])

    def _hold(self, registration: Registration) -> Endpoint:
        endpoint = Endpoint(registration, self._egress)
        self._endpoints[registration.id] = endpoint
        return endpoint

    def _change(self, registration: Registration) -> Change:
        return Change(_TABLE, registration.id.encode(), encode_registration(registration))
