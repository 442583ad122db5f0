"""What the adapter must not forget: subscriptions with their places in the log, and the outbox.

Owns one SQLite file of the member's home. Every change is on the disk before the method returns
(``synchronous=FULL``); all methods block and may be called from any thread. The log itself stays in
the ledger: losing this file loses subscriptions and what was taken and not yet published, no more.
"""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from adapters.dome.dlt.subscriptions import Subscription
from ledger.core.errors import RejectCode, Rejected
from ledger.core.limits import DLT_OUTBOX_MAX, DLT_REFUSED_KEPT_MAX, DLT_SUBSCRIPTIONS_MAX
from ledger.io.errors import StorageError

__all__ = ["DltState", "Held", "Waiting"]

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS subscriptions (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    body BLOB NOT NULL,
    cursor INTEGER NOT NULL,
    given_up INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest BLOB NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    entry BLOB NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS refused (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    subscription INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    time_ms INTEGER NOT NULL,
    reason TEXT NOT NULL
) STRICT;
"""
_REMEDY: Final = "Free space or repair the disk; then start the gateway again"


class Held(NamedTuple):
    """A subscription as it is kept.

    Attributes:
        cursor: sequence of the last event that is settled for it; -1 before the first.
    """

    id: int
    subscription: Subscription
    cursor: int


class Waiting(NamedTuple):
    """An event that was taken from a client and is not known to be final.

    Attributes:
        digest: of the request that it came from.
        subject: its entity, whose events keep their order.
    """

    id: int
    digest: bytes
    subject: str
    entry: bytes


class DltState:
    """The adapter's file."""

    def __init__(self, path: Path) -> None:
        """Open the file at ``path``, and make it when it is not there.

        Raises:
            StorageError: it cannot be used.
        """
        self._path = path
        self._lock = threading.Lock()
        with self._errors():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                path, check_same_thread=False, isolation_level=None, timeout=5
            )
            path.chmod(0o600)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._database.close()

    def belong_to(self, chain_id: str, log_size: int) -> bool:
        """Bind the file to a chain; one of another chain begins anew, at the end of this log.

        Returns:
            Whether the file was another chain's. Its subscribers stay, its outbox is dropped.
        """
        with self._change() as database:
            row = database.execute("SELECT value FROM meta WHERE name='chain'").fetchone()
            if row is not None and row[0] == chain_id:
                return False
            database.execute("INSERT OR REPLACE INTO meta VALUES ('chain', ?)", (chain_id,))
            if row is None:
                return False
            database.execute("UPDATE subscriptions SET cursor=?", (log_size - 1,))
            database.execute("DELETE FROM outbox")
            return True

    # --- subscriptions ----------------------------------------------------------------------

    def subscribe(self, subscription: Subscription, cursor: int) -> Held | None:
        """Keep a subscription from an event on; give it, or None when it stands already.

        One that was given up goes on where it ended.

        Raises:
            Rejected: there are too many (OVERLOADED).
        """
        with self._change() as database:
            row = database.execute(
                "SELECT id, cursor, given_up FROM subscriptions WHERE key=?", (subscription.key,)
            ).fetchone()
            if row is not None:
                id_, cursor, given_up = row
                database.execute("UPDATE subscriptions SET given_up=0 WHERE id=?", (id_,))
                return Held(id_, subscription, cursor) if given_up else None
            self._make_room(database)
            body = msgspec.json.encode(subscription)
            added = database.execute(
                "INSERT INTO subscriptions (key, body, cursor) VALUES (?, ?, ?)",
                (subscription.key, body, cursor),
            )
            assert added.lastrowid is not None, "the row was inserted"
            return Held(added.lastrowid, subscription, cursor)

    def subscriptions(self) -> list[Held]:
        """Give the subscriptions that are served, in the order of their making."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT id, body, cursor FROM subscriptions WHERE NOT given_up ORDER BY id"
            ).fetchall()
        return [
            Held(id_, msgspec.json.decode(body, type=Subscription), cursor)
            for id_, body, cursor in rows
        ]

    def advance(self, id_: int, cursor: int) -> None:
        """Note that everything up to ``cursor`` is settled for a subscription."""
        with self._change() as database:
            database.execute("UPDATE subscriptions SET cursor=? WHERE id=?", (cursor, id_))

    def refuse(self, id_: int, sequence: int, reason: str) -> None:
        """Note that a subscriber refuses an event for good; it is settled, too."""
        with self._change() as database:
            database.execute("UPDATE subscriptions SET cursor=? WHERE id=?", (sequence, id_))
            added = database.execute(
                "INSERT INTO refused (subscription, sequence, time_ms, reason) VALUES (?, ?, ?, ?)",
                (id_, sequence, time.time_ns() // 1_000_000, reason),
            )
            assert added.lastrowid is not None, "the row was inserted"
            last = added.lastrowid - DLT_REFUSED_KEPT_MAX
            database.execute("DELETE FROM refused WHERE id<=?", (last,))

    def refused(self) -> list[tuple[int, str]]:
        """Give (sequence, reason) of the newest refused notifications, oldest first."""
        with self._reading() as database:
            return database.execute("SELECT sequence, reason FROM refused ORDER BY id").fetchall()

    def give_up(self, id_: int) -> None:
        """Stop serving a subscription until somebody makes it again."""
        with self._change() as database:
            database.execute("UPDATE subscriptions SET given_up=1 WHERE id=?", (id_,))

    # --- outbox -----------------------------------------------------------------------------

    def take(self, digest: bytes, subject: str, entry: bytes) -> bool:
        """Keep an event until it is decided; False when the same request waits already.

        Raises:
            Rejected: too many wait (OVERLOADED).
        """
        with self._change() as database:
            found = database.execute("SELECT 1 FROM outbox WHERE digest=?", (digest,)).fetchone()
            if found is not None:
                return False
            (count,) = database.execute("SELECT count(*) FROM outbox").fetchone()
            if count >= DLT_OUTBOX_MAX:
                raise Rejected(RejectCode.OVERLOADED, "too many events wait to be published")
            database.execute(
                "INSERT INTO outbox (digest, subject, entry) VALUES (?, ?, ?)",
                (digest, subject, entry),
            )
            return True

    def waiting(self, limit: int) -> list[Waiting]:
        """Give what is to be published next, oldest first and each entity once."""
        with self._reading() as database:
            rows = database.execute(
                "SELECT id, digest, subject, entry FROM outbox WHERE id IN "
                "(SELECT min(id) FROM outbox GROUP BY subject) ORDER BY id LIMIT ?",
                (limit,),
            ).fetchall()
        return [Waiting(*row) for row in rows]

    def settle(self, ids: list[int]) -> None:
        """Forget events that are final or refused."""
        with self._change() as database:
            database.executemany("DELETE FROM outbox WHERE id=?", [(id_,) for id_ in ids])

    # --- helpers ----------------------------------------------------------------------------

    @staticmethod
    def _make_room(database: sqlite3.Connection) -> None:
        """Forget the oldest subscription that was given up when there is no room for one more."""
        (count,) = database.execute("SELECT count(*) FROM subscriptions").fetchone()
        if count < DLT_SUBSCRIPTIONS_MAX:
            return
        oldest = "SELECT min(id) FROM subscriptions WHERE given_up"
        ended = database.execute(f"DELETE FROM subscriptions WHERE id=({oldest})")  # noqa: S608 - fixed text
        if not ended.rowcount:
            raise Rejected(RejectCode.OVERLOADED, f"{DLT_SUBSCRIPTIONS_MAX} subscriptions at most")

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors():
            yield self._database

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise StorageError(self._path, str(error), _REMEDY) from error
