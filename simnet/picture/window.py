"""Which part of a run is drawn: arrows of a few hundred messages are all that a person can read."""

from typing import Final, NamedTuple

from simnet.recording import Flight, Record

__all__ = ["FLIGHTS_MAX", "Window", "choose_window", "flights_in"]

FLIGHTS_MAX: Final = 260
_MARGIN_US: Final = 5_000


class Window(NamedTuple):
    """A part of a run, in microseconds of virtual time."""

    from_us: int
    until_us: int


def choose_window(
    record: Record, from_us: int | None = None, until_us: int | None = None
) -> Window:
    """Choose the part to draw; what is given stays, the rest holds the most telling messages.

    A broken promise is drawn up to the moment when it broke; a run that stalls from its last
    fault on, and any other from its beginning.
    """
    if from_us is not None and until_us is not None:
        return Window(from_us, until_us)
    if until_us is not None or (record.outcome.promise not in {"", "liveness"} and from_us is None):
        end = record.end_us + _MARGIN_US if until_us is None else until_us
        return Window(_latest_start(record.flights, end), end)
    if from_us is None:
        from_us = _last_fault(record) if record.outcome.promise else 0
    return Window(from_us, _earliest_end(record, from_us))


def flights_in(record: Record, window: Window) -> list[Flight]:
    """Give the messages of which any part lies in the window."""
    return [
        flight
        for flight in record.flights
        if flight.sent_us <= window.until_us
        and max(flight.sent_us, flight.arrived_us) >= window.from_us
    ]


def _latest_start(flights: tuple[Flight, ...], end_us: int) -> int:
    before = sorted((f.sent_us for f in flights if f.sent_us <= end_us), reverse=True)
    if not before:
        return 0
    return max(0, before[:FLIGHTS_MAX][-1] - _MARGIN_US) if len(before) > FLIGHTS_MAX else 0


def _earliest_end(record: Record, from_us: int) -> int:
    after = sorted(f.sent_us for f in record.flights if f.sent_us >= from_us)
    if len(after) <= FLIGHTS_MAX:
        return record.end_us + _MARGIN_US
    return after[FLIGHTS_MAX]


def _last_fault(record: Record) -> int:
    faults = [
        happening.at_us
        for happening in record.happenings
        if happening.kind in {"fault", "partition", "crash"}
    ]
    return max(0, max(faults, default=0) - 4 * _MARGIN_US)
