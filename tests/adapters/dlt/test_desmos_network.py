"""Two Desmos-like clients at a network of real processes that are killed under them."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest

from concordat import testnet
from concordat.free_ports import free_ports
from tests.adapters.dlt.desmos import Desmos, DesmosEnds
from tests.adapters.dlt.desmos_pair import differences, offering, repetitions, trust_each_other
from tests.adapters.dlt.endpoint import listening
from tests.support.processes import Part, RealNetwork

pytestmark = pytest.mark.process

MEMBERS = 4
CONVERGE_S = 60
NAMES = [f"node{member}" for member in range(MEMBERS)]


def network_of(directory: Path) -> RealNetwork:
    """Make the files of a network whose members may all publish DOME's events."""
    numbers = iter(free_ports(2 * MEMBERS))
    ports = [testnet.Ports(next(numbers), next(numbers)) for _ in NAMES]
    plan = testnet.TestnetPlan(
        name="dome",
        validators=list(zip(NAMES, ports, strict=True)),
        rights={name: ["dome.*"] for name in NAMES},
        settings={"dlt_adapter": {"enabled": True}},
    )
    directory.mkdir()
    return RealNetwork(directory, testnet.create_testnet(directory, plan), ports)


@asynccontextmanager
async def running(network: RealNetwork) -> AsyncIterator[tuple[Desmos, Desmos]]:
    """Run the network, and a Desmos at each of the first two gateways."""
    async with AsyncExitStack() as stack:
        stack.enter_context(network.running())
        await anyio.to_thread.run_sync(network.wait_ready)
        pair = []
        for member in (0, 1):
            http = httpx.AsyncClient(base_url=network.url(member), timeout=15, trust_env=False)
            adapter = await stack.enter_async_context(http)
            endpoint = await stack.enter_async_context(listening())
            # The gateways are configured with no organisation: the member's DID is it.
            pair.append(Desmos(f"did:example:{NAMES[member]}", adapter, endpoint))
        trust_each_other({desmos.organisation: desmos for desmos in pair})
        async with anyio.create_task_group() as group:
            for desmos in pair:
                assert await desmos.start()
                group.start_soon(desmos.run)
            yield pair[0], pair[1]
            group.cancel_scope.cancel()


def launch(seller: Desmos, buyer: Desmos, numbers: range) -> None:
    """Launch offerings at both ends."""
    for number in numbers:
        seller.launch(offering("s", number))
        buyer.launch(offering("b", number))


def notify_again(desmos: Desmos) -> None:
    """Notify again what no gateway took, as an operator has the broker do."""
    failed, desmos.failed = desmos.failed, []
    for id_ in failed:
        desmos.launch(desmos.broker[id_])


async def converge(seller: Desmos, buyer: Desmos) -> None:
    """Wait until both ends hold the same."""
    with anyio.move_on_after(CONVERGE_S):
        while differences(seller, buyer):
            notify_again(seller)
            notify_again(buyer)
            await anyio.sleep(0.05)
    assert differences(seller, buyer) == []


def assert_told_in_order(publisher: Desmos, told: Desmos) -> None:
    """Each publication was told, and those of one entity in the order of their publication."""
    links = [item["dataLocation"] for item in told.notified]
    for id_ in {record.entity_id for record in publisher.audit if record.trader == "PRODUCER"}:
        mine = [
            record.data_location
            for record in publisher.audit
            if (record.entity_id, record.status, record.trader) == (id_, "PUBLISHED", "PRODUCER")
        ]
        first = [links.index(location) for location in dict.fromkeys(mine)]
        assert first == sorted(first)


async def hurt(network: RealNetwork, which: list[tuple[int, Part]], seconds: float) -> None:
    """Kill processes and start them again after a while."""
    network.kill(*which)
    await anyio.sleep(seconds)
    for member, part in sorted(which, key=lambda item: item[1] is Part.GATEWAY):
        network.start(member, part)


async def test_replication_survives_kills_of_nodes_and_gateways(tmp_path: Path) -> None:
    """All launched entities are at both ends, in order; repetitions follow kills only."""
    network = network_of(tmp_path / "net")
    async with running(network) as (seller, buyer):
        assert await health(network.port(0)) == b"HTTP/1.1 200 OK"
        launch(seller, buyer, range(8))
        await converge(seller, buyer)
        assert [repetitions(desmos) for desmos in (seller, buyer)] == [0, 0]

        launch(seller, buyer, range(8, 16))
        await hurt(network, [(0, Part.GATEWAY)], 0.3)
        launch(seller, buyer, range(16, 24))
        await hurt(network, [(1, Part.NODE), (3, Part.NODE)], 0.3)  # no quorum meanwhile
        launch(seller, buyer, range(24, 32))
        await hurt(network, [(0, Part.NODE), (1, Part.GATEWAY)], 0.3)
        await converge(seller, buyer)

        for desmos in (seller, buyer):
            assert len(desmos.broker) == 64
            assert repetitions(desmos) <= 1  # its gateway was killed once
            assert not await start_again(desmos)
        assert_told_in_order(seller, buyer)
        assert_told_in_order(buyer, seller)
        assert not network.unexpected_ends()


async def health(port: int) -> bytes:
    """Give the status line at /health, in which Desmos' container looks for ``200 OK``."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(b"GET /health HTTP/1.1\r\nhost: adapter\r\n\r\n")
        return (await stream.receive()).partition(b"\r\n")[0]


async def start_again(desmos: Desmos) -> bool:
    """Start as a container is started again and again until its gateway answers."""
    with anyio.fail_after(CONVERGE_S):
        while True:
            try:
                return await desmos.start()
            except DesmosEnds:
                await anyio.sleep(0.1)
