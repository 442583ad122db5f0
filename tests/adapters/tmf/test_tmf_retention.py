"""The journal is shortened: never what somebody has still to read, never what is young."""

from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from sqlalchemy import Connection

from adapters.tmf import retention
from adapters.tmf.caller import Caller
from adapters.tmf.entity import OWN, Entity, canonical
from adapters.tmf.hub import registrations
from adapters.tmf.hub.model import Progress, Registration
from adapters.tmf.replication import outbound
from adapters.tmf.replication.outbound import waiting_count
from adapters.tmf.replication.tracking import move, position
from adapters.tmf.retention import READERS, Retention
from adapters.tmf.store.database import Store
from adapters.tmf.usage import journal
from ledger.core.errors import Unavailable
from tests.adapters.tmf.replication.replication_world import Node, until, world

KEPT_MS, NOW_MS = 100, 1_000
OLD_MS, YOUNG_MS = NOW_MS - KEPT_MS - 1, NOW_MS - KEPT_MS
MOVES: dict[str, Callable[[Connection, int], None]] = {
    "hub": lambda connection, number: registrations.advance(
        connection, [("r", Progress(number, "failing"))]
    ),
    "replication": lambda connection, number: move(connection, "journal", number),
    "usage": journal._move,
}


def write(store: Store, *times_ms: int) -> None:
    """Write a line of the journal at each of these times."""
    with store.write() as txn:
        for number, time_ms in enumerate(times_ms):
            body = canonical({"id": "1", "n": f"{time_ms} {number}"})
            txn.put(Entity("product", "1", body, OWN, changed_ms=time_ms), "attribute")


def read_all(store: Store) -> None:
    """Let every reader have read everything; the hub serves one registration."""
    registration = Registration("r", "productCatalogManagement", "http://x/", "", Caller("o"), 0)
    with store.write() as txn:
        registrations.add(txn.connection, registration, 0)
        for moved in MOVES.values():
            moved(txn.connection, txn.last_change())


def kept(store: Store) -> list[int]:
    """Give the numbers of the lines that are there."""
    with store.read() as reading:
        return [change.number for change in reading.changes(0, 100)]


def shortened(store: Store) -> list[int]:
    """Shorten the journal by one step; give what is left."""
    before = kept(store)
    count = Retention(store, KEPT_MS, lambda: NOW_MS, READERS).step(store)
    assert count == len(before) - len(kept(store))
    return kept(store)


def test_old_lines_that_all_have_read_are_deleted(store: Store) -> None:
    """Younger ones stay, and so does all that comes after one."""
    write(store, OLD_MS, OLD_MS, YOUNG_MS, OLD_MS, YOUNG_MS)
    read_all(store)
    assert shortened(store) == [3, 4, 5]
    assert shortened(store) == [3, 4, 5]


def test_the_newest_line_stays_for_the_next_number(store: Store) -> None:
    """However old it is; the next change is numbered after it."""
    assert shortened(store) == []
    write(store, OLD_MS, OLD_MS)
    read_all(store)
    assert shortened(store) == [2]
    write(store, YOUNG_MS)
    assert kept(store) == [2, 3]


@pytest.mark.parametrize("reader", MOVES)
def test_nobody_loses_what_it_has_not_read(store: Store, reader: str) -> None:
    """Each reader alone holds the journal at its place."""
    write(store, *[OLD_MS] * 5)
    read_all(store)
    with store.write() as txn:
        MOVES[reader](txn.connection, 2)
    assert shortened(store) == [3, 4, 5]
    with store.write() as txn:
        MOVES[reader](txn.connection, 4)
    assert shortened(store) == [5]


@pytest.mark.parametrize("reader", ["replication", "usage"])
def test_a_reader_that_never_read_has_read_nothing(store: Store, reader: str) -> None:
    """Before its first position is noted, it needs all."""
    write(store, *[OLD_MS] * 3)
    with store.write() as txn:
        for name, moved in MOVES.items():
            if name != reader:
                moved(txn.connection, 3)
    assert shortened(store) == [1, 2, 3]


def test_registrations_that_ended_hold_nothing(store: Store) -> None:
    """Nobody is told any more, so nothing is kept for it."""
    write(store, *[OLD_MS] * 3)
    read_all(store)
    with store.write() as txn:
        registrations.advance(txn.connection, [("r", Progress(1, "ended"))])
    assert shortened(store) == [3]


def test_a_step_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """No transaction deletes more than a few, the oldest first."""
    monkeypatch.setattr(retention, "TMF_JOURNAL_STEP_CHANGES", 2)
    write(store, *[OLD_MS] * 6)
    read_all(store)
    assert shortened(store) == [3, 4, 5, 6]
    assert shortened(store) == [5, 6]
    assert shortened(store) == [6]


async def test_the_task_shortens_in_steps_and_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One step follows the other until all is done; a database out of reach is waited for."""
    monkeypatch.setattr(retention, "TMF_JOURNAL_STEP_CHANGES", 2)
    monkeypatch.setattr(retention, "TMF_JOURNAL_PASS_MS", 30)
    write(store, *[OLD_MS] * 6)
    read_all(store)
    failures = 0

    def reader(_connection: Connection) -> int | None:
        nonlocal failures
        failures += 1
        if failures == 1:
            raise Unavailable("for now")
        return None

    async with anyio.create_task_group() as group:
        group.start_soon(Retention(store, KEPT_MS, lambda: NOW_MS, [reader, *READERS]).run)
        await until(lambda: kept(store) == [6])
        write(store, OLD_MS, YOUNG_MS)
        with store.write() as txn:
            for moved in MOVES.values():
                moved(txn.connection, 8)
        await until(lambda: kept(store) == [8])
        group.cancel_scope.cancel()


def test_every_reader_of_the_journal_is_asked() -> None:
    """A module that reads it and is not named among the readers would lose what it has not read."""
    package = Path(retention.__file__).parent
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if ".changes(" in path.read_text()
    }
    assert found == {"hub/reading.py", "replication/outbound.py", "usage/journal.py"}
    assert len(READERS) == len(found)


async def test_replication_notes_what_is_not_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node with replicas alone has a journal that can be shortened; nothing is told twice."""
    monkeypatch.setattr(outbound, "REPLICATION_UNNOTED_CHANGES", 3)
    async with world(tmp_path) as (one, two):
        ids = [one.create() for _ in range(5)]
        await until(lambda: len(two.replicas()) == 5)
        await until(lambda: noted(two) >= 3)
        for id_ in ids:
            one.remove(id_)
        mine = two.create()
        await until(lambda: mine in one.replicas() and not two.replicas())
        await until(lambda: waiting_count(two.store)[0] == 0)
        assert one.ledger.seen_count == 11


def noted(node: Node) -> int:
    """Give which line of the journal replication will go on after."""
    with node.store.read() as reading:
        return position(reading.connection, "journal", 0)
