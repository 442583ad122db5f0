"""Limits: nothing in a core grows without bound, whatever peers and clients do.

The table is the checkers' own. It names every collection that a core may hold; one that is not
named may hold a few items for each member, so a new collection without a limit is found as soon as
something fills it. What leaves in one step is bounded as well.
"""

from collections import deque
from typing import TYPE_CHECKING, Final

from consensus.core.effects import Broadcast, Send
from simnet.checkers.checker import Checker, Handlers, broken

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["LIMITS", "Limits", "collections_of"]

LIMITS: Final = {
    "_blocks": 1_025,  # uncommitted blocks, and the head
    "_children": 1_025,
    "_roots": 1_024,
    "_known": 8_192,  # verified signatures
    "_certificates": 256,  # verified quorum certificates
    "_timeout_certificates": 256,  # verified ones
    "_proposals": 600,  # remembered to compare with later ones
    "_recorded": 1_000,  # evidence
    "_ordered": 8_192,  # ids of batches ordered lately
    "_entries": 20_000,  # of the mempool
    "_pending": 20_000 + 8 * 4_096,  # the same, and those in own batches
    "_own": 8 + 8,  # batches in flight, and reclaimed ones
    "_reclaimed": 8,
    "_asked": 8,
    "_waiting": 1_024 + 256 + 1_025,  # a pause, one more answer, and what the tree held
    "_executing": 1_024 + 256 + 1_025,
    "_schedules": 16,  # windows
    "_windows": 16,
    "_rounds": 7,  # of votes: four behind, the present one, the next; also one for each member
}
_HELD_EACH: Final = 64 + 8  # batches and certificates of one origin
_EACH: Final = 4  # items for each member in a collection that is not named
_LEAVING_EACH: Final = 8 * 3 + 64 + 8  # own batches again, and acknowledgements when it connects
_EVERY: Final = 150  # messages that leave between two looks
_DEPTH: Final = 6
_COLLECTIONS: Final = (dict, list, set, deque)
_PLAIN: Final = frozenset({bool, bytes, int, str, tuple, type(None)})  # no collections that grow


class Limits(Checker):
    """Counts now and then, and at the end."""

    def __init__(self) -> None:
        self._left = 0
        self._now: tuple[int, str] = (0, "")
        self._left_now = 0
        self._members = 0

    def on_begin(self, world: "World") -> None:
        """Know how many there are."""
        self._members = world.scenario.members

    def effects(self) -> Handlers:
        """Count what leaves."""
        return {Send: self._on_leaving, Broadcast: self._on_leaving}

    def on_end(self, world: "World") -> None:
        """Look a last time."""
        for machine in world.honest:
            self._look(machine)

    def _on_leaving(self, machine: "Machine", _effect: Send | Broadcast) -> None:
        now = machine.world.now_us, machine.name
        self._left_now = self._left_now + 1 if now == self._now else 1
        self._now = now
        if self._left_now > _LEAVING_EACH * self._members:
            broken("limits", f"{machine.name} sends without end")
        self._left += 1
        if self._left % _EVERY == 0:
            self._look(machine)

    def _look(self, machine: "Machine") -> None:
        for name, size in collections_of(machine.core).items():
            limit = LIMITS.get(name, _EACH * self._members + 16)
            if name in {"held", "certified"}:
                limit = _HELD_EACH * self._members
            if size > limit:
                broken("limits", f"{machine.name} holds {size} items in {name}")


def collections_of(core: object) -> dict[str, int]:
    """Give the name and size of each collection in a core, the largest of each name."""
    sizes: dict[str, int] = {}
    seen: set[int] = set()
    waiting: list[tuple[object, int]] = [(core, 0)]
    while waiting:
        item, depth = waiting.pop()
        if id(item) in seen or depth > _DEPTH:
            continue
        seen.add(id(item))
        for name, value in _fields(item):
            kind = type(value)
            if kind in _PLAIN:
                continue
            if isinstance(value, _COLLECTIONS):
                sizes[name] = max(sizes.get(name, 0), len(value))
            elif kind.__module__.startswith("consensus.core."):
                waiting.append((value, depth + 1))
    return sizes


def _fields(item: object) -> list[tuple[str, object]]:
    fields = list(vars(item).items()) if hasattr(item, "__dict__") else []
    kind = type(item)
    names = getattr(kind, "__slots__", ()) or getattr(kind, "__struct_fields__", ())
    return fields + [(name, getattr(item, name, None)) for name in names]
