"""Accusations: nobody honest is ever penalised, or shown to have contradicted itself."""

from typing import TYPE_CHECKING

from consensus.core.effects import Penalize, RecordEvidence
from simnet.checkers.checker import Checker, Handlers, require

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["Accusations"]


class Accusations(Checker):
    """Judges penalties and evidence as they are given."""

    def effects(self) -> Handlers:
        """Judge both."""
        return {Penalize: self._on_penalty, RecordEvidence: self._on_evidence}

    def _on_penalty(self, machine: "Machine", effect: Penalize) -> None:
        what = f"{machine.name} penalises {effect.peer} for {effect.offence}: {effect.detail}"
        require(machine.roster.member_at(effect.peer) in machine.world.faulty, "accusation", what)

    def _on_evidence(self, machine: "Machine", effect: RecordEvidence) -> None:
        what = f"{machine.name} holds evidence of a {effect.kind} of {effect.offender}"
        offender = machine.roster.member_at(effect.offender)
        require(offender in machine.world.faulty, "accusation", what)
        require(effect.first != effect.second, "accusation", f"{what} that shows nothing")
