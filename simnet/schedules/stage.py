"""A stage for scripts: real cores, of which nothing happens but what the script says.

Messages lie on the wire until they are delivered, no timer runs out by itself, and what the worker
does (storing, executing) is done at once. The script may impose who leads which round: leadership
is a matter of liveness alone (docs/consensus.md, "Leader schedule"), every function from rounds to
members is one that some history of the network could have led to, and no safety rule asks who leads
but through "not the leader: no vote". So an imposed schedule can break nothing that a network with
that history would not break, and what it breaks is a finding.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from consensus.core.catchup import CATCH_UP_TIMER
from consensus.core.effects import CancelTimer, SetTimer
from consensus.core.inputs import PeerDown, PeerMessage, PeerUp, Submitted, Timer, TimerFired
from consensus.core.leader import LeaderSchedule
from consensus.core.messages import Message, ProposalMessage
from consensus.core.pacemaker import ROUND_TIMER, Tuning
from consensus.core.safety_record import SafetyRecord, decode_record
from ledger.core.block import Block, Proposal
from ledger.core.certificate import Domain
from ledger.core.ids import Epoch, NodeIndex, Round
from simnet.catalogue import TWIN
from simnet.checkers.standard import standard_checkers
from simnet.choices import Choices
from simnet.federation import CoreFederation
from simnet.machine import Machine
from simnet.mutants.mutant import Patch
from simnet.network import Network, label_of
from simnet.observer import Observer, PromiseError
from simnet.scenario import Scenario
from simnet.signatures import CheapSigner, cheap_signatures
from simnet.world import World

__all__ = ["Leaders", "Parcel", "Stage", "anything", "leaders_imposed", "on_stage", "post"]

Leaders = Callable[[int], int]
"""Gives the leader of a round."""

_PARCELS_MAX: Final = 3_000  # within which everybody must have gone on
_WORK_US: Final = 50_000  # longer than anything that a worker does


class Parcel(NamedTuple):
    """A message on the wire.

    Attributes:
        sent_in: the sender's round when it was sent.
    """

    sender: Machine
    receiver: Machine
    message: Message
    sent_in: int

    @property
    def label(self) -> str:
        """Kind and round."""
        return label_of(self.message)


Match = Callable[[Parcel], bool]


def anything(parcel: Parcel) -> bool:
    """Match every parcel."""
    del parcel
    return True


def post(label: str = "", *, of: Collection[str] = (), to: Collection[str] = ()) -> Match:
    """Match parcels by kind or kind and round, senders and receivers; () is all of them.

    Names of one character may come as one string.
    """

    def matches(parcel: Parcel) -> bool:
        kind = parcel.label
        return (
            (not label or kind == label or kind.split(" ")[0] == label)
            and (not of or parcel.sender.name in of)
            and (not to or parcel.receiver.name in to)
        )

    return matches


class _Wire(Network):
    """A network that only collects; everybody who is up is connected."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._world = world
        self.parcels: deque[Parcel] = deque()

    def join(self, machines: list[Machine]) -> None:
        """There are no links."""

    def on_start(self, machine: Machine) -> None:
        """Connect a machine with all that are up."""
        for other in self._world.machines:
            if other.index != machine.index and other.is_up and machine.is_up:
                machine.step(PeerUp(other.index))
                other.step(PeerUp(machine.index))

    def on_stop(self, machine: Machine, *, is_noticed: bool) -> None:
        """Tell the others; what was sent stays on the wire."""
        for other in self._world.machines:
            if other.index != machine.index and is_noticed:
                other.step(PeerDown(machine.index))

    def silence(self, machine: Machine, offender: NodeIndex) -> None:
        """The script decides who is heard."""

    def broadcast(self, sender: Machine, message: Message) -> None:
        """Put a message for each other member on the wire."""
        for index in range(self._world.scenario.validators):
            if index != sender.index:
                self.send(sender, NodeIndex(index), message)

    def send(self, sender: Machine, receiver: NodeIndex, message: Message) -> None:
        """Put a message on the wire, once for each machine of the receiver."""
        round_ = 0 if sender.core is None else sender.core._parts.pacemaker.round
        for look in self._world.on_sent:
            look(sender, receiver, message)
        for machine in self._world.machines_of(receiver):
            self.parcels.append(Parcel(sender, machine, message, round_))


@contextmanager
def leaders_imposed(leaders: Leaders) -> Iterator[None]:
    """Have every core follow this schedule of leaders within the context."""

    def leader(_self: LeaderSchedule, round_: Round) -> NodeIndex:
        return NodeIndex(leaders(round_))

    patch = Patch()
    patch.set(LeaderSchedule, "leader", leader)
    try:
        yield
    finally:
        patch.undo()


@contextmanager
def on_stage(
    leaders: Mapping[int, int] | Leaders,
    *,
    validators: int = 4,
    twins: Collection[int] = (),
    faulty: Collection[int] = (),
) -> Iterator["Stage"]:
    """Give a stage with its own leaders and cheap signatures.

    Args:
        leaders: round -> leader; rounds that are missing are led in turn.
        twins: members with two machines; they count as faulty.
        faulty: members that have one machine, and for whom the script speaks too.
    """

    def leader(round_: int) -> int:
        if not isinstance(leaders, Mapping):
            return leaders(round_)
        return leaders.get(round_, round_ % validators)

    actors = tuple((i, TWIN if i in twins else "") for i in sorted({*twins, *faulty}))
    with cheap_signatures(), leaders_imposed(leader):
        yield Stage(CoreFederation(Scenario(seed=0, validators=validators)), actors)


class Stage:
    """Machines, the wire between them, and their timers.

    Attributes:
        machines: name -> machine; a twin's name has a prime.
        wire: what was sent and not yet delivered, oldest first.
        timers: name of machine -> name of timer -> timer, as set last.
    """

    def __init__(
        self,
        federation: CoreFederation,
        actors: Sequence[tuple[int, str]],
        observers: Sequence[Observer] = (),
    ) -> None:
        validators = len(federation.genesis.validators)
        scenario = Scenario(
            seed=0, validators=validators, submissions=0, actors=tuple(a for a in actors if a[1])
        )
        self.world = World(scenario, Choices(0, {}), federation, observers)
        self.world.watch(*standard_checkers(scenario))
        self.world.faulty = {index for index, _ in actors}
        self.world.tuning = Tuning(idle_interval_ms=0, root_flush_ms=0)
        self._wire = _Wire(self.world)
        self.world.network = self._wire
        self.wire = self._wire.parcels
        self.machines = {machine.name: machine for machine in self.world.machines}
        self.timers: dict[str, dict[str, Timer]] = {name: {} for name in self.machines}
        self._honest = self.world.honest
        for observer in self.world.observers:
            observer.on_begin(self.world)
        for number, machine in enumerate(self.world.machines):
            machine.actor = None  # twins are told apart by the script
            machine.clock_us = 1_000 * number  # so two machines of one key propose two blocks
            self._take_timers(machine)

    def _take_timers(self, machine: Machine) -> None:
        timers = self.timers[machine.name]

        def set_timer(effect: SetTimer) -> None:
            timers[effect.timer.name] = effect.timer

        def cancel_timer(effect: CancelTimer) -> None:
            timers.pop(effect.timer.name, None)

        machine._handlers[SetTimer] = set_timer
        machine._handlers[CancelTimer] = cancel_timer

    # --- what the script does ---------------------------------------------------------------

    def start(self) -> None:
        """Start every machine that is down."""
        for machine in self.machines.values():
            if not machine.is_up:
                machine.start()
        self._settle()

    def deliver(self, where: Match) -> int:
        """Deliver what matches, oldest first; give how many parcels that were.

        What is sent in consequence stays on the wire.
        """
        chosen = [parcel for parcel in self.wire if where(parcel)]
        for parcel in chosen:
            self.wire.remove(parcel)
            self.hand_over(parcel)
        return len(chosen)

    def flow(self, where: Match, rounds: int | None = None) -> int:
        """Deliver what matches, and what follows from that, until nothing matches any more.

        Args:
            rounds: go no further than this round: what is sent in later ones stays.
        """
        count = 0
        while True:
            chosen = [p for p in self.wire if where(p) and (rounds is None or p.sent_in <= rounds)]
            if not chosen:
                return count
            for parcel in chosen:
                self.wire.remove(parcel)
                self.hand_over(parcel)
            count += len(chosen)

    def go_on(self) -> None:
        """Let everything arrive and all timers run until every honest machine is two blocks on.

        Raises:
            PromiseError: that does not come about, or something else is broken.
        """
        up = [machine for machine in self._honest if machine.is_up]
        height = 2 + max(len(machine.storage.blocks) for machine in up)
        for _ in range(_PARCELS_MAX):
            if all(len(machine.storage.blocks) >= height for machine in up):
                return
            if self.wire:
                self.hand_over(self.wire.popleft())
            elif not self._fire_all(CATCH_UP_TIMER.name):
                self._fire_all(ROUND_TIMER)
        heights = [len(machine.storage.blocks) for machine in up]
        raise PromiseError("liveness", f"heights {heights} after {_PARCELS_MAX} steps")

    def _fire_all(self, timer: str) -> bool:
        names = [name for name in self.machines if timer in self.timers[name]]
        for name in names:
            self.fire(name, timer)
        return bool(self.wire)

    def drop(self, where: Match) -> int:
        """Lose what matches."""
        kept = [parcel for parcel in self.wire if not where(parcel)]
        lost = len(self.wire) - len(kept)
        self.wire.clear()
        self.wire.extend(kept)
        return lost

    def hand_over(self, parcel: Parcel) -> None:
        """Give a message to its receiver, if that is up."""
        parcel.receiver.step(PeerMessage(parcel.sender.index, parcel.message))
        self._settle()

    def say(self, sender: int, receiver: str, *messages: Message) -> None:
        """Have a faulty member say something to a machine."""
        assert sender in self.world.faulty, "the script speaks for faulty members only"
        for message in messages:
            self.machines[receiver].step(PeerMessage(NodeIndex(sender), message))
            self._settle()

    def time_out(self, *names: str) -> None:
        """Let the round timers of machines run out."""
        for name in names:
            self.fire(name, ROUND_TIMER)

    def fire(self, name: str, timer: str) -> None:
        """Let a timer, as it was set last, run out."""
        self.machines[name].step(TimerFired(self.timers[name].pop(timer)))
        self._settle()

    def submit(self, name: str, *entries: bytes) -> None:
        """Have a client hand in entries."""
        self.machines[name].step(Submitted(1, entries))
        self._settle()

    def crash(self, *names: str) -> None:
        """Cut the power of machines at once; what they had sent is still on the wire."""
        for name in names:
            self.machines[name].crash()
            self.timers[name].clear()
        self._settle()

    def _settle(self) -> None:
        """Let the workers finish, and look whether anybody halted."""
        self.world.run(self.world.now_us + _WORK_US)
        for machine in self._honest:
            if machine.halted:
                raise PromiseError("halt", f"{machine.name}: {machine.halted}")

    # --- what the script sees ---------------------------------------------------------------

    def round(self, name: str) -> int:
        """Give the round of a machine."""
        core = self.machines[name].core
        assert core is not None, f"{name} is down"
        return core._parts.pacemaker.round

    def record(self, name: str) -> SafetyRecord:
        """Give the durable safety record of a machine."""
        return decode_record(self.machines[name].storage.safety_record)

    def final(self, name: str) -> list[Block]:
        """Give the blocks that a machine holds for final."""
        return list(self.machines[name].storage.blocks)

    @property
    def domain(self) -> Domain:
        """What signatures are bound to."""
        genesis = self.world.genesis
        return Domain(genesis.hash, Epoch(0), genesis.validator_set())

    def proposal(self, round_: int) -> Proposal:
        """Give what is proposed for a round, as it lies on the wire."""
        for parcel in self.wire:
            match parcel.message:
                case ProposalMessage(proposal) if proposal.block.round == round_:
                    return proposal
                case _:
                    pass
        raise LookupError(f"nothing is proposed for round {round_}")

    def signer(self, member: int) -> CheapSigner:
        """Give the key of a faulty member."""
        assert member in self.world.faulty, "the script signs for faulty members only"
        signer = self.machines[str(member)].signer
        assert isinstance(signer, CheapSigner)
        return signer
