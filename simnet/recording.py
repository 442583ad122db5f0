"""A run as a person wants to see it: what happened at each machine, and which messages flew.

Traces and pictures are made of this. It only watches; a run with it is the run without it.
"""

from dataclasses import dataclass
from typing import NamedTuple

from consensus.core.effects import (
    Broadcast,
    Effect,
    Halt,
    Penalize,
    RecordEvidence,
    SetTimer,
)
from consensus.core.inputs import Input, PeerMessage
from consensus.core.messages import (
    Message,
    ProposalMessage,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from consensus.core.pacemaker import ROUND_TIMER
from ledger.core.block import Block, LedgerRoot, block_id
from ledger.core.ids import BlockId, NodeIndex
from simnet.choices import Value
from simnet.machine import Machine
from simnet.network import label_of
from simnet.observer import Observer
from simnet.run import Outcome, replay
from simnet.scenario import Plan
from simnet.world import World

__all__ = ["EVERYBODY", "Flight", "Happening", "Record", "record"]

EVERYBODY = ""
"""In place of a machine's name: the world."""

_LINK_FAULTS = ("drop", "hold", "copy")


class Happening(NamedTuple):
    """Something that a machine did or that befell it.

    Attributes:
        at_us: virtual time.
        machine: its name, or EVERYBODY.
        kind: round, proposal, vote, timeout, tc, final, start, crash, halt, penalty, evidence,
            fault, partition, calm or broken.
        text: one line for people.
        number: the round, the height, or the microseconds that it lasts; 0 where none is meant.
    """

    at_us: int
    machine: str
    kind: str
    text: str
    number: int = 0


@dataclass(slots=True)
class Flight:
    """A message on its way.

    Attributes:
        kind: first word of its label.
        arrived_us: -1 when it did not (yet).
        fault: drop, hold or copy when that was decided for it.
        due_us: when it would arrive if nothing but that fault happened.
    """

    kind: str
    label: str
    sender: str
    receiver: str
    sent_us: int
    arrived_us: int = -1
    fault: str = ""
    due_us: int = 0


class Record(NamedTuple):
    """A whole run.

    Attributes:
        machines: their names, in the order of their columns and rows.
        end_us: when the run ended.
    """

    outcome: Outcome
    machines: tuple[str, ...]
    happenings: tuple[Happening, ...]
    flights: tuple[Flight, ...]
    end_us: int


def record(plan: Plan) -> Record:
    """Replay a plan and keep what happened."""
    recorder = _Recorder()
    outcome = replay(plan, (recorder,))
    if outcome.promise:
        recorder.tell(EVERYBODY, "broken", outcome.plan.failure)
    return Record(
        outcome,
        tuple(machine.name for machine in recorder.world.machines),
        tuple(recorder.happenings),
        tuple(recorder.flights),
        outcome.virtual_us,
    )


class _Recorder(Observer):
    """Turns hooks into happenings and flights."""

    world: World

    def __init__(self) -> None:
        self.happenings: list[Happening] = []
        self.flights: list[Flight] = []
        self._flying: dict[tuple[int, int, Message], list[Flight]] = {}
        self._rounds: dict[str, int] = {}
        self._said: dict[str, set[str]] = {}

    def tell(self, machine: str, kind: str, text: str, number: int = 0) -> None:
        """Note something."""
        self.happenings.append(Happening(self.world.now_us, machine, kind, text, number))

    # --- life -------------------------------------------------------------------------------

    def on_begin(self, world: World) -> None:
        """Begin."""
        self.world = world

    def on_start(self, machine: Machine) -> None:
        """Note a start."""
        self._rounds.pop(machine.name, None)
        self.tell(machine.name, "start", f"START {machine.incarnation}")

    def on_crash(self, machine: Machine) -> None:
        """Note a crash."""
        self.tell(machine.name, "crash", f"CRASH at emit {machine.emits}")

    def on_calm(self, world: World) -> None:
        """Note the end of the chaos."""
        del world
        self.tell(EVERYBODY, "calm", "the chaos is over: everything is healed")

    def on_fault(self, key: str, value: Value) -> None:
        """Note a fault; those of a link belong to the message that was sent last."""
        kind, _, rest = key.partition(" ")
        if kind in _LINK_FAULTS:
            link, _, label = rest.partition(" ")
            sender, _, receiver = link.partition(">")
            flight = self.flights[-1]
            flight.fault = kind
            if kind == "hold" and isinstance(value, int):
                flight.due_us += value
            late = f" {value // 1_000} ms" if isinstance(value, int) and kind != "drop" else ""
            self.tell(sender, "fault", f"{kind} >{receiver} {label}{late}")
        elif kind == "partition" and not isinstance(value, int):
            self.tell(EVERYBODY, "partition", self._partition(key, value), value[1])
        elif kind == "crash":
            pass  # on_crash says it
        else:
            self.tell(EVERYBODY, "fault", f"{key}: {value}")

    def _partition(self, key: str, value: tuple[int, ...]) -> str:
        _, duration_us, senders, receivers, both, holds = value

        def members(mask: int) -> str:
            return " ".join(str(i) for i in range(mask.bit_length()) if mask >> i & 1)

        arrow = "<->" if both else "->"
        what = "held back" if holds else "lost"
        return (
            f"{key}: {members(senders)} {arrow} {members(receivers)} {what} for "
            f"{duration_us // 1_000} ms"
        )

    # --- what machines do ---------------------------------------------------------------------

    def on_effect(self, machine: Machine, effect: Effect) -> None:
        """Note what is worth a line."""
        name = machine.name
        match effect:
            case SetTimer(timer) if timer.name == ROUND_TIMER:
                if self._rounds.get(name) != timer.round:
                    self._rounds[name] = timer.round
                    self.tell(name, "round", f"round {timer.round}", timer.round)
            case Broadcast(message):
                self._on_broadcast(name, message)
            case Penalize(peer, offence, detail):
                self.tell(name, "penalty", f"PENALTY {peer}: {offence.value} {detail}")
            case RecordEvidence(offender, kind):
                self.tell(name, "evidence", f"EVIDENCE {offender} {kind}")
            case Halt(reason):
                self.tell(name, "halt", f"HALT {reason}")
            case _:
                pass

    def _on_broadcast(self, name: str, message: Message) -> None:
        match message:
            case ProposalMessage(proposal):
                block = proposal.block
                by = "" if block.tc is None else f" tc{block.tc.round}"
                carries = f" {len(block.payload)} batches" if block.payload else ""
                text = f"propose {block.round}: h{block.height} {_short(block_id(block))}"
                text += f" on {block.qc.round}{by}{carries}"
                self._say(name, "proposal", text, block.round)
            case VoteMessage(vote):
                commits = "" if vote.commit is None else f" commits h{vote.commit.height}"
                text = f"vote {vote.round} {_short(vote.block_id)}{commits}"
                self._say(name, "vote", text, vote.round)
            case TimeoutMessage(timeout):
                text = f"timeout {timeout.round} (qc {timeout.high_qc.round})"
                self._say(name, "timeout", text, timeout.round)
            case TimeoutCertificateMessage(tc):
                self._say(name, "tc", f"tc {tc.round} (qc {tc.high_qc.round})", tc.round)
            case _:
                pass

    def _say(self, name: str, kind: str, text: str, number: int) -> None:
        said = self._said.setdefault(name, set())
        again = " again" if text in said else ""
        said.add(text)
        self.tell(name, kind, text + again, number)

    def on_applied(self, machine: Machine, block: Block, root: LedgerRoot) -> None:
        """Note a final block."""
        del root
        text = f"FINAL h{block.height} {_short(block_id(block))} (round {block.round})"
        self.tell(machine.name, "final", text, block.height)

    # --- messages -----------------------------------------------------------------------------

    def on_sent(self, machine: Machine, receiver: NodeIndex, message: Message) -> None:
        """Note a departure."""
        label = label_of(message)
        now_us, weather = self.world.now_us, self.world.scenario.weather
        kind = label.split(" ", 1)[0]
        flight = Flight(kind, label, machine.name, str(receiver), now_us)
        flight.due_us = now_us + weather.latency_us + weather.jitter_us // 2
        self.flights.append(flight)
        self._flying.setdefault((machine.index, receiver, message), []).append(flight)

    def on_input(self, machine: Machine, input_: Input) -> None:
        """Note an arrival; a copy, or the same at a twin, is a flight of its own."""
        if not isinstance(input_, PeerMessage):
            return
        flights = self._flying.get((input_.peer, machine.index, input_.message), [])
        if not flights:
            return  # an actor made it up on the receiver's side
        now_us = self.world.now_us
        waiting = [f for f in flights if f.arrived_us < 0 and f.fault != "drop"]
        if waiting:
            # The same bytes may be sent again and again, and some of them lost.
            flight = min(waiting, key=lambda f: abs(now_us - f.due_us))
        else:
            last = flights[-1]
            flight = Flight(last.kind, last.label, last.sender, last.receiver, last.sent_us)
            self.flights.append(flight)
        flight.receiver, flight.arrived_us = machine.name, now_us


def _short(id_: BlockId) -> str:
    return id_.hex()[:4]
