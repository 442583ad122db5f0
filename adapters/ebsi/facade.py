"""The EBSI facade: its settings, its mounts, its tasks.

Each version of an interface has its own mount; a version that is not served, and anything else
under EBSI's prefixes, is answered in EBSI's form. Tokens are given by ``adapters.credentials``.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import anyio
import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from adapters.credentials.access import AccessVerifier
from adapters.ebsi import (
    did_documents,
    did_plans,
    issuer_plans,
    issuers,
    schema_plans,
    schemas,
    timestamp_plans,
    timestamps,
)
from adapters.ebsi.besu import Besu
from adapters.ebsi.contracts import CONTRACTS, Contract
from adapters.ebsi.control import check_controller
from adapters.ebsi.document_plans import DocumentPlans
from adapters.ebsi.documents import Documents
from adapters.ebsi.json_rpc import JsonRpc, Writing
from adapters.ebsi.log_index import LogIndex
from adapters.ebsi.serving import Handler, Read, fallback, reading, route
from adapters.ebsi.transactions import Transactions
from adapters.member import Writer
from ledger.core.errors import Forgotten, InvariantError
from ledger.core.limits import GATEWAY_POLL_MS
from pubsub.io.answers import json_response
from pubsub.io.state import Gateway

__all__ = ["EbsiFacade", "EbsiSettings"]

_log: Final = structlog.get_logger("ebsi")

_REGISTRIES: Final[dict[str, tuple[tuple[str, ...], dict[str, Read]]]] = {
    "trusted-issuers-registry": (("v3", "v4", "v5"), issuers.READS),
    "trusted-schemas-registry": (("v2", "v3"), schemas.READS),
    "did-registry": (("v4", "v5"), did_documents.READS),
    "timestamp": (("v3", "v4"), timestamps.READS),
}
_DOCUMENTS: Final = "/track-and-trace/v1"
_ABI: Final = ("trusted-schemas-registry/v3",)
_VERSIONS: Final = ("v3", "v4")
_PREFIXES: Final = (*_REGISTRIES, "track-and-trace", "ledger")


@dataclass(frozen=True)
class EbsiSettings:
    """What the facade is told.

    Attributes:
        base_url: what links begin with, without a slash at its end; None for what the client
            called.
        documents_topic: topic that Track and Trace publishes on; the member needs the right.
        writer: gives the member in whose name the gateway writes; None for reads alone.
        verifier: of access tokens; None refuses every write.
    """

    base_url: str | None = None
    documents_topic: str = "track-and-trace"
    writer: Callable[[Gateway], Writer] | None = None
    verifier: AccessVerifier | None = None


class EbsiFacade:
    """Serves EBSI's interfaces from the gateway's process."""

    def __init__(self, settings: EbsiSettings) -> None:
        self._settings = settings
        self._index: LogIndex | None = None

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the routes of every version, and those for what is not there."""
        writer = self._settings.writer(gateway) if self._settings.writer else None
        index = self._index = LogIndex(writer.did if writer else None)
        found: list[BaseRoute] = []
        for name, (versions, reads) in _REGISTRIES.items():
            for version in versions:
                mount = f"/{name}/{version}"
                found += [
                    route(gateway, mount + path, self._read(gateway, read, mount))
                    for path, read in reads.items()
                ]
        found += self._documents(gateway, index)
        found += self._writes(gateway, index, writer)
        return [*found, *(fallback(gateway, prefix) for prefix in _PREFIXES)]

    async def run(self, gateway: Gateway) -> None:
        """Read the log before the first request has to."""
        assert self._index is not None, "routes come first"
        while not gateway.access.is_open:  # noqa: ASYNC110 - it has no event
            await anyio.sleep(GATEWAY_POLL_MS / 1000)
        try:
            while await gateway.access.in_thread(self._index.catch_up_some):
                pass
        except Forgotten as error:
            _log.error("documents_not_served", first_held=error.first_held)
        except InvariantError as error:
            gateway.fail(error)

    def _read(self, gateway: Gateway, read: Read, mount: str) -> Handler:
        return reading(gateway, read, mount, self._settings.base_url)

    def _documents(self, gateway: Gateway, index: LogIndex) -> list[BaseRoute]:
        documents = Documents(index)

        def indexed(read: Read) -> Handler:
            base_url = self._settings.base_url
            return reading(gateway, read, _DOCUMENTS, base_url, index.catch_up)

        found: list[BaseRoute] = [
            route(gateway, _DOCUMENTS + path, indexed(read))
            for path, read in documents.reads().items()
        ]
        head = Handler("HEAD", indexed(documents.head_accesses).answer)
        accesses = indexed(documents.get_accesses)
        return [*found, route(gateway, _DOCUMENTS + "/accesses", accesses, head)]

    def _writes(self, gateway: Gateway, index: LogIndex, writer: Writer | None) -> list[BaseRoute]:
        """Give the routes of writes; without a member they refuse, as with no token."""
        transactions = Transactions(gateway, index, writer)
        plans = DocumentPlans(index, self._settings.documents_topic).plans()
        for more in (issuer_plans, schema_plans, did_plans, timestamp_plans):
            plans |= more.PLANS
        verifier = self._settings.verifier if writer else None
        member = writer.did if writer else ""
        writing = Writing(gateway, member, transactions, plans, verifier)
        found: list[BaseRoute] = []
        for mount, contract in CONTRACTS.items():
            post = Handler("POST", JsonRpc(writing, contract).answer)
            found.append(route(gateway, f"/{mount}/jsonrpc", post))
        besu = Handler("POST", Besu(gateway, transactions, member).answer)
        actions = "identifiers/{did}/actions"
        check = Handler("POST", check_controller(gateway))
        more_paths = [
            *((f"/ledger/{version}/blockchains/besu", besu) for version in _VERSIONS),
            *((f"/did-registry/{version}/{actions}", check) for version in ("v4", "v5")),
            *((f"/{mount}/abi", _abi(CONTRACTS[mount])) for mount in _ABI),
        ]
        return [*found, *(route(gateway, path, handler) for path, handler in more_paths)]


def _abi(contract: Contract) -> Handler:
    document = contract.abi()

    async def answer(_request: Request) -> Response:
        return json_response(document)

    return Handler("GET", answer)
