"""Exhaustive exploration, round by round, of everything that may happen within a scope.

In each round every honest validator takes any of its ``local_outcomes``, independently of the
others, because what it may do depends on certificates of earlier rounds only. The adversary
proposes every block that can be built, decides who sees what and when, and signs with the keys of
the Byzantine validators. States that differ only in names are explored once.
"""

import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from ledger.core.ids import BlockId, Height, Round
from simnet.model.local import Local, Offer, Stage, local_outcomes
from simnet.model.scope import Scope
from simnet.model.state import Certified, State, Violation, violation
from simnet.model.world import World, id_of

__all__ = ["Explorer", "Step", "Trace"]

Key = tuple[object, ...]
Choice = tuple[int, bool, int]  # the parent, whether there is a timeout certificate, the variant


class Gist(NamedTuple):
    """What of an outcome matters to others, or later.

    Attributes:
        voted: the choices that got this validator's vote.
        reported: the round that its timeout reports, or -1.
        standing: its lock, and its highest certificate as an index into the state.
    """

    voted: frozenset[Choice]
    reported: int
    standing: tuple[int, int]


class Step(NamedTuple):
    """How a state came about: what each honest validator did in the round."""

    before: State
    outcomes: tuple[Local, ...]


class Trace(NamedTuple):
    """The way to a violation, oldest first."""

    violation: Violation
    steps: tuple[Step, ...]
    last: State


class Explorer:
    """Explores ``scope`` breadth first, one round after the other.

    Attributes:
        states: distinct states so far; transitions: rounds played, those between them.
    """

    def __init__(self, scope: Scope, properties: frozenset[str] | None = None) -> None:
        """Look for violations of ``properties``; of any when None."""
        self.world = World(scope)
        self._scope = scope
        self._needed = self.world.quorum - scope.faulty
        self._properties = properties
        self._steps: list[dict[Key, tuple[Key, Step]]] = []
        self.states = 1
        self.transitions = 0

    def run(self) -> Iterator[tuple[Round, Collection[State], Trace | None]]:
        """Explore; give each round, the states after it, and the trace if one is violated."""
        world = self.world
        root = Certified(0, world.genesis_block, world.genesis_qc.block_id, world.genesis_qc)
        records = tuple(world.first_record(index) for index in self._scope.honest)
        layer: dict[Key, State] = {(): State(Round(0), (root,), None, records)}
        for number in range(1, self._scope.rounds + 1):
            layer, trace = self._play(Round(number), layer)
            self.states += len(layer)
            yield Round(number), layer.values(), trace
            if trace is not None:
                return

    def _play(
        self, round_: Round, layer: dict[Key, State]
    ) -> tuple[dict[Key, State], Trace | None]:
        following: dict[Key, State] = {}
        steps: dict[Key, tuple[Key, Step]] = {}
        self._steps.append(steps)
        for before_key, before in layer.items():
            tree = tuple((c.block.round, c.parent, c.qc.commit is None) for c in before.certified)
            for outcomes in itertools.product(*self._outcomes(round_, before)):
                self.transitions += 1
                key = (tree, *self._left_behind([gist for gist, _ in outcomes]))
                if key in following:
                    continue
                played = tuple(local for _, local in outcomes)
                after = self._after(round_, before, played)
                following[key] = after
                steps[key] = (before_key, Step(before, played))
                found = violation(after.certified)
                if found and (self._properties is None or found.name in self._properties):
                    return following, self._trace(found, key, after)
        return following, None

    # --- one round --------------------------------------------------------------------------

    def _outcomes(self, round_: Round, state: State) -> list[list[tuple[Gist, Local]]]:
        """Give what each honest validator may do, with the gist of it."""
        stage = Stage(round_, self._offers(round_, state), [c.qc for c in state.certified])
        index_of = {c.id: index for index, c in enumerate(state.certified)}
        return [
            [
                (_gist(local, index_of), local)
                for local in local_outcomes(self.world, index, record, stage)
            ]
            for index, record in enumerate(state.records)
        ]

    def _offers(self, round_: Round, state: State) -> list[Offer]:
        """Every block on every certified one, with and without the timeout certificate."""
        offers = []
        tcs = [None] if state.tc is None else [None, state.tc]
        shapes = itertools.product(enumerate(state.certified), tcs, range(self._scope.siblings))
        for (parent, certified), tc, variant in shapes:
            height = Height(certified.block.height + 1)
            block = self.world.block(round_, certified.qc, tc, height, variant)
            offers.append(Offer(parent, variant, id_of(block, self.world), block, certified.block))
        return offers

    def _left_behind(self, gists: Sequence[Gist]) -> Key:
        """Give what later rounds can depend on, without names of validators and siblings."""
        certified = [choice[:2] for choice in self._certified(gists)]
        reported = sorted(gist.reported for gist in gists if gist.reported >= 0)
        demand = -1 if len(reported) < self._needed else max([0, *reported[: self._needed]])
        return tuple(certified), demand, tuple(sorted(gist.standing for gist in gists))

    def _certified(self, gists: Sequence[Gist]) -> list[Choice]:
        """Give the blocks that a quorum votes for, counting all Byzantine validators."""
        votes = Counter(choice for gist in gists for choice in gist.voted)
        return sorted(choice for choice, count in votes.items() if count >= self._needed)

    def _after(self, round_: Round, state: State, outcomes: tuple[Local, ...]) -> State:
        cast = [(offer, vote) for local in outcomes for offer, vote in local.votes]
        ids = sorted({offer.id for offer, _ in cast})
        new = []
        for id_ in ids:
            votes = {vote.signer: vote for offer, vote in cast if offer.id == id_}
            if len(votes) >= self._needed:
                offer = next(offer for offer, _ in cast if offer.id == id_)
                qc = self.world.certify(list(votes.values()))
                new.append(Certified(offer.parent, offer.block, id_, qc))
        new.sort(key=lambda item: item.parent)
        timeouts = [local.timeout for local in outcomes if local.timeout is not None]
        tc = self.world.give_up(timeouts, round_)
        records = tuple(local.record for local in outcomes)
        return State(round_, (*state.certified, *new), tc, records)

    # --- what led there ---------------------------------------------------------------------

    def _trace(self, found: Violation, key: Key, last: State) -> Trace:
        steps: list[Step] = []
        for layer in reversed(self._steps):
            key, step = layer[key]
            steps.append(step)
        return Trace(found, tuple(reversed(steps)), last)


def _gist(local: Local, index_of: dict[BlockId, int]) -> Gist:
    record = local.record
    voted = frozenset((o.parent, o.block.tc is not None, o.variant) for o, _ in local.votes)
    reported = -1 if local.timeout is None else local.timeout.high_qc.round
    return Gist(voted, reported, (record.lock_round, index_of[record.high_qc.block_id]))
