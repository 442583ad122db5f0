"""What goes wrong with disks: slow, full and failing writes, and disks that come back wrong.

A member whose disk came back with less than was promised is impaired for the rest of the run.
Impaired and Byzantine members together are never more than f: beyond that nothing is promised.
"""

from collections import Counter
from typing import TYPE_CHECKING, Final

from simnet.choices import Draw
from simnet.observer import PromiseError

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["DiskFaults"]

_FAILS_BEFORE: Final = 1  # nothing of it was written
_FAILS_AFTER: Final = 2  # it is on the disk, but nobody was told
_SLOW: Final = 3  # and this plus the microseconds that it takes

_DISK_LOST: Final = 1  # whole; the operator starts with --recover
_RECORD_LOST: Final = 2  # the safety store alone; the same
_CHAIN_DAMAGED: Final = 3  # detected; the operator deletes it and syncs from peers
_OLD_RECORD: Final = 4  # a backup of the safety store was put back, against all advice


class DiskFaults:
    """The troubles of disks of one run.

    Attributes:
        impaired: members whose disks lost something.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self._writes: Counter[str] = Counter()
        self.impaired: frozenset[int] = frozenset()

    def schedule(self, machine: "Machine") -> None:
        """Settle whether, when and for how long a machine's disk is full."""
        world, key = self._world, f"full {machine.name}"
        draw = world.choices.draw(key)
        drawn: tuple[int, ...] = ()
        if draw.hits(world.scenario.weather.disk_full):
            chaos_us = world.scenario.chaos_ms * 1_000
            drawn = draw.below(chaos_us), draw.heavy(chaos_us // 4)
        fault = world.choices.settle_many(key, drawn)
        if fault:
            world.at(fault[0], lambda: self._fill(machine, key, fault))

    def _fill(self, machine: "Machine", key: str, fault: tuple[int, ...]) -> None:
        self._world.tell_fault(key, fault)
        machine.disk_full_until_us = self._world.now_us + fault[1]

    # --- writing ----------------------------------------------------------------------------

    def persist_us(self, machine: "Machine") -> int | None:
        """Give how long the loop stands still for a safety record, or None when it crashed."""
        return self._write(machine, "persist", 0)

    def commit_us(self, machine: "Machine") -> int | None:
        """Give how long a commit of the chain store takes, or None when the machine crashed."""
        return self._write(machine, "commit", self._world.scenario.weather.commit_us)

    def _write(self, machine: "Machine", what: str, usual_us: int) -> int | None:
        world = self._world
        weather, choices = world.scenario.weather, world.choices
        if world.now_us < machine.disk_full_until_us and not choices.is_over:
            world.faults.crash_now(machine)
            return None
        if not weather.write_fail and not weather.slow_disk:
            return usual_us
        key = f"{what} {machine.name} {self._writes[machine.name + what]}"
        self._writes[machine.name + what] += 1
        fate = choices.settle(key, self._draw_fate(choices.draw(key)))
        if fate == 0:
            return usual_us
        world.tell_fault(key, fate)
        if fate >= _SLOW:
            return usual_us + fate - _SLOW
        if fate == _FAILS_AFTER and what == "commit":
            machine.storage.commit()
        elif fate == _FAILS_AFTER:
            machine.write_record()
        world.faults.crash_now(machine)
        return None

    def _draw_fate(self, draw: Draw) -> int:
        weather = self._world.scenario.weather
        if draw.hits(weather.write_fail):
            return _FAILS_BEFORE + draw.below(2)
        return _SLOW + draw.heavy(weather.slow_disk_us) if draw.hits(weather.slow_disk) else 0

    # --- coming back ------------------------------------------------------------------------

    def harm(self, machine: "Machine") -> None:
        """Decide what a machine that starts again finds on its disk."""
        world = self._world
        if not machine.incarnation or len(world.machines_of(machine.index)) > 1:
            return
        allowed = (world.scenario.validators - 1) // 3
        if machine.index in world.faulty or (
            len(world.faulty | self.impaired | {machine.index}) > allowed
        ):
            return
        key = f"disk {machine.name} {machine.incarnation}"
        draw = world.choices.draw(key)
        drawn = 1 + draw.below(4) if draw.hits(world.scenario.weather.safety_loss) else 0
        kind = world.choices.settle(key, drawn)
        if not kind:
            return
        self.impaired |= {machine.index}
        world.tell_fault(key, kind)
        new = world.federation.new_storage(machine.index, sit_out=kind != _CHAIN_DAMAGED)
        if kind == _DISK_LOST:
            machine.storage = new
        elif kind == _RECORD_LOST:
            machine.storage.safety = new.safety
        elif kind == _CHAIN_DAMAGED:
            machine.storage.damage(draw.below(4))
            if not machine.storage.fault():
                raise PromiseError("damage", f"{machine.name} starts from a damaged chain")
            new.safety = machine.storage.safety
            machine.storage = new
        else:
            machine.storage.safety = machine.old_safety.copy()
            world.faulty.add(machine.index)
        for observer in world.observers:
            observer.on_disk_changed(machine)
