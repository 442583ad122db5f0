"""The node's metrics in the Prometheus text format, collected when somebody asks.

Nothing is counted here: the parts keep plain integers, and a collection reads them. Names are
those of CometBFT where they mean the same, so that its dashboards and habits carry over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.registry import Collector

from consensus.core.counters import Counters
from consensus.io.chain_worker import ChainWorker
from consensus.io.cosigning import Cosigner
from consensus.io.driver import Driver
from consensus.io.examiner import Examiner
from consensus.io.safety_writer import SafetyWriter
from consensus.io.transport import PeerTransport
from ledger.core.ids import Height

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
    "mempool_entries": ("mempool_size", "Entries not yet in a batch"),
    "mempool_bytes": ("mempool_size_bytes", "Bytes of the entries not yet in a batch"),
    "open_batches": ("mempool_open_batches", "Batches not yet ordered"),
    "execution_queue": ("consensus_execution_queue", "Final blocks not yet applied"),
}


@dataclass
class Sources:
    """Whom a collection asks. The transport is another one in each epoch."""

    status: Callable[[], dict[str, object]]
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
        missing = status["missing"]
        assert isinstance(missing, list)
        yield _gauge("consensus_missing_validators", "Validators not connected", len(missing))
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
        yield _gauge("chain_queue", "Jobs for the chain store", len(sources.chain.thread))
        cosigner = sources.cosigner
        yield _gauge("checkpoint_size", "Events under the newest checkpoint", cosigner.log_size)
        yield _counter("checkpoints", "Checkpoints that a quorum signed", cosigner.checkpoints)
        text = "Peers that signed another ledger than this node's: look into this at once"
        yield _counter("checkpoint_contradictions", text, cosigner.lies)
        yield _counter("chain_events_refused", "Ordered events refused", chain.events_refused)
        yield _summary("chain_commit", "Commits of the chain store", chain.commits, chain.commit_s)
        yield _summary("safety_write", "Safety record writes", safety.writes, safety.write_s)


def _gauge(name: str, text: str, value: object) -> GaugeMetricFamily:
    assert isinstance(value, int)
    return GaugeMetricFamily(f"concordat_{name}", text, value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(f"concordat_{name}", text, value)


def _summary(name: str, text: str, count: int, seconds: float) -> SummaryMetricFamily:
    return SummaryMetricFamily(f"concordat_{name}_seconds", text, count, seconds)
