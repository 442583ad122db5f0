"""An access node's HTTP engine in one process: real store, real entities, callers by a header."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path

import anyio
import httpx
from starlette.applications import Starlette
from starlette.requests import Request

from adapters.tmf.api.collections import Serving
from adapters.tmf.api.jobs import Jobs, JobSettings
from adapters.tmf.api.routes import api_routes
from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.entities.policy import Proposed
from adapters.tmf.entities.service import Entities
from adapters.tmf.entity import JsonObject
from adapters.tmf.hub.endpoints import HubEndpoints
from adapters.tmf.hub.hub import Hub, HubSettings
from adapters.tmf.hub.pace import Pace
from adapters.tmf.query.model import Comparison, Condition
from adapters.tmf.resources.model import Resource
from adapters.tmf.store.database import Store
from adapters.tmf.store.ports import Reading
from ledger.core.errors import InvariantError
from pubsub.io.body import Bodies
from pubsub.io.egress import Egress

START_MS = 1_795_000_000_000
CATALOGUE = "/tmf-api/productCatalogManagement/v4"
OFFERING = f"{CATALOGUE}/productOffering"
ORDER = "/tmf-api/productOrderingManagement/v4/productOrder"
WAIT_S = 10


class PartiesOnly:
    """A policy: an order exists for the parties that it names, all else for everybody."""

    def fill(self, resource: Resource, document: JsonObject, caller: Caller) -> None:
        """Add nothing."""

    def judge(self, proposed: Proposed, reading: Reading) -> None:
        """Allow everything."""

    def visible(self, resource: Resource, caller: Caller) -> tuple[Condition, ...]:
        """Show orders to their parties."""
        if resource.name != "productOrder" or caller.is_operator:
            return ()
        return (Comparison("relatedParty.id", "eq", caller.organisation),)


async def caller_of(request: Request) -> Caller:
    """Take a header's word: nothing is the operator, "-" anybody, else an organisation."""
    name = request.headers.get("x-caller")
    if name is None:
        return OPERATOR
    return ANYBODY if name == "-" else Caller(name)


@dataclass
class ApiWorld:
    """A node's engine.

    Attributes:
        failures: errors after which the process would end.
    """

    store: Store
    entities: Entities
    hub: Hub
    jobs: Jobs
    client: httpx.AsyncClient
    folder: Path
    failures: list[InvariantError] = field(default_factory=list)

    async def create(self, path: str, document: JsonObject) -> JsonObject:
        """POST a document that is taken; give what was made."""
        answer = await self.client.post(path, json=document)
        assert answer.status_code == 201, answer.text
        made: JsonObject = answer.json()
        return made

    async def register(self, callback: str, query: str = "", caller: str | None = None) -> str:
        """Register at the catalogue's or, with an order's event, the ordering's hub."""
        base = ORDER.rpartition("/")[0] if "Order" in query else CATALOGUE
        headers = {} if caller is None else {"x-caller": caller}
        body = {"callback": callback, "query": query}
        answer = await self.client.post(f"{base}/hub", json=body, headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])


def make_world(store: Store, folder: Path, pace: Pace | None = None) -> ApiWorld:
    """Build the engine over a store; hub and jobs do not run yet."""
    clock, ids = count(START_MS, 1000), count(1)
    now_ms = partial(next, clock)

    def new_id() -> str:
        return f"00000000-0000-4000-8000-{next(ids):012}"

    entities = Entities((PartiesOnly(),), now_ms, new_id)
    serving = Serving(store, entities, caller_of, Bodies())
    hub = Hub(store, entities.visible, HubSettings(Egress(), pace=pace or Pace(5, 40)))
    jobs = Jobs(serving, JobSettings(folder, base_url="http://node.test"), now_ms)
    failures: list[InvariantError] = []
    endpoints = HubEndpoints(serving, hub, new_id, now_ms)
    app = Starlette(routes=api_routes(serving, endpoints, jobs, failures.append))
    transport = httpx.ASGITransport(app)
    client = httpx.AsyncClient(transport=transport, base_url="http://node.test")
    return ApiWorld(store, entities, hub, jobs, client, folder, failures)


@asynccontextmanager
async def running(world: ApiWorld, parts: Iterable[str] = ("hub",)) -> AsyncIterator[ApiWorld]:
    """Run parts of the node while the block runs."""
    async with anyio.create_task_group() as group:
        for part in parts:
            group.start_soon(getattr(world, part).run)
        yield world
        group.cancel_scope.cancel()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    with anyio.fail_after(WAIT_S):
        while not condition():  # noqa: ASYNC110 - simplest
            await anyio.sleep(0.005)
