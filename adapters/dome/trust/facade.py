"""DOME's trust registry and the files of its trust framework as one facade of the gateway.

FIWARE's registry has a path ``/v4/issuers`` too, with other documents behind it. So the two stand
under different prefixes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from adapters.access import WriteAccess
from adapters.dome.trust.collections import COLLECTIONS
from adapters.dome.trust.files import Files
from adapters.dome.trust.registry import Registry
from adapters.writing import WriterFactory, Writing
from pubsub.io.state import Gateway

__all__ = ["DomeTrustFacade", "DomeTrustSettings"]


@dataclass(frozen=True)
class DomeTrustSettings:
    """Where the registry and the files stand.

    Attributes:
        prefix: in front of ``/v4``; not the one of FIWARE's registry.
        files_prefix: in front of the names of the files.
        base_url: what links begin with; None for the address that a client called.
    """

    prefix: str = "/dome-trust-registry"
    files_prefix: str = "/trust-framework"
    base_url: str | None = None


class DomeTrustFacade:
    """The five lists of the registry, and the four kinds of files."""

    def __init__(
        self,
        settings: DomeTrustSettings,
        writer: WriterFactory | None = None,
        access: WriteAccess | None = None,
    ) -> None:
        """Serve by these settings.

        Args:
            writer: makes what writes, once there is a gateway; None refuses every write.
            access: who may write; None for nobody.
        """
        self._settings = settings
        self._writer = writer
        self._access = access or WriteAccess()

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the routes."""
        settings = self._settings
        writer = None if self._writer is None else self._writer(gateway)
        mount = f"{settings.prefix}/v4"
        found: list[BaseRoute] = [*Files(gateway, settings.files_prefix).routes()]
        writing = Writing(gateway, writer, self._access)
        for collection in COLLECTIONS:
            found += Registry(collection, mount, settings.base_url, writing).routes()
        return found

    async def run(self, gateway: Gateway) -> None:
        """Do nothing: there is nothing to do beside the requests."""
