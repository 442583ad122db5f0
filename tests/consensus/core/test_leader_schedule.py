"""The leader schedule: who is left out, who comes back, and that all nodes compute the same."""

from collections.abc import Callable
from random import Random

import pytest

from consensus.core.leader import LeaderSchedule, schedule_blocks
from ledger.core.block import Block
from ledger.core.certificate import QuorumCertificate
from ledger.core.ids import BlockId, Epoch, Height, NodeIndex, Round
from ledger.core.limits import SCHEDULE_MEMORY_WINDOWS, SCHEDULE_PERIOD_WINDOWS
from tests.support.federation import Federation, make_genesis

Trouble = Callable[[int], tuple[set[int], set[int]]]
"""For a round: those who lead in vain, and those whose votes are missing."""


class History:
    """A committed chain, and the schedule of a node that saw all of it."""

    def __init__(self, count: int) -> None:
        genesis, _ = make_genesis(count)
        self.validators = genesis.validator_set()
        self.schedule = LeaderSchedule(self.validators)
        self.blocks: list[Block] = []
        self.round = 0
        self.window = 4 * count

    def grow(self, rounds: int, trouble: Trouble = lambda _round: (set(), set())) -> None:
        """Let so many rounds pass."""
        for _ in range(rounds):
            self.round += 1
            silent, voiceless = trouble(self.round)
            if self.schedule.leader(Round(self.round)) in silent:
                continue
            voters = [i for i in range(len(self.validators)) if i not in voiceless]
            rows = tuple((NodeIndex(i), bytes(64)) for i in voters)
            qc = QuorumCertificate(Epoch(0), Round(self.round - 1), BlockId(bytes(32)), None, rows)
            height = Height(len(self.blocks) + 1)
            block = Block(
                Epoch(0),
                Round(self.round),
                height,
                BlockId(bytes(32)),
                Height(0),
                bytes(32),
                None,
                qc,
                None,
                (),
                0,
                NodeIndex(0),
            )
            self.blocks.append(block)
            self.schedule.on_committed(block)

    def restarted(self, blocks_count: int) -> LeaderSchedule:
        """Give the schedule of a node that has read only the last blocks."""
        schedule = LeaderSchedule(self.validators)
        schedule.restore(self.blocks[-blocks_count:])
        return schedule

    @property
    def leaders(self) -> list[int]:
        """The leaders of the window after the next one."""
        return list(self.schedule.leaders(Round(self.round + 2 * self.window)))


def test_everybody_leads_in_turn_while_nothing_fails() -> None:
    """Without failures the schedule is round-robin."""
    history = History(4)
    assert [history.schedule.leader(Round(r)) for r in range(1, 6)] == [1, 2, 3, 0, 1]
    history.grow(100)
    assert history.leaders == [0, 1, 2, 3]


def test_a_dead_member_does_not_lead_until_it_votes_again() -> None:
    """Whoever neither leads nor votes is left out at once, for as long as that lasts."""
    history = History(4)
    history.grow(40 * history.window, lambda _: ({2}, {2}))
    assert history.leaders == [0, 1, 3]
    missed = history.round - len(history.blocks)
    assert missed <= 3 * history.window // 4, "only before it was left out"
    history.grow((SCHEDULE_MEMORY_WINDOWS + 3) * history.window)
    assert history.leaders == [0, 1, 2, 3]


def test_a_member_that_votes_but_does_not_lead_is_passed_over_for_a_while() -> None:
    """A leader without blocks is left out for a bounded number of windows, then tried again."""
    history = History(4)
    left_out = 0
    for _ in range(3 * SCHEDULE_PERIOD_WINDOWS):
        history.grow(history.window, lambda _: ({1}, set()))
        left_out += history.leaders == [0, 2, 3]
    assert left_out > 3 * SCHEDULE_PERIOD_WINDOWS // 2, "mostly left out"
    assert left_out < 3 * SCHEDULE_PERIOD_WINDOWS, "but tried again"


@pytest.mark.parametrize(("count", "faulty"), [(4, 1), (7, 2), (10, 3)])
def test_at_most_f_are_left_out(count: int, faulty: int) -> None:
    """However many fail, enough members lead that honest ones are among them."""
    history = History(count)
    draw = Random(count)
    history.grow(60 * count, lambda _: ({draw.randrange(count) for _ in range(count // 2)}, set()))
    assert len(history.leaders) >= count - faulty


def test_a_long_stall_is_not_held_against_those_who_led_it() -> None:
    """Counting missed rounds takes bounded time however many they are."""
    history = History(4)
    history.grow(50)
    history.round += 10**12
    history.grow(50)
    assert len(history.leaders) >= 3


@pytest.mark.parametrize("count", [4, 7])
def test_a_restarted_node_computes_the_schedule_of_the_others(count: int) -> None:
    """The last blocks decide the schedule alone, whatever happened before them."""
    for seed in range(25):
        history = History(count)
        draw = Random(seed)
        dead: set[int] = set()

        def trouble(
            _round: int, draw: Random = draw, dead: set[int] = dead
        ) -> tuple[set[int], set[int]]:
            if draw.random() < 0.02:
                dead.clear()
                dead.update({draw.randrange(count)} if draw.random() < 0.6 else ())
            unlucky = set(range(count)) if draw.random() < 0.03 else dead
            return set(unlucky), dead

        history.grow(900, trouble)
        restarted = history.restarted(schedule_blocks(count))
        rounds = range(history.round + 1, history.round + 6 * history.window)
        for round_ in rounds:
            assert restarted.leader(Round(round_)) == history.schedule.leader(Round(round_))


def test_a_federation_with_a_dead_member_runs_at_full_speed() -> None:
    """After the first windows nobody waits for the dead leader, also after it came back."""
    world = Federation(4, seed=3)
    world.run(100)
    world.crash(1)

    def blocks_in(milliseconds: int) -> int:
        before = world.heights()[0]
        for number in range(milliseconds // 10):
            world.submit(0, [b"%d %d" % (world.now, number)])
            world.run(10)
        return world.heights()[0] - before

    blocks_in(800)
    timeouts = sum(n.core.counters.timeouts for n in world.nodes if n.core)
    assert blocks_in(500) > 50
    assert sum(n.core.counters.timeouts for n in world.nodes if n.core) == timeouts
    world.start(1)
    blocks_in(1_200)
    leaders = [n.core.status(0)["leaders"] for n in world.nodes if n.core]
    assert leaders == [["val-0", "val-1", "val-2", "val-3"]] * 4
