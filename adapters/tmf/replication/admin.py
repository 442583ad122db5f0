"""What an operator sees of replication and may do: state, quarantine, replay, repair, selection.

Everything here is the operator's alone: nothing is answered before it is known who asks.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Final

import anyio
import msgspec
from sqlalchemy import delete, func, select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.http import HttpError
from adapters.tmf.api.callers import CallerOf
from adapters.tmf.replication.core.model import Tracked
from adapters.tmf.replication.core.progress import replayed
from adapters.tmf.replication.core.selection import Selection
from adapters.tmf.replication.outbound import waiting_count
from adapters.tmf.replication.replicator import Replicator
from adapters.tmf.replication.serving import answering
from adapters.tmf.replication.tables import QUARANTINE, TRACKED
from adapters.tmf.replication.tracking import lines, save
from adapters.tmf.store.database import Store
from ledger.core.errors import ConcordatError
from ledger.core.limits import (
    REPLICATION_PAGE_ITEMS_MAX,
    REPLICATION_SELECTION_BYTES_MAX,
    REPLICATION_STATUS_MS_MAX,
)
from pubsub.io.answers import json_response
from pubsub.io.body import Bodies

__all__ = ["Admin"]

_ROOT: Final = "/replication/v1"
_NUMBER_CHARS_MAX: Final = 18


class Admin:
    """The operator's endpoints."""

    def __init__(self, replicator: Replicator, caller_of: CallerOf, bodies: Bodies) -> None:
        self._replicator = replicator
        self._store = replicator.context.store
        self._caller_of = caller_of
        self._bodies = bodies

    def routes(self) -> list[Route]:
        """Give the routes, to be mounted at the root."""
        return [
            self._route("/status", self._status, "GET"),
            self._route("/quarantine", self._quarantine, "GET"),
            self._route("/quarantine/{sequence}/replay", self._replay, "POST"),
            self._route("/repair", self._repair, "POST"),
            self._route("/selection", self._selection, "GET"),
            self._route("/selection", self._choose, "PUT"),
        ]

    def _route(
        self, path: str, answer: Callable[[Request], Awaitable[Response]], method: str
    ) -> Route:
        async def run(request: Request) -> Response:
            if not (await self._caller_of(request)).is_operator:
                raise HttpError(HTTPStatus.FORBIDDEN, "this is the operator's alone")
            return await answer(request)

        return Route(_ROOT + path, answering(run), methods=[method])

    async def _status(self, _request: Request) -> Response:
        replicator = self._replicator
        follower, outbound = replicator.follower, replicator.outbound
        waiting, unread = await self._store.in_thread(waiting_count)
        counts = await self._store.in_thread(_counts)
        behind = await self._behind()
        origins = {
            did: {
                "wanted": counts.wanted.get(did, 0),
                "underWay": len(health.under_way),
                "failures": health.failures,
                "error": health.error,
                "successMs": health.success_ms,
            }
            for did, health in sorted(replicator.fetching.origins.items())
        }
        document = {
            "ledger": {
                "sequence": follower.sequence,
                "behind": behind,
                "hasCaughtUp": follower.has_caught_up.is_set(),
                "error": follower.error,
            },
            "publishing": {"waiting": waiting, "changesUnread": unread, "error": outbound.error},
            "entities": counts.entities,
            "gaps": counts.gaps,
            "quarantined": counts.quarantined,
            "origins": origins,
        }
        return json_response(document)

    async def _behind(self) -> int | None:
        """Give how many events of the ledger were not taken yet; None when no gateway says."""
        with anyio.move_on_after(REPLICATION_STATUS_MS_MAX / 1000), suppress(ConcordatError):
            chain = (await self._replicator.context.ledger.status()).chain
            if chain is not None:
                return max(0, chain.log_size - 1 - self._replicator.follower.sequence)
        return None

    async def _quarantine(self, request: Request) -> Response:
        after = _number(request.query_params.get("after", "-1"))
        rows = await self._store.in_thread(partial(_rows, after=after))
        return json_response({"items": rows})

    async def _replay(self, request: Request) -> Response:
        sequence = _number(request.path_params["sequence"])
        tracked = await self._store.in_thread(partial(_replay, sequence=sequence))
        self._replicator.fetching.woken([tracked])
        return Response(status_code=HTTPStatus.ACCEPTED)

    async def _repair(self, _request: Request) -> Response:
        self._replicator.repair.wake()
        return Response(status_code=HTTPStatus.ACCEPTED)

    async def _selection(self, _request: Request) -> Response:
        return json_response(self._replicator.follower.rules.selection)

    async def _choose(self, request: Request) -> Response:
        async with self._bodies.read(request, REPLICATION_SELECTION_BYTES_MAX) as body:
            try:
                selection = msgspec.json.decode(body, type=Selection)
            except (msgspec.MsgspecError, RecursionError) as error:
                raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from None
        await self._replicator.choose(selection)
        return json_response(selection)


class _Counts(msgspec.Struct):
    """How many entities of the ledger are how; ``wanted`` by their owners."""

    entities: dict[str, int]
    wanted: dict[str, int]
    gaps: int
    quarantined: int


def _counts(store: Store) -> _Counts:
    with store.read() as reading:
        execute = reading.connection.execute
        by_status = execute(select(TRACKED.c.status, func.count()).group_by(TRACKED.c.status))
        wanted = execute(
            select(TRACKED.c.owner, func.count())
            .where(TRACKED.c.status == "wanted")
            .group_by(TRACKED.c.owner)
        )
        gaps = execute(select(func.count()).where(TRACKED.c.has_gap == 1)).scalar_one()
        quarantined = execute(select(func.count()).select_from(QUARANTINE)).scalar_one()
        return _Counts(
            dict(by_status.all()),
            dict(wanted.all()),
            gaps,
            quarantined,
        )


def _rows(store: Store, after: int) -> list[dict[str, object]]:
    query = (
        select(QUARANTINE)
        .where(QUARANTINE.c.sequence > after)
        .order_by(QUARANTINE.c.sequence)
        .limit(REPLICATION_PAGE_ITEMS_MAX)
    )
    with store.read() as reading:
        return [
            {
                "sequence": row.sequence,
                "entity": row.key,
                "publisher": row.publisher,
                "code": row.code,
                "detail": row.detail,
                "location": row.location,
                "timeMs": row.time_ms,
            }
            for row in reading.connection.execute(query)
        ]


def _replay(store: Store, sequence: int) -> Tracked:
    """Want the entity of an event in quarantine again. Raises HttpError."""
    with store.write() as txn:
        query = select(QUARANTINE.c.key).where(QUARANTINE.c.sequence == sequence)
        key = txn.connection.execute(query).scalar()
        if key is None:
            raise HttpError(HTTPStatus.NOT_FOUND, "no such event is in quarantine")
        line = lines(txn.connection, [key])[key]
        if line.tracked.head.sequence != sequence:
            owner = line.tracked.head.publisher
            raise HttpError(HTTPStatus.CONFLICT, f"the entity is {owner}'s: it published it first")
        again = line._replace(tracked=replayed(line.tracked))
        save(txn.connection, [again])
        txn.connection.execute(delete(QUARANTINE).where(QUARANTINE.c.sequence == sequence))
    return again.tracked


def _number(text: str) -> int:
    """Read a sequence. Raises HttpError."""
    if len(text) > _NUMBER_CHARS_MAX or not text.removeprefix("-").isdecimal():
        raise HttpError(HTTPStatus.BAD_REQUEST, "a sequence is a whole number")
    return int(text)
