"""Who is who to one machine: numbers of the run's members, and indexes in its epoch's set.

A table for each epoch that a core lives in, because each message that comes or goes asks it.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from consensus.core.context import OBSERVER
from ledger.core.ids import NodeIndex
from ledger.core.validators import Validator

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["Roster"]


class Roster:
    """The validators of an epoch, as one of the machines sees them.

    Attributes:
        seat: its own index among them, or one beyond all of them.
        others: numbers of the other members that are validators, in the order of the machines.
    """

    __slots__ = ("_member_at", "_seat_of", "others", "seat")

    def __init__(
        self, number: NodeIndex, machines: Iterable["Machine"], validators: Sequence[Validator]
    ) -> None:
        """Look the members of ``machines`` up; ``number`` is of the machine that looks."""
        seats = {validator.key: NodeIndex(seat) for seat, validator in enumerate(validators)}
        self._seat_of = {
            machine.index: seats[machine.signer.public_key]
            for machine in machines
            if machine.signer.public_key in seats
        }
        self._member_at = {seat: number for number, seat in self._seat_of.items()}
        self.seat = self.seat_of(number)
        self.others = tuple(other for other in self._seat_of if other != number)

    def seat_of(self, number: NodeIndex) -> NodeIndex:
        """Give the index of a member; of one that is no validator, that of a guest."""
        seat = self._seat_of.get(number)
        return NodeIndex(OBSERVER + 1 + number) if seat is None else seat

    def member_at(self, seat: int) -> int:
        """Give the number of the member at an index, or -1."""
        return seat - OBSERVER - 1 if seat > OBSERVER else self._member_at.get(NodeIndex(seat), -1)
