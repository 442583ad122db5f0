"""The operator's endpoints: who may use them, and what they show and do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.replication.admin import Admin
from ledger.core.limits import REPLICATION_FAULTS_MAX, REPLICATION_SELECTION_BYTES_MAX
from pubsub.io.body import Bodies
from tests.adapters.tmf.replication.replication_world import Node, until, world


async def caller_of(request: Request) -> Caller:
    """Believe a header."""
    return OPERATOR if request.headers.get("x-operator") else ANYBODY


@asynccontextmanager
async def operator(node: Node, *, is_operator: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of a node's endpoints."""
    app = Starlette(routes=Admin(node.replicator, caller_of, Bodies()).routes())
    headers = {"x-operator": "yes"} if is_operator else {}
    transport = httpx.ASGITransport(app=app)
    base = "http://node/replication/v1"
    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/status"),
        ("GET", "/quarantine"),
        ("POST", "/quarantine/1/replay"),
        ("POST", "/repair"),
        ("GET", "/selection"),
        ("PUT", "/selection"),
    ],
)
async def test_everything_is_the_operators_alone(tmp_path: Path, method: str, path: str) -> None:
    """Anybody else is refused, whatever is asked."""
    async with (
        world(tmp_path, "one") as (one,),
        operator(one, is_operator=False) as client,
    ):
        assert (await client.request(method, path)).status_code == 403


async def test_the_status_shows_lag_queues_and_origins(tmp_path: Path) -> None:
    """An origin out of reach is seen with its reason; so are counts and positions."""
    async with world(tmp_path) as (one, two), operator(two) as client:
        one.network.down.add("one.example")
        one.create()
        two.create()
        await until(lambda: sorted(t.attempts for t in two.tracked()) == [0, 1])
        await until(lambda: len(one.replicas()) == 1)
        status = (await client.get("/status")).json()
        assert status["ledger"] == {
            "sequence": 1,
            "behind": 0,
            "hasCaughtUp": True,
            "error": "",
        }
        assert status["publishing"] == {"waiting": 0, "changesUnread": 0, "error": ""}
        assert status["entities"] == {"own": 1, "wanted": 1}
        origin = status["origins"][one.did]
        assert (origin["wanted"], origin["failures"] > 0) == (1, True)
        assert origin["error"] == "lost on the way"


async def test_quarantine_is_listed_and_replayed(tmp_path: Path) -> None:
    """A replay fetches again at once; what another member owns cannot be replayed."""
    async with world(tmp_path, "one two three") as (one, two, three), operator(three) as client:
        one.network.twisted = lambda body: body + b" "
        id_ = one.create(id="urn:shared")
        for _ in range(REPLICATION_FAULTS_MAX):
            await three.skip()
            await until(
                lambda: not any(h.under_way for h in three.replicator.fetching.origins.values())
            )
        await until(lambda: three.quarantined() == [(one.did, "hash-mismatch")])
        two.create(id="urn:shared")
        await until(lambda: len(three.quarantined()) == 2)
        first, second = (await client.get("/quarantine")).json()["items"]
        assert (first["publisher"], first["code"]) == (one.did, "hash-mismatch")
        assert id_ in first["location"]
        assert (second["publisher"], second["code"]) == (two.did, "owned-by-other")
        page = (await client.get(f"/quarantine?after={first['sequence']}")).json()["items"]
        assert page == [second]
        one.network.twisted = None
        refused = await client.post(f"/quarantine/{second['sequence']}/replay")
        assert refused.status_code == 409
        replayed = await client.post(f"/quarantine/{first['sequence']}/replay")
        assert replayed.status_code == 202
        await until(lambda: three.replicas() == one.own())
        assert three.quarantined() == [(two.did, "owned-by-other")]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/quarantine/7/replay", 404),
        ("/quarantine/x/replay", 400),
        ("/quarantine/" + "9" * 19 + "/replay", 400),
    ],
)
async def test_a_replay_of_nothing_is_refused(tmp_path: Path, path: str, status: int) -> None:
    """What is not in quarantine, or no number, has its status."""
    async with world(tmp_path, "one") as (one,), operator(one) as client:
        assert (await client.post(path)).status_code == status


async def test_the_selection_is_set_and_kept(tmp_path: Path) -> None:
    """A new selection is taken at once and shown; what is none is refused."""
    async with world(tmp_path) as (one, two), operator(two) as client:
        narrow = await client.put("/selection", json={"resources": ["category"]})
        assert narrow.json()["resources"] == ["category"]
        one.create()
        category = one.create("category")
        await until(lambda: list(two.replicas("category")) == [category])
        assert two.replicas() == {}
        assert (await client.put("/selection", json={})).status_code == 200
        await until(lambda: two.replicas() == one.own())
        assert (await client.get("/selection")).json()["resources"] == []
        for wrong in (b"", b"[]", b'{"colour":["red"]}', b'{"resources":"category"}'):
            assert (await client.put("/selection", content=wrong)).status_code == 400
        too_long = b" " * (REPLICATION_SELECTION_BYTES_MAX + 1)
        assert (await client.put("/selection", content=too_long)).status_code == 413


async def test_a_repair_can_be_asked_for(tmp_path: Path) -> None:
    """It runs soon, and its result is kept."""
    async with world(tmp_path) as (one, two), operator(two) as client:
        id_ = one.create()
        await until(lambda: two.replicas() == one.own())
        with two.store.write() as txn:
            txn.remove("productOffering", id_)
        assert (await client.post("/repair")).status_code == 202
        await until(lambda: two.replicator.repair.last == (1, 0))
        await until(lambda: two.replicas() == one.own())
