"""What happens to machines and links, and when: crashes, restarts, partitions, slowness, clocks.

Crashes are counted in a machine's own emits, because the interesting moments lie between a write
and the message after it; partitions and clock jumps have times. All of it goes through ``Choices``.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final

from ledger.core.ids import Height
from simnet.choices import Draw
from simnet.disk_faults import DiskFaults

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Faults"]

_PARTITIONS_MAX: Final = 16
_JUMPS_MAX: Final = 4
_RESTART_US: Final = 1_000  # when a plan does not say how long a machine stays down


class Faults:
    """The troubles of one run."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.disk = DiskFaults(world)

    def schedule(self) -> None:
        """Draw, or read from the plan, what happens at a time."""
        world = self._world
        for number in range(_PARTITIONS_MAX):
            drawn = self._draw_partition(world.choices.draw(f"partition {number}"))
            fault = world.choices.settle_many(f"partition {number}", drawn)
            if fault:
                world.at(fault[0], partial(self._part, number, fault))
        for number in range(_PARTITIONS_MAX):
            self._plan(f"clog {number}", world.scenario.weather.clog_us, self._clog)
            self._plan(f"reset {number}", world.scenario.weather.reset_us, self._reset)
        for machine in world.machines:
            self.disk.schedule(machine)
            self._set_drift(machine)
            for number in range(_JUMPS_MAX):
                key = f"clock {machine.name} {number}"
                jump = world.choices.settle_many(key, self._draw_jump(world.choices.draw(key)))
                if jump:
                    world.at(jump[0], partial(self._jump, machine, jump, key))

    # --- links ------------------------------------------------------------------------------

    def _draw_partition(self, draw: Draw) -> tuple[int, ...]:
        """Give (start, duration, senders, receivers, both ways, holds): times in us, bit masks."""
        scenario = self._world.scenario
        mean_us = scenario.weather.partition_us
        if not mean_us:
            return ()
        start_us = draw.below(scenario.chaos_ms * 1_000)
        if not draw.hits(scenario.chaos_ms * 1_000_000_000 // (mean_us * _PARTITIONS_MAX)):
            return ()
        everybody = (1 << scenario.members) - 1
        senders = 1 + draw.below(everybody)
        receivers = everybody ^ senders if draw.hits(700_000) else 1 + draw.below(everybody)
        both = int(draw.hits(700_000))
        holds = int(draw.hits(scenario.weather.partition_hold))
        return start_us, draw.heavy(scenario.chaos_ms * 500), senders, receivers, both, holds

    def _part(self, number: int, fault: tuple[int, ...]) -> None:
        world = self._world
        _, duration_us, senders, receivers, both, holds = fault
        if world.choices.is_over:
            return
        world.tell_fault(f"partition {number}", fault)
        until_us = world.now_us + duration_us
        world.network.close(2 * number, senders, receivers, until_us, hold=bool(holds))
        world.at(duration_us, lambda: world.network.open(2 * number))
        if both:
            world.network.close(2 * number + 1, receivers, senders, until_us, hold=bool(holds))
            world.at(duration_us, lambda: world.network.open(2 * number + 1))

    def _plan(self, key: str, mean_us: int, happen: Callable[[tuple[int, ...]], None]) -> None:
        """Settle one of the troubles of a link: (start, duration, sender, receiver)."""
        world, draw = self._world, self._world.choices.draw(key)
        scenario = world.scenario
        drawn: tuple[int, ...] = ()
        chaos_us = scenario.chaos_ms * 1_000
        if mean_us and draw.hits(chaos_us * 1_000_000 // (mean_us * _PARTITIONS_MAX)):
            count = scenario.members
            sender = draw.below(count)
            receiver = (sender + 1 + draw.below(count - 1)) % count
            drawn = draw.below(chaos_us), draw.heavy(chaos_us // 4), sender, receiver
        fault = world.choices.settle_many(key, drawn)
        if fault:
            world.at(fault[0], partial(self._happen, key, fault, happen))

    def _happen(
        self, key: str, fault: tuple[int, ...], happen: Callable[[tuple[int, ...]], None]
    ) -> None:
        if not self._world.choices.is_over:
            self._world.tell_fault(key, fault)
            happen(fault)

    def _clog(self, fault: tuple[int, ...]) -> None:
        _, duration_us, sender, receiver = fault
        for link in self._world.network.between(sender, receiver):
            link.clog(duration_us)

    def _reset(self, fault: tuple[int, ...]) -> None:
        _, duration_us, sender, receiver = fault
        for link in self._world.network.between(sender, receiver):
            link.reset(duration_us)

    # --- machines ---------------------------------------------------------------------------

    def begin_life(self, machine: "Machine") -> None:
        """Decide, at its start, whether this incarnation of a machine ends by a crash."""
        world, key = self._world, f"crash {machine.name} {machine.incarnation + 1}"
        draw = world.choices.draw(key)
        weather = world.scenario.weather
        drawn = 1 + draw.below(weather.crash_emits) if draw.hits(weather.crash) else 0
        machine.crash_at = world.choices.settle(key, drawn)

    def crash_now(self, machine: "Machine") -> bool:
        """Crash a machine, and start it again later; say no when the chaos is over."""
        world, key = self._world, f"down {machine.name} {machine.incarnation}"
        if world.choices.is_over:
            return False
        world.tell_fault(f"crash {machine.name} {machine.incarnation}", machine.emits)
        draw = world.choices.draw(f"silent {machine.name} {machine.incarnation}")
        silent = int(draw.hits(world.scenario.weather.silent_crash))
        silent = world.choices.settle(f"silent {machine.name} {machine.incarnation}", silent)
        machine.crash(is_noticed=not silent)
        drawn = world.choices.draw(key).heavy(world.scenario.weather.down_us)
        down_us = world.choices.settle(key, drawn) or _RESTART_US
        world.at(down_us, lambda: self.revive(machine))
        return True

    def revive(self, machine: "Machine") -> None:
        """Start a machine that is down, unless it halted for ever or left."""
        if not (machine.is_up or machine.halted or machine.left):
            self.begin_life(machine)
            machine.start()

    def execution_us(self, machine: "Machine", height: Height) -> int:
        """Give how long a machine needs for a block."""
        world = self._world
        usual_us, key = world.scenario.weather.execute_us, f"execute {machine.name} {height}"
        slow_us = world.choices.draw(key).heavy(usual_us) if usual_us > 1_000 else 0
        return 200 + world.choices.settle(key, slow_us)

    # --- clocks -----------------------------------------------------------------------------

    def _set_drift(self, machine: "Machine") -> None:
        choices, key = self._world.choices, f"drift {machine.name}"
        draw, largest = choices.draw(key), self._world.scenario.weather.drift_ppm
        machine.drift_ppm = choices.settle(key, draw.below(2 * largest + 1) - largest)

    def _draw_jump(self, draw: Draw) -> tuple[int, ...]:
        """Give (when, by how much) in microseconds."""
        scenario = self._world.scenario
        largest_us = scenario.weather.clock_us
        if not largest_us or not draw.hits(250_000):
            return ()
        sign = 1 if draw.hits(500_000) else -1
        return 1 + draw.below(scenario.chaos_ms * 1_000), sign * draw.heavy(largest_us)

    def _jump(self, machine: "Machine", jump: tuple[int, ...], key: str) -> None:
        if not self._world.choices.is_over:
            self._world.tell_fault(key, jump)
            machine.clock_us += jump[1]
