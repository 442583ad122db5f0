"""A node's view of itself, for operators: plain numbers, and why there is no progress if so."""

from consensus.core.agreement import Agreement
from consensus.core.parts import Parts
from ledger.core.ids import Height, NodeIndex

__all__ = ["describe"]


def describe(
    parts: Parts, agreement: Agreement, durable: Height, progress_ms: int
) -> dict[str, object]:
    """Give the status document.

    Args:
        parts: the core's parts.
        agreement: the protocol's state.
        durable: height up to which the chain store is durable.
        progress_ms: milliseconds since the last block became final here.
    """
    validators = parts.context.domain.validators
    record, tree = parts.rules.record, parts.tree
    me = parts.rules.index
    names = [member.name for member in validators.members]
    missing = [
        names[index]
        for index in range(len(names))
        if index != me and NodeIndex(index) not in agreement.connected
    ]
    target = parts.catch_up.target_height
    return {
        "name": names[me] if me < len(names) else "observer",
        "index": me,
        "epoch": record.epoch,
        "round": parts.pacemaker.round,
        "leader": names[parts.schedule.leader(parts.pacemaker.round)],
        "leaders": [names[i] for i in parts.schedule.leaders(parts.pacemaker.round)],
        "height": tree.head.block.height,
        "executed_height": tree.executed,
        "durable_height": durable,
        "block_time_ms": tree.head.block.time_ms,
        "since_progress_ms": progress_ms,
        "high_qc_round": record.high_qc.round,
        "validators": len(names),
        "members": names,
        "quorum": validators.quorum,
        "connected": len(agreement.connected) + 1,
        "missing": missing,
        "sync_target_height": target,
        "execution_queue": len(parts.queue),
        "mempool_entries": len(parts.dissemination.mempool),
        "mempool_bytes": parts.dissemination.mempool.bytes_count,
        "open_batches": len(parts.dissemination.book.held),
        "own_batches_in_flight": parts.dissemination.in_flight,
        "sitting_out": record.sit_out,
        "obstacle": agreement.obstacle,
        "evidence": parts.context.counters.evidence,
        "progress": _progress(parts, agreement, missing, progress_ms),
    }


def _progress(parts: Parts, agreement: Agreement, missing: list[str], progress_ms: int) -> str:
    """Answer "why is there no progress?" in one sentence."""
    validators = parts.context.domain.validators
    if len(validators) - len(missing) < validators.quorum:
        return (
            f"halted: {len(validators) - len(missing)} of {len(validators)} validators are "
            f"connected and {validators.quorum} are needed; start or reach {', '.join(missing)}"
        )
    if parts.rules.record.sit_out:
        return "sitting out: the safety record was lost; waiting for peers to prove their rounds"
    signs_from = parts.rules.record.acted_round + 1
    if signs_from > parts.pacemaker.round + 1:
        return f"recovering: the safety record was lost; signs again from round {signs_from} on"
    target = parts.catch_up.target_height
    if target is not None:
        return f"syncing: at height {parts.tree.head.block.height} of at least {target}"
    if len(parts.queue):
        return f"executing: {len(parts.queue)} final blocks wait for batches or execution"
    if progress_ms <= 2 * parts.pacemaker.idle_ms + parts.pacemaker.resend_ms:
        return "ok"
    if agreement.obstacle:
        return f"slow: cannot vote, {agreement.obstacle}"
    return (
        f"slow: no block was final for {progress_ms} ms; round {parts.pacemaker.round} waits for "
        f"{validators.members[parts.schedule.leader(parts.pacemaker.round)].name}"
    )
