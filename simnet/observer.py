"""What may be watched in a run. Observers see and judge; they never change anything."""

from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from consensus.core.effects import Effect
from consensus.core.inputs import Input
from consensus.core.messages import Message
from ledger.core.block import Block, LedgerRoot
from ledger.core.ids import NodeIndex
from simnet.choices import Value

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Observer", "PromiseError"]


class PromiseError(Exception):
    """A promise was broken: the run ends and its plan is kept.

    Attributes:
        promise: short name of what was broken, stable across shrinking.
    """

    def __init__(self, promise: str, detail: str) -> None:
        super().__init__(f"{promise}: {detail}")
        self.promise = promise


class Observer:
    """Base of checkers, audits, traces and pictures; every method does nothing here.

    A method that does nothing is not called where calls are many: see ``World.watch``.

    Attributes:
        kinds: of inputs and effects that it wants to see; None for all of them.
    """

    kinds: AbstractSet[type[Any]] | None = None

    def on_begin(self, world: "World") -> None:
        """The world stands; no machine has started."""

    def on_start(self, machine: "Machine") -> None:
        """A machine starts (again)."""

    def on_crash(self, machine: "Machine") -> None:
        """A machine lost what was not durable, and stands still."""

    def on_disk_changed(self, machine: "Machine") -> None:
        """A machine that is about to start finds less, or older, on its disk than it wrote."""

    def on_input(self, machine: "Machine", input_: Input) -> None:
        """A core is about to take an input."""

    def on_effect(self, machine: "Machine", effect: Effect) -> None:
        """An effect of a core is about to be carried out, before an actor may twist it."""

    def on_sent(self, machine: "Machine", receiver: NodeIndex, message: Message) -> None:
        """A message leaves a machine, whatever becomes of it."""

    def on_applied(self, machine: "Machine", block: Block, root: LedgerRoot) -> None:
        """A machine applied a final block (not durably yet)."""

    def on_durable(self, machine: "Machine") -> None:
        """A machine's open transaction became durable."""

    def on_fault(self, key: str, value: Value) -> None:
        """A fault happens now."""

    def on_calm(self, world: "World") -> None:
        """The chaos is over: all is healed, all are up."""

    def on_end(self, world: "World") -> None:
        """The run is over; last chance to find fault."""
