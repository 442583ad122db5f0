"""The bytes of a consumer: its configuration, its state, its dead letters.

Owns the stored form. Each row is a canonical MessagePack array that begins with the version of its
form; a newer one is refused. The state is rewritten often, so sequences of pending events are
stored as their distance to the position and times as their distance to the earliest.
"""

from collections.abc import Collection
from typing import Literal

import msgspec

from ledger.core.codec import Codec, Record, UInt, encode
from ledger.core.errors import DecodeError
from ledger.core.ids import Sequence
from pubsub.core.consumer.config import AckPolicy, ConsumerConfig, Start, StartPolicy, check_config
from pubsub.core.consumer.pending import Pending, Timetable
from pubsub.core.consumer.settlement import DeadLetter
from pubsub.core.consumer.state import ConsumerState, Totals
from pubsub.core.interest import Interest, interest_document, read_interest

__all__ = [
    "decode_config",
    "decode_letter",
    "decode_state",
    "encode_config",
    "encode_letter",
    "encode_state",
]


class _ConfigRecord(Record, frozen=True):
    version: Literal[1]
    name: str
    owner: str
    interest: bytes  # its JSON document
    start_policy: StartPolicy
    start_value: UInt
    ack_policy: AckPolicy
    ack_wait_ms: UInt
    max_in_flight: UInt
    max_deliveries: UInt | None
    backoff_ms: tuple[UInt, ...]
    headers_only: bool
    is_ordered: bool
    metadata: tuple[tuple[str, str], ...]
    inactive_ms: UInt | None


class _PendingRecord(Record, frozen=True):
    behind: UInt  # the position, by so many sequences
    deliveries: UInt
    failures: UInt
    due_after_ms: UInt  # the earliest due time
    is_out: bool


class _StateRecord(Record, frozen=True):
    version: Literal[1]
    created_ms: UInt
    position: UInt
    subjects_until: UInt
    paused_until_ms: UInt | None
    active_ms: UInt
    totals: tuple[UInt, UInt, UInt, UInt]
    first_due_ms: UInt
    pending: tuple[_PendingRecord, ...]


class _LetterRecord(Record, frozen=True):
    version: Literal[1]
    reason: str
    deliveries: UInt
    time_ms: UInt
    is_replaying: bool


_configs = Codec(_ConfigRecord)
_states = Codec(_StateRecord)
_letters = Codec(_LetterRecord)


def encode_config(config: ConsumerConfig, owner: str) -> bytes:
    """Encode a configuration and whose it is."""
    return encode(
        _ConfigRecord(
            version=1,
            name=config.name,
            owner=owner,
            interest=_encode_interest(config.interest),
            start_policy=config.start.policy,
            start_value=config.start.value,
            ack_policy=config.ack_policy,
            ack_wait_ms=config.ack_wait_ms,
            max_in_flight=config.max_in_flight,
            max_deliveries=config.max_deliveries,
            backoff_ms=config.backoff_ms,
            headers_only=config.headers_only,
            is_ordered=config.is_ordered,
            metadata=config.metadata,
            inactive_ms=config.inactive_ms,
        )
    )


def decode_config(data: bytes) -> tuple[ConsumerConfig, str]:
    """Decode a configuration and its owner. Raises DecodeError."""
    record = _configs.decode(data)
    config = ConsumerConfig(
        name=record.name,
        interest=read_interest(record.interest),
        start=Start(record.start_policy, record.start_value),
        ack_policy=record.ack_policy,
        ack_wait_ms=record.ack_wait_ms,
        max_in_flight=record.max_in_flight,
        max_deliveries=record.max_deliveries,
        backoff_ms=record.backoff_ms,
        headers_only=record.headers_only,
        is_ordered=record.is_ordered,
        metadata=record.metadata,
        inactive_ms=record.inactive_ms,
    )
    return check_config(config), record.owner


def _encode_interest(interest: Interest) -> bytes:
    """Write an interest as the JSON that :func:`read_interest` reads."""
    return msgspec.json.encode(interest_document(interest))


def encode_state(state: ConsumerState) -> bytes:
    """Encode everything but configuration and dead letters."""
    rows = state.pending.rows.items()
    first_ms = min((pending.due_ms for _, pending in rows), default=0)
    position, totals = state.position, state.totals
    return encode(
        (
            1,
            state.created_ms,
            position,
            state.subjects_until,
            state.paused_until_ms,
            state.active_ms,
            (totals.delivered, totals.redelivered, totals.acknowledged, totals.failed),
            first_ms,
            [
                (
                    position - sequence,
                    pending.deliveries,
                    pending.failures,
                    pending.due_ms - first_ms,
                    pending.is_out,
                )
                for sequence, pending in rows
            ],
        )
    )


def decode_state(
    config: ConsumerConfig, data: bytes, letters: Collection[DeadLetter] = ()
) -> ConsumerState:
    """Put a consumer together from its rows.

    Raises:
        DecodeError: the bytes are no state, or contradict themselves.
    """
    record = _states.decode(data)
    state = ConsumerState(config, record.created_ms, Sequence(record.position))
    state.subjects_until = record.subjects_until
    state.paused_until_ms = record.paused_until_ms
    state.active_ms = record.active_ms
    state.totals = Totals(*record.totals)
    rows = {
        Sequence(record.position - row.behind): Pending(
            row.deliveries, row.failures, record.first_due_ms + row.due_after_ms, is_out=row.is_out
        )
        for row in record.pending
    }
    if len(rows) != len(record.pending) or min(rows, default=0) < 0:
        raise DecodeError("pending events contradict the position")
    if any(row.behind == 0 or row.deliveries == 0 for row in record.pending):
        raise DecodeError("a pending event was never given out")
    state.pending = Timetable(rows.items())
    state.letters = {letter.sequence: letter for letter in letters}
    state.replaying = {letter.sequence for letter in letters if letter.is_replaying}
    return state


def encode_letter(letter: DeadLetter) -> bytes:
    """Encode a dead letter without its sequence, which is its key."""
    return encode(
        _LetterRecord(1, letter.reason, letter.deliveries, letter.time_ms, letter.is_replaying)
    )


def decode_letter(sequence: Sequence, data: bytes) -> DeadLetter:
    """Decode the dead letter of ``sequence``. Raises DecodeError."""
    record = _letters.decode(data)
    return DeadLetter(
        sequence, record.reason, record.deliveries, record.time_ms, record.is_replaying
    )
