"""A leader whose headers lie: a parent older than its timeout certificate allows, a false root."""

from collections.abc import Iterable

import msgspec

from consensus.core.effects import Broadcast, Effect
from consensus.core.messages import ProposalMessage
from ledger.core.block import Block, Proposal
from ledger.core.ids import Height
from simnet.actors.byzantine import Byzantine
from simnet.network import label_of

__all__ = ["FalseHeader"]


class FalseHeader(Byzantine):
    """Signs its own proposals anew, with one part of the header false."""

    def outgoing(self, effect: Effect) -> Iterable[Effect]:
        """Change a proposal on its way out."""
        match effect:
            case Broadcast(ProposalMessage(proposal) as message):
                kind = self.pick(f"header {label_of(message)}", 2)
                false = self._changed(proposal, kind) if kind else None
                yield effect if false is None else Broadcast(ProposalMessage(false))
            case _:
                yield effect

    def _changed(self, proposal: Proposal, kind: int) -> Proposal | None:
        block = proposal.block
        if kind == 2:
            root = bytes(byte ^ 1 for byte in block.ledger_root)
            return self.sign(msgspec.structs.replace(block, ledger_root=root), proposal)
        older = self._on_grandparent(block)
        return None if older is None else self.sign(older, proposal)

    def _on_grandparent(self, block: Block) -> Block | None:
        """Give the same step on the parent's parent, as if nobody had reported the parent."""
        core = self.machine.core
        parent = None if core is None else core._parts.tree.get(block.parent_id)
        if core is None or block.tc is None or parent is None:
            return None
        tree, qc = core._parts.tree, parent.block.qc
        grandparent = tree.get(qc.block_id)
        if grandparent is None:
            return None
        executed = tree.executed_height(qc, grandparent.block)
        root = tree.root(executed)
        if root is None:
            return None
        return msgspec.structs.replace(
            block,
            parent_id=grandparent.id,
            height=Height(grandparent.block.height + 1),
            qc=qc,
            executed_height=executed,
            ledger_root=root.digest,
        )
