"""Carrying out the operations among a block's events, in their order.

All events of a block were admitted by the state before it. An operation sees what earlier ones of
the same block did; what it must not do in the state as it then is, refuses its event.
"""

from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.ids import EventId
from ledger.core.scanning import Scan, verdict
from ledger.core.state import StateView
from ledger.core.topics import RESERVED_PREFIX
from ledger.core.trust.machine import apply
from ledger.core.trust.overlay import StateOverlay

__all__ = ["carry_out_operations"]

_RESERVED = RESERVED_PREFIX.encode()


def carry_out_operations(scan: Scan, state: StateView, time_ms: int) -> dict[bytes, bytes]:
    """Give the state's changes; refuse, in the scan, the events whose operation is refused.

    Args:
        scan: of the block's batches, judged.
        state: before the block.
        time_ms: the block's time.
    """
    if not any(topic.startswith(RESERVED_PREFIX) for _, topic, _, _ in scan.groups()):
        return {}
    overlay = StateOverlay(state.get)
    refused: dict[RejectCode, set[bytes]] = {}
    rows = zip(scan.field("topic"), scan.ids(), scan.entries(), strict=True)
    for topic, id_, entry in rows:
        if topic.startswith(_RESERVED):
            refusal = apply(overlay, open_entry(entry).event, EventId(id_), time_ms)
            if refusal is not None:
                refused.setdefault(refusal, set()).add(id_)
    for refusal, ids in refused.items():  # each looks at every event once
        scan.refuse_known(ids, verdict(refusal))
    return overlay.changes
