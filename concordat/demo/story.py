"""The demonstration: publish, follow, kill, go on, restart, catch up, prove.

Owns the order of the acts and their deadlines. What was promised is judged in checks.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trio

from concordat.demo.catalogue import Change, changes
from concordat.demo.checks import Measures, Outcome, evaluate
from concordat.demo.network import DemoNetwork
from concordat.demo.screen import Screen
from concordat.demo.vocabulary import MARKETPLACES
from concordat.demo.workload import TOPIC_PREFIX, Notes, Published, follow, publish_changes
from concordat.testnet import TestnetPlan
from ledger.core.errors import ProofError, Unavailable
from ledger.core.ids import EventId
from ledger.core.proof import verify_bundle
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher

__all__ = ["VALIDATORS", "DemoPlan", "perform"]

VALIDATORS = MARKETPLACES[:4]
_PUBLISHERS = MARKETPLACES[4:]
_EVENTS_PER_S = 40
_POLL_S = 0.05
_START_S, _PUBLISH_S, _CATCH_UP_S, _PROVE_S = 120, 240, 120, 120
_PROVERS = 4


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """What to show: number of events, seed of the catalogue, where the network's files go."""

    events: int
    seed: int
    directory: Path


async def perform(plan: DemoPlan, screen: Screen) -> Outcome:
    """Run the demonstration. No process of it is left, however it ends.

    Raises:
        Unavailable: an act took longer than it may.
        MemberEndedError: a member ended by itself.
    """
    screen.say(f"making a network of {len(VALIDATORS)} validators in {plan.directory}")
    members = DemoNetwork.draw_ports([market.name for market in VALIDATORS])
    publishers = [market.name for market in _PUBLISHERS]
    network = DemoNetwork(
        plan.directory, TestnetPlan("demo", members, publishers, topic_prefix=TOPIC_PREFIX)
    )
    try:
        return await _Performance(plan, screen, network).run()
    finally:
        network.kill_all()


class _Performance:
    """One run of the demonstration: what its acts share."""

    def __init__(self, plan: DemoPlan, screen: Screen, network: DemoNetwork) -> None:
        self._plan = plan
        self._screen = screen
        self._network = network
        self._genesis = network.testnet.genesis
        self._names = list(network.urls)
        self._victim = self._names[1]
        self._notes = Notes()
        self._is_one_killed = False
        self._last_final_at = 0.0
        self._pause_ms = 0.0
        self._caught_up_ms = 0.0

    async def run(self) -> Outcome:
        """Play all acts."""
        await self._start()
        async with trio.open_nursery() as nursery:
            urls = self._urls_from(self._victim)
            nursery.start_soon(follow, urls, self._genesis, self._notes, self._on_received)
            with _deadline(_PUBLISH_S, "publishing"):
                await self._publish()
            with _deadline(_CATCH_UP_S, "the subscriber"):
                while len(self._notes.received) < self._plan.events:
                    self._network.require_running()
                    await trio.sleep(_POLL_S)
            nursery.cancel_scope.cancel()
        with _deadline(_CATCH_UP_S, "reading the logs"):
            logs = await self._logs()
        with _deadline(_PROVE_S, "proving"):
            proofs = await self._prove(logs[self._names[0]])
        self._screen.say("stopping the network")
        await self._network.stop()
        measures = Measures(self._pause_ms, self._caught_up_ms, proofs, self._victim)
        return evaluate(self._plan.events, self._notes, logs, measures)

    async def _start(self) -> None:
        self._screen.say(
            "starting them as real processes: sockets, TLS 1.3, LMDB, one gateway for each"
        )
        for name in self._names:
            self._network.start(name)
        with _deadline(_START_S, "starting the network"):
            for number, name in enumerate(self._names):
                self._screen.ready(number)
                await self._network.wait_ready(name)
            self._screen.ready(len(self._names))
        self._screen.say(f"{self._genesis.chain_id} makes progress: {', '.join(self._names)}")

    async def _publish(self) -> None:
        """Let every marketplace publish, and kill and restart a validator meanwhile."""
        self._screen.say(
            f"{len(MARKETPLACES)} marketplaces publish {self._plan.events} changes of their "
            f"product offerings; a subscriber proves each"
        )
        kill_at, restart_at = self._plan.events // 3, self._plan.events * 2 // 3
        async with trio.open_nursery() as nursery:
            channels: dict[str, trio.MemorySendChannel[Change]] = {}
            for market in MARKETPLACES:
                sender, receiver = trio.open_memory_channel[Change](self._plan.events)
                channels[market.name] = sender
                nursery.start_soon(self._publisher, market.name, receiver)
            for number, change in enumerate(changes(self._plan.seed, self._plan.events)):
                if number == kill_at:
                    self._kill()
                if number == restart_at:
                    nursery.start_soon(self._restart)
                await channels[change.marketplace].send(change)
                self._network.require_running()
                await trio.sleep(1 / _EVENTS_PER_S)
            for sender in channels.values():
                sender.close()

    async def _publisher(self, name: str, source: trio.MemoryReceiveChannel[Change]) -> None:
        key = open_key(
            self._network.testnet.publisher_keys[name], KeyPurpose.PUBLISHER, password=None
        )
        publisher = Publisher(key.info.owner, key.signer, self._genesis.chain_id)
        # A marketplace that runs a validator uses its own gateway first.
        first = name if name in self._names else self._names[len(name) % len(self._names)]
        async with AsyncClient(self._urls_from(first), self._genesis) as client:
            await publish_changes(client, publisher, source, self._on_published)

    def _kill(self) -> None:
        self._network.kill(self._victim)
        self._is_one_killed = True
        self._screen.say(f"SIGKILL to {self._victim}, its node and its gateway", "red")

    async def _restart(self) -> None:
        before = len(self._notes.published)
        self._is_one_killed = False
        self._network.start(self._victim)
        begun = trio.current_time()
        self._screen.say(f"starting {self._victim} again, {before} events later than it knows")
        with _deadline(_CATCH_UP_S, "catching up"):
            while await self._network.log_size(self._victim) < before:
                self._network.require_running()
                await trio.sleep(_POLL_S)
        self._caught_up_ms = (trio.current_time() - begun) * 1000
        self._screen.say(
            f"{self._victim} has caught up after {self._caught_up_ms / 1000:.1f} s", "green"
        )

    async def _logs(self) -> Mapping[str, Sequence[EventId]]:
        """Read every node's whole log, once it holds all events."""
        self._screen.say("reading the whole log of every node")
        logs: dict[str, Sequence[EventId]] = {}
        for name in self._names:
            while await self._network.log_size(name) < self._plan.events:
                self._network.require_running()
                await trio.sleep(_POLL_S)
            async with AsyncClient(self._network.urls[name]) as client:
                logs[name] = [event.id async for event in client.events(verify=False)]
        return logs

    async def _prove(self, ids: Sequence[EventId]) -> int:
        """Fetch a proof of each event from some gateway, verify it alone, count those that hold."""
        self._screen.say("fetching a proof of every event, and checking each with genesis alone")
        sender, receiver = trio.open_memory_channel[EventId](len(ids))
        for id_ in ids:
            sender.send_nowait(id_)
        sender.close()
        held = 0

        async def prove(name: str) -> None:
            nonlocal held
            async with AsyncClient(self._urls_from(name)) as client:
                async for id_ in receiver:
                    bundle = await client.proof(id_)
                    if bundle is None:
                        continue
                    try:
                        held += verify_bundle(bundle, self._genesis).id == id_
                    except ProofError as error:
                        self._screen.say(f"the proof of {id_.hex()}: {error}", "bold red")

        async with trio.open_nursery() as nursery:
            for name in self._names[:_PROVERS]:
                nursery.start_soon(prove, name)
        return held

    def _on_published(self, published: Published) -> None:
        now = trio.current_time()
        if self._is_one_killed:
            self._pause_ms = max(self._pause_ms, (now - self._last_final_at) * 1000)
        self._last_final_at = now
        self._notes.published.append(published)
        self._screen.published(len(self._notes.published))

    def _on_received(self, _event: object) -> None:
        self._screen.proven(len(self._notes.received))

    def _urls_from(self, name: str) -> list[str]:
        """Give all gateways, that of ``name`` first."""
        start = self._names.index(name)
        return [self._network.urls[other] for other in self._names[start:] + self._names[:start]]


@contextmanager
def _deadline(seconds: float, what: str) -> Iterator[None]:
    try:
        with trio.fail_after(seconds):
            yield
    except trio.TooSlowError:
        raise Unavailable(f"{what} took longer than {seconds:.0f} s") from None
