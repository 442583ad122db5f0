"""Admission at the origin says at once what the state machine would refuse, and why."""

import pytest

from ledger.core import admission
from ledger.core.admission import ExaminedEntry, Verdict
from ledger.core.errors import RejectCode
from ledger.core.event import Event, open_entry
from ledger.core.state import StateView
from ledger.core.trust import application
from ledger.core.trust.operations import Approve, ChangeList, Operation, PutEntry, RevokeEntry
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import BOB, BOB_DID, CHAIN_ID, START_MS, entry
from tests.ledger.trust.test_application import operation_entry, put


def examine(state: StateView, *entries: bytes) -> tuple[Verdict, ...]:
    """Examine entries that the log does not hold."""
    return admission.examine_entries(
        entries, chain_id=CHAIN_ID, state=state, now_ms=START_MS, known_events=lambda _: set()
    )


def taken(data: bytes) -> ExaminedEntry:
    """Give the verdict on an entry that is taken."""
    return ExaminedEntry(data, open_entry(data).id)


REFUSED: list[tuple[Operation, RejectCode]] = [
    (put(b"no JSON"), RejectCode.OPERATION_REFUSED),
    (put(b'{"title":"ann@example.org"}'), RejectCode.OPERATION_REFUSED),
    (put(b"{}", 3), RejectCode.CONFLICT),
    (ChangeList("schemas", (RevokeEntry("nothing", None),)), RejectCode.NO_SUCH_ENTRY),
    (Approve(bytes(32)), RejectCode.NO_SUCH_ENTRY),
]


@pytest.mark.parametrize(("operation", "code"), REFUSED)
def test_what_would_be_refused_is_refused_with_the_same_code(
    operation: Operation, code: RejectCode
) -> None:
    """The trial and the application give one answer, and neighbours are not touched."""
    ledger = MemoryLedger()
    data = operation_entry(operation, 1)
    assert examine(ledger.state, entry(0), data, entry(2)) == (
        taken(entry(0)),
        code,
        taken(entry(2)),
    )
    assert [item.code for item in ledger.extend(data).refused] == [code]


def test_what_would_be_carried_out_is_taken_and_changes_nothing() -> None:
    """A good operation is admitted; the trial leaves the state as it was."""
    ledger = MemoryLedger()
    before = ledger.root
    good = operation_entry(put(b"{}", 0))
    assert examine(ledger.state, good) == examine(ledger.state, good) == (taken(good),)
    assert ledger.root == before


def test_operations_of_one_call_see_each_other() -> None:
    """A second writing that builds on the first is admitted with it, and not without it."""
    first, second = operation_entry(put(b"{}", 0), 1), operation_entry(put(b"{}", 1), 2)
    state = MemoryLedger().state
    assert examine(state, first, second) == (taken(first), taken(second))
    assert examine(state, second) == (RejectCode.CONFLICT,)


def test_rights_come_first() -> None:
    """Who may not write the list learns that, not what is wrong with the entry."""
    bad = operation_entry(put(b"no JSON"), signer=BOB, publisher=BOB_DID)
    assert examine(MemoryLedger().state, bad) == (RejectCode.TOPIC_FORBIDDEN,)


def test_ordinary_events_cost_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a reserved topic among them no event is opened for the state machine."""
    opened: list[bytes] = []

    def counting(_state: object, event: Event, *_others: object) -> None:
        opened.append(event.data)

    monkeypatch.setattr(application, "apply", counting)
    examine(MemoryLedger().state, *(entry(number) for number in range(20)))
    assert opened == []
    change = ChangeList("schemas", (PutEntry("a", "schema", b"{}", 0, 0, None),))
    examine(MemoryLedger().state, operation_entry(change))
    assert len(opened) == 1
