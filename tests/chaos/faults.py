"""Hurting members at random: one at a time, then all at once.

Owns the choice of faults, their timeline and the waits between them. At most f members (one of
four) are hurt or behind at any time, but for a full restart, which begins and ends with all well.
"""

import random
from collections.abc import Callable
from functools import partial

import trio

from ledger.io.chain_store import ChainHead, ChainStore
from ledger.io.errors import StorageError
from tests.support.processes import Part, RealNetwork

__all__ = ["Faults", "heads_of", "log_size_of"]

_NODE, _GATEWAY = Part.NODE, Part.GATEWAY
_BOTH = (_NODE, _GATEWAY)
_RECOVERY_S = 60.0  # a member that is back must have caught up after this
_PROGRESS_S = 20.0  # clients must see new events become final after this
_RESTART_S = 30.0  # give up waiting for the first commit after a full restart
_POLL_S = 0.02


def heads_of(network: RealNetwork) -> list[ChainHead | None]:
    """Read the end of every member's chain from its store, opened for this moment only."""
    heads: list[ChainHead | None] = []
    for member in range(network.size):
        try:
            with ChainStore.open_readonly(network.chain_dir(member)) as store, store.read() as at:
                heads.append(at.head())
        except StorageError:
            heads.append(None)
    return heads


def log_size_of(network: RealNetwork) -> list[int]:
    """Give the size of every member's log, -1 where it cannot be read."""
    return [-1 if head is None else head.log_size for head in heads_of(network)]


class Faults:
    """One run of faults on a network.

    Attributes:
        restarts_s: seconds from the last start to the first new commit, of each full restart.
        faults: what the network did that it must not do.
        count: faults done, full restarts included.
    """

    def __init__(
        self,
        network: RealNetwork,
        dice: random.Random,
        finals_count: Callable[[], int],
        say: Callable[[str], None],
    ) -> None:
        """Hurt ``network`` as ``dice`` fall.

        Args:
            finals_count: how many events clients were told are final, so far.
            say: takes one line of the timeline.
        """
        self._network = network
        self._dice = dice
        self._finals_count = finals_count
        self._say = say
        self.restarts_s: list[float] = []
        self.faults: list[str] = []
        self.count = 0

    async def run(self, seconds: float) -> None:
        """Do rounds of single faults and one full restart each until the time is over."""
        end = trio.current_time() + seconds
        while True:
            for _ in range(self._dice.randint(1, 4)):
                await self._hurt_one()
                if not await self._is_well():
                    return
            await self._restart_all()
            if not await self._is_well() or trio.current_time() >= end:
                return

    async def _hurt_one(self) -> None:
        victim = self._dice.randrange(self._network.size)
        parts = self._dice.choice([_BOTH, _BOTH, (_NODE,), (_NODE,), (_GATEWAY,)])
        how = self._dice.choice(["SIGKILL", "SIGKILL", "SIGSTOP", "SIGTERM"])
        down_s = self._dice.uniform(0.0, 4.0) if how != "SIGSTOP" else self._dice.uniform(0.5, 5.0)
        names = " and ".join(parts)
        self._say(f"member {victim}: {how} to its {names}, {down_s:.1f} s")
        self.count += 1
        network = self._network
        if how == "SIGSTOP":
            for part in parts:
                network.pause(victim, part)
            await trio.sleep(down_s)
            for part in parts:
                network.resume(victim, part)
            return
        keys = [(victim, part) for part in parts]
        if how == "SIGKILL":
            network.kill(*keys)
        else:
            self.faults += await trio.to_thread.run_sync(network.stop, *keys)
        await trio.sleep(down_s)
        network.start_all()

    async def _restart_all(self) -> None:
        network, dice = self._network, self._dice
        frozen = dice.choice([None, *range(network.size)])
        if frozen is not None:
            network.pause(frozen, _NODE)
            await trio.sleep(dice.uniform(0.0, 1.0))
        network.kill(*network.pids())
        self.count += 1
        down_s = dice.uniform(0.0, 2.0)
        self._say(f"all: SIGKILL to everything, {down_s:.1f} s")
        await trio.sleep(down_s)
        before = max(head.height for head in heads_of(network) if head is not None)
        order = dice.sample(range(network.size), network.size)
        for member in order:
            for part in _BOTH:
                network.start(member, part)
            await trio.sleep(dice.uniform(0.0, 0.3))
        last_start = trio.current_time()
        while trio.current_time() < last_start + _RESTART_S:
            heads = heads_of(network)
            if any(head is not None and head.height > before for head in heads):
                break
            await trio.sleep(_POLL_S)
        took_s = trio.current_time() - last_start
        self.restarts_s.append(took_s)
        self._say(f"all: first new commit {took_s:.2f} s after the last start")

    async def _is_well(self) -> bool:
        """Wait until every member has caught up and clients see progress; else note a fault."""
        network = self._network
        heads = [head.height for head in heads_of(network) if head is not None]
        if not await _until(partial(self._has_recovered, max(heads)), _RECOVERY_S):
            self.faults.append(f"a member does not catch up: logs stand at {log_size_of(network)}")
        finals = self._finals_count()
        if not await _until(lambda: self._finals_count() > finals, _PROGRESS_S):
            self.faults.append(f"no event becomes final: logs stand at {log_size_of(network)}")
        self.faults += network.unexpected_ends()
        return not self.faults

    def _has_recovered(self, height: int) -> bool:
        self.faults += self._network.unexpected_ends()
        heads = heads_of(self._network)
        caught_up = all(head is not None and head.height >= height for head in heads)
        return bool(self.faults) or (
            caught_up and all(self._network.is_ready(i) for i in range(self._network.size))
        )


async def _until(condition: Callable[[], bool], seconds: float) -> bool:
    """Look until ``condition`` holds; say whether it did within ``seconds``."""
    with trio.move_on_after(seconds):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await trio.sleep(0.1)
        return True
    return False
