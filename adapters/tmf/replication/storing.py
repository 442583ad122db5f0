"""A fetched version becomes a replica, together with what is known of its entity.

Owns the transaction in which both change. Whatever happened meanwhile is read in it again: a
version that is no longer the newest is dropped, and an id that is somebody else's is not taken.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import structlog
from sqlalchemy import select

from adapters.tmf.entity import OWN, content_hash
from adapters.tmf.refusal import TmfError
from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.model import NONE, Code, Status, Told
from adapters.tmf.replication.core.progress import Outcome, advance
from adapters.tmf.replication.form import Taken
from adapters.tmf.replication.tables import TRACKED
from adapters.tmf.replication.tracking import Line, lines, quarantine, release, save
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.resources.validation import is_id
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Writing

__all__ = ["Attempt", "remove_replica", "store_attempts"]

_log: Final = structlog.get_logger("replication")


class Attempt(NamedTuple):
    """The end of one fetch: what was got, or why nothing was."""

    told: Told
    taken: Taken | None
    failure: Outcome | None = None


def store_attempts(context: Context, attempts: Sequence[Attempt], store: Store) -> None:
    """Write what became of some attempts, in one transaction."""
    with store.write() as txn:
        known = lines(txn.connection, (attempt.told.key for attempt in attempts))
        for attempt in attempts:
            line = known[attempt.told.key]
            head = line.tracked.head
            if line.tracked.status is Status.WANTED and head.version == attempt.told.version:
                known[attempt.told.key] = _end(context, txn, line, attempt)
        save(txn.connection, known.values())


def remove_replica(context: Context, txn: Writing, line: Line) -> Line:
    """Remove a replica because its entity ended."""
    if line.body_hash == NONE:
        return line
    owner = line.tracked.head.publisher
    kept = txn.get(line.resource, line.id)
    if kept is not None and kept.origin == owner:
        try:
            context.replicas.accept(txn, owner, RESOURCES[line.resource], line.id, None)
        except TmfError as error:
            _log.error("end_refused", resource=line.resource, id=line.id, reason=str(error))
            return line  # the next repair tries again
    return line._replace(body_hash=NONE)


def _end(context: Context, txn: Writing, line: Line, attempt: Attempt) -> Line:
    """Give what is known of the entity after an attempt to get its newest version."""
    outcome, after = attempt.failure, line
    if attempt.taken is not None:
        outcome = _accept(context, txn, attempt.told, attempt.taken)
        if outcome.result == "stored":
            taken = attempt.taken
            kept = txn.get(taken.resource, taken.id)
            assert kept is not None, "it was stored just now"
            after = Line(line.tracked, taken.resource, taken.id, content_hash(kept.body))
    assert outcome is not None
    now_ms = context.now_ms()
    after = after._replace(tracked=advance(line.tracked, outcome, now_ms, context.spread()))
    if after.tracked.status is Status.CURRENT:
        release(txn.connection, after.tracked)
        context.forms[attempt.told.form].taken(txn, attempt.told, attempt.taken)
    elif after.tracked.status is Status.QUARANTINED:
        because = (outcome.code, outcome.detail)
        _log.warning("quarantined", key=line.key, code=outcome.code, reason=outcome.detail)
        quarantine(txn.connection, after.tracked.head, because, now_ms)
    return after


def _accept(context: Context, txn: Writing, told: Told, taken: Taken) -> Outcome:
    if not is_id(taken.id):
        return Outcome("refused", told.version, Code.MALFORMED, "an id that no entity may have")
    try:
        with txn.connection.begin_nested():
            _make_room(txn, told, taken)
            _put(context, txn, told, taken)
    except _OwnedByOtherError as error:
        return Outcome("refused", told.version, Code.OWNED_BY_OTHER, str(error))
    except TmfError as error:
        # It may lack an entity that it refers to and that is on its way, so it is tried again.
        detail = f"{error.code}: {error.message}"
        return Outcome("faulty", told.version, Code.ENTITY_REFUSED, detail)
    for other in taken.others:
        with suppress(TmfError), txn.connection.begin_nested():
            if is_id(other.id) and not _is_told(txn, other):
                _put(context, txn, told, other)
    return Outcome("stored", told.version)


def _put(context: Context, txn: Writing, told: Told, taken: Taken) -> None:
    resource = RESOURCES[taken.resource]
    context.replicas.accept(txn, told.publisher, resource, taken.id, taken.document)


def _make_room(txn: Writing, told: Told, taken: Taken) -> None:
    """Remove what came without an event of its own and now turns out to be another member's."""
    kept = txn.get(taken.resource, taken.id)
    if kept is None or kept.origin == told.publisher:
        return
    if kept.origin == OWN or _is_told(txn, taken):
        whose = "this node" if kept.origin == OWN else kept.origin
        raise _OwnedByOtherError(f"the entity is {whose}'s")
    txn.remove(taken.resource, taken.id)


def _is_told(txn: Writing, taken: Taken) -> bool:
    """Say whether the replica of an entity was stored because of an event about it."""
    query = select(TRACKED.c.key).where(
        TRACKED.c.resource == taken.resource, TRACKED.c.id == taken.id
    )
    return txn.connection.execute(query).first() is not None


class _OwnedByOtherError(Exception):
    """The id of an entity is taken."""
