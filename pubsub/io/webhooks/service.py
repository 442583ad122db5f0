"""The webhooks of a gateway: one worker for each endpoint, and what owners may do with them.

Owns randomness, clock and tasks; what is decided is decided in ``pubsub/core/webhook``. A webhook
and the consumer that feeds it are two rows: after a crash between the two, whichever is there alone
is completed or deleted at the next start.
"""

import secrets
from base64 import b32encode
from collections.abc import Sequence
from functools import partial
from typing import Final

import anyio
import structlog
from anyio.abc import TaskGroup
from msgspec.structs import replace
from prometheus_client import CollectorRegistry, Gauge

from ledger.core.errors import Unavailable
from pubsub.core.limits import WEBHOOK_CIRCUIT_MS, WEBHOOK_KEY_BYTES
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.rights import ANONYMOUS_NAME, Principal, Scope
from pubsub.core.webhook.attempt import Verdict, draw
from pubsub.core.webhook.health import after_attempt
from pubsub.core.webhook.registration import (
    Reason,
    Registration,
    State,
    consumer_config,
    consumer_name,
    disabled,
    enabled,
    with_health,
    with_key,
    with_plan,
)
from pubsub.core.webhook.signing import SignatureKind, SigningKey
from pubsub.core.webhook.wishes import Counts, changed_plan, plan_of, start_of, webhook_document
from pubsub.core.webhook_documents import (
    AttemptDocument,
    RotateRequest,
    WebhookChange,
    WebhookDocument,
    WebhookRequest,
)
from pubsub.io.consumers.delivery import ConsumerView
from pubsub.io.consumers.engine import Consumers
from pubsub.io.consumers.waiting import now_ms
from pubsub.io.delivery_store import DeliveryStore
from pubsub.io.rights import Rights
from pubsub.io.webhooks.endpoint import Endpoint
from pubsub.io.webhooks.registry import Registry
from pubsub.io.webhooks.sending import Sender
from pubsub.io.webhooks.settings import WebhookSettings
from pubsub.io.webhooks.worker import Shared, Worker

__all__ = ["Webhooks"]

_log: Final = structlog.get_logger("gateway.webhooks")
_ID_BYTES: Final = 16
_DRAW_KEY_BYTES: Final = 16
_INTERNAL: Final = consumer_name("")
_TROUBLE_MS: Final = 1_000  # pause before it is tried again when the log cannot be read


class Webhooks:
    """The webhooks of one gateway.

    Attributes:
        sender: what requests to endpoints go through.
    """

    def __init__(
        self,
        settings: WebhookSettings,
        store: DeliveryStore,
        consumers: Consumers,
        rights: Rights,
        registry: CollectorRegistry,
    ) -> None:
        """Load all webhooks. Raises StorageError when the store is damaged."""
        self.sender = Sender(settings.origin, registry)
        self.consumers = consumers
        self._rights = rights
        self._registry = Registry(store, settings.egress)
        self._shared = Shared(consumers, self.sender, self.owner_of, self._on_verdict)
        gauge = Gauge(
            "concordat_gateway_webhooks", "Webhooks by state", ("state",), registry=registry
        )
        for state in State:
            gauge.labels(state).set_function(partial(self._count, state))
        known = {consumer_name(endpoint.registration.id) for endpoint in self._registry}
        self._orphans = [name for name in consumers.internal_names(_INTERNAL) if name not in known]
        self._group: TaskGroup | None = None
        self._scopes: dict[str, anyio.CancelScope] = {}

    async def run(self) -> None:
        """Deliver until cancelled."""
        while not await self._complete():  # noqa: ASYNC110 - opening the log is no event
            await anyio.sleep(_TROUBLE_MS / 1000)
        async with anyio.create_task_group() as group:
            self._group = group
            for endpoint in self._registry:
                self._start(endpoint)
            await anyio.sleep_forever()

    # --- webhooks -------------------------------------------------------------------------

    def find(self, id_: str, principal: Principal) -> Endpoint:
        """Give the endpoint of a webhook of the principal's. Raises Refusal when it has none."""
        endpoint = self._registry.get(id_)
        if endpoint is None or not (
            endpoint.registration.owner.name == principal.name or principal.may(Scope.OPERATE)
        ):
            raise Refusal(HttpCode.WEBHOOK_NOT_FOUND, f"no webhook of yours is named {id_[:64]}")
        return endpoint

    def get(self, id_: str) -> Endpoint:
        """Give the endpoint of a webhook, whoever owns it. Raises Refusal when there is none."""
        endpoint = self._registry.get(id_)
        if endpoint is None:
            raise Refusal(HttpCode.WEBHOOK_NOT_FOUND, f"no webhook is named {id_[:64]}")
        return endpoint

    def views(self, owner: str | None = None) -> list[WebhookDocument]:
        """Describe all webhooks, or those of one owner, the oldest first."""
        found = [one for one in self._registry if owner in (None, one.registration.owner.name)]
        return [
            self.view(one)
            for one in sorted(
                found, key=lambda one: (one.registration.created_ms, one.registration.id)
            )
        ]

    def view(self, endpoint: Endpoint) -> WebhookDocument:
        """Describe a webhook."""
        registration = endpoint.registration
        try:
            consumer = self.consumers.get(consumer_name(registration.id))
        except Refusal:  # being made, or deleted
            counts = Counts()
        else:
            on_the_way = consumer.in_flight + consumer.waiting
            counts = Counts(self._lag(consumer), on_the_way, consumer.dead_letters)
        return webhook_document(registration, endpoint.health, counts, now_ms())

    def attempts(self, id_: str) -> list[AttemptDocument]:
        """Give the last attempts of a webhook, the newest first. Raises Refusal."""
        return list(reversed(self.get(id_).attempts))

    async def create(
        self, wish: WebhookRequest, owner: Principal
    ) -> tuple[Endpoint, Sequence[SigningKey]]:
        """Make a webhook that waits for its receiver's consent; give it and its keys.

        Raises:
            DecodeError: what is asked for makes no sense.
            Refusal: there are too many, or its start is not possible.
        """
        now = now_ms()
        plan = plan_of(wish)
        self._registry.require_room(owner.name)
        registration = Registration(
            id=f"wh_{b32encode(secrets.token_bytes(_ID_BYTES)).decode().lower().rstrip('=')}",
            owner=owner,
            created_ms=now,
            plan=plan,
            start=start_of(wish),
            is_ordered=wish.is_ordered,
            keys=tuple(_new_key(kind, now) for kind in sorted(set(wish.signatures))),
            draw_key=secrets.token_bytes(_DRAW_KEY_BYTES),
        )
        config = consumer_config(registration)
        await self.consumers.create(config, owner.name, owner.may_read)
        endpoint = await self._registry.add(registration)
        self._start(endpoint)
        return endpoint, registration.keys

    async def change(self, endpoint: Endpoint, change: WebhookChange) -> None:
        """Change a webhook. Raises DecodeError when the change makes no sense."""
        former = endpoint.registration
        plan = changed_plan(former, change)
        if plan.interest != former.plan.interest:
            await self.consumers.update(consumer_config(with_plan(former, plan)))
        registration = with_plan(endpoint.current, plan)
        if change.state == "disabled":
            registration = disabled(registration, Reason.OWNER)
        await self._registry.replace(endpoint, registration)

    async def enable(self, id_: str) -> None:
        """Deliver again, from where it ended. Raises Refusal when there is no such webhook."""
        endpoint = self.get(id_)
        await self._registry.replace(endpoint, enabled(endpoint.registration))

    async def rotate(self, endpoint: Endpoint, rotation: RotateRequest) -> SigningKey:
        """Replace the key of one kind, or add one; give the new one."""
        key = _new_key(rotation.signature, now_ms())
        registration = with_key(endpoint.current, key, rotation.overlap_ms)
        await self._registry.replace(endpoint, registration)
        return key

    async def replace(self, endpoint: Endpoint, registration: Registration) -> None:
        """Store a changed registration and go on with it."""
        await self._registry.replace(endpoint, registration)

    async def delete(self, endpoint: Endpoint) -> None:
        """Delete a webhook; what is on its way ends at once."""
        id_ = endpoint.registration.id
        scope = self._scopes.pop(id_, None)
        if scope is not None:
            scope.cancel()
        await self._registry.remove(endpoint)
        try:
            await self.consumers.delete(consumer_name(id_))
        except Refusal:
            _log.info("webhook_consumer_gone", webhook=id_)

    # --- what workers ask -----------------------------------------------------------------

    def owner_of(self, endpoint: Endpoint) -> Principal | None:
        """Give the rights that a webhook's owner has now; None for none any more.

        An issuer's token is not kept: what it said when the webhook was made goes on to count.
        """
        owner = endpoint.registration.owner
        now = self._rights.owner(owner.name)
        if now is None and owner.name.startswith("oidc/"):
            anybody = self._rights.owner(ANONYMOUS_NAME)
            restricted = owner.restricted if anybody is None else anybody.restricted
            return replace(owner, restricted=restricted)
        return now if now is not None and now.may(Scope.WEBHOOKS) else None

    async def _on_verdict(self, endpoint: Endpoint, verdict: Verdict | None) -> None:
        """Note what an attempt means; None: its owner has no rights any more.

        Only what a restart must know is stored: that it began to fail, is well again, is disabled.
        """
        former = endpoint.registration
        if verdict is None:
            await self._turn(endpoint, disabled(endpoint.current, Reason.RIGHTS))
            return
        now = now_ms()
        spread_ms = draw(former.draw_key, WEBHOOK_CIRCUIT_MS, endpoint.health.failures, now)
        health = after_attempt(endpoint.health, verdict, now, spread_ms)
        has_paused = health.open_until_ms > endpoint.health.open_until_ms
        endpoint.health = health
        registration = with_health(former, health, verdict, now)
        has_turned = health.failing_since_ms != former.health.failing_since_ms
        if has_turned or registration.reason is not former.reason:
            await self._turn(endpoint, registration)
        elif has_paused:
            endpoint.changed()

    async def _turn(self, endpoint: Endpoint, registration: Registration) -> None:
        _log.info(
            "webhook_turned",
            webhook=registration.id,
            state=registration.state,
            reason=registration.reason,
            failing_since_ms=registration.health.failing_since_ms,
        )
        try:
            await self._registry.replace(endpoint, registration)
        except Unavailable as error:  # closing: it turns again after the start
            _log.info("webhook_not_stored", webhook=registration.id, error=str(error))

    # --- helpers --------------------------------------------------------------------------

    def _lag(self, consumer: ConsumerView) -> int:
        """Give how far a webhook is behind: where a topic is restricted, the distance in the log.

        A count of matching events tells of those that who looks, owner or not, may not read.
        """
        anybody = self._rights.owner(ANONYMOUS_NAME)
        if anybody is not None and anybody.reads_all:
            return consumer.lag.events
        end = self.consumers._following.end  # noqa: SLF001 - the engine shows it in sums alone
        return max(0, end - consumer.position)

    async def _complete(self) -> bool:
        """Give every webhook its consumer, and delete consumers that feed none; say if it could."""
        try:
            while self._orphans:
                await self.consumers.delete(self._orphans[-1])
                self._orphans.pop()
            for endpoint in self._registry:
                registration = endpoint.registration
                config, owner = consumer_config(registration), registration.owner
                if not self.consumers.has(config.name):
                    await self.consumers.create(config, owner.name, owner.may_read)
        except Refusal as error:  # the log cannot be read yet
            _log.warning("webhooks_wait", error=str(error))
            return False
        return True

    def _count(self, state: State) -> int:
        return sum(endpoint.registration.state is state for endpoint in self._registry)

    def _start(self, endpoint: Endpoint) -> None:
        """Start the worker of an endpoint."""
        if self._group is not None:
            scope = self._scopes[endpoint.registration.id] = anyio.CancelScope()
            self._group.start_soon(self._work, endpoint, scope)

    async def _work(self, endpoint: Endpoint, scope: anyio.CancelScope) -> None:
        with scope:
            await Worker(endpoint, self._shared).run()


def _new_key(kind: SignatureKind, now: int) -> SigningKey:
    return SigningKey(kind, secrets.token_bytes(WEBHOOK_KEY_BYTES), now)
