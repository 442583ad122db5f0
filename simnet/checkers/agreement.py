"""Agreement: honest members apply the same blocks in the same order, each height once."""

from ledger.core.block import Block, LedgerRoot
from ledger.core.codec import encode
from simnet.machine import Machine
from simnet.observer import Observer, PromiseError

__all__ = ["Agreement"]


class Agreement(Observer):
    """Compares what honest machines apply with what the first of them applied at that height."""

    def __init__(self) -> None:
        self._chain: dict[int, tuple[bytes, bytes]] = {}
        self._heights: dict[str, int] = {}

    def on_crash(self, machine: Machine) -> None:
        """What was not durable will be applied again."""
        self._heights[machine.name] = len(machine.storage.blocks)

    def on_applied(self, machine: Machine, block: Block, root: LedgerRoot) -> None:
        """Judge a block."""
        if not machine.is_honest:
            return
        height = self._heights.get(machine.name, 0) + 1
        if block.height != height:
            raise PromiseError("order", f"{machine.name} applied {block.height}, not {height}")
        self._heights[machine.name] = height
        applied = encode(block), encode(root)
        first = self._chain.setdefault(height, applied)
        if applied[0] != first[0]:
            raise PromiseError("agreement", f"{machine.name} applied another block {height}")
        if applied[1] != first[1]:
            raise PromiseError("roots", f"{machine.name} has another root at {height}")
