"""FIWARE's registries as one facade of the gateway."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.routing import BaseRoute

from adapters.access import WriteAccess
from adapters.fiware.issuers import ISSUERS
from adapters.fiware.management import Management
from adapters.fiware.registry import Registry
from adapters.writing import WriterFactory, Writing
from pubsub.io.state import Gateway

__all__ = ["FiwareFacade", "FiwareSettings"]


@dataclass(frozen=True)
class FiwareSettings:
    """Where the registries stand.

    Attributes:
        prefix: in front of ``/v4/issuers`` and ``/issuer``.
        participants_prefix: in front of ``/v4/issuers`` of the participants.
        base_url: what links begin with; None for the address that a client called.
    """

    prefix: str = ""
    participants_prefix: str = "/trusted-participants"
    base_url: str | None = None


class FiwareFacade:
    """The trusted issuers list with its management, and the registry of participants."""

    def __init__(
        self,
        settings: FiwareSettings,
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
        base_url = settings.base_url
        participants = Registry(gateway, settings.participants_prefix, "participants", base_url)
        return [
            *Registry(gateway, settings.prefix, ISSUERS, base_url).routes(),
            *participants.routes(),
            *Management(settings.prefix, Writing(gateway, writer, self._access)).routes(),
        ]

    async def run(self, gateway: Gateway) -> None:
        """Do nothing: there is nothing to do beside the requests."""
