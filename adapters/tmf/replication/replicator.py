"""Replication as one thing: what runs, what is served, what an operator asks for."""

from collections.abc import Sequence

import anyio
from starlette.routing import BaseRoute

from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.chain import Rules
from adapters.tmf.replication.core.selection import Selection
from adapters.tmf.replication.fetching import Fetching
from adapters.tmf.replication.form import EventForm
from adapters.tmf.replication.inbound import Follower
from adapters.tmf.replication.outbound import Outbound
from adapters.tmf.replication.serving import Serving

__all__ = ["Replicator"]


class Replicator:
    """Publishes own changes and holds replicas of the others' entities."""

    def __init__(
        self,
        context: Context,
        publishes: Sequence[EventForm],
        selection: Selection | None = None,
    ) -> None:
        """Prepare.

        Args:
            publishes: the forms in which own changes are told, in this order.
            selection: the part of the catalogue that is taken; None for all.
        """
        rules = Rules(context.identity.did, selection or Selection())
        self.fetching = Fetching(context)
        self.follower = Follower(context, rules, self.fetching.wake)
        self.outbound = Outbound(context, publishes)
        self._serving = Serving(context)

    def routes(self) -> list[BaseRoute]:
        """Give the routes for peers, to be mounted at the root."""
        return [*self._serving.routes()]

    async def run(self) -> None:
        """Replicate until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.outbound.run)
            group.start_soon(self.follower.run)
            await self.follower.has_caught_up.wait()
            group.start_soon(self.fetching.run)
