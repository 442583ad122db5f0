"""The access node as one application: what is served where, health and numbers, its end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple

import anyio
import anyio.lowlevel
import httpx
import pytest

from adapters.tmf import retention
from adapters.tmf.assembly import NodeSettings, TokenSettings, access_node
from adapters.tmf.desmos.parts import DesmosSettings
from adapters.tmf.monitoring import Monitoring
from adapters.tmf.node import AccessNode, Parts, Task
from adapters.tmf.policy.profile import Profile
from adapters.tmf.replication.ledger import Identity
from adapters.tmf.store.database import Store
from ledger.core.errors import InvariantError, Unavailable
from pubsub.client.async_client import AsyncClient
from pubsub.io.egress import Egress
from tests.ledger.sample_network import ALICE, ALICE_DID, CHAIN_ID, GENESIS
from tests.pubsub.gateway_world import gateway_world

OFFERING = "/tmf-api/productCatalogManagement/v4/productOffering"
TOKEN = "operator"
WAIT_S = 10


class Served(NamedTuple):
    """A running node."""

    node: AccessNode
    http: httpx.AsyncClient


class AskingAgain(AsyncClient):
    """A client of a gateway in this process, where no connection can be streamed over."""

    async def subscribe(self, *, after: int | None = -1, **filters: Any) -> Any:  # noqa: ANN401
        """Follow the ledger by reading to its end again and again."""
        while True:
            async for event in self.events(after=-1 if after is None else after, **filters):
                after = int(event.sequence)
                yield event
            await anyio.sleep(0.02)


@asynccontextmanager
async def served(node: AccessNode) -> AsyncIterator[Served]:
    """Run a node while the block runs."""
    app = node.app()
    started, stop = anyio.Event(), anyio.Event()
    told: list[str] = []

    async def receive() -> dict[str, str]:
        if started.is_set():
            await stop.wait()
            return {"type": "lifespan.shutdown"}
        return {"type": "lifespan.startup"}

    async def send(message: dict[str, str]) -> None:
        told.append(message["type"])
        started.set()

    async with anyio.create_task_group() as group:
        group.start_soon(app, {"type": "lifespan", "asgi": {"version": "3.0"}}, receive, send)  # type: ignore[arg-type]
        with anyio.fail_after(WAIT_S):
            await started.wait()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as http:
            yield Served(node, http)
        stop.set()
    assert told == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


@asynccontextmanager
async def whole_node(directory: Path, **settings: object) -> AsyncIterator[Served]:
    """Run a whole node beside a gateway."""
    async with gateway_world(directory) as world:
        world.node.finalises = True
        await world.node.extend()
        await world.node.extend()
        client = AskingAgain(
            "http://gateway", GENESIS, transport=httpx.ASGITransport(app=world.app)
        )
        identity = Identity(ALICE_DID, ALICE, CHAIN_ID, "http://node", "prd")
        chosen = {
            "database": f"sqlite:///{directory / 'node.sqlite'}",
            "folder": directory / "files",
            "profile": Profile("tmf", ALICE_DID),
            "tokens": TokenSettings(operator_token=TOKEN.encode()),
            "callbacks": Egress(),
            "peers": Egress(),
        }
        made = access_node(NodeSettings(**(chosen | settings)), client, identity)  # type: ignore[arg-type]
        async with served(made) as found:
            found.http.headers["authorization"] = f"Bearer {TOKEN}"
            yield found


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (OFFERING, 200),
        ("/tmf-api/party/v4/organization", 200),
        ("/tmf-api/nowhere/v4/x", 404),
        ("/tmf-api/productCatalogManagement/v4/hub", 200),
        ("/replication/v1/status", 200),
        ("/replication/v1/entities/product-offering/x?hash=00", 401),
        ("/usage-log/v1/blocks", 200),
        ("/api/v2/entities/urn:ngsi-ld:catalog:x", 404),
        ("/backoffice/v2/audit-records", 200),
        ("/health", 200),
        ("/metrics", 200),
        ("/nowhere", 404),
    ],
)
async def test_everything_stands_at_its_place(tmp_path: Path, path: str, status: int) -> None:
    """All interfaces are served by one application, and none hides another."""
    async with whole_node(tmp_path, desmos=DesmosSettings()) as found:
        if "entities/product-offering" in path:
            del found.http.headers["authorization"]
        assert (await found.http.get(path)).status_code == status


async def test_interfaces_that_were_not_chosen_are_not_served(tmp_path: Path) -> None:
    """Without Desmos mode its paths are nothing, and health is the node's own."""
    async with whole_node(tmp_path) as found:
        assert (await found.http.get("/api/v2/entities/x")).status_code == 404
        assert (await found.http.get("/backoffice/v2/audit-records")).status_code == 404
        health = (await found.http.get("/health")).json()
        assert [check["name"] for check in health["checks"]] == ["database", "ledger"]


async def test_callers_are_known_by_their_tokens(tmp_path: Path) -> None:
    """The operator makes drafts that nobody else sees; a wrong token is not taken for nobody."""
    async with whole_node(tmp_path) as found:
        made = await found.http.post(OFFERING, json={"name": "X"})
        assert made.status_code == HTTPStatus.CREATED
        place = made.headers["location"]
        assert (await found.http.get(place)).status_code == 200
        del found.http.headers["authorization"]
        assert (await found.http.get(place)).status_code == 404
        refused = await found.http.post(OFFERING, json={"name": "X"})
        assert (refused.status_code, refused.json()["code"]) == (403, "no-organisation")
        wrong = await found.http.get(place, headers={"authorization": "Bearer other"})
        assert (wrong.status_code, wrong.json()["status"]) == (401, "401")
    async with whole_node(tmp_path / "open", tokens=None) as found:
        del found.http.headers["authorization"]
        assert (await found.http.post(OFFERING, json={"name": "X"})).status_code == 201


async def test_numbers_are_told(tmp_path: Path) -> None:
    """Requests are counted by API; what the database knows is read when it is asked for."""
    async with whole_node(tmp_path) as found:
        await found.http.post(OFFERING, json={"name": "X"})
        await found.http.get("/strange/place")
        text = (await found.http.get("/metrics")).text
    prefix = "concordat_access_node_"
    areas = {
        line.split("area=")[1].split(",")[0]
        for line in text.splitlines()
        if "requests_total{" in line
    }
    assert areas == {'"productCatalogManagement"', '"other"'}
    assert f'{prefix}journal{{of="changes"}} 1.0' in text
    assert f'{prefix}journal{{of="kept"}} 1.0' in text
    assert f'{prefix}journal{{of="undelivered"}} 0.0' in text


async def test_old_changes_are_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node shortens its journal as long as it runs, and says how much is left."""
    monkeypatch.setattr(retention, "TMF_JOURNAL_PASS_MS", 20)
    async with whole_node(tmp_path, journal_ms=1) as found:
        for name in "XYZ":
            made = await found.http.post(OFFERING, json={"name": name})
            assert made.status_code == HTTPStatus.CREATED
        with anyio.fail_after(WAIT_S):
            text = ""
            while 'journal{of="kept"} 1.0' not in text:
                await anyio.sleep(0.02)
                text = (await found.http.get("/metrics")).text
        assert 'journal{of="changes"} 3.0' in text
        listed = await found.http.get(OFFERING)
        assert len(listed.json()) == 3


async def test_node_works_on_every_database(tmp_path: Path, database: str) -> None:
    """What is made is read, and counted, on SQLite and on PostgreSQL."""
    async with whole_node(tmp_path, database=database, desmos=DesmosSettings()) as found:
        made = await found.http.post(OFFERING, json={"name": "X"})
        assert made.status_code == HTTPStatus.CREATED
        listed = await found.http.get(f"{OFFERING}?name=X&fields=name")
        assert [each["id"] for each in listed.json()] == [made.json()["id"]]
        text = (await found.http.get("/metrics")).text
        assert 'concordat_access_node_journal{of="changes"} 1.0' in text


# --- how it ends ------------------------------------------------------------------------------


class Played:
    """A node of one task.

    Attributes:
        closed: what was closed, in order.
    """

    def __init__(self, directory: Path, error: Exception | None) -> None:
        self.closed: list[str] = []
        self._error = error
        self._directory = directory
        self.node = AccessNode(self._parts)

    def _parts(self, node: AccessNode) -> Parts:
        del node
        store = Store.open(f"sqlite:///{self._directory / 'played.sqlite'}")
        monitoring = Monitoring(store, {"ledger": self._unavailable}, {})
        return Parts(store, [], [Task("played", self._run)], [self._close], monitoring)

    async def _run(self) -> None:
        try:
            if self._error is not None:
                raise ExceptionGroup("a task's group", [self._error])
            await anyio.sleep_forever()
        finally:
            self.closed.append("task")

    async def _close(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed.append("connections")

    async def _unavailable(self) -> str:
        raise Unavailable("no gateway")


async def test_tasks_end_before_connections(tmp_path: Path) -> None:
    """Requests end first, then tasks, then what they used; nothing failed."""
    played = Played(tmp_path, None)
    async with served(played.node) as found:
        health = await found.http.get("/health")
        assert health.status_code == 200
        assert [check["status"] for check in health.json()["checks"]] == ["UP", "DOWN"]
        assert health.json()["checks"][1]["data"] == {"reason": "no gateway"}
    assert played.closed == ["task", "connections"]
    assert played.node.fatal is None


@pytest.mark.parametrize("error", [InvariantError("broken disk"), ValueError("a bug")], ids=repr)
async def test_task_that_fails_ends_the_process(tmp_path: Path, error: Exception) -> None:
    """A node that no longer delivers or replicates must not look well."""
    played = Played(tmp_path, error)
    ended = anyio.Event()
    played.node.on_fatal = ended.set
    async with served(played.node):
        with anyio.fail_after(WAIT_S):
            await ended.wait()
    assert played.node.fatal is not None
    assert str(error.args[0]) in str(played.node.fatal)
