"""What consumers look like from Prometheus: by kind, never by name, counted when asked for."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pubsub.io.consumers.engine import Consumers
from pubsub.io.delivery_store import DeliveryStore

__all__ = ["ConsumerCollector"]

_PREFIX = "concordat_gateway_consumer"
_GAUGES = (
    ("consumers", "Durable consumers"),
    ("lag_events", "Events that were never given out, or at most so many"),
    ("in_flight", "Events given out and not settled"),
    ("waiting", "Failed events that wait for another attempt"),
    ("dead_letters", "Events that were given up"),
    ("fetches_waiting", "Fetches that wait for events"),
)
_COUNTERS = (
    ("delivered", "Events given out, again ones included"),
    ("redelivered", "Events given out again"),
    ("acknowledged", "Events handled"),
    ("failed", "Timeouts and negative acknowledgements"),
)


class ConsumerCollector(Collector):
    """Collects the metrics of all consumers of a gateway."""

    def __init__(self, consumers: Consumers, store: DeliveryStore) -> None:
        self._consumers = consumers
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """Give the metrics as they are now."""
        measured = self._consumers.measure()
        for name, text in _GAUGES:
            gauge = GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=("kind",))
            for kind, values in measured.items():
                gauge.add_metric((kind,), values[name])
            yield gauge
        for name, text in _COUNTERS:
            counter = CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=("kind",))
            for kind, values in measured.items():
                counter.add_metric((kind,), values[name])
            yield counter
        yield CounterMetricFamily(
            "concordat_gateway_delivery_commits",
            "Synced transactions of the delivery store",
            value=self._store.commits_count,
        )
