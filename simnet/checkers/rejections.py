"""Rejections: an input for which its sender is penalised changes nothing.

Votes and acknowledgements are left out: a forged one is found only when a quorum of others is
there, and those count. A block may be refused for what it carries after its certificates, which
are good, were learned; so of proposals only that nothing of theirs is kept is required.
"""

from typing import TYPE_CHECKING

from consensus.core.effects import Penalize
from consensus.core.inputs import BatchExamined, PeerMessage
from consensus.core.messages import AckMessage, ProposalMessage, ProposalResponse, VoteMessage
from simnet.checkers.checker import Checker, Handlers, require

if TYPE_CHECKING:
    from consensus.core.node import NodeCore
    from simnet.machine import Machine

__all__ = ["Rejections"]


class Rejections(Checker):
    """Compares a core before and after a message of a faulty member."""

    def __init__(self) -> None:
        self._machine = ""
        self._peer = -1
        self._before: tuple[object, ...] = ()

    def inputs(self) -> Handlers:
        """Look at a core before it takes a message."""
        return {PeerMessage: self._on_message, BatchExamined: self._on_verdict}

    def effects(self) -> Handlers:
        """Look again when the sender was penalised."""
        return {Penalize: self._on_penalty}

    def _on_verdict(self, _machine: "Machine", _input: BatchExamined) -> None:
        self._peer = -1  # its sender is penalised for an earlier input

    def _on_message(self, machine: "Machine", input_: PeerMessage) -> None:
        self._peer = -1
        if (
            machine.roster.member_at(input_.peer) in machine.world.faulty
            and machine.core is not None
        ):
            if isinstance(input_.message, VoteMessage | AckMessage):
                return
            self._machine, self._peer = machine.name, input_.peer
            self._is_block = isinstance(input_.message, ProposalMessage | ProposalResponse)
            self._before = self._state(machine.core)

    def _on_penalty(self, machine: "Machine", effect: Penalize) -> None:
        is_late = effect.detail.startswith("forged")  # of a vote or an answer that came before
        is_it = (machine.name, effect.peer) == (self._machine, self._peer)
        if is_it and not is_late and machine.core is not None:
            after = self._state(machine.core)
            what = f"{machine.name}, after {effect.offence} of {effect.peer} ({effect.detail})"
            require(after == self._before, "rejection", what, self._before, after)

    def _state(self, core: "NodeCore") -> tuple[object, ...]:
        parts = core._parts
        mempool = parts.dissemination.mempool
        held = len(parts.dissemination.book.held), len(mempool), mempool.bytes_count
        if self._is_block:
            return held
        return (
            *held,
            len(parts.dissemination.book.certified),
            parts.rules.record,
            parts.pacemaker.round,
            parts.tree.head.id,
            len(vars(parts.tree)["_blocks"]),
            len(parts.queue),
        )
