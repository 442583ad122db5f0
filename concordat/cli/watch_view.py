"""What two looks at a gateway say about its member: numbers, rates, and whether all is well.

Pure: the same samples give the same view. Nothing of it is trusted further than to be shown.
"""

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from concordat.cli.watch_sample import Metrics, Sample

__all__ = ["Consumers", "NodeView", "View", "quantile", "read_node", "view_of"]

_NAMES_MAX: Final = 100
_WELL: Final = ("ok", "behind")

Names = Annotated[tuple[str, ...], Meta(max_length=_NAMES_MAX)]


class NodeView(msgspec.Struct, frozen=True):
    """The parts of a node's own status document that people look at."""

    round: int = 0
    leader: str = ""
    connected: int = 0
    validators: int = 0
    quorum: int = 0
    members: Names = ()
    missing: Names = ()
    mempool_entries: int = 0
    execution_queue: int = 0
    since_progress_ms: int = 0
    evidence: int = 0


class Consumers(msgspec.Struct, frozen=True):
    """The durable consumers of one kind."""

    count: int
    lag_events: int
    dead_letters: int


class View(msgspec.Struct, frozen=True):
    """A member as one line; what is not known is None.

    Attributes:
        state: as in the status; ``gateway_down`` when nothing answers.
        rates are per second, over the time between the two samples; ``*_p50_ms`` and ``*_p99_ms``
            are quantiles of what happened in it, None when nothing did.
    """

    url: str
    name: str
    state: str
    explanation: str
    network: str | None = None
    version: str | None = None
    height: int | None = None
    events: int | None = None
    final_age_ms: int | None = None
    node: NodeView | None = None
    events_per_s: float | None = None
    requests_per_s: float | None = None
    failed_per_s: float | None = None
    finality_p50_ms: float | None = None
    finality_p99_ms: float | None = None
    safety_write_p99_ms: float | None = None
    chain_commit_p99_ms: float | None = None
    inbox: int = 0
    send_queue_bytes: int = 0
    streams: int = 0
    waits: int = 0
    chain_bytes: int = 0
    disk_free_bytes: int | None = None
    evidence: int = 0
    consumers: dict[str, Consumers] = {}

    @property
    def is_well(self) -> bool:
        """Whether the member makes progress."""
        return self.state in _WELL


def read_node(document: bytes) -> NodeView | None:
    """Read a node's status document; None when there is none or it is something else."""
    try:
        found = msgspec.json.decode(document, type=NodeView | None)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if found is None:
        return None
    return msgspec.structs.replace(
        found,
        leader=_printable(found.leader),
        members=tuple(map(_printable, found.members)),
        missing=tuple(map(_printable, found.missing)),
    )


def view_of(samples: Sequence[Sample], known_as: str = "") -> View:
    """Describe a member by the newest of its samples, and rates by the oldest.

    Args:
        samples: of one gateway, one or more, oldest first.
        known_as: its name when it last answered.
    """
    now = samples[-1]
    status = now.status
    if status is None:
        text = f"The gateway does not answer: {now.error}. Look at its service and log."
        return View(now.url, known_as or _printable(now.url), "gateway_down", _printable(text))
    metrics, chain = now.metrics, status.chain
    node = read_node(bytes(status.node)) if status.gateway.node_connected else None
    free = metrics.by("concordat_gateway_store_disk_free_bytes", "store")
    view = View(
        now.url,
        _printable(status.gateway.name),
        status.progress.state,
        _printable(status.progress.explanation),
        network=None if status.chain_id is None else _printable(status.chain_id),
        version=_printable(status.gateway.version),
        height=None if chain is None else chain.height,
        events=None if chain is None else chain.log_size,
        final_age_ms=None if chain is None else chain.age_ms,
        node=node,
        inbox=int(metrics.total("concordat_inbox_queue")),
        send_queue_bytes=int(metrics.total("concordat_p2p_send_queue_bytes")),
        streams=status.gateway.streams,
        waits=status.gateway.waits,
        chain_bytes=int(metrics.total("concordat_gateway_store_size_bytes", store="chain")),
        disk_free_bytes=int(min(free.values())) if free else None,
        evidence=int(metrics.total("concordat_consensus_evidence_stored")),
        consumers=_consumers(metrics),
    )
    before = next((sample for sample in samples[:-1] if sample.status is not None), None)
    return view if before is None else _with_rates(view, before, now)


def _with_rates(view: View, before: Sample, now: Sample) -> View:
    """Add what happened between two samples; nothing when a process began anew meanwhile."""
    seconds = now.at_s - before.at_s
    old, new = before.metrics, now.metrics

    def per_s(name: str, **labels: str) -> float | None:
        change = new.total(name, **labels) - old.total(name, **labels)
        return None if change < 0 or seconds <= 0 else change / seconds

    def ms(name: str, part: float) -> float | None:
        found = quantile(old.buckets(name), new.buckets(name), part)
        return None if found is None else round(found * 1_000, 3)

    statuses = new.by("concordat_gateway_requests_total", "status")
    failed = [per_s("concordat_gateway_requests_total", status=s) for s in statuses if s >= "500"]
    return msgspec.structs.replace(
        view,
        events_per_s=per_s("concordat_gateway_log_size"),
        requests_per_s=per_s("concordat_gateway_requests_total"),
        failed_per_s=sum(rate or 0.0 for rate in failed),
        finality_p50_ms=ms("concordat_gateway_finality_seconds", 0.5),
        finality_p99_ms=ms("concordat_gateway_finality_seconds", 0.99),
        safety_write_p99_ms=ms("concordat_safety_write_seconds", 0.99),
        chain_commit_p99_ms=ms("concordat_chain_commit_seconds", 0.99),
    )


def quantile(old: dict[float, float], new: dict[float, float], part: float) -> float | None:
    """Estimate a quantile of what a histogram observed between two looks, as Prometheus does.

    Args:
        old, new: counts up to each bound in seconds, infinity included.
        part: 0 to 1.

    Returns:
        Seconds; None when nothing was observed, or the histogram began anew.
    """
    bounds = sorted(new)
    counts = [new[bound] - old.get(bound, 0.0) for bound in bounds]
    if not counts or counts[-1] <= 0 or min(counts) < 0:
        return None
    wanted = part * counts[-1]
    lower, below = 0.0, 0.0
    for bound, count in zip(bounds, counts, strict=True):
        if count >= wanted:
            if bound == float("inf"):
                return lower
            share = (wanted - below) / (count - below) if count > below else 1.0
            return lower + (bound - lower) * share
        lower, below = bound, count
    return lower


def _consumers(metrics: Metrics) -> dict[str, Consumers]:
    prefix = "concordat_gateway_consumer_"
    return {
        _printable(kind): Consumers(
            int(count),
            int(metrics.total(f"{prefix}lag_events", kind=kind)),
            int(metrics.total(f"{prefix}dead_letters", kind=kind)),
        )
        for kind, count in metrics.by(f"{prefix}consumers", "kind").items()
    }


def _printable(text: str) -> str:
    """Leave out what could steer a terminal: another member's gateway may have written it."""
    return "".join(char if char.isprintable() else "?" for char in text)
