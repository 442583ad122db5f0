"""The EBSI facade: its settings, its mounts, its tasks.

Each version of an interface has its own mount; a version that is not served, and anything else
under EBSI's prefixes, is answered in EBSI's form.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from starlette.routing import BaseRoute

from adapters.ebsi import did_documents, issuers, schemas, timestamps
from adapters.ebsi.documents import Documents
from adapters.ebsi.log_index import LogIndex
from adapters.ebsi.serving import Handler, Read, fallback, reading, route
from pubsub.io.state import Gateway

__all__ = ["EbsiFacade", "EbsiSettings"]

_REGISTRIES: Final[dict[str, tuple[tuple[str, ...], dict[str, Read]]]] = {
    "trusted-issuers-registry": (("v3", "v4", "v5"), issuers.READS),
    "trusted-schemas-registry": (("v2", "v3"), schemas.READS),
    "did-registry": (("v4", "v5"), did_documents.READS),
    "timestamp": (("v3", "v4"), timestamps.READS),
}
_DOCUMENTS: Final = "/track-and-trace/v1"
_PREFIXES: Final = (*_REGISTRIES, "track-and-trace", "ledger", "authorisation")


@dataclass(frozen=True)
class EbsiSettings:
    """What the facade is told.

    Attributes:
        base_url: what links begin with, without a slash at its end; None for what the client
            called.
    """

    base_url: str | None = None


class EbsiFacade:
    """Serves EBSI's interfaces from the gateway's process."""

    def __init__(self, settings: EbsiSettings) -> None:
        self._settings = settings
        self._index = LogIndex(None)

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the routes of every version, and those for what is not there."""
        found: list[BaseRoute] = []
        for name, (versions, reads) in _REGISTRIES.items():
            for version in versions:
                mount = f"/{name}/{version}"
                found += [
                    route(gateway, mount + path, self._read(gateway, read, mount))
                    for path, read in reads.items()
                ]
        return [*found, *self._document_routes(gateway), *self._fallbacks(gateway)]

    async def run(self, gateway: Gateway) -> None:
        """Nothing is to be done beside the requests."""
        del gateway

    def _document_routes(self, gateway: Gateway) -> list[BaseRoute]:
        documents = Documents(self._index)
        reads = documents.reads()
        found: list[BaseRoute] = [
            route(gateway, _DOCUMENTS + path, self._indexed(gateway, read))
            for path, read in reads.items()
        ]
        accesses = self._indexed(gateway, documents.get_accesses)
        head = Handler("HEAD", self._indexed(gateway, documents.head_accesses).answer)
        return [*found, route(gateway, _DOCUMENTS + "/accesses", accesses, head)]

    def _fallbacks(self, gateway: Gateway) -> list[BaseRoute]:
        return [fallback(gateway, prefix) for prefix in _PREFIXES]

    def _read(self, gateway: Gateway, read: Read, mount: str) -> Handler:
        return reading(gateway, read, mount, self._settings.base_url)

    def _indexed(self, gateway: Gateway, read: Read) -> Handler:
        """Make a GET of a read that needs the index to know the log up to now."""
        return reading(gateway, read, _DOCUMENTS, self._settings.base_url, self._index.catch_up)
