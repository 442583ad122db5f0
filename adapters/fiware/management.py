"""FIWARE's trusted issuers list: the management of who may issue what.

Reading is open. Each write is one operation, in the name of the gateway's member.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.access import EMPLOYEE, MACHINE
from adapters.fiware import issuers
from adapters.fiware.attributes import Draft, TrustedIssuer, draft_of
from adapters.fiware.issuers import ISSUERS
from adapters.fiware.paging import read_paging
from adapters.fiware.problems import problem_details
from adapters.http import HttpError, in_snapshot, name_of, read_json, route
from adapters.lists import Lists
from adapters.writing import Writing
from ledger.io.chain_reader import ChainReader
from pubsub.io.answers import json_response

__all__ = ["Management"]

_PATH: Final = "/issuer"
_CREDENTIALS: Final = (EMPLOYEE, MACHINE)


class Management:
    """The list's management.

    Args:
        prefix: what stands in front of ``/issuer``.
    """

    def __init__(self, prefix: str, writing: Writing) -> None:
        self._gateway = writing.gateway
        self._path = prefix + _PATH
        self._writing = writing

    def routes(self) -> Sequence[BaseRoute]:
        """Give the routes, with and without a slash at the end."""
        of_list = {"GET": self.get_issuers, "POST": self.post_issuer}
        of_issuer = {
            "GET": self.get_issuer,
            "PUT": self.put_issuer,
            "DELETE": self.delete_issuer,
        }
        return [
            route(self._gateway, self._path, problem_details, of_list),
            route(self._gateway, f"{self._path}/", problem_details, of_list),
            route(self._gateway, f"{self._path}/{{did:path}}", problem_details, of_issuer),
        ]

    async def get_issuers(self, request: Request) -> Response:
        """Answer with a page of DIDs."""
        paging = read_paging(request, "page", "pageSize")
        page = await in_snapshot(
            self._gateway, lambda _, lists: lists.page(ISSUERS, paging.offset, paging.size)
        )
        dids = [did for did, _ in page.items]
        document = {
            "total": page.total,
            "pageSize": paging.size,
            "page": paging.page,
            "items": dids,
        }
        return json_response(document)

    async def get_issuer(self, request: Request) -> Response:
        """Answer with an issuer and its credentials, also those outside their validity."""
        return await self._answer(name_of(request, "did"))

    async def post_issuer(self, request: Request) -> Response:
        """Make an issuer."""
        await self._writing.require(request, _CREDENTIALS)
        issuer = await read_json(self._gateway, request, TrustedIssuer)
        drafts = _drafts(issuer)
        await self._writing.carry_out(
            ISSUERS, lambda known: issuers.create(known, issuer.did, drafts)
        )
        location = f"{self._path}/{quote(issuer.did, safe=':')}"
        return Response(status_code=HTTPStatus.CREATED, headers={"location": location})

    async def put_issuer(self, request: Request) -> Response:
        """Replace what an issuer may issue."""
        await self._writing.require(request, _CREDENTIALS)
        did = name_of(request, "did")
        issuer = await read_json(self._gateway, request, TrustedIssuer)
        if issuer.did != did:
            raise HttpError(HTTPStatus.BAD_REQUEST, "the DIDs of the path and the body differ")
        drafts = _drafts(issuer)
        await self._writing.carry_out(ISSUERS, lambda known: issuers.replace(known, did, drafts))
        return await self._answer(did)

    async def delete_issuer(self, request: Request) -> Response:
        """End an issuer."""
        await self._writing.require(request, _CREDENTIALS)
        did = name_of(request, "did")
        await self._writing.carry_out(ISSUERS, lambda known: issuers.remove(known, did))
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def _answer(self, did: str) -> Response:
        def read(_: ChainReader, lists: Lists) -> list[msgspec.Raw]:
            if lists.entry(ISSUERS, did) is None:
                raise HttpError(HTTPStatus.NOT_FOUND, f"there is no issuer {did}")
            return [
                msgspec.Raw(entry.body) for entry in issuers.credentials_of(lists, did).values()
            ]

        credentials = await in_snapshot(self._gateway, read)
        return json_response({"did": did, "credentials": credentials})


def _drafts(issuer: TrustedIssuer) -> list[Draft]:
    try:
        return [draft_of(credential) for credential in issuer.credentials or ()]
    except ValueError as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, str(error)) from None
