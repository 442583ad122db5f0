"""The node's metrics in the Prometheus text format, collected when somebody asks.

Nothing is counted here: the parts keep plain integers, and a collection reads them. Names are
those of CometBFT where they mean the same, so that its dashboards and habits carry over.
"""

import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from consensus.core.counters import Counters
from consensus.io.chain_worker import ChainWorker
from consensus.io.cosigning import Cosigner
from consensus.io.driver import Driver
from consensus.io.examiner import Examiner
from consensus.io.inbox import Inbox
from consensus.io.safety_writer import SafetyWriter
from consensus.io.timings import Timings
from consensus.io.tls import CERTIFICATE_EXPIRY_S
from consensus.io.transport import PeerTransport
from ledger.core.ids import Height
from ledger.io.disk_usage import disk_usage
from ledger.io.release import VERSION
from ledger.native import blake3, ed25519

__all__ = ["NodeMetrics", "Sources"]

_BLOCK_INTERVAL_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)

# Attribute of the core's counters: name and help of the metric.
_CORE_COUNTERS = {
    "rounds": ("consensus_rounds", "Rounds entered"),
    "timeouts": ("consensus_timeouts", "Rounds that this validator gave up"),
    "timeout_certificates": ("consensus_timeout_certificates", "Rounds that a quorum gave up"),
    "proposals_sent": ("consensus_proposals_sent", "Blocks proposed"),
    "votes_sent": ("consensus_votes_sent", "Votes signed"),
    "blocks_committed": ("consensus_blocks_committed", "Blocks that became final"),
    "events_executed": ("consensus_total_txs", "Events that the log took since the start"),
    "batches_sent": ("mempool_batches_sent", "Own batches sent"),
    "batches_received": ("mempool_batches_received", "Batches of peers taken in"),
    "batches_refused": ("mempool_batches_refused", "Batches of peers refused"),
    "entries_submitted": ("mempool_submitted_txs", "Entries handed in by clients"),
    "entries_refused": ("mempool_failed_txs", "Entries of clients refused"),
    "blocks_synced": ("blocksync_blocks", "Blocks fetched from peers to catch up"),
    "root_mismatches": (
        "consensus_root_mismatches",
        "Blocks whose ledger root is not the one computed here: look into this at once",
    ),
    "evidence": ("consensus_evidence", "Contradictory statements of validators found"),
}

# Key of the status document: name and help of the metric.
_STATUS_GAUGES = {
    "height": ("consensus_height", "Height of the last final block"),
    "executed_height": ("consensus_executed_height", "Height of the last applied block"),
    "durable_height": ("consensus_durable_height", "Height up to which the store is durable"),
    "round": ("consensus_round", "Current round"),
    "epoch": ("consensus_epoch", "Current epoch"),
    "validators": ("consensus_validators", "Validators of the epoch"),
    "quorum": ("consensus_quorum", "Validators that must take part for progress"),
    "connected": ("consensus_connected_validators", "Validators connected, this one included"),
    "sitting_out": ("consensus_sitting_out", "1 while it signs nothing: its record was lost"),
    "mempool_entries": ("mempool_size", "Entries not yet in a batch"),
    "mempool_bytes": ("mempool_size_bytes", "Bytes of the entries not yet in a batch"),
    "open_batches": ("mempool_open_batches", "Batches not yet ordered"),
    "own_batches_in_flight": ("mempool_own_batches", "Own batches not yet ordered"),
    "execution_queue": ("consensus_execution_queue", "Final blocks not yet applied"),
}


@dataclass
class Sources:
    """Whom a collection asks. The transport is another one in each epoch."""

    status: Callable[[], dict[str, object]]
    stores: Mapping[str, Path]
    evidence: Callable[[], int]
    inbox: Inbox
    counters: Counters
    transport: PeerTransport
    driver: Driver
    safety: SafetyWriter
    chain: ChainWorker
    examiner: Examiner
    cosigner: Cosigner


class NodeMetrics(Collector):
    """A registry of one node's metrics."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        self._interval = Histogram(
            "concordat_consensus_block_interval_seconds",
            "Time between durable blocks; blocks that became durable together share theirs",
            buckets=_BLOCK_INTERVAL_BUCKETS,
            registry=self._registry,
        )
        self._last: tuple[Height, float] | None = None

    def render(self) -> bytes:
        """Give all metrics as text."""
        return generate_latest(self._registry)

    def on_durable(self, height: Height, now_s: float) -> None:
        """Note that the chain store is durable up to ``height`` at a monotonic time."""
        if self._last is not None and height > self._last[0]:
            self._interval.observe((now_s - self._last[1]) / (height - self._last[0]))
        self._last = height, now_s

    def collect(self) -> Iterator[Metric]:
        """Read all parts once."""
        yield from self._collect_core()
        yield from self._collect_peers()
        yield from self._collect_shell()
        yield from self._collect_host()

    def _collect_core(self) -> Iterator[Metric]:
        counters = self._sources.counters
        for attribute, (name, text) in _CORE_COUNTERS.items():
            yield _counter(name, text, getattr(counters, attribute))
        faults = CounterMetricFamily(
            "concordat_p2p_peer_faults", "Offences of peers by kind", labels=["offence"]
        )
        for offence, number in counters.peer_faults.items():
            faults.add_metric([str(offence)], number)
        yield faults
        status = self._sources.status()
        for key, (name, text) in _STATUS_GAUGES.items():
            yield _gauge(name, text, status[key])
        yield from _members(status)
        since_ms = status["since_progress_ms"]
        assert isinstance(since_ms, int)
        age_text = "Time since a block became final here"
        yield _gauge("consensus_last_final_age_seconds", age_text, since_ms / 1_000)
        given_up = CounterMetricFamily(
            "concordat_consensus_leader_timeouts",
            "Rounds that this validator gave up, by who led them",
            labels=["leader"],
        )
        for leader, number in counters.leader_timeouts.items():
            given_up.add_metric([leader], number)
        yield given_up
        stored_text = "Contradictory statements of validators in the store; each must be judged"
        yield _gauge("consensus_evidence_stored", stored_text, self._sources.evidence())
        syncing = status["sync_target_height"] is not None
        yield _gauge("blocksync_syncing", "1 while this node fetches what it missed", syncing)

    def _collect_peers(self) -> Iterator[Metric]:
        transport = self._sources.transport
        counters = transport.counters
        yield _gauge("p2p_peers", "Peers to which both lanes are up", len(transport.peers_up))
        for name, text, number in (
            ("p2p_message_send_bytes", "Bytes sent to peers", counters.bytes_sent),
            ("p2p_message_receive_bytes", "Bytes received from peers", counters.bytes_received),
            ("p2p_messages_received", "Messages of peers", counters.messages_received),
            ("p2p_connections_accepted", "Connections accepted", counters.connections_accepted),
            ("p2p_connections_evicted", "Strangers that gave way", counters.connections_evicted),
            ("p2p_dials_failed", "Attempts to reach a peer that failed", counters.dials_failed),
        ):
            yield _counter(name, text, number)
        refused = CounterMetricFamily(
            "concordat_p2p_connections_refused",
            "Connections ended for what was said on them, by kind",
            labels=["offence"],
        )
        for offence, number in counters.faults.items():
            refused.add_metric([str(offence)], number)
        yield refused
        waiting = GaugeMetricFamily(
            "concordat_p2p_send_queue_bytes", "Bytes that wait to be sent", labels=["lane"]
        )
        dropped = CounterMetricFamily(
            "concordat_p2p_messages_dropped", "Messages that never left", labels=["lane"]
        )
        for lane, (_, size, drops) in transport.queues().items():
            waiting.add_metric([lane.name.lower()], size)
            dropped.add_metric([lane.name.lower()], drops)
        yield waiting
        yield dropped

    def _collect_shell(self) -> Iterator[Metric]:
        sources = self._sources
        chain, safety = sources.chain.counters, sources.safety
        yield _counter("driver_steps", "Inputs given to the core", sources.driver.steps)
        yield _counter("driver_busy_seconds", "Time that they took", sources.driver.busy_s)
        yield _gauge("examine_queue", "Submissions and batches to verify", len(sources.examiner))
        yield _gauge("inbox_queue", "Bunches of inputs that wait for the core", len(sources.inbox))
        yield _gauge("chain_queue", "Jobs for the chain store", len(sources.chain.thread))
        cosigner = sources.cosigner
        yield _gauge("checkpoint_size", "Events under the newest checkpoint", cosigner.log_size)
        yield _counter("checkpoints", "Checkpoints that a quorum signed", cosigner.checkpoints)
        text = "Peers that signed another ledger than this node's: look into this at once"
        yield _counter("checkpoint_contradictions", text, cosigner.lies)
        refused = CounterMetricFamily(
            "concordat_chain_events_refused", "Ordered events refused, by reason", labels=["code"]
        )
        # The chain's thread counts meanwhile: what is read is a copy.
        for code, number in dict(chain.events_refused).items():
            refused.add_metric([str(code)], number)
        yield refused
        yield _histogram("chain_commit", "Synced commits of the chain store", chain.timings)
        yield _histogram("safety_write", "Synced writes of the safety record", safety.timings)

    def _collect_host(self) -> Iterator[Metric]:
        gauges = [
            GaugeMetricFamily(f"concordat_store_{name}_bytes", text, labels=["store"])
            for name, text in (
                ("size", "Disk space that a store takes"),
                ("disk_free", "Space left on the file system of a store"),
                ("disk_size", "Size of the file system of a store"),
            )
        ]
        for store, path in self._sources.stores.items():
            for gauge, value in zip(gauges, disk_usage(path) or (), strict=False):
                gauge.add_metric([store], value)
        yield from gauges
        expiry_text = "End of the TLS certificate shown to peers, in seconds since 1970"
        yield _gauge("p2p_certificate_expiry_timestamp_seconds", expiry_text, CERTIFICATE_EXPIRY_S)
        yield InfoMetricFamily(
            "concordat_node_build",
            "What runs here",
            {
                "version": VERSION,
                "python": platform.python_version(),
                "ed25519": ed25519.implementation(),
                "blake3": blake3.implementation(),
            },
        )


def _members(status: dict[str, object]) -> Iterator[Metric]:
    """Say of each other validator of the epoch whether it is connected."""
    members, missing, name = status["members"], status["missing"], status["name"]
    assert isinstance(members, list)
    assert isinstance(missing, list)
    yield _gauge("consensus_missing_validators", "Validators not connected", len(missing))
    connected = GaugeMetricFamily(
        "concordat_consensus_validator_connected",
        "1 while another validator is connected to this one",
        labels=["validator"],
    )
    for member in members:
        if member != name:
            connected.add_metric([member], member not in missing)
    yield connected


def _gauge(name: str, text: str, value: object) -> GaugeMetricFamily:
    assert isinstance(value, int | float)
    return GaugeMetricFamily(f"concordat_{name}", text, value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"concordat_{name}", text, value)


def _histogram(name: str, text: str, timings: Timings) -> HistogramMetricFamily:
    buckets, total_s = timings.buckets(), timings.total_s
    return HistogramMetricFamily(f"concordat_{name}_seconds", text, buckets, total_s)
