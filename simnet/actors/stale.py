"""A leader that forgets: it proposes on the oldest certificate that the rules let it use.

It puts together the timeout certificate with the lowest demand that the timeouts it saw allow, and
proposes on that, or on less; and it shows its votes and other proposals to some only, so that not
all know the same certificates. This is the adversary that R-REPORT and R-JUSTIFY are made against.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import msgspec

from consensus.core.effects import Broadcast, Effect
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import ProposalMessage, TimeoutMessage, VoteMessage
from ledger.core.block import Proposal
from ledger.core.certificate import Timeout, TimeoutCertificate, TimeoutEntry
from ledger.core.ids import Height, NodeIndex, Round
from simnet.actors.byzantine import Byzantine
from simnet.network import label_of

if TYPE_CHECKING:
    from simnet.machine import Machine

__all__ = ["StaleLeader"]

_ROUNDS_REMEMBERED: Final = 8


class StaleLeader(Byzantine):
    """Proposes on the lowest admissible certificate, and reports the lowest one itself."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        self._timeouts: OrderedDict[Round, dict[NodeIndex, Timeout]] = OrderedDict()

    def incoming(self, input_: Input) -> Iterable[Input]:
        """Collect timeouts."""
        match input_:
            case PeerMessage(_, TimeoutMessage(timeout)):
                self._note(timeout)
            case _:
                pass
        yield input_

    def _note(self, timeout: Timeout) -> None:
        self._timeouts.setdefault(timeout.round, {})[timeout.signer] = timeout
        while len(self._timeouts) > _ROUNDS_REMEMBERED:
            self._timeouts.popitem(last=False)

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Report less than it knows, and propose on less than it should."""
        match effect:
            case Broadcast(TimeoutMessage(timeout) as message):
                low = self._lowered(timeout) if self.pick(f"low {label_of(message)}", 1) else None
                self._note(low or timeout)
                yield Broadcast(TimeoutMessage(low or timeout))
            case Broadcast(VoteMessage() as message):
                # Certificates that few know make timeouts that report different ones.
                yield from self.show(self.pick_mask(f"mask {label_of(message)}"), message)
            case Broadcast(ProposalMessage(proposal) as message) if proposal.block.tc is None:
                yield from self.show(self.pick_mask(f"mask {label_of(message)}"), message)
            case Broadcast(ProposalMessage(proposal) as message):
                kind = self.pick(f"low {label_of(message)}", 2)
                low_proposal = self._on_less(proposal, ignore=kind == 2) if kind else None
                yield Broadcast(ProposalMessage(low_proposal or proposal))
            case _:
                yield effect

    def _lowered(self, timeout: Timeout) -> Timeout | None:
        """Give a timeout that proves its round by a certificate of timeouts, with an old one."""
        tc = timeout.last_tc
        if tc is None:
            return None
        known = [t.high_qc for by in self._timeouts.values() for t in by.values()]
        lowest = min((*known, timeout.high_qc), key=lambda qc: qc.round)
        return Timeout.make(self.domain, timeout.round, lowest, tc, self.machine.signer)

    def _on_less(self, proposal: Proposal, *, ignore: bool) -> Proposal | None:
        """Give the proposal for the same round on the lowest certificate, if there is a choice.

        Args:
            ignore: take the lowest one reported, whatever the timeout certificate demands.
        """
        block, core = proposal.block, self.machine.core
        timeouts = self._timeouts.get(Round(block.round - 1), {})
        quorum = self.domain.validators.quorum
        if len(timeouts) < quorum or core is None:
            return None
        chosen = sorted(timeouts.values(), key=lambda t: (t.high_qc.round, t.signer))[:quorum]
        demanded = chosen[-1].high_qc
        high_qc = chosen[0].high_qc if ignore else demanded
        parent = core._parts.tree.get(high_qc.block_id)
        if high_qc.round >= block.round - 1 or parent is None:
            return None
        entries = tuple(
            TimeoutEntry(t.signer, t.high_qc.round, t.signature)
            for t in sorted(chosen, key=lambda t: t.signer)
        )
        executed = core._parts.tree.executed_height(high_qc, parent.block)
        root = core._parts.tree.root(executed)
        if root is None:
            return None
        low = msgspec.structs.replace(
            block,
            parent_id=high_qc.block_id,
            height=Height(parent.block.height + 1),
            qc=high_qc,
            tc=TimeoutCertificate(block.epoch, Round(block.round - 1), entries, demanded),
            executed_height=executed,
            ledger_root=root.digest,
            time_ms=max(block.time_ms, parent.block.time_ms),
        )
        return self.sign(low, proposal)
