"""Replication as one thing: what runs, what is served, what an operator asks for."""

from collections.abc import Sequence
from functools import partial

import anyio
from starlette.routing import BaseRoute

from adapters.tmf.replication.context import Context
from adapters.tmf.replication.core.chain import Rules
from adapters.tmf.replication.core.model import Tracked
from adapters.tmf.replication.core.selection import Selection
from adapters.tmf.replication.fetching import Fetching
from adapters.tmf.replication.form import EventForm
from adapters.tmf.replication.inbound import Follower
from adapters.tmf.replication.outbound import Outbound
from adapters.tmf.replication.repair import Digests, Repair
from adapters.tmf.replication.selecting import apply_selection, kept_selection
from adapters.tmf.replication.serving import Serving

__all__ = ["Replicator"]


class Replicator:
    """Publishes own changes and holds replicas of the others' entities."""

    def __init__(
        self,
        context: Context,
        publishes: Sequence[EventForm],
        digests: Digests,
        selection: Selection | None = None,
    ) -> None:
        """Prepare.

        Args:
            publishes: the forms in which own changes are told, in this order.
            selection: the part of the catalogue that is taken; None for the one that was set
                last, which is all at first.
        """
        if selection is None:
            selection = kept_selection(context.store)
        self.context = context
        self.fetching = Fetching(context)
        self.follower = Follower(context, Rules(context.identity.did, selection), self._changed)
        self.outbound = Outbound(context, publishes)
        self.repair = Repair(context, lambda: self.follower.rules, digests, self.fetching.woken)
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
            group.start_soon(self.repair.run)

    async def choose(self, selection: Selection) -> None:
        """Take another part of the catalogue; what is held already is followed further."""
        rules = Rules(self.context.identity.did, selection)
        self.follower.rules = rules
        await self.context.store.in_thread(partial(apply_selection, rules=rules))
        await self.fetching.wake_all()

    def _changed(self, changed: Sequence[Tracked]) -> None:
        self.fetching.woken(changed)
        if any(item.has_gap for item in changed):
            self.repair.wake()
