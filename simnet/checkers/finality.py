"""Finality: what is applied was final, fits its chain, and can be derived again from genesis.

Each applied block follows its parent, names the parent's certificate, and carries the ledger root
of the ancestor that its author had executed. At the end every applied block is committed by a good
certificate, and a small interpreter of its own reads the chain and the stored batches again, from
genesis, and must come to the same log.
"""

from typing import TYPE_CHECKING

import msgspec

from consensus.core.effects import Execute
from ledger.core.block import Block, LedgerRoot
from simnet.checkers.certificates import Certificates
from simnet.checkers.checker import Checker, Handlers, broken, require
from simnet.checkers.table import batch_id, block_id, log_root, root_digest

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Finality"]


class Finality(Checker):
    """Judges blocks as they are applied, and the whole chain at the end."""

    def __init__(self) -> None:
        self._certificates: Certificates
        self._ids: list[bytes] = []
        self._times: list[int] = []
        self._rounds: list[int] = []
        self._roots: list[bytes] = []
        self._epoch = 0
        self._is_over = False
        self._durable: dict[str, int] = {}

    def use(self, certificates: Certificates) -> None:
        """Share what is known of a run's certificates."""
        self._certificates = certificates

    def effects(self) -> Handlers:
        """Judge what is to be applied."""
        return {Execute: self._on_execute}

    def on_begin(self, world: "World") -> None:
        """Begin with genesis."""
        self._ids = [world.genesis.block_id]
        self._times = [world.genesis.time_ms]
        self._rounds = [0]
        self._roots = [root_digest(world.machines[0].storage.roots[0])]

    def _on_execute(self, machine: "Machine", effect: Execute) -> None:
        block, qc = effect.block, effect.certificate
        if len(self._ids) == block.height:
            require(effect.block_id == block_id(block), "order", f"a false id at {block.height}")
            self._ids.append(effect.block_id)
            self._check_chained(block)
        if block.height >= len(self._ids) or self._ids[block.height] != effect.block_id:
            broken("agreement", f"{machine.name} executes another block {block.height}")
        if qc is not None:
            self._certificates.check_qc(qc, machine)
            if qc.commit is None or qc.commit.block_id != effect.block_id:
                broken("finality", f"{machine.name}: another certificate at {block.height}")

    def _check_chained(self, block: Block) -> None:
        height = block.height
        chained = block.parent_id == self._ids[height - 1] == block.qc.block_id
        require(chained, "order", f"block {height} does not follow its parent")
        if self._is_over:
            self._epoch, self._is_over = self._epoch + 1, False
            self._rounds.append(0)
        require(block.epoch == self._epoch, "epoch", f"block {height} is of epoch {block.epoch}")
        rises = block.round > self._rounds[-1] == block.qc.round
        require(rises, "order", f"block {height} is of round {block.round}")
        self._is_over = block.next_set_hash is not None
        idle = not self._is_over or not block.payload
        require(idle, "epoch", f"block {height} ends the epoch and has a payload")
        require(block.time_ms >= self._times[-1], "time", f"it runs back at block {height}")
        self._rounds.append(block.round)
        self._times.append(block.time_ms)

    def on_applied(self, machine: "Machine", block: Block, root: LedgerRoot) -> None:
        """Compare a header's root with the ledger that it names."""
        del machine
        if block.height != len(self._roots):
            return
        self._roots.append(root_digest(root))
        executed = block.executed_height
        require(executed < block.height, "roots", f"block {block.height} knows its own root")
        ends = block.next_set_hash is not None
        require(
            not ends or root.set_hash == block.next_set_hash, "epoch", "another set is in force"
        )
        same = block.ledger_root == self._roots[executed]
        require(same, "roots", f"block {block.height} carries another root of {executed}")

    def on_disk_changed(self, machine: "Machine") -> None:
        """Less can be read again."""
        self._durable[machine.name] = len(machine.storage.blocks)

    def on_durable(self, machine: "Machine") -> None:
        """Note how much of a chain can be read again."""
        self._durable[machine.name] = len(machine.storage.blocks)

    def on_end(self, world: "World") -> None:
        """Derive the longest chain again, and compare every honest machine with it."""
        chains = {machine.name: len(machine.storage.blocks) for machine in world.honest}
        certified = self._certificates.height
        require(max(chains.values()) <= certified, "finality", f"{chains}, {certified} certified")
        longest = max(world.honest, key=lambda machine: self._durable.get(machine.name, 0))
        height = self._durable.get(longest.name, 0)
        root = longest.storage.roots[height]
        log = list(longest.storage.log)
        is_full = world.scenario.tier == "full"
        ordered = _ordered(longest, height)
        if is_full:
            # What is refused is left out, perhaps taken when it comes again; nothing else may be,
            # and nothing moved or added.
            remaining = iter(ordered)
            derived = all(entry in remaining for entry in log[: root.log_size])
            same = root.log_root == log_root(log[: root.log_size])
            require(same, "replay", f"another tree head at {height}")
        else:
            derived = list(dict.fromkeys(ordered)) == log[: root.log_size]
        require(derived, "replay", "the log does not follow from the chain")
        for machine in world.honest:
            mine = list(machine.storage.log)
            common = min(len(mine), len(log))
            require(mine[:common] == log[:common], "replay", f"{machine.name} holds another log")
            require(len(set(mine)) == len(mine), "once", f"{machine.name} holds an entry twice")


def _ordered(machine: "Machine", height: int) -> list[bytes]:
    """Give the entries of a machine's durable chain, in their order, as often as they come."""
    entries: list[bytes] = []
    batches: set[bytes] = set()
    for block in machine.storage.blocks[:height]:
        for id_ in block.payload:
            encoded = machine.storage.batch(id_)
            require(encoded is not None, "replay", f"{machine.name} lost a batch")
            assert encoded is not None
            require(batch_id(encoded) == id_, "replay", "another batch under an id")
            if id_ not in batches:
                batches.add(id_)
                entries += msgspec.msgpack.decode(encoded)[2]
    return entries
