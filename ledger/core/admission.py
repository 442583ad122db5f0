"""Which events may enter, decided the same way at the origin, at its peers and at application.

Owns the order in which the rules are asked; the first that refuses names the reason. The origin
asks all of them at its own clock (``examine_entries``), and carries out operations of the trust
framework and the rules of topics on trial, so that what the state would refuse is refused at once.
A peer that
acknowledges a batch asks only what can never change (``examine_batch``), because rights and time
are judged where the block stands. Application asks all of them again at the block's time
(``execute``).

It never trusts an id or a signature that it did not compute or verify itself. Rights are judged
once for all entries that equal each other in what rights depend on, not once for each entry.
"""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple, cast

import msgspec

from ledger.core.errors import DecodeError, RejectCode
from ledger.core.event import OpenEntry, id_of_key, open_entry
from ledger.core.ids import EventId, EventKey
from ledger.core.limits import ENTRY_BYTES_MAX, EVENT_AGE_MS_MAX, EVENT_FUTURE_MS_MAX, INT_MAX
from ledger.core.scanning import Scan, code, scan_batches, scan_entries, verdict
from ledger.core.signing import verify_rows
from ledger.core.state import StateView
from ledger.core.topic_application import refuse_mismatches
from ledger.core.trust.application import carry_out_operations

__all__ = [
    "Circumstances",
    "ExaminedEntry",
    "KnownEvents",
    "Verdict",
    "check_rights",
    "examine_batch",
    "examine_entries",
    "judge",
    "scan_valid_batch",
    "try_open",
]


class ExaminedEntry(msgspec.Struct, frozen=True, gc=False):
    """An entry that is canonical, correctly signed and admissible now."""

    entry: bytes
    id: EventId


Verdict = ExaminedEntry | RejectCode

KnownEvents = Callable[[Sequence[EventKey]], AbstractSet[EventKey]]
"""The keys of some events -> those of them that the log holds."""


class Circumstances(NamedTuple):
    """Where and when entries are judged."""

    chain_id: str
    state: StateView
    time_ms: int


def try_open(entry: bytes) -> OpenEntry | RejectCode:
    """Decode an entry, or say why it is none: the reference for what a scan decides."""
    try:
        return open_entry(entry)
    except DecodeError:
        return RejectCode.TOO_LARGE if len(entry) > ENTRY_BYTES_MAX else RejectCode.MALFORMED


def check_rights(
    group: tuple[str, str, str, bytes], chain_id: str, state: StateView
) -> RejectCode | None:
    """Judge all entries of one (chain id, topic, publisher, key)."""
    event_chain_id, topic, publisher, key = group
    if event_chain_id != chain_id:
        return RejectCode.WRONG_CHAIN
    rights = state.rights(publisher)
    if rights is None:
        return RejectCode.UNKNOWN_PUBLISHER
    revoked = rights.revoked.get(key)
    if revoked is None:
        return RejectCode.UNKNOWN_KEY
    if revoked:
        return RejectCode.REVOKED_KEY
    return None if rights.may_publish(topic) else RejectCode.TOPIC_FORBIDDEN


def judge(
    scan: Scan, where: Circumstances, known_events: KnownEvents, trusted: bytes = b""
) -> None:
    """Ask every rule of every entry of a scan, all signatures in one call.

    Of equal events the first with a valid signature is taken, so that a forged copy in front
    cannot push the true one out.

    Args:
        trusted: one byte for each scanned batch; the signatures of those with a 1 are known to
            be valid.
    """
    codes = (check_rights(group, where.chain_id, where.state) for group in scan.groups())
    scan.refuse_groups(bytes(map(verdict, codes)))
    earliest = max(0, where.time_ms - EVENT_AGE_MS_MAX)
    scan.refuse_before(earliest, verdict(RejectCode.TIME_TOO_OLD))
    latest = min(INT_MAX, where.time_ms + EVENT_FUTURE_MS_MAX)
    scan.refuse_after(latest, verdict(RejectCode.TIME_IN_FUTURE))
    duplicate = verdict(RejectCode.DUPLICATE)
    known = known_events(cast("list[EventKey]", scan.event_keys()))
    scan.refuse_known(set(map(id_of_key, known)), duplicate)
    scan.refuse_forged(verify_rows, verdict(RejectCode.BAD_SIGNATURE), trusted)
    scan.refuse_repeats(duplicate)


def examine_entries(
    entries: Sequence[bytes],
    *,
    chain_id: str,
    state: StateView,
    now_ms: int,
    known_events: KnownEvents,
) -> tuple[Verdict, ...]:
    """Examine submitted entries, all signatures in one call.

    Args:
        entries: as they were received, any bytes.
        state: who may do what now.
        now_ms: this node's clock.
        known_events: says which events the log holds already.

    Returns:
        A verdict for each entry, in their order. Of equal events the first with a valid
        signature is taken, so that a forged copy in front cannot push the true one out.
        Operations, and events that name what they replace, see those in front of them, and none
        that another call took but no block applied yet: what builds on such a one is refused until
        then.
    """
    scan = scan_entries(entries)
    where = Circumstances(chain_id, state, now_ms)
    judge(scan, where, known_events)
    # What would change is dropped: application is the truth.
    carry_out_operations(scan, state, now_ms)
    refuse_mismatches(scan, state, INT_MAX - len(entries))
    taken = map(ExaminedEntry, scan.entries(), cast("list[EventId]", scan.ids()))
    numbers = scan.verdicts()
    if not any(numbers):
        return tuple(taken)
    return tuple(code(number) or next(taken) for number in numbers)


def examine_batch(entries: Sequence[bytes], chain_id: str) -> bool:
    """Say whether every entry is canonical, of this chain and correctly signed.

    The answer depends on the arguments alone: every honest validator gives the same one, at any
    time, which is what makes an acknowledgement mean something to others.
    """
    return _is_valid(scan_entries(entries), chain_id)


def scan_valid_batch(encoded: bytes, chain_id: str) -> Scan | None:
    """Give the scan of a batch if :func:`examine_batch` is true of its entries, else None."""
    scan = scan_batches((encoded,))
    return scan if len(scan) and _is_valid(scan, chain_id) else None


def _is_valid(scan: Scan, chain_id: str) -> bool:
    if any(scan.verdicts()) or any(group[0] != chain_id for group in scan.groups()):
        return False
    scan.refuse_forged(verify_rows, verdict(RejectCode.BAD_SIGNATURE))
    return not any(scan.verdicts())
