"""What waits is bounded on the way out and on the way in."""

from collections.abc import Sequence
from functools import partial

import pytest
import trio
import trio.testing

from consensus.core.inputs import BatchStored, Input, PeerUp, TimerFired
from consensus.core.inputs import Timer as TimerName
from consensus.core.messages import Lane
from consensus.io import inbox as inbox_module
from consensus.io.inbox import Inbox, Share
from consensus.io.send_queue import SendQueue
from ledger.core.ids import BatchId, NodeIndex
from ledger.core.limits import LANE_BYTES_MAX, LANE_FRAMES_MAX, SEND_BYTES_MAX


def _frame(number: int) -> bytes:
    return number.to_bytes(4, "big")


async def test_consensus_lane_forgets_its_oldest() -> None:
    """One frame too many pushes out the first; the newest is always sent."""
    queue = SendQueue(Lane.CONSENSUS)
    for number in range(LANE_FRAMES_MAX[Lane.CONSENSUS] + 1):
        queue.put(_frame(number))
    assert queue.dropped == 1
    taken = bytes(queue.take())
    assert taken.startswith(_frame(1))
    assert taken.endswith(_frame(LANE_FRAMES_MAX[Lane.CONSENSUS]))


async def test_bulk_lane_refuses_the_newest() -> None:
    """A full bulk lane keeps what it promised and counts what it refused."""
    queue = SendQueue(Lane.BULK)
    queue.set_open(is_open=True)
    for number in range(LANE_FRAMES_MAX[Lane.BULK] + 1):
        queue.put(_frame(number))
    assert queue.dropped == 1
    assert bytes(queue.take()).startswith(_frame(0))


@pytest.mark.parametrize("lane", Lane)
async def test_bytes_are_bounded_but_a_lone_frame_fits(lane: Lane) -> None:
    """The limit in bytes holds; a single frame beyond it is not stuck for ever."""
    queue = SendQueue(lane)
    queue.set_open(is_open=True)
    queue.put(bytes(LANE_BYTES_MAX[lane] + 1))
    assert len(queue) == 1
    assert queue.dropped == 0
    queue.put(b"x")
    assert len(queue) == 1
    assert queue.dropped == 1


async def test_little_and_the_newest_is_kept_for_a_peer_that_is_away() -> None:
    """A lane that is not connected forgets its oldest; one that was lost is cut to that size."""
    kept = LANE_BYTES_MAX[Lane.CONSENSUS]
    queue = SendQueue(Lane.BULK)
    queue.put(b"a" * (kept // 2))
    queue.put(b"b" * (kept // 2))
    queue.put(b"c")
    assert (queue.bytes_count, queue.dropped) == (kept // 2 + 1, 1)
    queue.set_open(is_open=True)
    for _ in range(3):
        queue.put(b"d" * (kept // 2))
    assert (queue.bytes_count, queue.dropped) == (4 * (kept // 2) + 1, 1)
    queue.set_open(is_open=False)
    assert (queue.bytes_count, queue.dropped) == (2 * (kept // 2), 4)


async def test_writes_are_gathered_up_to_their_size() -> None:
    """Small frames leave together, in order, in writes of about the chosen size."""
    queue = SendQueue(Lane.CONSENSUS)
    half = SEND_BYTES_MAX // 2
    for letter in (b"a", b"b", b"c"):
        queue.put(letter * half)
    assert queue.take() == b"a" * half + b"b" * half
    assert queue.take() == b"c" * half


async def test_large_frames_leave_in_pieces() -> None:
    """A frame beyond the size of a write is cut, and the next one begins a write of its own."""
    queue = SendQueue(Lane.BULK)
    queue.put(b"a" * (SEND_BYTES_MAX + 1))
    queue.put(b"b")
    pieces = [bytes(queue.take()) for _ in range(3)]
    assert pieces == [b"a" * SEND_BYTES_MAX, b"a", b"b"]
    assert queue.is_empty
    assert not queue.take()


async def test_rest_of_a_frame_is_dropped_with_its_connection() -> None:
    """The next connection begins with a whole frame."""
    queue = SendQueue(Lane.BULK)
    queue.put(b"a" * (SEND_BYTES_MAX + 1))
    queue.take()
    queue.set_open(is_open=False)
    queue.set_open(is_open=True)
    assert queue.is_empty
    queue.put(b"b")
    assert queue.take() == b"b"


def _share(*, count_max: int = 100, is_urgent: bool = False) -> Share:
    return Share(count_max=count_max, bytes_max=1_000, is_urgent=is_urgent)


def _has_room(share: Share) -> bool:
    return share.has_room


def _inputs(*numbers: int) -> list[Input]:
    return [PeerUp(NodeIndex(number)) for number in numbers]


async def test_urgent_comes_before_timers_and_timers_before_bulk() -> None:
    """Votes that have arrived are looked at before a timer that would give the round up."""
    inbox = Inbox()
    timer, stored = TimerFired(TimerName("round")), BatchStored(BatchId(bytes(32)))
    inbox.put(_share(), _inputs(9), 1)
    inbox.put_own(timer)
    inbox.put(_share(is_urgent=True), _inputs(1), 1)
    inbox.put_own(stored)
    assert inbox.take() == [stored, *_inputs(1), timer, *_inputs(9)]


async def test_bulk_is_taken_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Much bulk is interrupted for votes, and nothing of it is forgotten."""
    monkeypatch.setattr(inbox_module, "BULK_INPUTS_MAX", 2)
    inbox = Inbox()
    for number in range(3):
        inbox.put(_share(), _inputs(number, number), 1)
    assert inbox.take() == _inputs(0, 0)
    inbox.put(_share(is_urgent=True), _inputs(8), 1)
    await inbox.wait()
    assert inbox.take() == _inputs(8, 1, 1)
    await inbox.wait()
    assert inbox.take() == _inputs(2, 2)


async def test_much_that_was_put_at_once_is_taken_in_portions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No take gives more bulk than allowed; each frees what it took, the last one the bytes."""
    monkeypatch.setattr(inbox_module, "BULK_INPUTS_MAX", 2)
    inbox, share = Inbox(), _share(count_max=3)
    inbox.put(share, _inputs(1), 1)
    inbox.put(share, _inputs(2, 3, 4), 5_000)
    assert inbox.take() == _inputs(1, 2)
    inbox.put(_share(is_urgent=True), _inputs(8), 1)
    await inbox.wait()
    assert not _has_room(share)
    assert inbox.take() == _inputs(8, 3, 4)
    assert _has_room(share)
    assert inbox.take() == []


async def test_used_up_share_waits_and_others_do_not() -> None:
    """A source with a full share waits until some of it was taken; another goes on."""
    inbox = Inbox()
    greedy, modest = _share(count_max=2), _share()
    calls: list[str] = []
    inbox.put(greedy, _inputs(1, 1), 1)
    assert not _has_room(greedy)
    greedy.when_room(lambda: calls.append("room"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(greedy.wait_room)
        await trio.testing.wait_all_tasks_blocked()
        assert _has_room(modest)
        inbox.put(modest, _inputs(3), 1)
        assert calls == []
        assert inbox.take() == _inputs(1, 1, 3)
    assert _has_room(greedy)
    inbox.put(greedy, _inputs(2), 1)
    assert inbox.take() == _inputs(2)
    assert calls == ["room"]


async def test_nobody_is_called_who_no_longer_wants_to_be() -> None:
    """A connection that has ended is not told of room; another of the same share still is."""
    inbox, share = Inbox(), _share(count_max=1)
    told: list[str] = []
    ended, alive = partial(told.append, "ended"), partial(told.append, "alive")
    inbox.put(share, _inputs(1), 1)
    share.when_room(ended)
    share.when_room(alive)
    share.forget(ended)
    share.forget(ended)
    assert inbox.take() == _inputs(1)
    assert told == ["alive"]


async def test_more_than_a_share_fits_alone() -> None:
    """Something larger than the whole share is let in when nothing else of it waits."""
    inbox = Inbox()
    share = _share()
    inbox.put(share, _inputs(1), 5_000)
    with trio.move_on_after(0) as scope:
        await share.wait_room()
    assert scope.cancelled_caught
    assert inbox.take() == _inputs(1)
    await share.wait_room()


async def test_what_a_turn_puts_is_consumed_within_it(nursery: trio.Nursery) -> None:
    """A turn wakes no task: its end consumes what it put; without a consumer a task is woken."""
    inbox = Inbox()
    taken: list[Sequence[Input]] = []
    woken: list[str] = []

    async def wait() -> None:
        await inbox.wait()
        woken.append("task")

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    with inbox.consumed_by(lambda: taken.append(inbox.take())):
        inbox.turn(lambda: inbox.put_own(_inputs(1)[0]))
        inbox.turn(lambda: None)
        await trio.testing.wait_all_tasks_blocked()
    assert taken == [_inputs(1)]
    assert woken == []
    inbox.turn(lambda: inbox.put(_share(), _inputs(2), 1))
    await trio.testing.wait_all_tasks_blocked()
    assert woken == ["task"]
    assert inbox.take() == _inputs(2)


async def test_what_a_turn_leaves_wakes_the_task(
    monkeypatch: pytest.MonkeyPatch, nursery: trio.Nursery
) -> None:
    """Bulk beyond a portion is not consumed in the turn: the consumer's task goes on with it."""
    monkeypatch.setattr(inbox_module, "BULK_INPUTS_MAX", 2)
    inbox = Inbox()
    woken: list[str] = []

    async def wait() -> None:
        await inbox.wait()
        woken.append("task")

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    taken: list[Sequence[Input]] = []
    with inbox.consumed_by(lambda: taken.append(inbox.take())):
        inbox.turn(lambda: inbox.put(_share(), _inputs(1, 2, 3, 4, 5), 1))
        await trio.testing.wait_all_tasks_blocked()
    assert taken == [_inputs(1, 2)]
    assert woken == ["task"]
    assert inbox.take() == _inputs(3, 4)


async def test_what_a_turn_brings_about_is_consumed_within_it(nursery: trio.Nursery) -> None:
    """An answer that consuming puts at once is consumed in the same turn; no task is woken."""
    inbox = Inbox()
    taken: list[Input] = []

    def consume() -> None:
        items = inbox.take()
        taken.extend(items)
        if items == _inputs(1):
            inbox.put_own(_inputs(2)[0])

    async def wait() -> None:
        await inbox.wait()
        taken.append(_inputs(99)[0])

    nursery.start_soon(wait)
    await trio.testing.wait_all_tasks_blocked()
    with inbox.consumed_by(consume):
        inbox.turn(lambda: inbox.put_own(_inputs(1)[0]))
        await trio.testing.wait_all_tasks_blocked()
    assert taken == _inputs(1, 2)
