"""The gateway as its handlers see it: settings, store, node, waits, streams, counters.

Owns the two tasks behind the requests: the link to the node, and the watch that notices when the
chain became longer. A broken store is fatal: ``fatal`` is set and ``on_fatal`` called, and the
process ends, because an answer from it could not be trusted. So is any error that a background task
lets out, because the requests would go on without rights, waits and deliveries being kept up.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import anyio.lowlevel
import structlog
from prometheus_client import Counter

from consensus.core.control import Head
from ledger.core.errors import InvariantError
from ledger.core.limits import (
    GATEWAY_BODY_BYTES_MAX,
    GATEWAY_CONNECTIONS_MAX,
    GATEWAY_HEARTBEAT_MS,
    GATEWAY_POLL_MS,
    GATEWAY_STREAM_PAGE_EVENTS,
    GATEWAY_STREAMS_MAX,
)
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import ChainHead
from pubsub.core.overload import PublishRates
from pubsub.core.problems import HttpCode, Refusal
from pubsub.core.trust_documents import ListSummary
from pubsub.io.audit import Audit
from pubsub.io.body import Bodies
from pubsub.io.consumers.engine import Consumers, ConsumerSettings
from pubsub.io.consumers.metrics import ConsumerCollector
from pubsub.io.delivery_store import DeliveryStore
from pubsub.io.fanout import Fanout
from pubsub.io.feed import Feed
from pubsub.io.finality import Finality
from pubsub.io.metrics import HostCollector, Metrics, OidcCollector
from pubsub.io.node_link import NodeLink
from pubsub.io.overload import Overload
from pubsub.io.rights import Rights, RightsSettings
from pubsub.io.signal import Signal
from pubsub.io.store_access import StoreAccess
from pubsub.io.webhooks.outreach import Outreach
from pubsub.io.webhooks.service import Webhooks
from pubsub.io.webhooks.settings import WebhookSettings

__all__ = ["Gateway", "GatewaySettings"]

_log = structlog.get_logger("gateway")


@dataclass(frozen=True)
class GatewaySettings:
    """What a gateway is told.

    Attributes:
        chain_dir: directory of the node's chain store.
        control_path: the node's control socket.
        name: the member's name, shown in the status.
        body_bytes_max: largest body of a batch or bulk request.
        streams_max: event streams open at one time.
        connections_max: HTTP connections open at one time, streams included.
        heartbeat_ms: a stream is never silent for longer.
        rights: who may do what.
        delivery_dir: directory of the delivery store, made when it is not there; None: what needs
            one is refused.
        consumers: how many consumers there may be.
        webhooks: where deliveries may go, and in whose name.
        certificates: files whose expiry is watched, by what they are for.
    """

    chain_dir: Path
    control_path: Path
    name: str
    body_bytes_max: int = GATEWAY_BODY_BYTES_MAX
    streams_max: int = GATEWAY_STREAMS_MAX
    connections_max: int = GATEWAY_CONNECTIONS_MAX
    heartbeat_ms: int = GATEWAY_HEARTBEAT_MS
    rights: RightsSettings = field(default_factory=RightsSettings)
    delivery_dir: Path | None = None
    consumers: ConsumerSettings = field(default_factory=ConsumerSettings)
    webhooks: WebhookSettings = field(default_factory=WebhookSettings)
    certificates: Mapping[str, Path] = field(default_factory=dict)


class Gateway:
    """Everything that requests share.

    Attributes:
        is_closing: no new stream or wait begins; those that are open end.
        fatal: why the process must end, or None.
        list_counts: the state's root and the counts of the lists in it, as last counted.
    """

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.access = StoreAccess(settings.chain_dir)
        self.link = NodeLink(settings.control_path, self._on_head)
        self.finality = Finality(self.access)
        self.feed = Feed()
        self.bodies = Bodies()
        self.audit = Audit()
        self.rights = Rights(settings.rights)
        rates = PublishRates(settings.rights.publish_rate, settings.rights.publish_burst)
        self.overload = Overload(rates, self.link.status)
        self.fanout = Fanout(self.feed, self.access, settings.heartbeat_ms, self.rights.holds)
        self.metrics = Metrics()
        self.streams_count = 0
        self.list_counts: tuple[bytes, list[ListSummary]] = (b"", [])
        self.is_closing = False
        self.fatal: InvariantError | None = None
        self.on_fatal: Callable[[], None] = lambda: None
        self._results: dict[str, Counter] = {}
        self._notice = Signal()
        self._height = self._log_size = -1  # not looked at yet
        self._told: Head | None = None  # by the node, last
        self._grown_height = -1  # of the last block with events that the node told of
        self._delivery: DeliveryStore | None = None
        self._consumers: Consumers | None = None
        self._webhooks: Webhooks | None = None
        if settings.delivery_dir is not None:
            self._delivery = DeliveryStore.open(settings.delivery_dir)
            self._consumers = Consumers(settings.consumers, self._delivery, self.access, self.feed)
            self.metrics.registry.register(ConsumerCollector(self._consumers, self._delivery))
            self._webhooks = Webhooks(
                settings.webhooks,
                self._delivery,
                self._consumers,
                self.rights,
                self.metrics.registry,
            )
            self.audit.load(self._delivery)
        self._show()

    @property
    def delivery(self) -> DeliveryStore:
        """The store of what is durable here. Raises Refusal when there is none."""
        if self._delivery is None:
            raise Refusal(HttpCode.DELIVERY_UNAVAILABLE, "no directory for it is configured")
        return self._delivery

    @property
    def consumers(self) -> Consumers:
        """The durable consumers. Raises Refusal when nothing is durable here."""
        if self._consumers is None:
            raise Refusal(HttpCode.DELIVERY_UNAVAILABLE, "no directory for it is configured")
        return self._consumers

    @property
    def webhooks(self) -> Webhooks:
        """The webhooks. Raises Refusal when nothing is durable here."""
        if self._webhooks is None:
            raise Refusal(HttpCode.DELIVERY_UNAVAILABLE, "no directory for it is configured")
        return self._webhooks

    @property
    def outreach(self) -> Outreach:
        """What is sent to webhooks at once. Raises Refusal when nothing is durable here."""
        return Outreach(self.settings.webhooks, self.webhooks, self.access)

    async def run(self) -> None:
        """Keep the node connected and watch the chain, until cancelled."""
        self.rights.begin(self.audit)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self.link.run)
                group.start_soon(self._watch)
                group.start_soon(self.fanout.run)
                group.start_soon(self.rights.run)
                if self._delivery is not None and self._consumers is not None:
                    group.start_soon(self._delivery.run)
                    group.start_soon(self._consumers.run)
                if self._webhooks is not None:
                    group.start_soon(self._webhooks.run)
        except* InvariantError as errors:
            self.fail(_as_invariant(errors))
        except* Exception as errors:  # noqa: BLE001 - whatever it is, the process ends of it
            self.fail(_as_invariant(errors))

    def fail(self, error: InvariantError) -> None:
        """End the process because of ``error``; the first one counts."""
        if self.fatal is None:
            _log.critical("gateway_stops", error=str(error))
            self.fatal = error
            self.close()
            self.on_fatal()

    def close(self) -> None:
        """End streams and waits, so that the server can end."""
        self.is_closing = True
        self.finality.close()
        self.feed.wake()
        self.fanout.close()
        if self._consumers is not None:
            self._consumers.close()

    def release(self) -> None:
        """Close the stores; nothing may be running."""
        self.access.close()
        if self._delivery is not None:
            self._delivery.close()

    def count_events(self, result: str, count: int) -> None:
        """Count events by what the node said at once: a code, or ``accepted``."""
        counter = self._results.get(result)
        if counter is None:
            counter = self._results[result] = self.metrics.events.labels(result)
        counter.inc(count)

    def _show(self) -> None:
        """Have the metrics tell what is known when they are asked for."""
        settings, metrics = self.settings, self.metrics
        metrics.streams.set_function(lambda: self.streams_count)
        metrics.waits.set_function(lambda: len(self.finality))
        metrics.log_size.set_function(lambda: self.feed.end)
        metrics.node_connected.set_function(lambda: self.link.is_connected)
        stores = {"chain": settings.chain_dir}
        if settings.delivery_dir is not None:
            stores["delivery"] = settings.delivery_dir
        metrics.registry.register(HostCollector(stores, settings.certificates))
        metrics.registry.register(OidcCollector(self.rights.issuer_keys))

    def begin_stream(self) -> None:
        """Count a stream that opens."""
        self.streams_count += 1
        self._attend()

    def end_stream(self) -> None:
        """Count a stream that ended."""
        self.streams_count -= 1

    def _on_head(self, head: Head) -> None:
        self._told = head
        self.finality.note(head.height)
        self._notice.set()  # the store is the truth: a head says that looking is worth it

    @property
    def _is_live(self) -> bool:
        """Whether somebody reads here as the log grows."""
        consumers = self._consumers
        return bool(self.streams_count) or (consumers is not None and consumers.wants_feed)

    def _attend(self) -> None:
        """Tell the node whether it concerns anybody here at once that the log grows."""
        self.link.attend(is_live=self._is_live or self.feed.is_followed)

    async def _watch(self) -> None:
        while True:
            await self._notice.wait(GATEWAY_POLL_MS)
            self._notice = Signal()
            if self.access.try_open():
                await self._advance()

    async def _advance(self) -> None:
        """Tell waits and streams what is new in the store."""
        with self.access.store.read() as reader:
            head = reader.head()
            self.overload.note(head.log_size)
            self.metrics.first_sequence.set(reader.first_held())
            self._observe(reader, head)
            if head.height != self._height:
                self._height, self._log_size = head.height, head.log_size
                self.finality.look(reader)
        self._attend()
        consumers = self._consumers
        if not self._is_live:
            self.feed.skip_to(head.log_size)
            self.fanout.advance()
            return
        is_done = False
        while not is_done:
            with self.access.store.read() as reader:
                is_done = self.feed.read(reader, head.log_size, GATEWAY_STREAM_PAGE_EVENTS)
            self.fanout.advance()
            if consumers is not None:
                consumers.follow()
            await anyio.lowlevel.checkpoint()

    def _observe(self, reader: ChainReader, head: ChainHead) -> None:
        """Note how long the last block with events took, of those that nobody here looked at.

        Of a quiet network's empty blocks each is final only when the next one is made.
        """
        told = self._told
        if self._height < 0 or told is None or not self.link.is_connected:
            if 0 <= self._log_size < head.log_size:
                self.metrics.observe_finality(head.time_ms, time.time_ns() // 1_000_000)
            self._grown_height = head.height
        elif told.grown_height > self._grown_height:
            self._grown_height = told.grown_height
            block = reader.block(told.grown_height) if told.grown_ms else None
            if block is not None:
                self.metrics.observe_finality(block.time_ms, told.grown_ms)


def _first_leaf(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _as_invariant(errors: ExceptionGroup[Exception]) -> InvariantError:
    """Give what the process ends of; log where an error came from that no task may let out."""
    leaf = _first_leaf(errors)
    if isinstance(leaf, InvariantError):
        return leaf
    _log.critical("gateway_task_broke", exc_info=errors)
    broken = InvariantError(f"a background task ended: {type(leaf).__name__}: {leaf}")
    broken.__cause__ = errors
    return broken
