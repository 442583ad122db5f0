"""One list of DOME's trust registry over HTTP.

Reading is open. Each write is one operation, in the name of the gateway's member.
"""

from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute

from adapters.access import EMPLOYEE
from adapters.dome.trust.collections import Collection
from adapters.dome.trust.problems import wrong_request
from adapters.fiware.paging import page_document, read_paging
from adapters.http import (
    HttpError,
    in_snapshot,
    name_of,
    origin_of,
    present_ms,
    read_json,
    route,
)
from adapters.lists import Lists
from adapters.writing import Plan, Writing
from ledger.io.chain_reader import ChainReader
from pubsub.io.answers import json_response

__all__ = ["Registry"]

_CREDENTIALS: Final = (EMPLOYEE,)
_Handler = Callable[[Request], Awaitable[Response]]


class Registry:
    """The interface of one list.

    Args:
        mount: path in front of the list's name, ``/v4`` included.
        base_url: what links begin with, None for what the client called.
    """

    def __init__(
        self, collection: Collection, mount: str, base_url: str | None, writing: Writing
    ) -> None:
        self._gateway = writing.gateway
        self._collection = collection
        self._path = f"{mount}/{collection.name}"
        self._base_url = base_url
        self._writing = writing

    def routes(self) -> Sequence[BaseRoute]:
        """Give the routes, with and without a slash at the end."""
        of_list = {"GET": self.get_list, "POST": self.post}
        of_entry: dict[str, _Handler] = {"GET": self.get, "PUT": self.put}
        if self._collection.remove is not None:
            of_entry["DELETE"] = self.delete
        return [
            route(self._gateway, self._path, wrong_request, of_list),
            route(self._gateway, f"{self._path}/", wrong_request, of_list),
            route(self._gateway, f"{self._path}/{{name:path}}", wrong_request, of_entry),
        ]

    async def get_list(self, request: Request) -> Response:
        """Answer with a page of the list."""
        collection, paging = self._collection, read_paging(request)
        page = await in_snapshot(
            self._gateway,
            lambda _, lists: lists.page(collection.list_name, paging.offset, paging.size),
        )
        url = origin_of(request, self._base_url) + self._path
        names = [collection.name_of(id_, entry) for id_, entry in page.items]
        items = [{"did": name, "href": f"{url}/{quote(name, safe=':')}"} for name in names]
        return json_response(page_document(url, paging, page.total, items, has_all_links=True))

    async def get(self, request: Request) -> Response:
        """Answer with one entry that holds now."""
        collection, name = self._collection, self._name(request)

        def read(_: ChainReader, lists: Lists) -> object:
            id_ = collection.find(lists, name)
            entry = None if id_ is None else lists.entry(collection.list_name, id_)
            if id_ is None or entry is None or not entry.is_valid_at(present_ms(lists)):
                raise HttpError(HTTPStatus.NOT_FOUND, f"{name} is not registered")
            return collection.read(lists, id_)

        return json_response(await in_snapshot(self._gateway, read))

    async def post(self, request: Request) -> Response:
        """Make an entry; of a participant, answer with the digest of its DID."""
        await self._writing.require(request, _CREDENTIALS)
        collection = self._collection
        document = await read_json(self._gateway, request, collection.document)
        await self._write(lambda known: collection.plan_create(known, document))
        if collection.name == "participants":
            digest = sha256(collection.named(document).encode()).hexdigest()
            return PlainTextResponse(f"0x{digest}")
        return Response()

    async def put(self, request: Request) -> Response:
        """Replace an entry."""
        await self._writing.require(request, _CREDENTIALS)
        collection, name = self._collection, self._name(request)
        document = await read_json(self._gateway, request, collection.document)
        if collection.named(document) != name:
            detail = "the names in the path and in the body differ"
            raise HttpError(HTTPStatus.BAD_REQUEST, detail)
        await self._write(lambda known: collection.plan_replace(known, name, document))
        if collection.name == "services":  # the description wants an error document here
            return json_response({"errCode": 200, "errMessage": f"{name} is updated"})
        return Response()

    async def delete(self, request: Request) -> Response:
        """End an entry."""
        await self._writing.require(request, _CREDENTIALS)
        name = self._name(request)
        await self._write(lambda known: self._collection.plan_remove(known, name))
        return Response()

    def _name(self, request: Request) -> str:
        name = name_of(request, "name")
        return name.lower() if self._collection.name == "accessNodes" else name

    async def _write(self, plan: Plan) -> None:
        await self._writing.carry_out(self._collection.list_name, plan)
