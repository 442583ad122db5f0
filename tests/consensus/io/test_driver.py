"""The driver carries effects out in order and lets nothing leave before its record is durable."""

import threading
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
from consensus.io.inbox import Inbox
from consensus.io.safety_writer import SafetyWriter
from ledger.core.block import Block, Proposal
from ledger.core.certificate import genesis_certificate
from ledger.core.errors import InvariantError, RejectCode
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.signing import SeedSigner
from tests.consensus.io.members import make_genesis

GENESIS = make_genesis([1])
RECORD = first_record(GENESIS, SeedSigner(b"s" * 32).public_key)
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
    """A driver over a scripted core; barriers become durable when the test says so."""

    def __init__(self, *script: list[Effect]) -> None:
        self.core = ScriptedCore(*script)
        self.inbox = Inbox()
        self.done: list[Effect] = []
        self.persisted: list[Persist] = []
        self.driver = Driver(self.core, self.inbox, self.persisted.append, self.handlers())

    def handlers(self) -> dict[type[Any], Callable[[Any], None]]:
        """Only note what is carried out."""
        kinds = (Broadcast, Send, Reply, SetTimer, CancelTimer)
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


async def test_nothing_passes_a_barrier_and_the_core_goes_on(nursery: trio.Nursery) -> None:
    """What comes after a Persist, also from later steps, waits for it; steps do not wait."""
    bench = Bench([out(1), persist(), out(2)], [out(3)], [out(4), Reply(1, RejectCode.OVERLOADED)])
    nursery.start_soon(bench.driver.run)
    await bench.step()
    await bench.step()
    assert len(bench.core.inputs) == 3
    assert bench.done == [out(1)]
    assert bench.driver.held_count == 4
    bench.driver.on_durable(1)
    await trio.testing.wait_all_tasks_blocked()
    assert bench.done == [out(1), out(2), out(3), out(4), Reply(1, RejectCode.OVERLOADED)]


async def test_each_barrier_lets_go_its_own(nursery: trio.Nursery) -> None:
    """With two barriers under way the first lets go what stands between them, no more."""
    bench = Bench([persist(1), out(1)], [persist(2), out(2)])
    nursery.start_soon(bench.driver.run)
    await bench.step()
    assert bench.persisted == [persist(1), persist(2)]
    bench.driver.on_durable(1)
    await trio.testing.wait_all_tasks_blocked()
    assert bench.done == [out(1)]
    bench.driver.on_durable(1)
    await trio.testing.wait_all_tasks_blocked()
    assert bench.done == [out(1), out(2)]


async def test_halt_stops_everything() -> None:
    """A halting core ends the driver; nothing after the halt is carried out."""
    bench = Bench([out(1), Halt("two chains"), out(2)])
    with pytest.raises(InvariantError, match="two chains"):
        await bench.driver.run()
    assert bench.done == [out(1)]


class Disk:
    """A safety store whose writes wait for the test, and fail when told to."""

    def __init__(self) -> None:
        self.may_write = threading.Event()
        self.written: list[tuple[bytes, list[bytes], int]] = []
        self.fault: BaseException | None = None

    def write(
        self, record: bytes, proposals: Sequence[tuple[bytes, bytes]], prune_height: Height
    ) -> None:
        """Note a write once it is allowed."""
        assert self.may_write.wait(5)
        if self.fault is not None:
            raise self.fault
        self.written.append((record, [key for key, _ in proposals], prune_height))


class ThreadedBench(Bench):
    """A bench whose barriers are written by the real writer thread, to a controllable disk."""

    def __init__(self, *script: list[Effect]) -> None:
        super().__init__(*script)
        self.disk = Disk()
        self.writer = SafetyWriter(self.disk, self.driver.on_durable)
        self.driver._persist = self.writer.persist

    async def run(self) -> None:
        """Run driver and writer as a node does."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.writer.thread.run)
            nursery.start_soon(self.driver.run)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for a thread."""
    with trio.fail_after(5):
        while not is_so():  # noqa: ASYNC110 - a thread announces nothing to a test
            await trio.sleep(0.001)


async def test_nothing_leaves_before_the_write_returned(nursery: trio.Nursery) -> None:
    """While the disk is busy the vote stays here; after its fsync it leaves."""
    bench = ThreadedBench([persist(1), out(1)])
    nursery.start_soon(bench.run)
    await trio.testing.wait_all_tasks_blocked(0.02)
    assert bench.done == []
    bench.disk.may_write.set()
    await until(lambda: bench.done == [out(1)])
    assert len(bench.disk.written) == 1


async def test_barriers_that_waited_are_written_as_one(nursery: trio.Nursery) -> None:
    """The last record, every proposal once and the highest prune height; then all effects."""
    bench = ThreadedBench(
        [persist(1, [4]), out(1)],
        [persist(2, [5], prune=3), out(2)],
        [persist(3, [6, 5], prune=2), out(3)],
    )
    nursery.start_soon(bench.run)
    await until(lambda: len(bench.writer.thread) == 0 and bench.driver._persists == 1)
    await bench.step()
    await bench.step()
    bench.disk.may_write.set()
    await until(lambda: len(bench.done) == 3)
    assert bench.done == [out(1), out(2), out(3)]
    (_, first, _), (record, keys, prune) = bench.disk.written
    assert [key[:8] for key in first] == [(4).to_bytes(8, "big")]
    assert [key[:8] for key in keys] == [(5).to_bytes(8, "big"), (6).to_bytes(8, "big")]
    assert decode_record(record).counter == 3
    assert prune == 3


@pytest.mark.parametrize("fault", [InvariantError("disk full"), OSError(5, "EIO")])
async def test_failed_write_ends_the_process_and_nothing_leaves(fault: Exception) -> None:
    """Whatever the disk says: an InvariantError to the top, and the vote never left."""
    bench = ThreadedBench([persist(1), out(1)], [out(2)])
    bench.disk.fault = fault
    bench.disk.may_write.set()
    with pytest.RaisesGroup(InvariantError), trio.fail_after(5):
        await bench.run()
    assert bench.done == []
