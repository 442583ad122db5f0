"""Agreement: honest members apply the same blocks in the same order, each height once."""

from ledger.core.block import Block, LedgerRoot
from simnet.checkers.checker import Checker, broken
from simnet.machine import Machine

__all__ = ["Agreement"]


class Agreement(Checker):
    """Compares what honest machines apply with what the first of them applied at that height."""

    def __init__(self) -> None:
        self._chain: dict[int, tuple[Block, LedgerRoot]] = {}
        self._heights: dict[str, int] = {}

    def on_crash(self, machine: Machine) -> None:
        """What was not durable will be applied again."""
        self._heights[machine.name] = len(machine.storage.blocks)

    def on_disk_changed(self, machine: Machine) -> None:
        """So will what its disk lost."""
        self._heights[machine.name] = len(machine.storage.blocks)

    def on_applied(self, machine: Machine, block: Block, root: LedgerRoot) -> None:
        """Judge a block."""
        height = self._heights.get(machine.name, 0) + 1
        if block.height != height:
            broken("order", f"{machine.name}: {block.height}, not {height}")
        self._heights[machine.name] = height
        first = self._chain.setdefault(height, (block, root))
        if block != first[0]:
            broken("agreement", f"{machine.name} applied another block {height}")
        if root != first[1]:
            broken("roots", f"{machine.name} has another root at {height}")
