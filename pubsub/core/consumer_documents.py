"""The JSON documents of durable consumers: what clients send, and what they are answered.

They are the API's contract: OpenAPI schemas are made from these types. Times are milliseconds;
moments are counted since 1970, UTC.
"""

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ledger.core.errors import DecodeError
from ledger.core.limits import INT_MAX
from pubsub.core import limits
from pubsub.core.consumer.config import (
    CONSUMER_NAME_REGEX,
    AckPolicy,
    ConsumerConfig,
    Start,
    StartPolicy,
    check_config,
)
from pubsub.core.interest import InterestDocument, interest_from_document

__all__ = [
    "ConsumerChanges",
    "ConsumerDocument",
    "ConsumerRequest",
    "ConsumersDocument",
    "LagDocument",
    "PauseRequest",
    "StartDocument",
    "TotalsDocument",
    "changed_config",
    "config_of",
    "start_document",
]

Name = Annotated[str, Meta(pattern=CONSUMER_NAME_REGEX)]
_Number = Annotated[int, Meta(ge=0, le=INT_MAX)]
_AckWait = Annotated[
    int, Meta(ge=limits.CONSUMER_ACK_WAIT_MS_MIN, le=limits.CONSUMER_ACK_WAIT_MS_MAX)
]
_InFlight = Annotated[int, Meta(ge=1, le=limits.CONSUMER_IN_FLIGHT_MAX)]
_Deliveries = Annotated[int, Meta(ge=1, le=limits.CONSUMER_DELIVERIES_MAX)]
_Backoff = Annotated[
    tuple[
        Annotated[int, Meta(ge=limits.CONSUMER_BACKOFF_MS_MIN, le=limits.CONSUMER_DELAY_MS_MAX)],
        ...,
    ],
    Meta(min_length=1, max_length=limits.CONSUMER_BACKOFFS_MAX),
]
_Text = Annotated[str, Meta(max_length=limits.CONSUMER_METADATA_CHARS_MAX)]
_Metadata = Annotated[dict[_Text, _Text], Meta(max_length=limits.CONSUMER_METADATA_MAX)]
_Inactive = Annotated[
    int, Meta(ge=limits.CONSUMER_INACTIVE_MS_MIN, le=limits.CONSUMER_INACTIVE_MS_MAX)
]


class StartDocument(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which event a consumer begins with.

    Attributes:
        policy: ``first`` of the log, ``last`` that matches, the next ``new`` one, the one at a
            ``sequence`` or behind it, of the first block of a ``time`` or later, or
            ``last_per_subject``: the last matching event of each subject, then the next ones.
        sequence: with the policy ``sequence`` alone.
        time_ms: with the policy ``time`` alone; not in the future.
    """

    policy: StartPolicy
    sequence: _Number | UnsetType = UNSET
    time_ms: _Number | UnsetType = UNSET


class ConsumerRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A consumer that is to be made; only the name is required.

    Attributes:
        name: unique in the gateway.
        interest: which events it gets.
        ack_policy: ``explicit``: each event is settled by itself; ``cumulative``: all up to a
            sequence; ``none``: an event is settled by being given out.
        ack_wait_ms: an event that is not settled so long after it was given out has failed.
        max_in_flight: events given out and not settled at one time, those that wait for another
            attempt included.
        max_deliveries: failures after which an event becomes a dead letter; null: never.
        backoff_ms: how long an event waits after each failure, by timeout or by ``nak`` without a
            delay of its own; the last step is repeated.
        headers_only: events come without inline data.
        is_ordered: nothing is given out while something before it is not settled, and what fails
            comes again before anything behind it; one answer may hold several events, in order.
        metadata: anything of your own.
        inactive_ms: delete the consumer when nobody used it for so long; null: never.
    """

    name: Name
    interest: InterestDocument = InterestDocument()
    start: StartDocument = StartDocument(StartPolicy.NEW)
    ack_policy: AckPolicy = AckPolicy.EXPLICIT
    ack_wait_ms: _AckWait = limits.CONSUMER_ACK_WAIT_MS
    max_in_flight: _InFlight = limits.CONSUMER_IN_FLIGHT
    max_deliveries: _Deliveries | None = None
    backoff_ms: _Backoff = limits.CONSUMER_BACKOFF_MS
    headers_only: bool = False
    is_ordered: bool = False
    metadata: _Metadata = {}
    inactive_ms: _Inactive | None = None


class ConsumerChanges(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be changed of a consumer; what is left out stays.

    An interest counts from the consumer's position on; everything else at once.
    """

    interest: InterestDocument | UnsetType = UNSET
    ack_wait_ms: _AckWait | UnsetType = UNSET
    max_in_flight: _InFlight | UnsetType = UNSET
    max_deliveries: _Deliveries | UnsetType | None = UNSET
    backoff_ms: _Backoff | UnsetType = UNSET
    headers_only: bool | UnsetType = UNSET
    metadata: _Metadata | UnsetType = UNSET
    inactive_ms: _Inactive | UnsetType | None = UNSET


class LagDocument(Struct, frozen=True):
    """How far a consumer is behind the log.

    Attributes:
        events: matching events never given out yet; where ``is_exact`` is false, log entries that
            were not looked at, not all of which need to match.
    """

    events: int
    is_exact: bool


class TotalsDocument(Struct, frozen=True):
    """Events so far: given out (again ones included), given out again, and handled."""

    delivered: int
    redelivered: int
    acknowledged: int


class ConsumerDocument(Struct, frozen=True, kw_only=True):
    """One consumer: how it was made, and how it stands.

    Attributes:
        owner: whose it is.
        position: the next sequence that it has not looked at.
        in_flight: events given out and not settled.
        waiting: failed events that wait for another attempt.
        dead_letters: events given up.
        paused_until_ms: nothing is given out before; null when not paused.
    """

    name: str
    owner: str
    created_ms: int
    interest: InterestDocument
    start: StartDocument
    ack_policy: AckPolicy
    ack_wait_ms: int
    max_in_flight: int
    max_deliveries: int | None
    backoff_ms: tuple[int, ...]
    headers_only: bool
    is_ordered: bool
    metadata: dict[str, str]
    inactive_ms: int | None
    position: int
    in_flight: int
    waiting: int
    dead_letters: int
    paused_until_ms: int | None
    totals: TotalsDocument
    lag: LagDocument


class ConsumersDocument(Struct, frozen=True):
    """Consumers by name; ``next`` is the name to give as ``after``, or null at the end."""

    consumers: list[ConsumerDocument]
    next: str | None


class PauseRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """A pause; ``until_ms`` null: until it is ended."""

    until_ms: _Number | None = None


def config_of(request: ConsumerRequest) -> ConsumerConfig:
    """Give the configuration that a client asks for. Raises DecodeError."""
    start = request.start
    wants = {StartPolicy.SEQUENCE: start.sequence, StartPolicy.TIME: start.time_ms}
    value = wants.pop(start.policy, 0)
    if value is UNSET or any(other is not UNSET for other in wants.values()):
        raise DecodeError("start: the policy sequence has a sequence, time has a time_ms")
    return check_config(
        ConsumerConfig(
            name=request.name,
            interest=interest_from_document(request.interest),
            start=Start(start.policy, value),
            ack_policy=request.ack_policy,
            ack_wait_ms=request.ack_wait_ms,
            max_in_flight=request.max_in_flight,
            max_deliveries=request.max_deliveries,
            backoff_ms=request.backoff_ms,
            headers_only=request.headers_only,
            is_ordered=request.is_ordered,
            metadata=tuple(sorted(request.metadata.items())),
            inactive_ms=request.inactive_ms,
        )
    )


def changed_config(config: ConsumerConfig, changes: ConsumerChanges) -> ConsumerConfig:
    """Give ``config`` with the changes. Raises DecodeError."""
    values = {
        name: value
        for name, value in (
            ("ack_wait_ms", changes.ack_wait_ms),
            ("max_in_flight", changes.max_in_flight),
            ("max_deliveries", changes.max_deliveries),
            ("backoff_ms", changes.backoff_ms),
            ("headers_only", changes.headers_only),
            ("inactive_ms", changes.inactive_ms),
        )
        if value is not UNSET
    }
    changed = msgspec.structs.replace(config, **values)
    if changes.interest is not UNSET:
        interest = interest_from_document(changes.interest)
        changed = msgspec.structs.replace(changed, interest=interest)
    if changes.metadata is not UNSET:
        metadata = tuple(sorted(changes.metadata.items()))
        changed = msgspec.structs.replace(changed, metadata=metadata)
    return check_config(changed)


def start_document(start: Start) -> StartDocument:
    """Describe a start."""
    match start.policy:
        case StartPolicy.SEQUENCE:
            return StartDocument(start.policy, sequence=start.value)
        case StartPolicy.TIME:
            return StartDocument(start.policy, time_ms=start.value)
    return StartDocument(start.policy)
