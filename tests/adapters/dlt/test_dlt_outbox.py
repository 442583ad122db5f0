"""Publishing: what was taken is published, exactly once, through absent nodes and restarts."""

from pathlib import Path

import anyio
import pytest
from structlog.testing import capture_logs

from adapters.dome.dlt import outbox
from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.ids import Sequence
from ledger.io.chain_store import ChainStore
from pubsub.io import node_link
from tests.adapters.dlt.dlt_world import (
    adapter,
    dlt_world,
    publishing,
    running,
    stoppable_world,
)
from tests.pubsub.gateway_world import WAIT_S, World

PATH = "/api/v1/publishEvent"


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer clients, and hand in again, soon."""
    monkeypatch.setattr(outbox, "GATEWAY_WAIT_MS", 100)
    monkeypatch.setattr(outbox, "DLT_OUTBOX_WAIT_MS", 20)
    monkeypatch.setattr(node_link, "CONTROL_TIMEOUT_MS", 50)


def published(store: ChainStore) -> list[str]:
    """Give the entities of DOME's events in the log, in order."""
    with store.read() as reader:
        entries = [reader.entry(Sequence(n)) for n in range(reader.head().log_size)]
    events = [open_entry(entry).event for entry in entries if entry]
    return [event.subject[-1] for event in events if event.topic.startswith("dome.")]


async def until_published(world: World, subjects: list[str]) -> None:
    """Wait until the log holds exactly these."""
    with anyio.fail_after(WAIT_S):
        while published(world.chain.store) != subjects:  # noqa: ASYNC110 - simplest
            await anyio.sleep(0.005)


async def test_what_the_node_does_not_decide_is_published_later(world: World) -> None:
    """The client gets the error in time; the event becomes final when the node works again."""
    world.node.is_silent = True
    assert (await world.http.post(PATH, json=publishing(1))).status_code == 400
    world.node.is_silent = False
    await until_published(world, ["1"])


async def test_client_that_asks_again_joins_what_is_on_its_way(world: World) -> None:
    """Desmos' immediate repetitions of one request make one event."""
    world.node.finalises = False
    for _ in range(3):
        assert (await world.http.post(PATH, json=publishing(1))).status_code == 400
    world.node.finalises = True
    await until_published(world, ["1"])
    await world.http.post(PATH, json=publishing(2))
    assert published(world.chain.store) == ["1", "2"]


async def test_events_of_one_entity_keep_their_order(world: World) -> None:
    """While the first is undecided the second is not even handed in; other entities' are."""
    world.node.finalises = False
    for number in (1, 2):
        await world.http.post(PATH, json=publishing(1, dataLocation=f"http://seller/{number}"))
    await world.http.post(PATH, json=publishing(3, dataLocation="http://seller/3"))

    def handed_in() -> set[str]:
        entries = (data for batch in world.node.submissions for data in batch)
        return {open_entry(data).event.location for data in entries}

    with anyio.fail_after(WAIT_S):
        while "http://seller/3" not in handed_in():  # noqa: ASYNC110 - simplest
            await anyio.sleep(0.005)
    assert handed_in() == {"http://seller/1", "http://seller/3"}
    world.node.finalises = True
    with anyio.fail_after(WAIT_S):
        while len(published(world.chain.store)) < 3:  # noqa: ASYNC110 - simplest
            await anyio.sleep(0.005)
    with world.chain.store.read() as reader:
        entries = [reader.entry(Sequence(n)) for n in range(reader.head().log_size)]
    locations = [open_entry(entry).event.location for entry in entries if entry]
    assert locations.index("http://seller/1") < locations.index("http://seller/2")


async def test_what_was_taken_survives_a_restart(tmp_path: Path) -> None:
    """An event whose gateway ended before the ledger decided is published by the next one."""
    async with stoppable_world(tmp_path) as (world, facade):
        world.node.finalises = False
        await world.http.post(PATH, json=publishing(1))
        await facade.stop()
        world.node.finalises = True
        async with running(world, adapter(tmp_path)):
            await until_published(world, ["1"])


async def test_what_the_ledger_refuses_is_refused_and_forgotten(tmp_path: Path) -> None:
    """A member without the right gets 400 and the log the code; the next event goes on."""
    async with dlt_world(tmp_path) as world:
        world.node.judge = lambda _: RejectCode.TOPIC_FORBIDDEN.value
        with capture_logs() as logs:
            assert (await world.http.post(PATH, json=publishing(1))).status_code == 400
        codes = [row["code"] for row in logs if row["event"] == "event_refused"]
        assert codes == ["topic_forbidden"]
        world.node.judge = world.node._judge
        assert (await world.http.post(PATH, json=publishing(2))).status_code == 201
        assert published(world.chain.store) == ["2"]


async def test_closing_gateway_lets_its_clients_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that waits for the ledger is answered at once when the gateway ends."""
    monkeypatch.setattr(outbox, "GATEWAY_WAIT_MS", 60_000)
    world.node.finalises = False
    answers = []

    async def ask() -> None:
        answers.append(await world.http.post(PATH, json=publishing(1)))

    with anyio.fail_after(WAIT_S):
        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while not world.node.submissions:  # noqa: ASYNC110 - simplest
                await anyio.sleep(0.005)
            world.gateway.close()
    assert [answer.status_code for answer in answers] == [400]


async def test_overloaded_node_is_asked_again(world: World) -> None:
    """What the node refuses for now only is handed in again."""
    answers = [RejectCode.OVERLOADED.value]
    world.node.judge = lambda _: answers.pop() if answers else ""
    await world.http.post(PATH, json=publishing(1))
    await until_published(world, ["1"])
