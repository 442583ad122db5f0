"""Receipts: what clients were told is true.

Every submission is answered once, by one verdict for each entry. What a machine accepted and did
not lose in a crash is in its log in the end, or still on its way in this very machine. What nobody
accepted or handed in is in no log, unless a faulty member brought it in.

Of operations, and of events that name what they replace, a receipt of their refusal will do: what
was right when it was admitted may not be when its turn comes, as a governor's approval of what
others have carried out. One that waits when
an epoch ends is judged anew by its admission to the next one, which leaves no receipt.
"""

from typing import TYPE_CHECKING

import msgspec

from consensus.core.effects import Reply
from consensus.core.inputs import Submitted
from ledger.core.errors import RejectCode
from ledger.core.ids import EventId
from simnet.checkers.checker import Checker, Handlers, require
from simnet.checkers.promises import event_id
from simnet.full.publishers import OVERTAKING
from simnet.full.storage import FullStorage

if TYPE_CHECKING:
    from simnet.machine import Machine
    from simnet.world import World

__all__ = ["Receipts"]

_TOPIC = 2  # position in an event
_Life = tuple[str, int]  # of a machine


class Receipts(Checker):
    """Keeps what was handed in and answered in each life of each machine."""

    def __init__(self) -> None:
        self._open: dict[_Life, dict[int, tuple[bytes, ...]]] = {}
        self._accepted: dict[_Life, list[bytes]] = {}
        self._handed_in: set[bytes] = set()

    def inputs(self) -> Handlers:
        """Note what is handed in."""
        return {Submitted: self._on_submitted}

    def effects(self) -> Handlers:
        """Judge answers."""
        return {Reply: self._on_reply}

    def _on_submitted(self, machine: "Machine", input_: Submitted) -> None:
        life = machine.name, machine.incarnation
        self._open.setdefault(life, {})[input_.ticket] = input_.entries
        self._handed_in.update(input_.entries)

    def _on_reply(self, machine: "Machine", effect: Reply) -> None:
        life = machine.name, machine.incarnation
        entries = self._open.get(life, {}).pop(effect.ticket, None)
        require(entries is not None, "receipt", f"{machine.name} answers {effect.ticket} unasked")
        assert entries is not None
        verdicts = effect.verdicts
        if isinstance(verdicts, RejectCode):
            return
        require(len(verdicts) == len(entries), "receipt", f"{machine.name} {effect.ticket}")
        accepted = self._accepted.setdefault(life, [])
        for entry, verdict in zip(entries, verdicts, strict=True):
            if not isinstance(verdict, RejectCode):
                require(verdict.entry == entry, "receipt", f"{machine.name} accepts another entry")
                accepted.append(entry)

    def on_end(self, world: "World") -> None:
        """Compare with the logs."""
        for machine in world.honest:
            self._check(machine)
        if not world.faulty:
            log = max((machine.storage.log for machine in world.honest), key=len)
            invented = len(set(log) - self._handed_in)
            require(not invented, "receipt", f"{invented} entries that nobody handed in")

    def _check(self, machine: "Machine") -> None:
        life = machine.name, machine.incarnation
        log = set(machine.storage.log)
        missing = [entry for entry in self._accepted.get(life, ()) if entry not in log]
        if missing and machine.core is not None:
            dissemination = machine.core._parts.dissemination
            held = [batch.encoded for batch in dissemination.book.held.values() if batch.encoded]
            waiting = {item.entry for item in vars(dissemination.mempool)["_entries"]}
            for entry in missing:
                here = entry in waiting or any(entry in encoded for encoded in held)
                here = here or _is_judged(machine, entry)
                require(here, "receipt", f"{machine.name} accepted and lost {entry[:40]!r}")


def _is_judged(machine: "Machine", entry: bytes) -> bool:
    if not isinstance(machine.storage, FullStorage):
        return False
    topic = str(msgspec.msgpack.decode(entry)[0][_TOPIC])
    is_refused = EventId(event_id(entry)) in machine.storage.refusals
    depends = topic.startswith("ledger.") or topic == OVERTAKING
    return depends and (is_refused or len(machine.storage.epochs) > 1)
