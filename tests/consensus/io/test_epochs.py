"""Whole validators join and leave: 4, 5, 4 over loopback TLS, with events all the time."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
import trio

from consensus.core.control import StatusReply, StatusRequest
from consensus.io.node import NodeSettings, serve_node
from ledger.core.errors import ProofError
from ledger.core.ids import Epoch, Sequence
from ledger.core.proof import ProofBundle, Verifier, build_bundle, encode_bundle
from ledger.core.validators import Validator
from ledger.io.chain_store import ChainStore
from tests.consensus.io.members import (
    Gateway,
    gateway,
    make_change,
    make_event,
    make_settings,
    make_validator,
)
from tests.independent import verifier as independent

WAIT_S = 50  # never reached on a machine that is not starved


class _Network:
    """Members that run in one nursery, and a count of the events that were handed in.

    Attributes:
        entrance: the member to whom events are handed in.
    """

    def __init__(self, members: list[NodeSettings], nursery: trio.Nursery) -> None:
        self.members = members
        self.genesis = members[0].genesis
        self.ended = [trio.Event() for _ in members]
        self.count = 0
        self.entrance = 0
        self._nursery = nursery

    async def start(self, index: int) -> None:
        """Start a member; note its orderly end."""

        async def serve(task_status: "trio.TaskStatus[None]") -> None:
            await serve_node(self.members[index], task_status=task_status)
            self.ended[index].set()

        await self._nursery.start(serve)

    async def set_validators(self, *indexes: int) -> None:
        """Have the governor set the validators, and wait until their epoch has begun."""
        members = tuple(self._validator(index) for index in indexes)
        await self._hand_in(lambda number: make_change(self.genesis, number, members).entry)

    def _validator(self, index: int) -> Validator:
        return make_validator(index, self.members[index].listen[1])

    async def publish(self, events_count: int) -> None:
        """Hand events in to one member, one after the other."""
        for _ in range(events_count):
            await self._hand_in(lambda number: make_event(self.genesis, number).entry)

    async def _hand_in(self, make: Callable[[int], bytes]) -> None:
        self.count += 1
        async with gateway(self.members[self.entrance].control_path) as node:
            assert await node.submit(make(self.count)) == ("",)
            await node.until_log_size(self.count)

    async def until(self, index: int, holds: Callable[[Gateway], Awaitable[bool]]) -> None:
        """Wait until something holds for a member."""
        while True:
            async with gateway(self.members[index].control_path) as node:
                if await holds(node):
                    return
            await trio.sleep(0.05)

    async def until_epoch(self, index: int, epoch: int) -> None:
        """Wait until a member is in an epoch, and a validator."""

        async def holds(node: Gateway) -> bool:
            reply = await node.ask(StatusRequest(9_999))
            assert isinstance(reply, StatusReply)
            return f'"epoch":{epoch},'.encode() in reply.document

        await self.until(index, holds)


def _log(member: NodeSettings) -> tuple[list[bytes], int]:
    with ChainStore.open(member.chain_dir, member.genesis) as store, store.read() as reader:
        size, epoch = reader.head().log_size, reader.epoch_start()
        assert reader.epoch_start(Epoch(0)).number == 0
        return [reader.entry(Sequence(number)) or b"" for number in range(size)], epoch.number


def _require_provable(member: NodeSettings, count: int) -> None:
    """Every event of every epoch that is over is proven from genesis, for two verifiers."""
    verifier, proven, genesis = Verifier(member.genesis), [], member.genesis.to_json()
    with ChainStore.open(member.chain_dir, member.genesis) as store, store.read() as reader:
        bundles = [build_bundle(reader, Sequence(number)) for number in range(count)]
        for bundle in filter(None, bundles):
            shown = verifier.verify(bundle)
            independent.verify(encode_bundle(bundle), genesis)
            proven.append(len(bundle.epoch_ends))
            assert shown.sequence == bundle.sequence
            _require_refused_without_its_ends(member, bundle)
    assert {0, 1} <= set(proven)


def _require_refused_without_its_ends(member: NodeSettings, bundle: ProofBundle) -> None:
    genesis = member.genesis.to_json()
    ends = bundle.epoch_ends
    others = [ends[:-1], ends[1:], ends[::-1] if len(ends) > 1 else ends[:-1]] if ends else []
    if ends:
        cut = msgspec.structs.replace(ends[-1], validators=ends[-1].validators[:-1])
        others.append((*ends[:-1], cut))
    for other in others:
        false = msgspec.structs.replace(bundle, epoch_ends=other)
        with pytest.raises(ProofError):
            Verifier(member.genesis).verify(false)
        with pytest.raises(independent.RefusedError):
            independent.verify(encode_bundle(false), genesis)


async def test_a_member_joins_and_another_leaves_while_events_flow(tmp_path: Path) -> None:
    """The new one syncs by itself, the old one ends in order, and every log is the same."""
    members = make_settings(tmp_path, 5, validators=4)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            network = _Network(members, nursery)
            for index in range(5):
                await network.start(index)
            await network.publish(3)
            await network.set_validators(0, 1, 2, 3, 4)
            await network.publish(3)
            await network.until_epoch(4, 1)
            await network.set_validators(0, 1, 2, 4)
            await network.publish(3)
            await network.ended[3].wait()
            for index in (0, 1, 2, 4):
                await network.until_epoch(index, 2)
                async with gateway(members[index].control_path) as node:
                    await node.until_log_size(network.count)
            assert not any(network.ended[index].is_set() for index in (0, 1, 2, 4))
            nursery.cancel_scope.cancel()
    log, epoch = _log(members[0])
    assert (len(log), len(set(log)), epoch) == (network.count, network.count, 2)
    for index in (1, 2, 4):
        assert _log(members[index]) == (log, 2)
    _require_provable(members[0], network.count)
    left, epoch = _log(members[3])
    assert (left, epoch) == (log[: len(left)], 2)


async def test_who_was_away_follows_through_the_epochs(tmp_path: Path) -> None:
    """A validator that slept through two changes learns of both and takes part again."""
    members = make_settings(tmp_path, 5, validators=4)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            network = _Network(members, nursery)
            for index in (0, 1, 2, 4):
                await network.start(index)
            await network.set_validators(0, 1, 2, 3, 4)
            await network.publish(2)
            await network.set_validators(3, 2, 1, 0)
            await network.publish(2)
            await network.start(3)
            await network.until_epoch(3, 2)
            async with gateway(members[3].control_path) as node:
                await node.until_log_size(network.count)
            nursery.cancel_scope.cancel()
    assert _log(members[3]) == _log(members[0])


async def test_a_whole_set_is_replaced_and_one_of_the_new_is_late(tmp_path: Path) -> None:
    """The old ones stay until the last of the new has learned from them that they have gone."""
    members = make_settings(tmp_path, 8, validators=4)
    with trio.fail_after(WAIT_S):
        async with trio.open_nursery() as nursery:
            network = _Network(members, nursery)
            for index in range(7):
                await network.start(index)
            await network.set_validators(4, 5, 6, 7)
            network.entrance = 4
            await network.until_epoch(4, 1)
            await network.publish(2)
            async with gateway(members[0].control_path) as node:
                await node.until_log_size(network.count)
            await network.start(7)
            await network.until_epoch(7, 1)
            await network.publish(4)
            for index in range(4):
                await network.ended[index].wait()
            assert not any(network.ended[index].is_set() for index in (4, 5, 6, 7))
            nursery.cancel_scope.cancel()
    log, _ = _log(members[0])
    assert _log(members[7])[0][: len(log)] == log
