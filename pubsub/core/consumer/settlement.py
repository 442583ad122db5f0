"""What a subscriber says about events that it was given, and what was made of that."""

import msgspec

from ledger.core.ids import Sequence

__all__ = ["DeadLetter", "Nak", "Settled", "Settlement", "Termination"]


class Nak(msgspec.Struct, frozen=True):
    """An event could not be handled: give it out again.

    Attributes:
        delay_ms: after so long; None: after the consumer's backoff.
    """

    sequence: int
    delay_ms: int | None = None


class Termination(msgspec.Struct, frozen=True):
    """An event can never be handled: it becomes a dead letter."""

    sequence: int
    reason: str = ""


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber says at one time.

    Attributes:
        ack: events that were handled.
        ack_through: every event up to this sequence was handled; for cumulative consumers.
        nak: events that could not be handled.
        in_progress: events whose wait begins anew.
        terminate: events that can never be handled.
    """

    ack: tuple[int, ...] = ()
    ack_through: int | None = None
    nak: tuple[Nak, ...] = ()
    in_progress: tuple[int, ...] = ()
    terminate: tuple[Termination, ...] = ()


class Settled(msgspec.Struct, frozen=True):
    """What was made of a settlement.

    Attributes:
        settled_count: events that it changed.
        unknown: named events that are not given out: settled before, given up, or never given.
    """

    settled_count: int
    unknown: tuple[int, ...] = ()


class DeadLetter(msgspec.Struct, frozen=True):
    """An event that was given up: a pointer, the event stays in the log.

    Attributes:
        reason: ``max_deliveries``, or ``terminated`` and what the subscriber said.
        deliveries: how often it was given out.
        time_ms: when it was given up.
        is_replaying: it will be given out again and is then no dead letter any more.
    """

    sequence: Sequence
    reason: str
    deliveries: int
    time_ms: int
    is_replaying: bool = False
