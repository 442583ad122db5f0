"""The usage log over HTTP: ``/usage-log/v1``.

Owns paths, and who may ask for what: the seller for everything, a buyer for its own records, proofs
and openings, anybody for the blocks, which the ledger shows to everybody anyway. Records of others
do not exist for a buyer.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Final

import anyio
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from adapters.tmf.api.callers import CallerOf
from adapters.tmf.api.errors import JSON, error_response, not_allowed, not_found
from adapters.tmf.refusal import TmfError
from adapters.tmf.usage import documents, evidence
from adapters.tmf.usage.bulk import take_lines
from adapters.tmf.usage.comparing import compare_with_log
from adapters.tmf.usage.evidence import BlockView
from adapters.tmf.usage.leaves import reference_of
from adapters.tmf.usage.limits import USAGE_DISPUTE_BYTES_MAX, USAGE_INTAKE_MS_MAX
from adapters.tmf.usage.package import encode_package
from adapters.tmf.usage.proof import encode_proof
from adapters.tmf.usage.service import UsageService
from ledger.core.errors import InvariantError
from pubsub.io.body import Bodies

__all__ = ["usage_routes"]

_Answer = Callable[[Request], Awaitable[Response]]

_NDJSON: Final = "application/x-ndjson"
_ROOT: Final = "/usage-log/v1"
_encode = msgspec.json.Encoder().encode


class _Endpoint:
    """One path with its methods; whatever fails has the form of TMF630."""

    def __init__(
        self, answers: Mapping[str, _Answer], fail: Callable[[InvariantError], None]
    ) -> None:
        self._answers = answers
        self._fail = fail

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._find(request.method)(request)
        except ClientDisconnect:
            return  # what was taken of the body stays; nobody hears the answer
        except Exception as error:  # noqa: BLE001 - every error has a document
            if isinstance(error, InvariantError):
                self._fail(error)
            response = error_response(error)
        await response(scope, receive, send)

    def _find(self, method: str) -> _Answer:
        answer = self._answers.get(method)
        if answer is None:
            raise not_allowed(self._answers)
        return answer


class _UsageApi:
    """What answers."""

    def __init__(self, service: UsageService, caller_of: CallerOf, bodies: Bodies) -> None:
        self._service = service
        self._evidence = service.evidence
        self._caller_of = caller_of
        self._bodies = bodies

    async def take_records(self, request: Request) -> Response:
        """Take lines of records into the log."""
        await self._require_seller(request)
        with anyio.move_on_after(USAGE_INTAKE_MS_MAX / 1000):
            return _json(await take_lines(self._service, request.stream()))
        raise TmfError(
            HTTPStatus.REQUEST_TIMEOUT,
            "body-timeout",
            "Body timeout",
            "the body takes too long; send it in parts, what was taken is known then",
        )

    async def list_records(self, request: Request) -> Response:
        """List the records that the caller may see."""
        scope = await self._scope(request)
        wanted = documents.record_filter(request.query_params)
        found = await self._service.in_thread(partial(self._evidence.records, wanted, scope))
        return _json([documents.record_document(view) for view in found])

    async def list_blocks(self, request: Request) -> Response:
        """List the blocks."""
        scope = await self._caller_scope(request)
        after, limit = documents.page_of(request.query_params)
        found = await self._service.in_thread(partial(self._evidence.blocks, after, limit))
        shown = partial(documents.block_document, is_seller=_is_seller(scope))
        return _json([shown(view) for view in found])

    async def show_block(self, request: Request) -> Response:
        """Show one block, with the openings of the caller's totals."""
        view = await self._block(request)
        scope = await self._caller_scope(request)
        document = documents.block_document(view, is_seller=_is_seller(scope))
        if scope is not None:
            number = view.block.number
            openings = await self._service.in_thread(
                partial(self._evidence.openings, number, scope)
            )
            document["openings"] = [
                documents.opening_document(opening, reference_of(opening)) for opening in openings
            ]
        return _json(document)

    async def show_proof(self, request: Request) -> Response:
        """Prove one record of a block: by its ``leaf``, or the newest version of a ``record``."""
        scope = await self._scope(request)
        number, leaf = _block_number(request), request.query_params.get("leaf")
        if leaf is None:
            id_ = request.query_params.get("record", "")
            place = await self._service.in_thread(partial(self._evidence.leaf_of, number, id_))
        else:
            place = documents.number_of(leaf, "leaf")
        proof = None
        if place is not None:
            proof = await self._service.in_thread(
                partial(self._evidence.proof, number, place, scope)
            )
        if proof is None:
            raise not_found(f"block {number} has no such record")
        return Response(encode_proof(proof), media_type=JSON)

    async def show_package(self, request: Request) -> Response:
        """Give the seller what an auditor needs of one block."""
        await self._require_seller(request)
        number = _block_number(request)
        package = await self._service.in_thread(partial(self._evidence.package, number))
        if package is None:
            raise not_found(f"there is no block {number}")
        body = await self._service.in_thread(lambda: b"".join(encode_package(package)))
        return Response(body, media_type=_NDJSON)

    async def compare_records(self, request: Request) -> Response:
        """Compare the caller's records, lines of JSON, with those of the log."""
        scope = await self._scope(request)
        wanted = documents.record_filter(request.query_params)
        async with self._bodies.read(request, USAGE_DISPUTE_BYTES_MAX) as body:
            work = partial(compare_with_log, self._evidence, body, wanted, scope)
            differences = await self._service.in_thread(work)
        return _json([documents.difference_document(one) for one in differences])

    async def list_refused(self, request: Request) -> Response:
        """List the ``usage`` entities that the log does not take."""
        await self._require_seller(request)
        after, limit = documents.page_of(request.query_params)
        found = await self._service.in_thread(partial(self._evidence.refused, after, limit))
        return _json([one._asdict() for one in found])

    async def _block(self, request: Request) -> BlockView:
        number = _block_number(request)
        view = await self._service.in_thread(partial(self._evidence.block, number))
        if view is None:
            raise not_found(f"there is no block {number}")
        return view

    async def _caller_scope(self, request: Request) -> evidence.Scope | None:
        """Say what the caller sees; None for nothing that is not public."""
        caller = await self._caller_of(request)
        if caller.is_operator or caller.organisation == self._service.seller:
            return evidence.Scope()
        return evidence.Scope(caller.organisation) if caller.organisation else None

    async def _scope(self, request: Request) -> evidence.Scope:
        scope = await self._caller_scope(request)
        if scope is None:
            raise _forbidden("usage is shown to its buyer and its seller")
        return scope

    async def _require_seller(self, request: Request) -> None:
        if not _is_seller(await self._caller_scope(request)):
            raise _forbidden(f"this is for {self._service.seller} alone")


def usage_routes(
    service: UsageService,
    caller_of: CallerOf,
    bodies: Bodies,
    fail: Callable[[InvariantError], None],
) -> list[BaseRoute]:
    """Give the routes of the usage log.

    Args:
        fail: is told of an error after which the process must end.
    """
    api = _UsageApi(service, caller_of, bodies)
    table: dict[str, dict[str, _Answer]] = {
        "/records": {"GET": api.list_records, "POST": api.take_records},
        "/blocks": {"GET": api.list_blocks},
        "/blocks/{number}": {"GET": api.show_block},
        "/blocks/{number}/proof": {"GET": api.show_proof},
        "/blocks/{number}/audit": {"GET": api.show_package},
        "/disputes": {"POST": api.compare_records},
        "/refused": {"GET": api.list_refused},
    }
    return [Route(_ROOT + path, _Endpoint(answers, fail)) for path, answers in table.items()]


def _is_seller(scope: evidence.Scope | None) -> bool:
    return scope is not None and scope.buyer is None


def _block_number(request: Request) -> int:
    return documents.number_of(request.path_params["number"], "the number of a block")


def _json(document: object) -> Response:
    return Response(_encode(document), media_type=JSON, headers={"cache-control": "no-store"})


def _forbidden(message: str) -> TmfError:
    return TmfError(HTTPStatus.FORBIDDEN, "forbidden", "Forbidden", message)
