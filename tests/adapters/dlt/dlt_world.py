"""Gateways that serve the DLT adapter over one real chain store with a played node."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anyio
import httpx
import msgspec
from starlette.routing import BaseRoute

from adapters.dome.dlt.events import PublishRequest, event_fields
from adapters.dome.dlt.facade import DltAdapter, DltSettings
from adapters.dome.dlt.identity import derived_address, iss_of
from ledger.core.genesis import Participant, ParticipantKey
from ledger.core.signing import SeedSigner
from ledger.core.trust.operations import RegisterParticipant
from pubsub.io.gateway import create_app
from pubsub.io.state import Gateway
from tests.adapters.dlt.examples import example
from tests.ledger.sample_network import START_MS, entry
from tests.ledger.trust.test_application import operation_entry
from tests.pubsub.gateway_world import WAIT_S, World, gateway_world

SELLER, BUYER = (SeedSigner(bytes([5, number]) + bytes(30)) for number in range(2))
SELLER_ID, BUYER_ID = "VATES-S9999999E", "VATES-B0000000B"
SELLER_DID, BUYER_DID = f"did:elsi:{SELLER_ID}", f"did:elsi:{BUYER_ID}"
SIGNERS = {SELLER_DID: SELLER, BUYER_DID: BUYER}


def publishing(number: int = 1, **changes: object) -> dict[str, object]:
    """Give a request of the seller's for an entity of its own."""
    known: dict[str, object] = example("publishEvent_request")
    return known | {"entityId": f"0x{number:064x}"} | changes


def admit(world: World) -> None:
    """Let seller and buyer publish DOME's events."""
    members = [
        Participant(
            did=did,
            name=did,
            keys=(ParticipantKey(signer.public_key, revoked=False),),
            topics=("dome.*",),
        )
        for did, signer in SIGNERS.items()
    ]
    world.chain.extend(
        [
            operation_entry(RegisterParticipant(member), number)
            for number, member in enumerate(members)
        ]
    )


def adapter(directory: Path, did: str = SELLER_DID, **settings: Any) -> DltAdapter:  # noqa: ANN401
    """Make the facade of a member whose state is in ``directory``."""
    values: dict[str, Any] = {"did": did, "state_path": directory / f"{did[-3:]}.sqlite"} | settings
    return DltAdapter(DltSettings(**values), SIGNERS[did])


class Stoppable:
    """A facade that a test may end before its gateway."""

    def __init__(self, facade: DltAdapter) -> None:
        self._facade = facade
        self._ended = anyio.Event()
        self._scope = anyio.CancelScope()

    def routes(self, gateway: Gateway) -> Sequence[BaseRoute]:
        """Give the facade's routes."""
        return self._facade.routes(gateway)

    async def run(self, gateway: Gateway) -> None:
        """Run the facade until it is stopped."""
        with self._scope:
            await self._facade.run(gateway)
        self._ended.set()

    async def stop(self) -> None:
        """End the facade's tasks."""
        self._scope.cancel()
        await self._ended.wait()


@asynccontextmanager
async def dlt_world(directory: Path, **settings: Any) -> AsyncIterator[World]:  # noqa: ANN401
    """Run the seller's gateway. Its clock stands at the chain's beginning."""
    async with stoppable_world(directory, **settings) as (world, _):
        yield world


@asynccontextmanager
async def stoppable_world(
    directory: Path,
    **settings: Any,  # noqa: ANN401
) -> AsyncIterator[tuple[World, Stoppable]]:
    """Run the seller's gateway, and give the facade with it."""
    clock = SimpleNamespace(time_ns=lambda: START_MS * 1_000_000)
    facade = Stoppable(adapter(directory, **settings))
    with patch("adapters.member.time", clock):
        async with gateway_world(directory, facades=[facade]) as world:
            world.node.finalises = True
            admit(world)
            yield world, facade


@asynccontextmanager
async def second_gateway(world: World, did: str = BUYER_DID) -> AsyncIterator[httpx.AsyncClient]:
    """Run another member's gateway on the same chain and node; give a client of it."""
    settings = replace(
        world.gateway.settings,
        name="member-two",
        delivery_dir=world.directory / "delivery-two",  # each gateway has its own
    )
    app = create_app(settings, [adapter(world.directory, did)])
    gateway: Gateway = app.state.gateway
    gateway.access._store, gateway.access.error = world.chain.store, None
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app):
        async with httpx.AsyncClient(transport=transport, base_url="http://two") as http:
            with anyio.fail_after(WAIT_S):
                while not gateway.link.is_connected:  # noqa: ASYNC110 - it has no event
                    await anyio.sleep(0.005)
            yield http
        # The store is the first gateway's to close.
        gateway.access.close = lambda: None  # type: ignore[method-assign]


@asynccontextmanager
async def running(world: World, facade: DltAdapter) -> AsyncIterator[None]:
    """Run a facade beside the world's own, as a gateway that is started again would."""
    facade.routes(world.gateway)
    async with anyio.create_task_group() as group:
        group.start_soon(facade.run, world.gateway)
        yield
        group.cancel_scope.cancel()


async def publish(world: World, did: str, request: Mapping[str, Any]) -> None:
    """Put an event of a member's into the log as that member's own gateway would."""
    wanted = msgspec.convert(request, PublishRequest)
    fields = event_fields(wanted, iss_of(did.removeprefix("did:elsi:")), derived_address(did))
    nonce = len(world.node.submissions) + world.chain.head().log_size + 1_000
    values = fields | {"publisher": did, "time_ms": START_MS}
    await world.node.extend([entry(nonce, SIGNERS[did], **values)])
