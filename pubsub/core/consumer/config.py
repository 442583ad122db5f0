"""What a consumer was made to be: its configuration and the bounds of each value.

Owns the rules for configurations, whoever makes one. Times are milliseconds.
"""

import re
from enum import StrEnum
from typing import Final

import msgspec

from ledger.core.errors import DecodeError
from ledger.core.limits import INT_MAX
from pubsub.core.interest import Interest
from pubsub.core.limits import (
    CONSUMER_ACK_WAIT_MS,
    CONSUMER_ACK_WAIT_MS_MAX,
    CONSUMER_ACK_WAIT_MS_MIN,
    CONSUMER_BACKOFF_MS,
    CONSUMER_BACKOFF_MS_MIN,
    CONSUMER_BACKOFFS_MAX,
    CONSUMER_DELAY_MS_MAX,
    CONSUMER_DELIVERIES_MAX,
    CONSUMER_IN_FLIGHT,
    CONSUMER_IN_FLIGHT_MAX,
    CONSUMER_INACTIVE_MS_MAX,
    CONSUMER_INACTIVE_MS_MIN,
    CONSUMER_METADATA_CHARS_MAX,
    CONSUMER_METADATA_MAX,
    CONSUMER_NAME_CHARS_MAX,
)

__all__ = [
    "CONSUMER_NAME_REGEX",
    "AckPolicy",
    "ConsumerConfig",
    "Start",
    "StartPolicy",
    "check_config",
]

CONSUMER_NAME_REGEX: Final = rf"^[A-Za-z0-9_-][A-Za-z0-9_.-]{{0,{CONSUMER_NAME_CHARS_MAX - 1}}}\Z"
"""Names that a client can give."""

_INTERNAL_NAME: Final = re.compile(r"[a-z]{1,16}/[A-Za-z0-9_.-]{1,64}\Z")
_NAME: Final = re.compile(CONSUMER_NAME_REGEX)


class StartPolicy(StrEnum):
    """Which event a new consumer begins with.

    Attributes:
        FIRST: the first of the log. LAST: the last one that matches. NEW: the next one.
        SEQUENCE: the one at a sequence or behind it. TIME: the first of the first block of a time
            or later. LAST_PER_SUBJECT: the last matching one of each subject, then the next ones;
            events without a subject are all given.
    """

    FIRST = "first"
    LAST = "last"
    NEW = "new"
    SEQUENCE = "sequence"
    TIME = "time"
    LAST_PER_SUBJECT = "last_per_subject"


class AckPolicy(StrEnum):
    """How an event is settled well.

    Attributes:
        EXPLICIT: each by itself. CUMULATIVE: all up to a sequence. NONE: by being given out.
    """

    EXPLICIT = "explicit"
    CUMULATIVE = "cumulative"
    NONE = "none"


class Start(msgspec.Struct, frozen=True):
    """Where a consumer begins; ``value`` is the sequence, or the time, where the policy has one."""

    policy: StartPolicy = StartPolicy.NEW
    value: int = 0


class ConsumerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer's configuration.

    Attributes:
        name: unique in the gateway; one with a slash belongs to a part of the gateway itself.
        ack_wait_ms: an event that is not settled so long after it was given out has failed.
        max_in_flight: events that may be given out and not settled, those that wait for another
            attempt included.
        max_deliveries: failed attempts after which an event becomes a dead letter; None: never.
        backoff_ms: how long an event waits after its first, second ... failure, by timeout or by a
            negative acknowledgement without a delay of its own; the last one is repeated.
        headers_only: deliveries carry no inline data.
        is_ordered: nothing is given out while something before it is given out and not settled;
            what fails is given out again before anything behind it.
        metadata: the owner's own (name, value) pairs.
        inactive_ms: a consumer that nobody uses for so long is deleted; None: never.
    """

    name: str
    interest: Interest = Interest()
    start: Start = Start()
    ack_policy: AckPolicy = AckPolicy.EXPLICIT
    ack_wait_ms: int = CONSUMER_ACK_WAIT_MS
    max_in_flight: int = CONSUMER_IN_FLIGHT
    max_deliveries: int | None = None
    backoff_ms: tuple[int, ...] = CONSUMER_BACKOFF_MS
    headers_only: bool = False
    is_ordered: bool = False
    metadata: tuple[tuple[str, str], ...] = ()
    inactive_ms: int | None = None

    @property
    def is_internal(self) -> bool:
        """Whether it belongs to a part of the gateway, so that no client can name it."""
        return "/" in self.name


def check_config(config: ConsumerConfig) -> ConsumerConfig:
    """Give ``config`` back when every value is in its bounds.

    Raises:
        DecodeError: one is not.
    """
    if not _NAME.match(config.name) and not _INTERNAL_NAME.match(config.name):
        raise DecodeError(
            f"a consumer's name is 1 to {CONSUMER_NAME_CHARS_MAX} letters, digits, _, - and ., "
            "and does not begin with a dot"
        )
    _require("start.value", config.start.value, 0, INT_MAX)
    _require("ack_wait_ms", config.ack_wait_ms, CONSUMER_ACK_WAIT_MS_MIN, CONSUMER_ACK_WAIT_MS_MAX)
    _require("max_in_flight", config.max_in_flight, 1, CONSUMER_IN_FLIGHT_MAX)
    if config.max_deliveries is not None:
        _require("max_deliveries", config.max_deliveries, 1, CONSUMER_DELIVERIES_MAX)
    _require("the number of steps of backoff_ms", len(config.backoff_ms), 1, CONSUMER_BACKOFFS_MAX)
    for step in config.backoff_ms:
        _require("a step of backoff_ms", step, CONSUMER_BACKOFF_MS_MIN, CONSUMER_DELAY_MS_MAX)
    _require("the number of metadata", len(config.metadata), 0, CONSUMER_METADATA_MAX)
    for pair in config.metadata:
        for text in pair:
            _require("the length of metadata", len(text), 0, CONSUMER_METADATA_CHARS_MAX)
    if config.inactive_ms is not None:
        _require(
            "inactive_ms", config.inactive_ms, CONSUMER_INACTIVE_MS_MIN, CONSUMER_INACTIVE_MS_MAX
        )
    return config


def _require(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise DecodeError(f"{name} is {low} to {high}, not {value}")
