"""What peers may ask this node: a published version, and a digest of all that it published.

Owns who gets what: a request needs a proof of identity by a participant of the ledger, and what
only parties may see is answered to others as if it were not there.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final

import msgspec
from sqlalchemy import select
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from adapters.credentials.access import AccessRefused, bearer_token
from adapters.http import HttpError
from adapters.tmf.api.errors import error_response
from adapters.tmf.replication.context import Context
from adapters.tmf.replication.native import DIGEST_PATH, PATH, SALT_HEADER
from adapters.tmf.replication.proof import ProofChecker, read_proof
from adapters.tmf.replication.shared import Audience, audience_of, is_party
from adapters.tmf.replication.tables import OUTBOX
from adapters.tmf.replication.versions import Version, published_digest, version_of
from adapters.tmf.resources.validation import is_id
from adapters.tmf.store.database import Store

__all__ = ["CURRENT_HEADER", "Serving", "answering"]

Endpoint = Callable[[Request], Awaitable[Response]]
CURRENT_HEADER: Final = "concordat-current-hash"
_CHALLENGE: Final = {"www-authenticate": "Bearer"}


class Serving:
    """The endpoints for peers."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._proofs = ProofChecker(context.identity.did)

    def routes(self) -> list[Route]:
        """Give the routes, to be mounted at the root."""
        return [
            Route(PATH + "/{resource}/{subject:path}", answering(self._entity)),
            Route(DIGEST_PATH, answering(self._digest)),
        ]

    async def _digest(self, request: Request) -> Response:
        """Answer with the digest of all that was published: 32 bytes."""
        await self._asker(request, "digest", "")

        def find(store: Store) -> bytes | None:
            with store.read() as reading:
                is_moving = reading.connection.execute(select(OUTBOX.c.number)).first()
                return None if is_moving else published_digest(reading.connection)

        digest = await self._context.store.in_thread(find)
        if digest is None:
            raise HttpError(HTTPStatus.SERVICE_UNAVAILABLE, "events are on their way")
        headers = {"cache-control": "no-store"}
        return Response(digest, headers=headers, media_type="application/octet-stream")

    async def _entity(self, request: Request) -> Response:
        """Answer with the canonical bytes of a version."""
        resource = request.path_params["resource"]
        subject = request.path_params["subject"]
        if audience_of(resource) is Audience.NOBODY or not is_id(subject):
            raise _not_found()
        hash_ = request.query_params.get("hash", "")
        asker = await self._asker(request, f"{resource}/{subject}", hash_)
        try:
            digest = bytes.fromhex(hash_)
        except ValueError:
            raise HttpError(HTTPStatus.BAD_REQUEST, "hash is no hexadecimal text") from None

        def find(store: Store) -> Version | None:
            with store.read() as reading:
                return version_of(reading.connection, resource, subject, digest)

        version = await self._context.store.in_thread(find)
        if version is None:
            raise _not_found()
        if version.body is None:
            headers = {CURRENT_HEADER: version.published.hash.hex()}
            raise HttpError(HTTPStatus.GONE, "this version was superseded", headers)
        if audience_of(resource) is Audience.PARTIES:
            document = msgspec.json.decode(version.body, type=dict)
            if not is_party(document, asker):
                raise _not_found()
        headers = {"cache-control": "no-store"}
        if version.published.salt:
            headers[SALT_HEADER] = version.published.salt.hex()
        return Response(version.body, headers=headers, media_type="application/json")

    async def _asker(self, request: Request, subject: str, version: str) -> str:
        """Give the DID of the member that asks. Raises HttpError, Unavailable."""
        try:
            token = bearer_token(request.headers.get("authorization"))
            proof = read_proof(token)
            member = await self._context.members.get(proof.claims.iss)
            asked, now_ms = (subject, version), self._context.now_ms()
            return self._proofs.check(proof, member.keys, asked, now_ms).iss
        except AccessRefused as refusal:
            headers = _CHALLENGE if refusal.status == HTTPStatus.UNAUTHORIZED else {}
            raise HttpError(refusal.status, str(refusal), headers) from None


def answering(answer: Callable[[Request], Awaitable[Response]]) -> Endpoint:
    """Give an endpoint whose every error has a document."""

    async def run(request: Request) -> Response:
        try:
            return await answer(request)
        except Exception as error:  # noqa: BLE001 - every error has a document
            return error_response(error)

    return run


def _not_found() -> HttpError:
    return HttpError(HTTPStatus.NOT_FOUND, "nothing of this name was published to you")
