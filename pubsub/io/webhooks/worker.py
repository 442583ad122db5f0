"""What feeds one endpoint: its consumer's events, posted as its health and pace allow, settled.

Owns nothing durable: the consumer remembers what was given out, how often and until when. An event
is acknowledged after the endpoint answered 2xx, so a crash in between sends it again with the same
id, at once after the start and as the same attempt: only the endpoint's failures count. While
nothing may be sent nothing is fetched.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, NamedTuple

import anyio
import structlog
from anyio.abc import TaskGroup

from ledger.core.errors import InvariantError, Unavailable
from pubsub.core.consumer.settlement import Nak, Settlement
from pubsub.core.limits import CONSUMER_FETCH_BYTES_MAX, WEBHOOK_IDLE_MS
from pubsub.core.problems import Refusal
from pubsub.core.rights import Principal
from pubsub.core.webhook.attempt import Outcome, Verdict, settlement_of
from pubsub.core.webhook.encoding import Request, encode_batch, encode_one, split_batches
from pubsub.core.webhook.health import pause_left_ms, slots
from pubsub.core.webhook.registration import State, consumer_name
from pubsub.io.consumers.delivery import Delivery, Fetch
from pubsub.io.consumers.engine import Consumers
from pubsub.io.consumers.waiting import now_ms
from pubsub.io.webhooks.endpoint import Endpoint
from pubsub.io.webhooks.sending import Sender, Sending

__all__ = ["Shared", "Worker"]

_log: Final = structlog.get_logger("gateway.webhooks")
_TROUBLE_MS: Final = 1_000  # pause when the gateway itself cannot give events out


class Shared(NamedTuple):
    """What all workers share.

    Attributes:
        owner: gives whose rights an endpoint has now; None when it has none any more.
        on_verdict: notes what an attempt means for an endpoint; None: that nobody owns it now.
    """

    consumers: Consumers
    sender: Sender
    owner: Callable[[Endpoint], Principal | None]
    on_verdict: Callable[[Endpoint, Verdict | None], Awaitable[None]]


class _Part(NamedTuple):
    """The events of one request."""

    deliveries: Sequence[Delivery]
    request: Request


class Worker:
    """Delivers to one endpoint."""

    def __init__(self, endpoint: Endpoint, shared: Shared) -> None:
        self._endpoint = endpoint
        self._shared = shared
        self._name = consumer_name(endpoint.registration.id)
        self._sending: set[int] = set()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._take_back()  # of the process before
        try:
            async with anyio.create_task_group() as group:
                while True:
                    await self._turn(group)
        finally:
            with anyio.CancelScope(shield=True):
                await self._endpoint.close()

    async def _turn(self, group: TaskGroup) -> None:
        """Start the requests that may be sent next."""
        endpoint = self._endpoint
        deliveries = await self._fetch(await self._room())
        if not deliveries and not endpoint.busy:
            await endpoint.rest()
        for part in self._parts(deliveries):
            endpoint.busy += 1
            self._sending.update(delivery.sequence for delivery in part.deliveries)
            endpoint.pace.take(now_ms())
            group.start_soon(self._deliver, part)

    async def _room(self) -> int:
        """Wait until something may be sent; give how many requests."""
        endpoint = self._endpoint
        while True:
            now = now_ms()
            most = slots(endpoint.health, endpoint.registration.plan.in_flight_max, now)
            free = endpoint.pace.allowance(now, max(0, most - endpoint.busy))
            if endpoint.registration.state is not State.ACTIVE:
                await endpoint.rest()
                await endpoint.wait(None)
            elif free:
                return free
            elif most > endpoint.busy:
                await anyio.sleep(endpoint.pace.wait_ms(now) / 1000)
            else:
                await endpoint.wait(pause_left_ms(endpoint.health, now) or None)

    async def _fetch(self, room: int) -> list[Delivery]:
        """Give up to so many requests' events, or none when there are none or something changed."""
        endpoint, plan = self._endpoint, self._endpoint.registration.plan
        principal = self._shared.owner(endpoint)
        if principal is None:
            await self._shared.on_verdict(endpoint, None)
            return []
        limit = plan.batch_events_max if plan.mode == "batch" else room
        fetch = Fetch(limit=limit, wait_ms=WEBHOOK_IDLE_MS, bytes_max=CONSUMER_FETCH_BYTES_MAX)
        found: list[Delivery] = []
        try:
            with endpoint.fetching() as scope:
                found = await self._shared.consumers.fetch(self._name, fetch, principal.may_read)
            if scope.cancelled_caught:
                self._take_back()
            if found and self._shared.owner(endpoint) != principal:  # while nothing came
                naks = tuple(Nak(delivery.sequence, 0) for delivery in found)
                await self._shared.consumers.settle(self._name, Settlement(nak=naks))
                return []
        except (Refusal, Unavailable) as error:
            _log.warning("webhook_waits", webhook=endpoint.registration.id, error=str(error))
            await anyio.sleep(_TROUBLE_MS / 1000)
        return found

    def _take_back(self) -> None:
        """Have events given out again at once that were given out and are not being sent."""
        try:
            self._shared.consumers.take_back(self._name, self._sending)
        except (Refusal, Unavailable) as error:
            _log.info("webhook_consumer_gone", name=self._name, error=str(error))

    def _parts(self, deliveries: Sequence[Delivery]) -> Iterator[_Part]:
        plan = self._endpoint.registration.plan
        if plan.mode != "batch":
            for delivery in deliveries:
                yield _Part([delivery], encode_one(delivery.row, plan.mode))
            return
        first = 0
        rows = [delivery.row for delivery in deliveries]
        for part in split_batches(rows, plan.batch_events_max, plan.batch_bytes_max):
            yield _Part(deliveries[first : first + len(part)], encode_batch(part))
            first += len(part)

    async def _deliver(self, part: _Part) -> None:
        """Post one request and settle its events."""
        endpoint = self._endpoint
        sequences = [delivery.sequence for delivery in part.deliveries]
        attempt = part.deliveries[0].failures + 1
        try:
            verdict = await self._attempt(part.request, Sending("delivery", sequences, attempt))
            await self._shared.on_verdict(endpoint, verdict)
            await self._settle(part, verdict)
        finally:
            endpoint.busy -= 1
            self._sending.difference_update(sequences)
            endpoint.settled()

    async def _attempt(self, request: Request, sending: Sending) -> Verdict:
        """Post a request; an error that nobody foresaw is a failure of this one alone."""
        try:
            return (await self._shared.sender.attempt(self._endpoint, request, sending))[1]
        except InvariantError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the others' deliveries go on
            webhook, sequences = self._endpoint.registration.id, sending.sequences
            _log.exception("webhook_attempt_broke", webhook=webhook, sequences=sequences)
            return Verdict(Outcome.UNREACHABLE)

    async def _settle(self, part: _Part, verdict: Verdict) -> None:
        try:
            tried = [(delivery.sequence, delivery.failures + 1) for delivery in part.deliveries]
            settlement = settlement_of(tried, verdict, self._endpoint.registration.draw_key)
            await self._shared.consumers.settle(self._name, settlement)
        except (Refusal, Unavailable) as error:  # deleted, or closing: it is sent again at worst
            _log.info("webhook_unsettled", name=self._name, error=str(error))
