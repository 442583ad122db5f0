"""The demonstration's checks: silent when all is well, and each finds its planted fault."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from concordat.demo.catalogue import changes
from concordat.demo.checks import Measures, Outcome, evaluate, order_digest
from concordat.demo.workload import Notes, Published
from ledger.core.ids import EventId, Sequence
from ledger.core.signing import SeedSigner
from pubsub.client.answers import LedgerEvent
from pubsub.client.identity import Publisher

EVENTS = 30
NODES = ("a", "b", "c", "d")
MEASURES = Measures(pause_ms=1.0, caught_up_ms=2.0, proofs=EVENTS, killed="b")


class Seen:
    """What a demonstration saw, for a test to spoil."""

    def __init__(self) -> None:
        publisher = Publisher("did:example:a", SeedSigner(b"\1" * 32), "demo-00")
        self.notes = Notes()
        self.measures = MEASURES
        for number, change in enumerate(changes(7, EVENTS)):
            opened = publisher.sign(
                "a.b",
                change.type,
                subject=change.subject,
                entity_hash=change.entity_hash,
                previous_hash=change.previous_hash,
            )
            sequence = Sequence(number)
            self.notes.published.append(Published(opened.id, sequence, change, 5.0 + number))
            self.notes.received.append(
                LedgerEvent(sequence, opened.event, opened.id, opened.entry, is_verified=True)
            )
        ids = [item.id for item in self.notes.published]
        self.logs: dict[str, list[EventId]] = {name: list(ids) for name in NODES}

    def outcome(self) -> Outcome:
        """Judge it."""
        return evaluate(EVENTS, self.notes, self.logs, self.measures)


def test_sound_demonstration_succeeds() -> None:
    """Nothing is found where nothing is wrong, and the figures are those of the notes."""
    outcome = Seen().outcome()
    assert outcome.succeeded
    assert (outcome.events, len(outcome.digests)) == (EVENTS, 4)
    assert 18 < outcome.latency_p50_ms < 21
    assert outcome.latency_p99_ms >= 33


def lose_an_event(seen: Seen) -> None:
    """One node lacks the last event."""
    seen.logs["c"].pop()


def swap_events(seen: Seen) -> None:
    """One node has two events in another order."""
    log = seen.logs["d"]
    log[3], log[4] = log[4], log[3]


def swap_everywhere(seen: Seen) -> None:
    """All logs agree with each other, but not with what was acknowledged."""
    for log in seen.logs.values():
        log[3], log[4] = log[4], log[3]


def repeat_event(seen: Seen) -> None:
    """Every node applied an event twice."""
    for log in seen.logs.values():
        log[5] = log[4]


def forge_event(seen: Seen) -> None:
    """Every log has an event that nobody was told of."""
    for log in seen.logs.values():
        log.append(EventId(b"\0" * 32))


def skip_delivery(seen: Seen) -> None:
    """The subscriber missed an event."""
    del seen.notes.received[7]


def deliver_twice(seen: Seen) -> None:
    """The subscriber got an event again."""
    seen.notes.received.insert(7, seen.notes.received[6])


def believe(seen: Seen) -> None:
    """The subscriber took an event without proof."""
    seen.notes.received[9] = seen.notes.received[9]._replace(is_verified=False)


def lack_a_proof(seen: Seen) -> None:
    """One proof did not hold."""
    seen.measures = replace(MEASURES, proofs=EVENTS - 1)


def lose_an_acknowledgement(seen: Seen) -> None:
    """One event was never acknowledged."""
    seen.notes.published.pop()


def break_a_chain(seen: Seen) -> None:
    """An offering's event names another content before it."""
    received = seen.notes.received
    index = next(i for i, item in enumerate(received) if item.event.previous_hash)
    seen.notes.received = received[:index] + received[index + 1 :]


@pytest.mark.parametrize(
    "fault",
    [
        lose_an_event,
        swap_events,
        swap_everywhere,
        repeat_event,
        forge_event,
        skip_delivery,
        deliver_twice,
        believe,
        lack_a_proof,
        lose_an_acknowledgement,
        break_a_chain,
    ],
)
def test_planted_fault_is_found(fault: Callable[[Seen], None]) -> None:
    """Each way in which the promise could be broken fails the demonstration."""
    seen = Seen()
    fault(seen)
    assert not seen.outcome().succeeded


def test_every_check_can_fail() -> None:
    """Over all planted faults each of the checks fails at least once."""
    failed = set()
    for fault in (lose_an_event, skip_delivery, believe, lack_a_proof, lose_an_acknowledgement):
        seen = Seen()
        fault(seen)
        failed |= {check.promise for check in seen.outcome().checks if not check.held}
    seen = Seen()
    break_a_chain(seen)
    failed |= {check.promise for check in seen.outcome().checks if not check.held}
    assert failed == {check.promise for check in Seen().outcome().checks}


def test_digest_depends_on_order_and_content() -> None:
    """Two logs have one digest only if they are the same."""
    one, two = EventId(b"\1" * 32), EventId(b"\2" * 32)
    digests = {order_digest(ids) for ids in ([one, two], [two, one], [one], [])}
    assert len(digests) == 4
