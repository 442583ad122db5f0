"""Hurting members at random: at most f at one time, or all at once.

Owns the choice of faults, their timeline and the waits between them. At most f members are hurt or
behind at any time, but for faults of all (a full restart, a split), which begin and end with all
well.
"""

import random
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from tests.chaos import kinds_outside as outside
from tests.chaos import kinds_stores as stores
from tests.chaos.others import Others
from tests.chaos.stage import Stage, until
from tests.support.processes import Part

__all__ = ["Faults"]

Kind = Callable[[Stage, int, random.Random], Awaitable[None]]

_NODE = Part.NODE
_BOTH = (_NODE, Part.GATEWAY)
_RECOVERY_S = 60.0  # a member that is back must have caught up after this
_PROGRESS_S = 20.0  # clients must see new events become final after this
_RESTART_S = 30.0  # give up waiting for the first commit after a full restart
_POLL_S = 0.02
_OTHERS_CORES_MAX = 0.5  # when others use more, the time of a restart is theirs


class Faults:
    """One run of faults on a network.

    Attributes:
        counts: how often each kind was done.
    """

    def __init__(self, stage: Stage, dice: random.Random) -> None:
        """Hurt the network of ``stage`` as ``dice`` fall."""
        self._stage = stage
        self._dice = dice
        self.counts: dict[str, int] = {}

    async def run(self, seconds: float) -> None:
        """Do each kind of the scenario in random order, again and again until the time is over.

        The first turn is always whole.
        """
        kinds = list(self._stage.scenario.kinds)
        end = trio.current_time() + seconds
        is_first = True
        while is_first or trio.current_time() < end:
            for kind in self._dice.sample(kinds, len(kinds)):
                if not is_first and trio.current_time() >= end:
                    return
                await self._hurt(kind)
                if not await self._is_well():
                    return
            is_first = False

    async def _hurt(self, kind: str) -> None:
        """Do a fault of ``kind``, perhaps with others beside it, each to a member of its own."""
        stage, dice = self._stage, self._dice
        if kind in _OF_ALL:
            self._count(kind)
            await _OF_ALL[kind](stage, 0, dice)
            return
        victims = dice.sample(range(stage.network.size), dice.randint(1, stage.scenario.faulty_max))
        single = [name for name in stage.scenario.kinds if name in _OF_ONE]
        async with trio.open_nursery() as nursery:
            for number, victim in enumerate(victims):
                name = kind if number == 0 else dice.choice(single)
                self._count(name)
                own_dice = random.Random(dice.getrandbits(64))
                nursery.start_soon(_OF_ONE[name], stage, victim, own_dice)

    def _count(self, kind: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1

    async def _is_well(self) -> bool:
        """Wait until every member has caught up and clients see progress; else note a fault."""
        stage = self._stage
        if not await until(partial(self._has_recovered, stage.height()), _RECOVERY_S):
            stage.faults.append(f"a member does not catch up: logs stand at {stage.log_sizes()}")
        finals = stage.finals_count()
        if not await until(lambda: stage.finals_count() > finals, _PROGRESS_S):
            stage.faults.append(f"no event becomes final: logs stand at {stage.log_sizes()}")
        stage.faults += stage.network.unexpected_ends()
        return not stage.faults

    def _has_recovered(self, height: int) -> bool:
        network = self._stage.network
        self._stage.faults += network.unexpected_ends()
        return bool(self._stage.faults) or (
            all(head is not None and head.height >= height for head in self._stage.heads())
            and all(network.is_ready(member) for member in range(network.size))
        )


async def _restart(stage: Stage, _member: int, dice: random.Random) -> None:
    """Everything gets SIGKILL at once, perhaps behind a frozen node, and is started again."""
    network = stage.network
    frozen = dice.choice([None, *range(network.size)])
    if frozen is not None:
        network.pause(frozen, _NODE)
        await trio.sleep(dice.uniform(0.0, 1.0))
    network.kill(*network.pids())
    down_s = dice.uniform(0.0, 2.0)
    stage.say(f"all: SIGKILL to everything, {down_s:.1f} s")
    await trio.sleep(down_s)
    before, others = stage.height(), Others()
    for member in dice.sample(range(network.size), network.size):
        for part in _BOTH:
            network.start(member, part)
        await trio.sleep(dice.uniform(0.0, 0.3))
    last_start = trio.current_time()
    while trio.current_time() < last_start + _RESTART_S:
        if stage.height() > before:
            break
        await trio.sleep(_POLL_S)
    took_s = trio.current_time() - last_start
    cores = others.cores(network.pids().values())
    if took_s < _RESTART_S and cores > _OTHERS_CORES_MAX:
        stage.count("restarts not judged, the machine was busy with others")
    else:
        stage.restarts_s.append(took_s)
    stage.say(
        f"all: first new commit {took_s:.2f} s after the last start; "
        f"others used {cores:.1f} cores meanwhile"
    )


_OF_ALL: dict[str, Kind] = {"restart": _restart, "split": outside.split}
_OF_ONE: dict[str, Kind] = {
    "kill": outside.kill,
    "stop": outside.stop,
    "pause": outside.pause,
    "clock": outside.clock,
    "cut": outside.cut,
    "one-way": outside.one_way,
    "slow": outside.slow,
    "lossy": outside.lossy,
    "flap": outside.flap,
    "full-disk": stores.full_disk,
    "read-only": stores.read_only_disk,
    "garbled": stores.garbled,
    "old-record": stores.old_record,
    "lost-record": stores.lost_record,
}
