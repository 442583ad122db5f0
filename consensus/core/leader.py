"""Who leads which round: round-robin over the validators that have not failed lately.

Rounds are cut into windows of ``SCHEDULE_WINDOW_ROUNDS * n``. The schedule of window k leaves out
at most f validators, judged only by committed blocks of windows up to k - 2, so that all nodes
that committed those agree on it:

- absent: none of the certificates in window k - 2 holds a vote of it;
- failed: a round that it led within the last ``SCHEDULE_MEMORY_WINDOWS`` windows up to k - 2, and
  in the same period as k, ended without a block of the committed chain.

Who led a missed round follows from earlier schedules, and so from earlier failures; a period of
``SCHEDULE_PERIOD_WINDOWS`` ends that regress, so that a restarted node, which reads only so many
blocks, gets the schedule of the others.

Absent ones go first, then those with the most failures. Disagreement about a leader can cost a
timeout and never safety.
"""

from collections import OrderedDict
from collections.abc import Sequence

from ledger.core.block import Block
from ledger.core.ids import NodeIndex, Round
from ledger.core.limits import (
    SCHEDULE_MEMORY_WINDOWS,
    SCHEDULE_PERIOD_WINDOWS,
    SCHEDULE_WINDOW_ROUNDS,
)
from ledger.core.validators import ValidatorSet

__all__ = ["LeaderSchedule", "schedule_blocks"]


def schedule_blocks(validators_count: int) -> int:
    """Give how many committed blocks decide a schedule: what a restarted node must read."""
    return (SCHEDULE_PERIOD_WINDOWS + 4) * SCHEDULE_WINDOW_ROUNDS * validators_count


class _Window:
    __slots__ = ("failures", "voters")

    def __init__(self) -> None:
        self.failures: dict[NodeIndex, int] = {}
        self.voters: set[NodeIndex] = set()


class LeaderSchedule:
    """Leaders of all rounds, as far as the committed chain decides them."""

    def __init__(self, validators: ValidatorSet, opening: int = 0) -> None:
        """Begin an epoch, whose opening block is at height ``opening``."""
        self._opening = opening
        self._count = len(validators)
        self._excluded_max = validators.faulty_max
        self._window_rounds = SCHEDULE_WINDOW_ROUNDS * self._count
        self._windows: OrderedDict[int, _Window] = OrderedDict()
        self._schedules: dict[int, tuple[NodeIndex, ...]] = {}
        self._committed_round = Round(0)

    def leader(self, round_: Round) -> NodeIndex:
        """Give the leader of ``round_``."""
        # Asked for every message: without a call where the schedule is settled.
        leaders = self._schedules.get(round_ // self._window_rounds) or self.leaders(round_)
        return leaders[round_ % len(leaders)]

    def leaders(self, round_: Round) -> tuple[NodeIndex, ...]:
        """Give those who take turns in the window of ``round_``, in order of index."""
        window = round_ // self._window_rounds
        schedule = self._schedules.get(window)
        if schedule is None:
            schedule = self._schedule(window)
            # Later commits can no longer change it once they are beyond window k - 2.
            if self._committed_round >= (window - 1) * self._window_rounds:
                self._schedules[window] = schedule
        return schedule

    def on_committed(self, block: Block) -> None:
        """Take note of the next committed block. Blocks come in the order of the chain."""
        # A long stall says nothing about the present, and its length has no bound.
        oldest = block.round - (SCHEDULE_MEMORY_WINDOWS + 3) * self._window_rounds
        for missed in range(max(self._committed_round + 1, oldest), block.round):
            leader = self.leader(Round(missed))
            failures = self._window(missed).failures
            failures[leader] = failures.get(leader, 0) + 1
        self._window(block.round).voters.update([signer for signer, _ in block.qc.signatures])
        window = block.round // self._window_rounds
        if window > self._committed_round // self._window_rounds:
            self._forget(window)
        self._committed_round = block.round

    def restore(self, blocks: Sequence[Block]) -> None:
        """Take note of the last committed blocks after a restart, oldest first.

        What came before the first of them is unknown, unless it is the first of the epoch.
        """
        for block in blocks:
            if self._committed_round == 0 and block.height > self._opening + 1:
                self._committed_round = Round(block.round - 1)
            self.on_committed(block)

    def _window(self, round_: int) -> _Window:
        return self._windows.setdefault(round_ // self._window_rounds, _Window())

    def _schedule(self, window: int) -> tuple[NodeIndex, ...]:
        judged = self._windows.get(window - 2)
        everyone = tuple(NodeIndex(index) for index in range(self._count))
        if judged is None or not judged.voters:
            return everyone
        failures = dict.fromkeys(everyone, 0)
        period = window - window % SCHEDULE_PERIOD_WINDOWS
        for past in range(max(period, window - 1 - SCHEDULE_MEMORY_WINDOWS), window - 1):
            if (seen := self._windows.get(past)) is not None:
                for index, count in seen.failures.items():
                    failures[index] += count
        suspects = [i for i in everyone if failures[i] or i not in judged.voters]
        suspects.sort(key=lambda i: (i in judged.voters, -failures[i], i))
        excluded = suspects[: self._excluded_max]
        return tuple(index for index in everyone if index not in excluded)

    def _forget(self, window: int) -> None:
        oldest = window - SCHEDULE_MEMORY_WINDOWS - 3
        for past in [w for w in self._windows if w < oldest]:
            del self._windows[past]
        for past in [w for w in self._schedules if w < oldest]:
            del self._schedules[past]
