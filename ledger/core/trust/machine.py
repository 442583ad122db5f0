"""The state machine: carries out the operation of an event on a reserved topic, or refuses it.

Called when a block is applied, after the event passed admission; also by a gateway that wants to
say early what would be refused. The same state and event give the same result on every node. A
refused operation changes nothing.
"""

from hashlib import sha256
from typing import NamedTuple

import msgspec

from ledger.core.codec import encode
from ledger.core.errors import DecodeError, RejectCode
from ledger.core.event import Event
from ledger.core.genesis import Participant, ParticipantKey
from ledger.core.ids import EventId, PublicKey
from ledger.core.limits import PARTICIPANT_KEYS_COUNT_MAX
from ledger.core.signing import is_acceptable_key, verify_many
from ledger.core.state import participant_key
from ledger.core.topics import RESERVED_PREFIX
from ledger.core.trust import governance
from ledger.core.trust.bodies import body_fault
from ledger.core.trust.lists import EntryStatus, ListEntry, entry_codec, entry_key, revision_key
from ledger.core.trust.operations import (
    AddKey,
    Approve,
    ChangeList,
    Operation,
    Propose,
    PutEntry,
    RegisterParticipant,
    RevokeEntry,
    RevokeKey,
    key_possession_message,
    operation_codec,
    topic_of,
)
from ledger.core.trust.overlay import StateOverlay

__all__ = ["apply", "read_operation"]


def read_operation(event: Event) -> Operation | None:
    """Give the operation that an event on a reserved topic carries, or None if it carries none."""
    try:
        operation = operation_codec.decode(event.data)
    except DecodeError:
        return None
    return operation if topic_of(operation) == event.topic else None


def apply(state: StateOverlay, event: Event, event_id: EventId, time_ms: int) -> RejectCode | None:
    """Carry out an event on a reserved topic.

    Args:
        state: takes the changes; whole or not at all.
        event: admitted: its publisher may write to its topic, with an unrevoked key.
        time_ms: the block's time.

    Returns:
        Why it was refused, or None when it was carried out.
    """
    operation = read_operation(event)
    if operation is None:
        return RejectCode.OPERATION_MALFORMED
    attempt = state.attempt()
    refusal = _carry_out(attempt, event, event_id, operation, time_ms)
    if refusal is None:
        state.adopt(attempt)
    return refusal


def _carry_out(
    state: StateOverlay, event: Event, event_id: EventId, operation: Operation, time_ms: int
) -> RejectCode | None:
    match operation:
        case ChangeList(name, changes):
            for change in changes:
                stamp = _Stamp(event.publisher, event_id, time_ms)
                refusal = _change_entry(state, name, change, stamp)
                if refusal is not None:
                    return refusal
            return None
        case RegisterParticipant(participant):
            return _register(state, participant)
        case AddKey():
            return _add_key(state, event, operation)
        case RevokeKey(key):
            return _revoke_key(state, event.publisher, key)
        case Propose():
            return governance.propose(state, event, event_id, operation, time_ms)
        case Approve():
            return governance.approve(state, event, operation, time_ms)


# --- lists ----------------------------------------------------------------------------------


class _Stamp(NamedTuple):
    """Who makes a revision, by which event, when."""

    writer: str
    event_id: EventId
    time_ms: int


def _change_entry(
    state: StateOverlay, name: str, change: PutEntry | RevokeEntry, stamp: _Stamp
) -> RejectCode | None:
    encoded = state.get(entry_key(name, change.id))
    last = None if encoded is None else entry_codec.decode(encoded)
    revision = 0 if last is None else last.revision
    if change.expected_revision not in (None, revision):
        return RejectCode.CONFLICT
    if isinstance(change, PutEntry):
        if body_fault(name, change.kind, change.body) is not None:
            return RejectCode.OPERATION_REFUSED
        if change.valid_to_ms and change.valid_to_ms <= change.valid_from_ms:
            return RejectCode.OPERATION_REFUSED
        new = ListEntry(
            revision + 1,
            EntryStatus.ACTIVE,
            change.kind,
            change.body,
            sha256(change.body).digest(),
            change.valid_from_ms,
            change.valid_to_ms,
            stamp.time_ms,
            stamp.writer,
            stamp.event_id,
        )
    elif last is None or last.status is EntryStatus.REVOKED:
        return RejectCode.NO_SUCH_ENTRY
    else:
        new = msgspec.structs.replace(
            last,
            revision=revision + 1,
            status=EntryStatus.REVOKED,
            changed_ms=stamp.time_ms,
            writer=stamp.writer,
            event_id=stamp.event_id,
        )
    state.put(entry_key(name, change.id), encode(new))
    state.put(revision_key(name, change.id, new.revision), encode(new))
    return None


# --- participants and their keys ------------------------------------------------------------


def _reserved(participant: Participant) -> list[str]:
    return [text for text in participant.topics if text.startswith(RESERVED_PREFIX)]


def _register(state: StateOverlay, new: Participant) -> RejectCode | None:
    """Take a participant from a registrar, who can neither grant nor touch reserved rights."""
    old = governance.participant(state, new.did)
    if _reserved(new) or new.did in governance.governors(state).members:
        return RejectCode.OPERATION_REFUSED
    if old is not None and (_reserved(old) or old.keys != new.keys):
        return RejectCode.OPERATION_REFUSED
    state.put(participant_key(new.did), encode(new))
    return None


def _add_key(state: StateOverlay, event: Event, operation: AddKey) -> RejectCode | None:
    old = governance.participant(state, event.publisher)
    if old is None:
        return RejectCode.UNKNOWN_PUBLISHER
    if any(item.key == operation.key for item in old.keys):
        return RejectCode.CONFLICT  # a revoked key never comes back
    if len(old.keys) >= PARTICIPANT_KEYS_COUNT_MAX or not is_acceptable_key(operation.key):
        return RejectCode.OPERATION_REFUSED
    key = PublicKey(operation.key)
    message = key_possession_message(event.chain_id, event.publisher, key)
    if verify_many([(key, message, operation.proof)]) != [True]:
        return RejectCode.OPERATION_REFUSED
    keys = (*old.keys, ParticipantKey(operation.key, revoked=False))
    state.put(participant_key(old.did), encode(Participant(old.did, old.name, keys, old.topics)))
    return None


def _revoke_key(state: StateOverlay, did: str, key: bytes) -> RejectCode | None:
    old = governance.participant(state, did)
    if old is None:
        return RejectCode.UNKNOWN_PUBLISHER
    if not any(item.key == key for item in old.keys):
        return RejectCode.NO_SUCH_ENTRY
    keys = tuple(
        ParticipantKey(item.key, revoked=item.revoked or item.key == key) for item in old.keys
    )
    if all(item.revoked for item in keys):
        return RejectCode.OPERATION_REFUSED  # nobody could speak for the participant any more
    state.put(participant_key(did), encode(Participant(old.did, old.name, keys, old.topics)))
    return None
