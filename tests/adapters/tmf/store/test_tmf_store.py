"""The store keeps entities and their journal together, on both databases."""

import sqlite3
from pathlib import Path

import anyio
import pytest
from sqlalchemy import create_engine, insert, select, update

from adapters.tmf.entity import Change, Entity, canonical
from adapters.tmf.query.model import Comparison, Query
from adapters.tmf.store import paths
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing
from adapters.tmf.store.schema import ENTITIES, FORM, LEAVES, PATHS, VERSION
from ledger.core.errors import Unavailable
from ledger.core.limits import TMF_ID_CHARS_MAX, TMF_LEAF_HEAD_BYTES, TMF_PATH_CHARS_MAX
from ledger.io.errors import StorageError


def _entity(id_: str, **body: object) -> Entity:
    return Entity("product", id_, canonical({"id": id_, **body}), "did:x", changed_ms=7)


def _put(store: Store, id_: str, **body: object) -> Change:
    with store.write() as writing:
        return writing.put(_entity(id_, **body), "create")


def test_an_entity_is_given_back_as_it_was_put(store: Store) -> None:
    """Bytes, origin and time are kept; the revision counts the writes."""
    _put(store, "ü/1", name="a")
    with store.write() as writing:
        writing.put(_entity("ü/1", name="b"), "attribute")
        assert writing.get("product", "ü/1") == Entity(
            "product", "ü/1", b'{"id":"\xc3\xbc/1","name":"b"}', "did:x", 2, 7
        )
    with store.read() as reading:
        assert reading.get("product", "other") is None
        assert reading.get("other", "ü/1") is None
        assert reading.get("product", "nul\0") is None


def test_the_journal_tells_every_change_in_order(database: str) -> None:
    """Each change has the next number, an id of its own, and the bytes before and after."""
    ids = iter("abcd")
    store = Store.open(database, now_ms=lambda: 99, new_event_id=lambda: next(ids))
    first = _put(store, "1", n=1)
    with store.write() as writing:
        second = writing.put(_entity("1", n=2), "state")
        third = writing.put(_entity("2"), "create")
        fourth = writing.remove("product", "1")
        assert writing.remove("product", "1") is None
    one, two = b'{"id":"1","n":1}', b'{"id":"1","n":2}'
    assert first == Change(1, "product", "1", "create", "a", None, one, "did:x", 7)
    assert second == Change(2, "product", "1", "state", "b", one, two, "did:x", 7)
    assert fourth == Change(4, "product", "1", "delete", "d", two, None, "did:x", 99)
    with store.read() as reading:
        assert reading.last_change() == 4
        assert reading.changes(0, 10) == [first, second, third, fourth]
        assert reading.changes(1, 2) == [second, third]
        assert reading.changes(4, 10) == []
        assert reading.history("product", "1") == [first, second, fourth]
    store.close()


def test_an_exception_undoes_all_of_a_transaction(store: Store) -> None:
    """Neither entity nor index nor journal keep anything, and the next change has the number."""

    def fail(writing: Writing) -> None:
        writing.put(_entity("1", unheard="x"), "create")
        raise KeyError

    with pytest.raises(KeyError), store.write() as writing:
        fail(writing)
    with store.read() as reading:
        assert reading.get("product", "1") is None
        assert reading.last_change() == 0
    assert _put(store, "2", other="y").number == 1
    with store.read() as reading:
        assert reading.find("product", Query((Comparison("unheard", "eq", "y"),))).total == 0
        assert reading.find("product", Query((Comparison("other", "eq", "y"),))).total == 1


def test_every_walks_in_order_of_ids(store: Store) -> None:
    """Pages of a walk meet every entity once, ids ordered by code point."""
    for id_ in ("b", "ä", "B", "a", "\uffff", "\N{GRINNING FACE}"):
        _put(store, id_)
    with store.read() as reading:
        first = [entity.id for entity in reading.every("product", limit=4)]
        rest = [entity.id for entity in reading.every("product", first[-1])]
    assert first + rest == ["B", "a", "b", "ä", "\uffff", "\N{GRINNING FACE}"]


def test_a_snapshot_does_not_move(store: Store) -> None:
    """What is committed during a read stays unseen until the next one."""
    _put(store, "1")
    with store.read() as reading:
        assert reading.last_change() == 1
        _put(store, "2")
        assert reading.last_change() == 1
        assert reading.find("product", Query()).total == 1
    with store.read() as reading:
        assert reading.last_change() == 2


def test_a_reader_cannot_write(store: Store) -> None:
    """A read transaction refuses to change a table."""
    with pytest.raises((StorageError, Unavailable)), store.read() as reading:
        reading.connection.execute(insert(PATHS).values(resource="r", path=b"p"))


@pytest.mark.parametrize("id_", ["", "a" * (TMF_ID_CHARS_MAX + 1), "nul\0"])
def test_an_id_that_no_database_takes_is_refused(store: Store, id_: str) -> None:
    """An id is not empty, not too long, and without null characters."""
    with pytest.raises(ValueError, match="id"):
        _put(store, id_)


def test_ids_and_paths_at_their_limits_are_stored(store: Store) -> None:
    """The longest id and path are stored and found; one character more is not indexed."""
    id_, name = "\N{GRINNING FACE}" * TMF_ID_CHARS_MAX, "ü" * TMF_PATH_CHARS_MAX
    _put(store, id_, **{name: "x", name + "y": "x"})
    with store.read() as reading:
        assert reading.get("product", id_) is not None
        assert reading.find("product", Query((Comparison(name, "eq", "x"),))).total == 1
        assert reading.find("product", Query((Comparison(name + "y", "eq", "x"),))).total == 0


@pytest.mark.parametrize("length", [-1, 0, 1])
def test_values_around_the_length_of_a_head(store: Store, length: int) -> None:
    """Values that are just indexed whole, and just not, are told apart."""
    value = "x" * (TMF_LEAF_HEAD_BYTES + length)
    _put(store, "1", v=value)
    _put(store, "2", v=value + "y")
    with store.read() as reading:
        for operator, ids in (("eq", ["1"]), ("gt", ["2"]), ("lte", ["1"]), ("ne", ["2"])):
            page = reading.find("product", Query((Comparison("v", operator, value),)))  # type: ignore[arg-type]
            assert [entity.id for entity in page.entities] == ids


def test_what_was_kept_is_there_after_opening_again(database: str) -> None:
    """A store that is opened again has entities, journal and numbers of paths."""
    store = Store.open(database)
    _put(store, "1", name="n")
    store.close()
    store = Store.open(database)
    assert _put(store, "2", name="n").number == 2
    with store.read() as reading:
        assert reading.find("product", Query((Comparison("name", "eq", "n"),))).total == 2
    store.close()


def test_a_newer_form_is_refused(database: str) -> None:
    """Tables of a later release are left alone, and the message says so."""
    Store.open(database).close()
    engine = create_engine(database.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(update(FORM).values(version=VERSION + 1))
    engine.dispose()
    with pytest.raises(StorageError, match=f"have form {VERSION + 1}, this release knows"):
        Store.open(database)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///:memory:", "mysql://h/d", "no url"])
def test_an_address_of_no_database_is_refused(url: str) -> None:
    """Only files of SQLite and PostgreSQL are taken."""
    with pytest.raises(StorageError, match="sqlite:///path"):
        Store.open(url)


def test_a_database_out_of_reach_is_unavailable() -> None:
    """A server that does not answer is an error to try again, without the password."""
    with pytest.raises(Unavailable) as caught:
        Store.open("postgresql://user:secret@127.0.0.1:1/none")
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    """A damaged file stops the node with a message about it."""
    (tmp_path / "x.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(StorageError, match="NOTADB"):
        Store.open(f"sqlite:///{tmp_path}/x.db")
    with pytest.raises(StorageError, match="cannot open"):
        Store.open(f"sqlite:///{tmp_path}/no/x.db")


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    """Nobody else may read orders and usage."""
    store = Store.open(f"sqlite:///{tmp_path}/x.db")
    _put(store, "1")
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    store.close()
    assert modes == {"x.db": 0o600, "x.db-wal": 0o600, "x.db-shm": 0o600}


def test_a_commit_is_synced(tmp_path: Path) -> None:
    """Connections write ahead and wait for the disk: what was committed survives a crash."""
    store = Store.open(f"sqlite:///{tmp_path}/x.db")
    with store.write() as writing:
        settings = [
            writing.connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous")
        ]
    store.close()
    assert settings == ["wal", 2]


def test_a_database_locked_by_another_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When another process holds the lock for too long, the write may be tried again later."""
    monkeypatch.setattr("adapters.tmf.store.engines._PRAGMAS", ("busy_timeout=1",))
    store = Store.open(f"sqlite:///{tmp_path}/x.db")
    other = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="locked"):
        _put(store, "1")
    other.close()
    assert _put(store, "1").number == 1
    store.close()


def test_a_statement_that_takes_too_long_is_ended(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read that would never end is given up, and the store goes on."""
    monkeypatch.setattr("adapters.tmf.store.engines.TMF_STATEMENT_MS_MAX", 50)
    store = Store.open(database)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    with pytest.raises(Unavailable), store.read() as reading:
        reading.connection.exec_driver_sql(endless).all()
    monkeypatch.undo()
    with store.read() as reading:
        assert reading.last_change() == 0
    store.close()


def test_the_cache_of_paths_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many paths there are, few are remembered, and all are found."""
    monkeypatch.setattr(paths, "TMF_PATHS_CACHED_MAX", 10)
    for index in range(30):
        _put(store, str(index), **{f"name{index}": "x"})
        assert len(store._known) <= 10
    with store.read() as reading:
        for index in range(30):
            query = Query((Comparison(f"name{index}", "eq", "x"),))
            assert reading.find("product", query).total == 1


def test_removing_leaves_nothing_in_the_index(store: Store) -> None:
    """The index has no leaf of an entity that is gone."""
    _put(store, "1", a=[1, "x"], b={"c": True})
    with store.write() as writing:
        writing.remove("product", "1")
        assert writing.connection.execute(select(LEAVES)).all() == []
        assert writing.connection.execute(select(ENTITIES)).all() == []


async def test_a_commit_wakes_who_waits(store: Store) -> None:
    """A waiting task learns the newest number, whichever thread committed; others go on waiting."""
    seen: list[int] = []

    async def wait(after: int) -> None:
        seen.append(await store.wait_for_change(after))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, 0)
            tasks.start_soon(wait, 1)
            await anyio.wait_all_tasks_blocked()
            await store.in_thread(lambda store: _put(store, "1"))
            while not seen:
                await anyio.lowlevel.checkpoint()
            assert seen == [1]
            _put(store, "2")
    assert seen == [1, 2]


async def test_commits_of_other_processes_are_noticed(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change that another store wrote ends the wait, too."""
    monkeypatch.setattr("adapters.tmf.store.database.TMF_CHANGE_POLL_MS", 5)
    mine, other = Store.open(database), Store.open(database)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(mine.wait_for_change, 0)
            await anyio.wait_all_tasks_blocked()
            _put(other, "1")
    mine.close()
    other.close()
