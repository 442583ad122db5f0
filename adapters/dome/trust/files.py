"""The files of DOME's trust framework, as today's components fetch them.

The bytes depend on the lists alone, and on the time where an entry has a validity: every gateway
serves the same file with the same tag. The address of an access node is written as a number of 40
hexadecimal digits without quotes: that is how Desmos reads it, and a quoted one would end it. So
what is no address is left out.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from http import HTTPStatus
from typing import Final

import yaml
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.bodies import members_of
from adapters.dome.trust.collections import entry_id
from adapters.dome.trust.problems import wrong_request
from adapters.http import Answer, HttpError, in_snapshot, name_of, present_ms, route
from adapters.lists import Lists
from ledger.core.limits import INT_MAX
from ledger.core.trust.lists import ListEntry
from ledger.io.chain_reader import ChainReader
from pubsub.io.state import Gateway

__all__ = ["Files"]

_YAML: Final = "text/plain; charset=utf-8"  # as they are served from the repository today
_SUFFIX: Final = ".json"
_ADDRESS: Final = re.compile(r"0x[0-9A-Fa-f]{40}\Z")
_SERVICE_MEMBERS: Final = (
    "clientId",
    "url",
    "redirectUris",
    "scopes",
    "clientAuthenticationMethods",
    "authorizationGrantTypes",
    "postLogoutRedirectUris",
    "requireAuthorizationConsent",
    "requireProofKey",
    "jwkSetUrl",
    "tokenEndpointAuthenticationSigningAlgorithm",
)
_Members = dict[str, object]


class _Address(str):
    """An address that is written as a number."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):  # type: ignore[misc] # the library has no types
    """Writes addresses as they are, and everything else as YAML's own types."""

    def ignore_aliases(self, data: object) -> bool:
        """Repeat equal values: the readers of these files know no anchors."""
        del data
        return True


def _represent_address(dumper: yaml.SafeDumper, address: _Address) -> yaml.ScalarNode:
    node: yaml.ScalarNode = dumper.represent_scalar("tag:yaml.org,2002:int", str(address))
    return node


_Dumper.add_representer(_Address, _represent_address)


class Files:
    """The files under one path."""

    def __init__(self, gateway: Gateway, prefix: str) -> None:
        self._gateway = gateway
        self._prefix = prefix

    def routes(self) -> Sequence[BaseRoute]:
        """Give the routes."""
        files: Mapping[str, Callable[[Lists], object]] = {
            "trusted_services_list.yaml": _services,
            "revoked_credential_list.yaml": _revocations,
            "trusted_access_nodes_list.yaml": _access_nodes,
        }
        yaml_routes = [
            route(self._gateway, f"{self._prefix}/{name}", wrong_request, {"GET": self._file(make)})
            for name, make in files.items()
        ]
        path = f"{self._prefix}/trusted_schemas_list/{{name:path}}"
        return [*yaml_routes, route(self._gateway, path, wrong_request, {"GET": self.get_schema})]

    async def get_schema(self, request: Request) -> Response:
        """Answer with a schema, byte for byte as it was registered."""
        name = name_of(request, "name").removesuffix(_SUFFIX)

        def read(_: ChainReader, lists: Lists) -> bytes:
            entry = lists.entry("schemas", entry_id(name))
            if entry is None or not entry.is_valid_at(present_ms(lists)):
                raise HttpError(HTTPStatus.NOT_FOUND, f"there is no schema {name}")
            return entry.body

        return _answer(request, await in_snapshot(self._gateway, read), "application/json")

    def _file(self, make: Callable[[Lists], object]) -> Answer:
        async def answer(request: Request) -> Response:
            body = await in_snapshot(self._gateway, lambda _, lists: _yaml(make(lists)))
            return _answer(request, body, _YAML)

        return answer


def _answer(request: Request, body: bytes, media_type: str) -> Response:
    """Answer with a file, or only say that the client's copy is still the newest."""
    tag = f'"{sha256(body).hexdigest()}"'
    headers = {"etag": tag, "cache-control": "no-cache"}
    known = request.headers.get("if-none-match", "")
    tags = {text.strip().removeprefix("W/") for text in known.split(",")}
    if tag in tags or known.strip() == "*":
        return Response(None, HTTPStatus.NOT_MODIFIED, headers)
    return Response(body, HTTPStatus.OK, headers | {"content-type": media_type})


def _services(lists: Lists) -> object:
    """Give the relying parties, members in the order of the file."""
    bodies = _present(lists, "services")
    clients = [{name: body[name] for name in _SERVICE_MEMBERS if name in body} for body in bodies]
    return {"clients": clients}


def _revocations(lists: Lists) -> object:
    """Give the ids of revoked credentials; a revocation holds while it stands."""
    ids = [id_ for id_, _ in lists.page("revoked-credentials", 0, INT_MAX).items]
    return {"revoked_credentials": ids}


def _access_nodes(lists: Lists) -> object:
    """Give the access nodes whose address is one."""
    return {
        "organizations": [
            {"name": body["name"], "dlt_address": _Address(str(body["dlt_address"]).lower())}
            for body in _present(lists, "access-nodes")
            if _ADDRESS.match(str(body["dlt_address"]))
        ]
    }


def _present(lists: Lists, list_name: str) -> Iterable[_Members]:
    """Give the bodies of a list that hold now, in order of their ids."""
    now_ms = present_ms(lists)
    entries: Iterable[ListEntry] = (entry for _, entry in lists.page(list_name, 0, INT_MAX).items)
    return (members_of(entry.body) for entry in entries if entry.is_valid_at(now_ms))


def _yaml(document: object) -> bytes:
    text: str = yaml.dump(
        document,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=INT_MAX,
        line_break="\n",
    )
    return text.encode()
