"""A Byzantine member: a real core whose inputs and effects pass through something malicious.

An actor holds its own key and nobody else's. What it sends is built from what it has seen.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from consensus.core.effects import Effect
from consensus.core.inputs import Input

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["Actor"]


class Actor:
    """Base: behaves honestly.

    Attributes:
        machine: the machine that it has taken over; its signer, index, storage and core.
    """

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Give what is carried out instead of an effect."""
        return (effect,)

    def incoming(self, input_: Input) -> Iterable[Input]:
        """Give what the core gets instead of an input."""
        return (input_,)
