"""Which events may enter, decided the same way at the origin, at its peers and at application.

Owns the order in which the rules are asked; the first that refuses names the reason. The origin
asks all of them at its own clock (``examine_entries``). A peer that acknowledges a batch asks
only what can never change (``examine_batch``), because rights and time are judged where the
block stands. Application asks all of them again at the block's time (``execute``).

It never trusts an id or a signature that it did not compute or verify itself.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from ledger.core.errors import DecodeError, RejectCode
from ledger.core.event import OpenEntry, open_entry, signature_check
from ledger.core.ids import EventId
from ledger.core.limits import ENTRY_BYTES_MAX, EVENT_AGE_MS_MAX, EVENT_FUTURE_MS_MAX
from ledger.core.signing import verify_many
from ledger.core.state import StateView
from ledger.core.topics import RESERVED_PREFIX

__all__ = [
    "ExaminedEntry",
    "Verdict",
    "check_entry",
    "check_signatures",
    "examine_batch",
    "examine_entries",
    "try_open",
]


class ExaminedEntry(NamedTuple):
    """An entry that is canonical, correctly signed and admissible now."""

    entry: bytes
    id: EventId


Verdict = ExaminedEntry | RejectCode


def try_open(entry: bytes) -> OpenEntry | RejectCode:
    """Decode an entry, or say why it is none."""
    try:
        return open_entry(entry)
    except DecodeError:
        return RejectCode.TOO_LARGE if len(entry) > ENTRY_BYTES_MAX else RejectCode.MALFORMED


def check_entry(
    opened: OpenEntry, chain_id: str, state: StateView, time_ms: int
) -> RejectCode | None:
    """Judge an entry at a time and a state; its signature and its novelty are not looked at."""
    event = opened.event
    if event.chain_id != chain_id:
        return RejectCode.WRONG_CHAIN
    rights = state.rights(event.publisher)
    if rights is None:
        return RejectCode.UNKNOWN_PUBLISHER
    revoked = rights.revoked.get(event.key)
    if revoked is None:
        return RejectCode.UNKNOWN_KEY
    if revoked:
        return RejectCode.REVOKED_KEY
    # Reserved topics belong to the state machine, whatever a participant's patterns say.
    if event.topic.startswith(RESERVED_PREFIX) or not rights.may_publish(event.topic):
        return RejectCode.TOPIC_FORBIDDEN
    if event.time_ms < time_ms - EVENT_AGE_MS_MAX:
        return RejectCode.TIME_TOO_OLD
    if event.time_ms > time_ms + EVENT_FUTURE_MS_MAX:
        return RejectCode.TIME_IN_FUTURE
    return None


def check_signatures(opened: Sequence[OpenEntry | RejectCode]) -> list[OpenEntry | RejectCode]:
    """Verify, in one call, every entry that is not refused yet; refuse those that fail."""
    checks = [signature_check(item) for item in opened if isinstance(item, OpenEntry)]
    valid = iter(verify_many(checks) if checks else ())
    return [
        RejectCode.BAD_SIGNATURE if isinstance(item, OpenEntry) and not next(valid) else item
        for item in opened
    ]


def examine_entries(
    entries: Sequence[bytes],
    *,
    chain_id: str,
    state: StateView,
    now_ms: int,
    is_known: Callable[[EventId], bool],
) -> tuple[Verdict, ...]:
    """Examine submitted entries, all signatures in one call.

    Args:
        entries: as they were received, any bytes.
        state: who may do what now.
        now_ms: this node's clock.
        is_known: says whether the log holds an event already.

    Returns:
        A verdict for each entry, in their order. Of equal events the first with a valid
        signature is taken, so that a forged copy in front cannot push the true one out.
    """

    def judge(entry: bytes) -> OpenEntry | RejectCode:
        opened = try_open(entry)
        if isinstance(opened, RejectCode):
            return opened
        refusal = check_entry(opened, chain_id, state, now_ms)
        if refusal is None and is_known(opened.id):
            refusal = RejectCode.DUPLICATE
        return opened if refusal is None else refusal

    verdicts: list[Verdict] = []
    taken: set[EventId] = set()
    for item in check_signatures([judge(entry) for entry in entries]):
        if isinstance(item, RejectCode):
            verdicts.append(item)
        elif item.id in taken:
            verdicts.append(RejectCode.DUPLICATE)
        else:
            taken.add(item.id)
            verdicts.append(ExaminedEntry(item.entry, item.id))
    return tuple(verdicts)


def examine_batch(entries: Sequence[bytes], chain_id: str) -> bool:
    """Say whether every entry is canonical, of this chain and correctly signed.

    The answer depends on the arguments alone: every honest validator gives the same one, at any
    time, which is what makes an acknowledgement mean something to others.
    """
    opened = [try_open(entry) for entry in entries]
    if any(isinstance(item, RejectCode) or item.event.chain_id != chain_id for item in opened):
        return False
    return not any(isinstance(item, RejectCode) for item in check_signatures(opened))
