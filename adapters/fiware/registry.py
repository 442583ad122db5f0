"""FIWARE's trusted issuers registry: what verifiers read.

An issuer is trusted when it stands in the list, a participant when it stands in its list and its
validity covers the present. Consumers compare the types alone, so a credential outside its
validity is not served here; the management interface shows it.
"""

from base64 import b64encode
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.fiware.issuers import ISSUERS, NO_TYPE, credentials_of
from adapters.fiware.paging import page_document, read_paging
from adapters.fiware.problems import problem_details
from adapters.http import HttpError, in_snapshot, name_of, origin_of, present_ms, route
from adapters.lists import Lists
from ledger.core.trust.lists import ListEntry
from ledger.io.chain_reader import ChainReader
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["Registry"]

_PATH: Final = "/v4/issuers"


class Registry:
    """The registry over one list.

    Args:
        prefix: what stands in front of ``/v4/issuers``.
        list_name: "issuers" or "participants".
        base_url: what links begin with, None for what the client called.
    """

    def __init__(self, gateway: Gateway, prefix: str, list_name: str, base_url: str | None) -> None:
        self._gateway = gateway
        self._path = prefix + _PATH
        self._list = list_name
        self._base_url = base_url

    def routes(self) -> Sequence[BaseRoute]:
        """Give the routes, with and without a slash at the end."""
        paths = {
            self._path: self.get_issuers,
            f"{self._path}/": self.get_issuers,
            f"{self._path}/{{did:path}}": self.get_issuer,
        }
        return [
            route(self._gateway, path, problem_details, {"GET": answer})
            for path, answer in paths.items()
        ]

    async def get_issuers(self, request: Request) -> Response:
        """Answer with a page of the list."""
        paging = read_paging(request)
        url = origin_of(request, self._base_url) + self._path
        page = await in_snapshot(
            self._gateway, lambda _, lists: lists.page(self._list, paging.offset, paging.size)
        )
        items = [{"did": did, "href": f"{url}/{quote(did, safe=':')}"} for did, _ in page.items]
        return json_response(page_document(f"{url}/", paging, page.total, items))

    async def get_issuer(self, request: Request) -> Response:
        """Answer with one entry and what it may issue, or 404 when it is not trusted."""
        did = name_of(request, "did")

        def read(_: ChainReader, lists: Lists) -> list[ListEntry]:
            now_ms = present_ms(lists)
            entry = lists.entry(self._list, did)
            if entry is None or not entry.is_valid_at(now_ms):
                raise HttpError(HTTPStatus.NOT_FOUND, f"{did} is not trusted")
            if self._list != ISSUERS:
                return []
            entries = credentials_of(lists, did).values()
            return [entry for entry in entries if entry.is_valid_at(now_ms)]

        entries = await in_snapshot(self._gateway, read)
        return json_response({"did": did, "attributes": [_attribute(entry) for entry in entries]})


def _attribute(entry: ListEntry) -> dict[str, str]:
    return {
        "hash": b64encode(entry.body_hash).decode(),
        "body": b64encode(entry.body).decode(),
        "issuerType": NO_TYPE,
    }
