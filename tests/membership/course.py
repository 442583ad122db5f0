"""One course of changes of validators in a network of real processes, under load, and its verdict.

Four validators become seven and four again, one of them a liar all the time and another one frozen
for a while. Each change is a proposal that as many governors approve as it takes. The verdict is
that of the chaos runs: what was acknowledged is in every log once, at one sequence, and every
subscriber saw every event.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import trio

from concordat.cli.validator_sets import next_set
from ledger.core.ids import Epoch, Height
from ledger.core.trust.operations import SetValidators
from ledger.io.chain_store import ChainStore
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from simnet.checkers.promises import find_faults
from tests.chaos.witnesses import Witnesses
from tests.support.histories import read_store
from tests.support.processes import Part, RealNetwork

__all__ = ["PUBLISHERS", "Course"]

PUBLISHERS: Final = 2
_LIAR: Final = "tests.membership.liar"
_LIES: Final = 3  # the member that does
_PATIENCE_S: Final = 60.0
_PROPOSAL_LIFE_MS: Final = 600_000


class Course:
    """A network whose validators change while clients publish and subscribe.

    Attributes:
        faults: what went wrong, a sentence each.
    """

    def __init__(self, network: RealNetwork, per_second: float) -> None:
        """Start the first members of a network, one of them a liar."""
        self._network = network
        self._rate = per_second
        self._begun = time.monotonic()
        self._first = network.size
        self._liars: set[tuple[Epoch, int]] = set()
        self.faults: list[str] = []
        for member in range(network.size):
            self._start(member)
        network.wait_ready()
        urls = [network.url(member) for member in range(network.size)]
        self._witnesses = Witnesses(network.testnet.genesis, urls, 100)

    async def run(self, pause_s: float) -> None:
        """Change the validators to seven and back to four, with ``pause_s`` of load between."""
        witnesses, network = self._witnesses, self._network
        async with trio.open_nursery() as subscribers:
            subscribers.start_soon(witnesses.subscribe, _LIES)
            async with trio.open_nursery() as publishers:
                for number in range(PUBLISHERS):
                    identity = network.publisher(number)
                    rate = self._rate / PUBLISHERS
                    # The first gateways go away with their members: begin at one that stays.
                    publishers.start_soon(witnesses.publish, number, identity, rate)
                await trio.sleep(pause_s)
                added = [network.add(f"node{self._first + i}") for i in range(3)]
                for member in range(self._first, network.size):
                    self._start(member)
                await self._change([home / "member.json" for home in added], [])
                await trio.sleep(pause_s)
                network.pause(1, Part.NODE)
                self._say("member 1 is frozen; with the liar that is f of seven")
                await trio.sleep(pause_s)
                network.resume(1, Part.NODE)
                self._say("member 1 goes on")
                await self._change([], ["node0", "node1", "node2"])
                await self._until_left([0, 1, 2])
                await trio.sleep(pause_s)
                publishers.cancel_scope.cancel()
            await self._level(range(_LIES, network.size))
            subscribers.cancel_scope.cancel()
        self.faults += network.unexpected_ends() + network.stop_all()
        self._judge()

    def summary(self) -> str:
        """Give what was done, in one line."""
        history = self._witnesses.history
        return (
            f"{len(history.handed_in)} events handed in, {len(history.acknowledged)} acknowledged "
            f"as final, {self._witnesses.unknown} left unknown"
        )

    # --- steps ------------------------------------------------------------------------------

    def _start(self, member: int) -> None:
        module = _LIAR if member == _LIES else "concordat"
        self._network.start(member, Part.NODE, module=module)
        self._network.start(member, Part.GATEWAY)

    async def _change(self, added: Sequence[Path], removed: Sequence[str]) -> None:
        """Propose other validators, approve it by all governors that it takes, see it in force."""
        genesis = self._network.testnet.genesis
        governors = genesis.governors.members[: genesis.governors.threshold]
        async with AsyncClient(self._network.url(_LIES), genesis) as client:
            chain = (await client.status()).chain
            assert chain is not None
            present = (await client.trust.validators(at_least=Height(chain.height))).value
            assert present is not None
            chosen = next_set(present, added, removed)
            expires_ms = time.time_ns() // 1_000_000 + _PROPOSAL_LIFE_MS
            action = SetValidators(chosen)
            proposed = await client.trust.propose(self._who(governors[0]), action, expires_ms)
            approvals = [
                await client.trust.approve(self._who(governor), proposed.id)
                for governor in governors[1:]
            ]
            receipts = [proposed, *approvals]
            self._witnesses.history.handed_in.update(receipt.id for receipt in receipts)
            began = time.monotonic()
            self._say(f"approved in block {receipts[-1].height}: {len(chosen)} validators")
            with trio.fail_after(_PATIENCE_S):
                while (await client.trust.validators()).value != chosen:  # noqa: ASYNC110 - processes
                    await trio.sleep(0.05)
        self._say(f"in force, and provable, {time.monotonic() - began:.2f} s after the approval")

    def _who(self, did: str) -> Publisher:
        name = did.rpartition(":")[2]
        path = self._network.testnet.publisher_keys[name]
        key = open_key(path, KeyPurpose.PUBLISHER, password=None)
        return Publisher(did, key.signer, self._network.testnet.genesis.chain_id)

    async def _until_left(self, members: Sequence[int]) -> None:
        """Wait for removed validators to end by themselves, and in order."""
        for member in members:
            codes: list[int] = []

            def has_ended(member: int = member, codes: list[int] = codes) -> bool:
                code = self._network.take_end(member, Part.NODE)
                codes.extend([] if code is None else [code])
                return bool(codes)

            await _until(has_ended)
            if codes != [0]:
                self.faults.append(f"member {member} was removed and ended with {codes}")
        self._say(f"members {', '.join(map(str, members))} left in order")

    async def _level(self, members: Sequence[int]) -> None:
        """Wait until the subscriber and all these logs stand at one end for a second."""
        before: set[int] = set()

        def is_level() -> bool:
            nonlocal before
            seen = {seen.next for seen in self._witnesses.seen.values()}
            now = seen | {self._log_size(member) for member in members}
            is_same, before = now == before, now
            return is_same and len(now) == 1

        await _until(is_level, every_s=1.0)

    def _log_size(self, member: int) -> int:
        path = self._network.chain_dir(member)
        with ChainStore.open_readonly(path) as store, store.read() as reader:
            return reader.head().log_size

    def _judge(self) -> None:
        history, left = self._witnesses.history, range(_LIES)
        names = {member: f"member {member}" for member in range(self._network.size)}
        for member, name in names.items():
            path = self._network.chain_dir(member)
            with ChainStore.open_readonly(path) as store, store.read() as reader:
                read_store(history, name, reader)
                members = {
                    Epoch(number): reader.epoch_start(Epoch(number)).members
                    for number in range(reader.epoch_start().number + 1)
                }
                for evidence in reader.evidence():
                    accused = members[evidence.epoch][evidence.offender].name
                    history.accusations.add((name, accused))
        history.suspects = {f"node{_LIES}"}
        if not history.accusations:
            self.faults.append("nobody noticed the liar")
        longest = max(history.logs.values(), key=len)
        for member in left:
            log = history.logs.pop(names[member])
            history.roots.pop(names[member])
            if [*log] != [*longest[: len(log)]]:
                self.faults.append(f"{names[member]} left with another log than the others have")
        history.seen = {name: seen.rows() for name, seen in self._witnesses.seen.items()}
        self.faults += [*self._witnesses.faults, *find_faults(history)]

    def _say(self, text: str) -> None:
        print(f"{time.monotonic() - self._begun:8.2f}  {text}", flush=True)


async def _until(condition: Callable[[], bool], every_s: float = 0.1) -> None:
    with trio.move_on_after(_PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - other processes make it true
            await trio.sleep(every_s)
