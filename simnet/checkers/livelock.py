"""Livelock: after healing, a federation that comes back to the same state will do so for ever.

The state is abstract: what matters for what happens next, relative to the lowest round, and never
the contents. A federation in which nothing becomes final or is executed, nobody computes, and the
same state was seen several times over a while runs in circles: that is reported at once, long
before the bound of liveness.
"""

from collections import Counter
from typing import TYPE_CHECKING, Final

from consensus.core.effects import Effect, SetTimer
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import Message
from ledger.core.ids import NodeIndex
from simnet.observer import Observer, PromiseError

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Livelock"]

_TIMES: Final = 4
_TIMERS: Final = 20  # of the base length, between the first and the last time


class Livelock(Observer):
    """Watches from the end of the chaos on."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._in_flight: Counter[str] = Counter()
        self._progress: tuple[int, ...] = ()
        self._seen: dict[tuple[object, ...], list[int]] = {}

    def on_sent(self, machine: "Machine", receiver: NodeIndex, message: Message) -> None:
        """Count what is under way, since the end of the chaos."""
        del machine, receiver
        self._in_flight[type(message).__name__] += 1

    def on_input(self, machine: "Machine", input_: Input) -> None:
        """Count what has arrived."""
        del machine
        if isinstance(input_, PeerMessage):
            self._in_flight[type(input_.message).__name__] -= 1

    def on_effect(self, machine: "Machine", effect: Effect) -> None:
        """Look whenever a timer of a round is set."""
        if isinstance(effect, SetTimer) and effect.timer.round and machine.is_honest:
            self._look()

    def _look(self) -> None:
        world, state, progress = self._world, [], []
        for machine in world.honest:
            if machine.core is None:
                return
            parts = machine.core._parts
            if len(parts.queue):
                return
            record = parts.rules.record
            progress += [parts.tree.head.block.height, parts.tree.executed]
            tc_round = 0 if record.high_tc is None else record.high_tc.round
            rounds = parts.pacemaker.round, record.high_qc.round, tc_round, record.lock_round
            held = len(parts.dissemination.book.held), len(parts.dissemination.mempool)
            state.append((rounds, record.timed_round, record.acted_round, held, record.sit_out))
        if tuple(progress) != self._progress:
            self._progress = tuple(progress)
            self._seen.clear()
            return
        lowest = min(rounds[0] for rounds, *_ in state)
        abstract = (
            *(
                (*(r - lowest for r in (*rounds, timed, acted)), held, sits)
                for rounds, timed, acted, held, sits in state
            ),
            tuple(sorted(self._in_flight.items())),
        )
        times = self._seen.setdefault(abstract, [])
        times.append(world.now_us)
        span_us = _TIMERS * 1_000 * world.tuning.round_timeout_ms
        if len(times) >= _TIMES and times[-1] - times[0] >= span_us:
            raise PromiseError("livelock", f"the same state {len(times)} times: {state}")
