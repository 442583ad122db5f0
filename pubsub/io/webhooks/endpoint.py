"""One endpoint in memory: its registration, how it does, its connections, its last attempts.

Owns what changes with every attempt and is not durable. ``changed`` wakes whoever waits for the
endpoint to be ready, and ends a fetch whose events could not be sent.
"""

from collections import deque
from contextlib import suppress

import anyio
from msgspec.structs import replace

from pubsub.core.limits import WEBHOOK_ATTEMPTS_KEPT, WEBHOOK_DEADLINE_MS
from pubsub.core.webhook.health import Health
from pubsub.core.webhook.pace import Pace
from pubsub.core.webhook.registration import Registration
from pubsub.core.webhook.signing import KeyRing
from pubsub.core.webhook_documents import AttemptDocument
from pubsub.io.egress import Courier, Egress, Errand, Reply

__all__ = ["Endpoint"]


class Endpoint:
    """A registered endpoint.

    Attributes:
        health: as it is now; the registration has it as it was when it last turned.
        attempts: the last ones, the oldest first.
        busy: requests on their way that its consumer feeds.
    """

    def __init__(self, registration: Registration, egress: Egress) -> None:
        self.health: Health = registration.health
        self.attempts: deque[AttemptDocument] = deque(maxlen=WEBHOOK_ATTEMPTS_KEPT)
        self.busy = 0
        self.verifying = anyio.Lock()
        self._egress = egress
        self._courier: Courier | None = None
        self._courier_url = ""
        self._stale: list[Courier] = []  # of former URLs
        self._errands = 0
        self._wake = anyio.Event()
        self._fetching: anyio.CancelScope | None = None
        self._take(registration)

    def _take(self, registration: Registration) -> None:
        self.registration = registration
        self.ring = KeyRing(registration.keys)
        consent = registration.consent
        self.pace = Pace(None if consent is None else consent.rate)

    @property
    def current(self) -> Registration:
        """The registration, with its health as it is now."""
        return replace(self.registration, health=self.health)

    async def run(self, errand: Errand) -> Reply:
        """Run an errand over connections that are kept. Raises EgressError, Unavailable."""
        if self._courier is None or self._courier_url != errand.url:
            self._stale += [] if self._courier is None else [self._courier]
            self._courier = Courier(self._egress, WEBHOOK_DEADLINE_MS)
            self._courier_url = errand.url
        self._errands += 1
        try:
            return await self._courier.run(errand)
        finally:
            self._errands -= 1

    async def rest(self) -> None:
        """Close the connections, unless somebody uses them."""
        if not self._errands:
            await self.close()

    async def close(self) -> None:
        """Close the connections."""
        couriers, self._stale = self._stale, []
        if self._courier is not None:
            couriers.append(self._courier)
            self._courier = None
        for courier in couriers:
            await courier.close()

    def go_on_with(self, registration: Registration) -> None:
        """Go on with a changed registration."""
        self._take(registration)
        self.health = registration.health
        self.changed()

    def changed(self) -> None:
        """Have its worker look around."""
        self._wake.set()
        self._wake = anyio.Event()
        if self._fetching is not None:
            self._fetching.cancel()

    def settled(self) -> None:
        """Have its worker look around without ending a fetch."""
        self._wake.set()
        self._wake = anyio.Event()

    async def wait(self, ms: int | None) -> None:
        """Wait for a change, at most so long."""
        with suppress(TimeoutError), anyio.fail_after(None if ms is None else ms / 1000):
            await self._wake.wait()

    def fetching(self) -> anyio.CancelScope:
        """Give the scope of a fetch that :meth:`changed` ends."""
        self._fetching = anyio.CancelScope()
        return self._fetching
