"""The driver carries effects out in order and lets nothing leave before its record is durable."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from consensus.core.effects import (
    Broadcast,
    CancelTimer,
    Effect,
    EndEpoch,
    Halt,
    Persist,
    Reply,
    Send,
    SetTimer,
)
from consensus.core.inputs import Input, PeerUp, Started, Timer
from consensus.core.messages import ProposalRequest
from consensus.core.safety_record import decode_record, first_record
from consensus.io.driver import Driver
from consensus.io.inbox import Inbox, Share
from consensus.io.safety_writer import SafetyWriter
from ledger.core.block import Block, Proposal
from ledger.core.certificate import genesis_certificate
from ledger.core.epoch import EpochStart
from ledger.core.errors import InvariantError
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.signing import SeedSigner
from tests.consensus.io.members import make_genesis

GENESIS = make_genesis([1])
RECORD = first_record(EpochStart.of_genesis(GENESIS), SeedSigner(b"s" * 32).public_key)
TIMER = Timer("t")


def out(number: int) -> Broadcast:
    """Give an effect that leaves the process and can be told from others."""
    return Broadcast(ProposalRequest(BlockId(number.to_bytes(32, "big"))))


def proposal(height: int) -> Proposal:
    """Give some proposal at a height."""
    block = Block(
        epoch=Epoch(0),
        round=Round(height),
        height=Height(height),
        parent_id=GENESIS.block_id,
        executed_height=Height(0),
        ledger_root=bytes(32),
        next_set_hash=None,
        qc=genesis_certificate(GENESIS.block_id),
        tc=None,
        payload=(),
        time_ms=0,
        author=NodeIndex(0),
    )
    return Proposal(block, bytes(64), (), ())


def persist(counter: int = 0, heights: Sequence[int] = (), prune: int = 0) -> Persist:
    """Give a barrier whose record can be told from others."""
    record = msgspec.structs.replace(RECORD, counter=counter)
    return Persist(record, tuple(map(proposal, heights)), Height(prune))


class ScriptedCore:
    """Answers each input with the next prepared effects."""

    def __init__(self, *script: list[Effect]) -> None:
        self.script = list(script)
        self.inputs: list[Input] = []

    def step(self, item: Input, _now_ms: int, /) -> list[Effect]:
        self.inputs.append(item)
        return self.script.pop(0) if self.script else []


class Bench:
    """A driver over a scripted core."""

    def __init__(self, *script: list[Effect]) -> None:
        self.core = ScriptedCore(*script)
        self.inbox = Inbox()
        self.done: list[Effect] = []
        self.flushed: list[int] = []  # number of effects that were carried out before each
        self.driver = Driver(self.core, self.inbox, self.handlers(), self.flush)

    def flush(self) -> None:
        """Note how much was carried out before."""
        self.flushed.append(len(self.done))

    def handlers(self) -> dict[type[Any], Callable[[Any], None]]:
        """Only note what is carried out."""
        kinds: tuple[type[Any], ...] = (Broadcast, Send, Reply, SetTimer, CancelTimer)
        return dict.fromkeys(kinds, self.done.append)

    async def step(self) -> None:
        """Feed one input and let the driver do all it can."""
        self.inbox.put_own(PeerUp(NodeIndex(1)))
        await trio.testing.wait_all_tasks_blocked()


async def test_effects_are_carried_out_in_order(nursery: trio.Nursery) -> None:
    """Started is the first input; effects follow each other as the core gave them."""
    effects: list[Effect] = [out(1), SetTimer(TIMER, 5), out(2), CancelTimer(TIMER)]
    bench = Bench(effects)
    nursery.start_soon(bench.driver.run)
    await trio.testing.wait_all_tasks_blocked()
    assert bench.core.inputs == [Started()]
    assert bench.done == effects
    assert bench.flushed == [4]


async def test_a_turn_is_done_within_its_call(nursery: trio.Nursery) -> None:
    """What a turn puts is given to the core before the turn returns, and what it says has left."""
    bench = Bench([], [out(1)])
    nursery.start_soon(bench.driver.run)
    await trio.testing.wait_all_tasks_blocked()
    bench.inbox.turn(lambda: bench.inbox.put_own(PeerUp(NodeIndex(1))))
    assert bench.core.inputs == [Started(), PeerUp(NodeIndex(1))]
    assert (bench.done, bench.flushed) == ([out(1)], [1])


async def test_an_epoch_may_end_in_a_turn(nursery: trio.Nursery) -> None:
    """Then the driver's task ends with it, and what comes afterwards waits for the next core."""
    end = EndEpoch((), ())
    bench = Bench([], [end])
    ends: list[EndEpoch] = []

    async def run() -> None:
        ends.append(await bench.driver.run())

    nursery.start_soon(run)
    await trio.testing.wait_all_tasks_blocked()
    bench.inbox.turn(lambda: bench.inbox.put_own(PeerUp(NodeIndex(1))))
    await trio.testing.wait_all_tasks_blocked()
    assert ends == [end]
    bench.inbox.turn(lambda: bench.inbox.put_own(PeerUp(NodeIndex(2))))
    assert bench.core.inputs == [Started(), PeerUp(NodeIndex(1))]


async def test_a_turn_ends_with_a_halt(nursery: trio.Nursery) -> None:
    """A core that halts in a turn ends whoever makes the turn."""
    bench = Bench([], [Halt("two chains")])
    nursery.start_soon(bench.driver.run)
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(InvariantError, match="two chains"):
        bench.inbox.turn(lambda: bench.inbox.put_own(PeerUp(NodeIndex(1))))


async def test_halt_stops_everything() -> None:
    """A halting core ends the driver; nothing after the halt is carried out."""
    bench = Bench([out(1), Halt("two chains"), out(2)])
    with pytest.raises(InvariantError, match="two chains"):
        await bench.driver.run()
    assert bench.done == [out(1)]


class Disk:
    """A safety store that notes what had left before each write, and fails when told to."""

    def __init__(self, left: list[Effect]) -> None:
        self.left = left
        self.written: list[tuple[bytes, list[bytes], int, int]] = []
        self.fault: Exception | None = None

    def write(
        self, record: bytes, proposals: Sequence[tuple[bytes, bytes]], prune_height: Height
    ) -> None:
        """Note a write, or fail."""
        if self.fault is not None:
            raise self.fault
        self.written.append((record, [key for key, _ in proposals], prune_height, len(self.left)))


class DurableBench(Bench):
    """A bench whose barriers are written by the real writer, to a controllable disk."""

    def __init__(self, *script: list[Effect]) -> None:
        super().__init__(*script)
        self.disk = Disk(self.done)
        handlers = self.handlers()
        handlers[Persist] = SafetyWriter(self.disk).persist
        self.driver = Driver(self.core, self.inbox, handlers, self.flush)


async def test_nothing_leaves_before_the_write_returned(nursery: trio.Nursery) -> None:
    """When the record is written the vote behind the barrier is still here, then it leaves."""
    bench = DurableBench([out(1), persist(7, [4, 5], prune=3), out(2)])
    nursery.start_soon(bench.driver.run)
    await trio.testing.wait_all_tasks_blocked()
    [(record, keys, prune, left_count)] = bench.disk.written
    assert left_count == 1
    assert bench.done == [out(1), out(2)]
    assert decode_record(record).counter == 7
    assert [key[:8] for key in keys] == [(4).to_bytes(8, "big"), (5).to_bytes(8, "big")]
    assert prune == 3


async def test_failed_write_ends_the_process_and_nothing_leaves() -> None:
    """A failed write reaches the top as it is, and the vote never left."""
    bench = DurableBench([persist(1), out(1)], [out(2)])
    bench.disk.fault = InvariantError("disk full")
    with pytest.raises(InvariantError, match="disk full"), trio.fail_after(50):
        await bench.driver.run()
    assert bench.done == []
    assert bench.flushed == []


async def test_no_step_follows_one_that_failed() -> None:
    """A turn of sockets fails; before it is cancelled the driver's own task does nothing more."""
    bench = DurableBench([out(1)], [persist(1), out(2)], [out(3)])
    share = Share(count_max=10, bytes_max=100, is_urgent=True)

    async def fail_in_a_turn() -> None:
        await trio.testing.wait_all_tasks_blocked()
        bench.disk.fault = InvariantError("disk full")
        with pytest.raises(InvariantError, match="disk full"):
            bench.inbox.turn(lambda: bench.inbox.put(share, [PeerUp(NodeIndex(1))], 1))
        bench.disk.fault = None
        bench.inbox.put_own(PeerUp(NodeIndex(2)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fail_in_a_turn)
        with pytest.raises(InvariantError, match="disk full"), trio.fail_after(50):
            await bench.driver.run()
    assert bench.done == [out(1)]
    assert len(bench.core.inputs) == 2
