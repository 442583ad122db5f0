"""What the gateway counts about itself, for Prometheus.

Labels have few values: routes as they are declared, status codes, issuers of the configuration.
What can be looked up is looked up when somebody asks, and costs nothing before.
"""

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ledger.io.disk_usage import disk_usage
from ledger.io.release import VERSION
from pubsub.io.certificate_expiry import certificate_expiry_s
from pubsub.io.oidc_keys import IssuerKeys

__all__ = ["HostCollector", "Metrics", "OidcCollector"]

_PREFIX: Final = "concordat_gateway"
_FINALITY_SECONDS: Final = (
    0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0,
)  # fmt: skip

# Few, because there is a histogram for each route.
_REQUEST_SECONDS: Final = (0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


class Metrics:
    """The metrics of one gateway."""

    def __init__(self) -> None:
        # The time at which each counter began: a series more for each, which nobody asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call] # of a typed library
        self.registry = registry = CollectorRegistry()
        # The node's process has the names without a prefix, in the same answer.
        ProcessCollector(namespace=_PREFIX, registry=registry)
        self.requests = Counter(
            f"{_PREFIX}_requests", "Answered requests", ("route", "status"), registry=registry
        )
        self.seconds = Histogram(
            f"{_PREFIX}_request_seconds",
            "Time to the answer; streams and waits included",
            ("route",),
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self.events = Counter(
            f"{_PREFIX}_events",
            "Events handed in, by what the node said at once",
            ("result",),
            registry=registry,
        )
        self.finality = Histogram(
            f"{_PREFIX}_finality_seconds",
            "From a block with events' proposal, by its leader's clock, to its being readable",
            buckets=_FINALITY_SECONDS,
            registry=registry,
        )
        self.streams = Gauge(f"{_PREFIX}_streams", "Open event streams", registry=registry)
        self.waits = Gauge(f"{_PREFIX}_waits", "Requests that wait for finality", registry=registry)
        self.node_connected = Gauge(
            f"{_PREFIX}_node_connected", "1 while the node is connected", registry=registry
        )
        self.log_size = Gauge(
            f"{_PREFIX}_log_size", "Events in the log as last seen", registry=registry
        )
        self.first_sequence = Gauge(
            f"{_PREFIX}_first_sequence",
            "First sequence whose contents are held, as last seen",
            registry=registry,
        )
        Info(f"{_PREFIX}_build", "What runs here", registry=registry).info(
            {"version": VERSION, "python": platform.python_version()}
        )

    def observe_finality(self, proposed_ms: int, readable_ms: int) -> None:
        """Note when a block with events was proposed and when it was readable, ms since 1970."""
        self.finality.observe(max(0, readable_ms - proposed_ms) / 1000)


class HostCollector(Collector):
    """Space of stores, and expiry of certificates."""

    def __init__(self, stores: Mapping[str, Path], certificates: Mapping[str, Path]) -> None:
        """Look at these directories and PEM files, by what they are for."""
        self._stores = stores
        self._certificates = certificates

    def collect(self) -> Iterator[Metric]:
        """Look at all of them."""
        size, free = (
            GaugeMetricFamily(f"{_PREFIX}_store_{name}_bytes", text, labels=("store",))
            for name, text in (
                ("size", "Disk space that a store takes"),
                ("disk_free", "Space left on the file system of a store"),
            )
        )
        for name, path in self._stores.items():
            usage = disk_usage(path)
            if usage is not None:
                size.add_metric((name,), usage.store)
                free.add_metric((name,), usage.free)
        yield size
        yield free
        expiry = GaugeMetricFamily(
            f"{_PREFIX}_certificate_expiry_timestamp_seconds",
            "End of the first certificate of a file to expire; 0: the file cannot be read",
            labels=("certificate",),
        )
        for name, path in self._certificates.items():
            expiry.add_metric((name,), certificate_expiry_s(path) or 0)
        yield expiry


class OidcCollector(Collector):
    """How fetching the keys of issuers goes."""

    def __init__(self, issuers: Mapping[str, IssuerKeys]) -> None:
        self._issuers = issuers

    def collect(self) -> Iterator[Metric]:
        """Give the counts of each issuer."""
        fetches = CounterMetricFamily(
            f"{_PREFIX}_oidc_key_fetches",
            "Attempts to fetch the keys of an issuer of access tokens",
            labels=("issuer", "result"),
        )
        for name, keys in self._issuers.items():
            fetches.add_metric((name, "fetched"), keys.fetched_count)
            fetches.add_metric((name, "failed"), keys.failed_count)
        yield fetches
