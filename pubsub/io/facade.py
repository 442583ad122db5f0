"""What another package may add to the gateway: routes of its own, and tasks beside the requests."""

from collections.abc import Sequence
from typing import Protocol

from starlette.routing import BaseRoute

from pubsub.io.state import Gateway

__all__ = ["Facade"]


class Facade(Protocol):
    """An interface of an outside world, served by the gateway's process."""

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the routes; each answers errors in the form of its world."""
        ...

    async def run(self, gateway: Gateway) -> None:
        """Do what is to be done beside the requests, until cancelled; may return at once."""
        ...
