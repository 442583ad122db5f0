"""The adapter's file: durable, limited, bound to one chain."""

from pathlib import Path

import pytest

from adapters.dome.dlt import state
from adapters.dome.dlt.state import DltState
from adapters.dome.dlt.subscriptions import Subscription
from ledger.core.errors import Rejected
from ledger.core.limits import DLT_SUBSCRIPTIONS_MAX
from ledger.io.errors import StorageError


def wanted(number: int = 0) -> Subscription:
    """Give a subscription."""
    return Subscription(f"http://desmos:{8000 + number}/", ("a", "b"), ("prd",))


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    """Subscriptions, cursors and outbox are read back as they were left; the file is private."""
    path = tmp_path / "data" / "dlt.sqlite"
    first = DltState(path)
    held = first.subscribe(wanted(), 7)
    assert held is not None
    first.advance(held.id, 9)
    assert first.take(b"d", "subject", b"entry")
    # No close: a killed process closes nothing.
    second = DltState(path)
    assert second.subscriptions() == [held._replace(cursor=9)]
    assert [row.entry for row in second.waiting(10)] == [b"entry"]
    assert path.stat().st_mode & 0o777 == 0o600
    first.close()
    second.close()


def test_writes_are_synchronous(tmp_path: Path) -> None:
    """The file is in WAL mode and every commit is flushed."""
    file = DltState(tmp_path / "dlt.sqlite")
    assert file._database.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert file._database.execute("PRAGMA synchronous").fetchone() == (2,)
    file.close()


def test_equal_subscriptions_are_one(tmp_path: Path) -> None:
    """Order and repetition of event types make no difference; the endpoint does."""
    file = DltState(tmp_path / "dlt.sqlite")
    assert file.subscribe(wanted(), 0)
    again = Subscription("http://desmos:8000/", ("b", "a", "a"), ("prd",))
    assert file.subscribe(again, 5) is None
    assert file.subscribe(wanted(1), 0)
    file.close()


def test_ended_subscriptions_make_room(tmp_path: Path) -> None:
    """At the limit the oldest that was given up is forgotten; without one nothing is taken."""
    file = DltState(tmp_path / "dlt.sqlite")
    for number in range(DLT_SUBSCRIPTIONS_MAX):
        file.subscribe(wanted(number), 0)
    with pytest.raises(Rejected):
        file.subscribe(wanted(999), 0)
    file.give_up(3)
    assert file.subscribe(wanted(999), 0)
    assert len(file.subscriptions()) == DLT_SUBSCRIPTIONS_MAX
    file.close()


def test_outbox_is_limited_and_gives_each_entity_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an entity the oldest is next; equal requests are one; the limit is exact."""
    monkeypatch.setattr(state, "DLT_OUTBOX_MAX", 3)
    file = DltState(tmp_path / "dlt.sqlite")
    assert [file.take(name, "x", name) for name in (b"1", b"2", b"1")] == [True, True, False]
    assert file.take(b"3", "y", b"3")
    with pytest.raises(Rejected):
        file.take(b"4", "z", b"4")
    assert [row.entry for row in file.waiting(10)] == [b"1", b"3"]
    assert [row.entry for row in file.waiting(1)] == [b"1"]
    file.settle([row.id for row in file.waiting(10)])
    assert [row.entry for row in file.waiting(10)] == [b"2"]
    file.close()


def test_refused_notifications_are_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest are kept, and each settles its event."""
    monkeypatch.setattr(state, "DLT_REFUSED_KEPT_MAX", 2)
    file = DltState(tmp_path / "dlt.sqlite")
    held = file.subscribe(wanted(), 0)
    assert held is not None
    for sequence in (1, 2, 3):
        file.refuse(held.id, sequence, "answered 400")
    assert file.refused() == [(2, "answered 400"), (3, "answered 400")]
    assert file.subscriptions()[0].cursor == 3
    file.close()


def test_file_of_another_chain_begins_anew(tmp_path: Path) -> None:
    """Subscribers stay and go on from the end of the new log; what was signed for the old goes."""
    file = DltState(tmp_path / "dlt.sqlite")
    file.subscribe(wanted(), 50)
    file.take(b"d", "x", b"entry")
    assert not file.belong_to("one", 60)
    assert not file.belong_to("one", 70)
    assert file.subscriptions()[0].cursor == 50
    assert file.belong_to("two", 3)
    assert file.subscriptions()[0].cursor == 2
    assert file.waiting(10) == []
    file.close()


def test_broken_file_is_a_storage_error(tmp_path: Path) -> None:
    """What is no database stops the gateway with a sentence for its operator."""
    path = tmp_path / "dlt.sqlite"
    path.write_bytes(b"something else" * 100)
    with pytest.raises(StorageError, match="start the gateway again"):
        DltState(path)
    file = DltState(tmp_path / "good.sqlite")
    file._database.execute("DROP TABLE outbox")
    with pytest.raises(StorageError):
        file.waiting(1)
    file._database.close()
    with pytest.raises(StorageError):
        file.settle([1])
