"""The judge of the crash test sees each kind of broken promise, and none where none is broken."""

import pytest

from tests.delivery.record import Kind, Record, find_faults
from tests.delivery.wants import WANTS

EXPECTED = [1, 4, 6]


def record_of(kind: Kind, given: list[int], *, is_ordered: bool = True) -> Record:
    """Give a subscriber that handled what it was given."""
    record = Record("it", kind, WANTS[0], is_ordered)
    for sequence in given:
        record.give(sequence)
        record.do(sequence)
    return record


@pytest.mark.parametrize("kind", list(Kind))
def test_exactly_what_was_wanted_is_right(kind: Kind) -> None:
    """All events once and in order break no promise."""
    assert find_faults(record_of(kind, EXPECTED), EXPECTED) == []


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize(
    ("given", "word"),
    [([1, 6], "never got"), ([1, 4, 5, 6], "did not want"), ([1, 6, 4], "out of order")],
)
def test_a_gap_a_stranger_and_a_wrong_order_are_seen(
    kind: Kind, given: list[int], word: str
) -> None:
    """Each is a fault of every kind of subscriber that asked for order."""
    (fault,) = find_faults(record_of(kind, given), EXPECTED)
    assert word in fault


@pytest.mark.parametrize("kind", list(Kind))
def test_repetitions_are_allowed_where_the_gateway_keeps_the_cursor(kind: Kind) -> None:
    """At least once is for consumers and webhooks; who keeps a cursor gets nothing twice."""
    faults = find_faults(record_of(kind, [1, 4, 4, 6]), EXPECTED)
    assert bool(faults) is kind.keeps_its_cursor


def test_what_was_settled_must_not_come_again() -> None:
    """A settlement that was answered is durable, whatever dies afterwards."""
    record = record_of(Kind.PULL, EXPECTED)
    record.settled = {1, 4}
    record.give(6)
    assert find_faults(record, EXPECTED) == []
    record.give(4)
    (fault,) = find_faults(record, EXPECTED)
    assert "again" in fault


def test_without_order_any_order_will_do() -> None:
    """Only who asked for order is promised it."""
    assert find_faults(record_of(Kind.PULL, [6, 1, 4], is_ordered=False), EXPECTED) == []


def test_an_event_that_was_given_but_not_handled_is_missing() -> None:
    """What a subscriber forgot must come again until it is handled."""
    record = record_of(Kind.PULL, [1, 4])
    record.give(6)
    (fault,) = find_faults(record, EXPECTED)
    assert "never got 1" in fault
