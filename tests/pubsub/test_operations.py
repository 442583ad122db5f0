"""Status, health, metrics and the description of the API."""

import json
import time
from pathlib import Path

import anyio
import pytest

from ledger.core.errors import InvariantError
from ledger.core.limits import GATEWAY_STALL_MS
from pubsub.core.documents import ChainStatus
from pubsub.core.openapi import describe_api
from pubsub.core.progress import explain_progress
from pubsub.io.api import ENDPOINTS
from tests.ledger.sample_network import CHAIN_ID, GENESIS
from tests.pubsub.gateway_world import World, gateway_world, sample
from tests.pubsub.test_publish import problem

CHAIN = ChainStatus(height=9, block_id="00", time_ms=0, age_ms=0, log_size=3)


async def test_status_joins_both_views(world: World) -> None:
    """The status holds the store's, the gateway's and the node's view, and whether all is well."""
    await world.node.extend([sample(0).entry])
    document = (await world.get("/v1/status")).json()
    assert document["chain_id"] == CHAIN_ID
    assert document["progress"]["state"] == "ok"
    assert (document["chain"]["height"], document["chain"]["log_size"]) == (1, 1)
    assert document["gateway"]["name"] == "member-one"
    assert document["gateway"]["node_connected"] is True
    assert document["node"] == {"progress": "ok", "round": 7}


async def test_status_without_a_node(tmp_path: Path) -> None:
    """Without a node the status is answered from the store and says what to do."""
    async with gateway_world(tmp_path, with_node=False) as world:
        document = (await world.get("/v1/status")).json()
    assert document["progress"]["state"] == "node_down"
    assert "Start the node" in document["progress"]["explanation"]
    assert document["node"] is None
    assert document["chain"]["height"] == 0
    assert "control.sock" in document["gateway"]["node_error"]


async def test_status_without_a_store(tmp_path: Path) -> None:
    """Without a store the status says so."""
    async with gateway_world(tmp_path, with_node=False, with_store=False) as world:
        document = (await world.get("/v1/status")).json()
    assert document["progress"]["state"] == "store_missing"
    assert (document["chain"], document["chain_id"]) == (None, None)


@pytest.mark.parametrize("document", [b"{", b"\xff", b"[" * 100_000])
async def test_status_of_a_confused_node(world: World, document: bytes) -> None:
    """A node whose status cannot be read counts as one that does not answer."""
    world.node.status = document
    answer = (await world.get("/v1/status")).json()
    assert (answer["node"], answer["progress"]["state"]) == (None, "node_down")


@pytest.mark.parametrize(
    ("sentence", "state"),
    [
        ("ok", "ok"),
        ("halted: 2 of 4 validators are connected and 3 are needed", "stalled"),
        ("slow: no block was final for 900 ms", "stalled"),
        ("sitting out: the safety record was lost", "stalled"),
        ("syncing: at height 3 of at least 9", "behind"),
        ("executing: 3 final blocks wait", "behind"),
        ("something new", "stalled"),
    ],
)
def test_explanation_is_the_nodes(sentence: str, state: str) -> None:
    """What the node says about its progress is handed on as a sentence."""
    node = json.dumps({"progress": sentence}).encode()
    progress = explain_progress(CHAIN, None, node, None)
    assert progress.state == state
    assert progress.explanation[0].isupper()
    assert progress.explanation.endswith(".")
    assert sentence == "ok" or sentence[1:] in progress.explanation


@pytest.mark.parametrize("node", [b"{}", b'{"progress":1}', b"["])
@pytest.mark.parametrize("excess", [0, 1])
def test_explanation_without_the_nodes(node: bytes, excess: int) -> None:
    """Without a sentence of the node the age of the newest block decides."""
    chain = ChainStatus(
        height=9, block_id="00", time_ms=0, age_ms=GATEWAY_STALL_MS + excess, log_size=3
    )
    assert explain_progress(chain, None, node, None).state == ("stalled" if excess else "ok")


async def test_ready_only_with_a_node(world: World) -> None:
    """The gateway is ready while the node is connected, and again when it is back."""
    assert (await world.get("/readyz")).json() == {"status": "ok"}
    for stream in list(world.node.connections):
        await stream.aclose()
    await world.until_connected(connected=False)
    problem(await world.get("/readyz"), 503, "node_unavailable")
    await world.until_connected()
    assert (await world.get("/readyz")).status_code == 200


async def test_node_down(tmp_path: Path) -> None:
    """Without a node nothing can be published; reading and liveness are unharmed."""
    async with gateway_world(tmp_path, with_node=False) as world:
        world.chain.extend([sample(0).entry])
        problem(await world.post_bulk([sample(1).entry]), 503, "node_unavailable")
        problem(await world.get("/readyz"), 503, "node_unavailable")
        assert (await world.get("/livez")).status_code == 200
        assert (await world.get("/v1/events/0")).status_code == 200


async def test_closing(world: World) -> None:
    """A gateway that is closing is not ready and begins no stream; waits end at once."""
    world.gateway.close()
    problem(await world.get("/readyz"), 503, "shutting_down")
    problem(await world.get("/v1/stream"), 503, "shutting_down")
    with anyio.fail_after(1):
        answer = await world.post_bulk([sample(0).entry], "?wait=final")
    problem(answer, 504, "not_final_in_time")


async def test_metrics(world: World) -> None:
    """The gateway's metrics and the node's are given together."""
    await world.post_bulk([sample(0).entry, sample(1).entry])
    await world.get("/v1/events/0")
    answer = await world.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = answer.text.splitlines()
    assert 'concordat_gateway_events_total{result="accepted"} 2.0' in lines
    route = 'route="/v1/events/{id}",status="404"'
    assert f"concordat_gateway_requests_total{{{route}}} 1.0" in lines
    assert "concordat_gateway_node_connected 1.0" in lines
    assert "node_up 1.0" in lines


async def test_metrics_without_a_node(tmp_path: Path) -> None:
    """Without a node the gateway's own metrics are given and say so."""
    async with gateway_world(tmp_path, with_node=False) as world:
        lines = (await world.get("/metrics")).text.splitlines()
    assert "concordat_gateway_node_connected 0.0" in lines


async def test_broken_store_is_fatal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken store is answered with a 500 that shows nothing, and ends the gateway."""
    ended: list[bool] = []
    world.gateway.on_fatal = lambda: ended.append(True)

    def fail() -> None:
        raise InvariantError("secret detail")

    monkeypatch.setattr(world.chain.store, "read", fail)
    answer = await world.get("/v1/events/0")
    document = problem(answer, 500, "internal_error")
    assert "secret" not in json.dumps(document)
    assert ended
    assert isinstance(world.gateway.fatal, InvariantError)


async def test_broken_store_behind_the_watch_is_fatal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broken store is noticed without any request."""
    ended = anyio.Event()
    world.gateway.on_fatal = ended.set

    def fail() -> None:
        raise InvariantError("broken")

    monkeypatch.setattr(world.chain.store, "read", fail)
    with anyio.fail_after(5):
        await ended.wait()


async def test_broken_task_is_fatal(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a background task ends the process, too: requests do not go on without it."""
    ended = anyio.Event()
    world.gateway.on_fatal = ended.set

    def fail(_log_size: int) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(world.gateway.overload, "note", fail)
    with anyio.fail_after(5):
        await ended.wait()
    assert isinstance(world.gateway.fatal, InvariantError)
    assert "RuntimeError: broken" in str(world.gateway.fatal)


async def test_bug_is_a_500(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is a 500 problem that shows nothing; the gateway goes on."""

    def fail() -> None:
        raise ValueError("secret detail")

    with monkeypatch.context() as patch:
        patch.setattr(world.chain.store, "read", fail)
        answer = await world.get("/v1/events/0")
        assert "secret" not in json.dumps(problem(answer, 500, "internal_error"))
        patch.undo()
    problem(await world.get("/v1/events/0"), 404, "event_not_found")
    assert world.gateway.fatal is None


async def test_description_names_every_route(world: World) -> None:
    """OpenAPI describes every route, with summaries, answers, examples of each error."""
    document = (await world.get("/openapi.json")).json()
    paths = [route.path for route in world.app.routes]  # type: ignore[attr-defined]
    routes = {path.replace(":path}", "}") for path in paths}
    assert routes - {"/openapi.json", "/asyncapi.json", "/docs"} == set(document["paths"])
    names = set()
    for item in document["paths"].values():
        for operation in item.values():
            names.add(operation["operationId"])
            assert operation["summary"]
            assert operation["description"]
            assert any(status < "300" for status in operation["responses"])
    assert len(names) == len(ENDPOINTS)
    publish = document["paths"]["/v1/events"]["post"]
    examples = publish["responses"]["403"]["content"]["application/problem+json"]["examples"]
    assert set(examples) == {
        "unknown_publisher",
        "unknown_key",
        "revoked_key",
        "topic_forbidden",
        "forbidden",
    }


def test_references_of_the_description_exist() -> None:
    """Every ``$ref`` of the OpenAPI document points at a schema in it."""
    document = describe_api([endpoint.described() for endpoint in ENDPOINTS], "1")
    text = json.dumps(document)
    names = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    components = document["components"]
    assert isinstance(components, dict)
    assert names <= set(components["schemas"])
    assert "\\\\Z" not in text


async def test_reference_page(world: World) -> None:
    """The page at /docs shows every operation, needs no other host and allows no script."""
    answer = await world.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    for endpoint in ENDPOINTS:
        assert endpoint.operation.path.replace(":path}", "}") in answer.text
        assert endpoint.operation.summary in answer.text.replace("&#x27;", "'")


async def test_status_age_is_by_our_clock(world: World) -> None:
    """The age of the newest block is its time against ours, never negative."""
    age_ms = (await world.get("/v1/status")).json()["chain"]["age_ms"]
    expected = max(0, time.time_ns() // 1_000_000 - GENESIS.time_ms)
    assert abs(age_ms - expected) < 60_000
