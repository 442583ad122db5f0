"""An access node as the programs of its operator see it: the TM Forum APIs, with patience."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import trio

from ledger.core.errors import Unavailable

__all__ = ["APIS", "AccessClient", "Json", "refusal_of", "require"]

Json = dict[str, Any]
"""A JSON object."""

APIS: Final = {
    "catalog": "/tmf-api/productCatalogManagement/v4/catalog",
    "category": "/tmf-api/productCatalogManagement/v4/category",
    "productSpecification": "/tmf-api/productCatalogManagement/v4/productSpecification",
    "productOffering": "/tmf-api/productCatalogManagement/v4/productOffering",
    "organization": "/tmf-api/party/v4/organization",
    "productOrder": "/tmf-api/productOrderingManagement/v4/productOrder",
    "product": "/tmf-api/productInventory/v4/product",
}
"""Collections that the demonstration uses, by resource."""

_REQUEST_S: Final = 30
_POLL_S: Final = 0.1


class AccessClient:
    """Asks one marketplace's access node, as its operator or as anybody."""

    def __init__(self, name: str, url: str, token_file: Path) -> None:
        """Ask the node at ``url``, whose operator's token will be in a file once it runs."""
        self.name = name
        self._token_file = token_file
        self._http = httpx.AsyncClient(base_url=url, timeout=_REQUEST_S)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def wait_ready(self) -> None:
        """Wait until the node answers that all that it needs is there."""
        while True:
            try:
                found = await self._http.get("/health")
                if all(check["status"] == "UP" for check in found.json()["checks"]):
                    return
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            await trio.sleep(_POLL_S)

    async def call(
        self, method: str, path: str, body: Json | bytes | None = None
    ) -> httpx.Response:
        """Ask as the operator."""
        token = self._token_file.read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        if isinstance(body, bytes):
            headers["content-type"] = "application/x-ndjson"
            return await self._http.request(method, path, headers=headers, content=body)
        return await self._http.request(method, path, headers=headers, json=body)

    async def make(self, resource: str, document: Json) -> Json:
        """Make an entity; give it as the node has it."""
        made: Json = require(await self.call("POST", APIS[resource], document)).json()
        return made

    async def change(self, entity: Json, changes: Json) -> Json:
        """Change an entity of this node."""
        changed: Json = require(await self.call("PATCH", entity["href"], changes)).json()
        return changed

    async def see(self, path: str) -> httpx.Response:
        """Read as anybody."""
        return await self._http.get(path)

    async def list(self, resource: str, *, as_operator: bool = False) -> list[Json]:
        """Read a whole collection, in order of ids."""
        path = APIS[resource]
        answer = require(await (self.call("GET", path) if as_operator else self.see(path)))
        found: list[Json] = answer.json()
        return sorted(found, key=lambda entity: str(entity["id"]))

    async def wait_for(self, path: str, holds: Callable[[Json], bool] = bool) -> Json:
        """Wait until the operator finds an entity of which something holds; give it."""
        while True:
            try:
                answer = await self.call("GET", path)
                if answer.is_success and holds(answer.json()):
                    found: Json = answer.json()
                    return found
            except httpx.HTTPError:
                pass
            await trio.sleep(_POLL_S)


def require(answer: httpx.Response) -> httpx.Response:
    """Give an answer that is none of an error.

    Raises:
        Unavailable: it is; the message says which.
    """
    if not answer.is_success:
        request = answer.request
        raise Unavailable(
            f"{request.method} {request.url}: {answer.status_code} {answer.text[:300]}"
        )
    return answer


def refusal_of(answer: httpx.Response) -> str:
    """Give the stable code of a refusal; empty for a success."""
    return "" if answer.is_success else str(answer.json().get("code", answer.status_code))
