"""Plays one twins scenario with real cores, and says whether a promise was broken.

A message belongs to the round that it is about (else to the round in which it was sent) and gets
only to the machines in its sender's part of that round. Three ways: what does not get through is
LOST; or it is HELD and let through when somebody is two rounds further, so that old votes, timeouts
and proposals meet newer ones; or, NARROW, it is lost and so are votes but to the next round's
leader, as in protocols that send them nowhere else: then certificates are known to few. Because
rounds end by certificates alone, timeouts and proofs of rounds are let through when nothing else
can happen. After the scenario's rounds everybody hears everybody, and soon there must be a new
final block everywhere.
"""

from typing import Final, NamedTuple

from consensus.core.catchup import CATCH_UP_TIMER
from consensus.core.messages import (
    Message,
    ProposalMessage,
    SyncInfo,
    TimeoutCertificateMessage,
    TimeoutMessage,
    VoteMessage,
)
from consensus.core.pacemaker import ROUND_TIMER
from ledger.core.block import Block, LedgerRoot
from simnet.catalogue import TWIN
from simnet.federation import CoreFederation
from simnet.machine import Machine
from simnet.observer import Observer, PromiseError
from simnet.scenario import Scenario as Run
from simnet.schedules.stage import Parcel, Stage, leaders_imposed
from simnet.signatures import cheap_signatures
from simnet.twins.scenarios import Cast, Scenario

__all__ = ["WAYS", "Result", "Theatre"]

LOST: Final = "lost"
HELD: Final = "held"
NARROW: Final = "narrow"
WAYS: Final = (LOST, HELD, NARROW)

_ROUNDS_TO_HEAL: Final = 60
_TRIES: Final = 3  # of a timer while nothing changes


class Result(NamedTuple):
    """What a scenario came to.

    Attributes:
        promise: what was broken, "" for nothing.
        height: highest final block of an honest member.
    """

    promise: str
    detail: str
    height: int


class _Progress(Observer):
    """Counts what is applied."""

    def __init__(self) -> None:
        self.applied = 0

    def on_applied(self, machine: Machine, block: Block, root: LedgerRoot) -> None:
        """Count."""
        del machine, block, root
        self.applied += 1


def _round_of(parcel: Parcel) -> int:
    message: Message = parcel.message
    match message:
        case ProposalMessage(proposal):
            return proposal.block.round
        case VoteMessage(vote):
            return vote.round
        case TimeoutMessage(timeout):
            return timeout.round
        case TimeoutCertificateMessage(certificate):
            return certificate.round
        case _:
            return parcel.sent_in


class Theatre:
    """Plays scenarios of one cast, one after the other."""

    def __init__(self, cast: Cast, way: str = LOST) -> None:
        assert way in WAYS, way
        self.cast = cast
        self._way = way
        self._federation = CoreFederation(Run(seed=0, validators=cast.members))

    def play(self, scenario: Scenario) -> Result:
        """Play a scenario."""

        def leader(round_: int) -> int:
            if round_ <= len(scenario):
                return scenario[round_ - 1].leader
            return round_ % self.cast.members

        with cheap_signatures(), leaders_imposed(leader):
            act = _Act(self.cast, scenario, self._federation, self._way)
            promise = detail = ""
            try:
                act.run()
            except PromiseError as error:
                promise, detail = error.promise, str(error)
            return Result(promise, detail, act.height)


class _Act:
    """One scenario under way."""

    def __init__(
        self, cast: Cast, scenario: Scenario, federation: CoreFederation, way: str
    ) -> None:
        self._cast = cast
        self._scenario = scenario
        self._way = way
        self._progress = _Progress()
        actors = [(member, TWIN) for member in range(cast.twins)]
        self._stage = Stage(federation, actors, [self._progress])
        names = {cast.name(i): 1 << i for i in range(cast.machines)}
        self._bits = {name: names[name] for name in self._stage.machines}
        self._honest = self._stage.world.honest
        self._blocked: list[Parcel] = []
        self._fired: dict[tuple[str, str, int], int] = {}
        self._target = 0

    @property
    def height(self) -> int:
        """The highest final block of an honest member."""
        return max(len(machine.storage.blocks) for machine in self._honest)

    def run(self) -> None:
        """Let it happen. Raises PromiseError."""
        stage, seen = self._stage, 0
        stage.start()
        while True:
            while stage.wire:
                parcel = stage.wire.popleft()
                if self._gets_through(parcel):
                    stage.hand_over(parcel)
                    if self._progress.applied != seen:
                        seen = self._progress.applied
                        if self._is_over():
                            return
                else:
                    self._blocked.append(parcel)
                if self._way == HELD and self._blocked:
                    self._let_old_ones_through()
            if not (self._fire(CATCH_UP_TIMER.name) or self._fire(ROUND_TIMER) or self._unblock()):
                raise PromiseError("liveness", "nothing happens any more")

    # --- the network ------------------------------------------------------------------------

    def _gets_through(self, parcel: Parcel) -> bool:
        round_ = _round_of(parcel)
        if round_ > len(self._scenario):
            return True
        if self._way == NARROW and isinstance(parcel.message, VoteMessage):
            following = self._scenario[round_ : round_ + 1]
            if following and parcel.receiver.index != following[0].leader:
                return False
        sender, receiver = self._bits[parcel.sender.name], self._bits[parcel.receiver.name]
        parts = self._scenario[round_ - 1].parts if round_ else (sender | receiver,)
        return any(part & sender and part & receiver for part in parts)

    def _let_old_ones_through(self) -> None:
        """Release what was held of rounds that somebody left two rounds ago."""
        front = self._front()
        old = [p for p in self._blocked if _round_of(p) + 2 <= front]
        if old:
            self._blocked = [p for p in self._blocked if _round_of(p) + 2 > front]
            for parcel in old:
                self._stage.hand_over(parcel)

    def _unblock(self) -> bool:
        """Let timeouts and proofs of rounds through, since nobody can go on without."""
        proofs = (TimeoutMessage, TimeoutCertificateMessage, SyncInfo)
        freed = [p for p in self._blocked if isinstance(p.message, proofs)]
        self._blocked = [p for p in self._blocked if not isinstance(p.message, proofs)]
        for parcel in freed:
            self._stage.hand_over(parcel)
        return bool(freed)

    def _fire(self, timer: str) -> bool:
        """Let timers run out, each a few times at most while its machine's round stays the same."""
        fired = False
        for name in self._stage.machines:
            if timer in self._stage.timers[name]:
                key = name, timer, self._stage.round(name)
                self._fired[key] = self._fired.get(key, 0) + 1
                if self._fired[key] <= _TRIES:
                    self._stage.fire(name, timer)
                    fired = True
        return fired

    # --- the end ----------------------------------------------------------------------------

    def _front(self) -> int:
        return max(self._stage.round(name) for name in self._stage.machines)

    def _is_over(self) -> bool:
        """Say whether all honest machines have a final block that none had in the scenario."""
        front = self._front()
        if front <= len(self._scenario):
            return False
        if not self._target:
            self._target = self.height + 1
        if front > len(self._scenario) + _ROUNDS_TO_HEAL:
            raise PromiseError("liveness", f"no new final block by round {front}")
        return all(len(machine.storage.blocks) >= self._target for machine in self._honest)
