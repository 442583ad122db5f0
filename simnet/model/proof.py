"""Agreement proved for any number of rounds, blocks and validators; checked by the solver z3.

Three layers of obligations, each valid if the solver finds no model of its negation:

1. an inductive invariant: it holds at the start, and each step keeps each part of it;
2. the lemma of docs/consensus.md, by induction over rounds: every certified block of a round
   above that of a final block descends from it; and from it, agreement;
3. the arithmetic of quorums, for every number of validators.

Without any single rule, or with more faulty validators than f, some obligation must fail: a proof
that needs no premise proves nothing.
"""

import time
from collections.abc import Iterator
from typing import NamedTuple

import z3  # type: ignore[import-untyped]

from simnet.model.abstract import commits_parent, may_report, may_time_out, may_vote
from simnet.model.theory import Formula, Members, State, Theory

__all__ = ["RULES", "Obligation", "Verdict", "obligations", "prove", "quorum_obligations"]

RULES = (
    "R-ONCE",
    "R-NO-VOTE-AFTER-TIMEOUT",
    "R-JUSTIFY",
    "R-CONSECUTIVE",
    "R-REPORT",
    "R-PERSIST",
)


class Obligation(NamedTuple):
    """What must be valid: ``goal`` under ``given``."""

    name: str
    given: list[Formula]
    goal: Formula


class Verdict(NamedTuple):
    """The solver's answer: ``unsat`` proves, ``sat`` refutes, ``unknown`` is neither."""

    name: str
    answer: str
    seconds: float

    @property
    def is_proved(self) -> bool:
        """True when the negation has no model."""
        return self.answer == "unsat"


def prove(obligation: Obligation, ms_max: int) -> Verdict:
    """Ask the solver for a model of the negation, for at most ``ms_max`` milliseconds."""
    solver = z3.Solver()
    solver.set("timeout", ms_max)
    solver.add(*obligation.given, z3.Not(obligation.goal))
    start = time.monotonic()
    answer = str(solver.check())
    return Verdict(obligation.name, answer, time.monotonic() - start)


def obligations(members: Members | None = None, without: str = "") -> Iterator[Obligation]:
    """Give the obligations of the first two layers.

    Args:
        members: a fixed set of validators; None for any number of them.
        without: one of ``RULES``, to be left out of the protocol.
    """
    theory = Theory(members)
    before = theory.state()
    start = _initial()
    for name, part in _invariant(theory, start, without).items():
        yield Obligation(f"start: {name}", theory.facts, part)
    holds = list(_invariant(theory, before, without).values())
    for step, (guard, after) in _steps(theory, before, without).items():
        for name, part in _invariant(theory, after, without).items():
            yield Obligation(f"{step} keeps: {name}", [*theory.facts, *holds, *guard], part)
    yield from _certificates(theory, before, [*theory.facts, *holds])
    yield from _consequences(theory, without)


def quorum_obligations() -> Iterator[Obligation]:
    """Give the third layer: what ``ValidatorSet`` computes is right for every n."""
    n, f, q = z3.Ints("n f q")
    given = [n >= 1, f == (n - 1) / 3, q == (n + f + 2) / 2]  # on integers, / rounds down
    yield Obligation("two quorums share an honest validator", given, 2 * q - n > f)
    yield Obligation("the honest validators are a quorum", given, q <= n - f)


def _initial() -> State:
    zero, nothing = z3.IntVal(0), z3.IntVal(-1)
    return State(
        lambda _n: zero,
        lambda _n: zero,
        lambda _n, _b: z3.BoolVal(val=False),
        lambda _n, _r: nothing,
    )


def _invariant(theory: Theory, state: State, without: str) -> dict[str, Formula]:
    """Give the parts of the invariant: what is true of every honest validator n."""
    n = z3.Const("n", theory.node)
    b, c = z3.Consts("b c", theory.block)
    r = z3.Int("r")
    round_of, honest = theory.round, theory.honest(n)
    parent_round = round_of(theory.parent(b))
    voted, report = state.voted(n, b), state.report(n, r)
    justified = theory.has_valid_certificates(state, b)
    if without != "R-JUSTIFY":
        justified = z3.And(justified, theory.is_justified(b))
    return {
        "rounds are natural": z3.ForAll([n], z3.And(state.acted(n) >= 0, state.lock(n) >= 0)),
        "who voted acted": _each([n, b], [honest, voted], round_of(b) <= state.acted(n)),
        "one vote a round": _each(
            [n, b, c], [honest, voted, state.voted(n, c), round_of(b) == round_of(c)], b == c
        ),
        "who gave up acted": _each([n, r], [honest, report >= 0], r <= state.acted(n)),
        "who voted locked": _each([n, b], [honest, voted], parent_round <= state.lock(n)),
        "who voted reports it": _each(
            [n, b, r], [honest, voted, report >= 0, round_of(b) <= r], parent_round <= report
        ),
        "what got a vote was votable": _each([n, b], [honest, voted], justified),
    }


def _each(variables: list[Formula], given: list[Formula], goal: Formula) -> Formula:
    return z3.ForAll(variables, z3.Implies(z3.And(*given), goal))


def _steps(theory: Theory, state: State, without: str) -> dict[str, tuple[list[Formula], State]]:
    """Give each step of an honest validator: its guard and the state after it."""
    me, block = z3.Const("me", theory.node), z3.Const("block", theory.block)
    round_, reported = z3.Ints("given_up reported")
    acted, lock = state.acted(me), state.lock(me)
    block_round, qc_round = theory.round(block), theory.round(theory.parent(block))

    vote = [theory.honest(me), theory.has_valid_certificates(state, block)]
    vote.append(block_round >= acted if without == "R-ONCE" else may_vote(acted, block_round))
    if without != "R-JUSTIFY":
        vote.append(theory.is_justified(block))
    after_vote = state._replace(
        acted=lambda n: z3.If(n == me, block_round, state.acted(n)),
        lock=lambda n: z3.If(n == me, z3.If(lock > qc_round, lock, qc_round), state.lock(n)),
        voted=lambda n, b: z3.Or(state.voted(n, b), z3.And(n == me, b == block)),
    )

    give_up = [theory.honest(me), may_time_out(acted, round_), reported >= 0]
    give_up.append(state.report(me, round_) == -1)  # afterwards the stored bytes are sent again
    if without != "R-REPORT":
        give_up.append(may_report(lock, round_, reported))
    forgets = without == "R-NO-VOTE-AFTER-TIMEOUT"
    after_give_up = state._replace(
        acted=lambda n: z3.If(n == me, acted if forgets else round_, state.acted(n)),
        report=lambda n, r: z3.If(z3.And(n == me, r == round_), reported, state.report(n, r)),
    )
    steps = {"a vote": (vote, after_vote), "a timeout": (give_up, after_give_up)}
    if without == "R-PERSIST":  # with it, a restart changes nothing and is no step
        zero = z3.IntVal(0)
        forgotten = state._replace(
            acted=lambda n: z3.If(n == me, zero, state.acted(n)),
            lock=lambda n: z3.If(n == me, zero, state.lock(n)),
        )
        steps["a restart"] = ([theory.honest(me)], forgotten)
    return steps


def _certificates(theory: Theory, state: State, given: list[Formula]) -> Iterator[Obligation]:
    """What the invariant says of certified blocks: the three premises of the lemma."""
    b, c = z3.Consts("one other", theory.block)
    q, p = z3.Consts("q p", theory.quorum)
    round_of, parent = theory.round, theory.parent
    one, other = theory.certified_by(state, b, q), theory.certified_by(state, c, p)
    yield Obligation(
        "one certified block a round",
        [*given, one, other, round_of(b) == round_of(c), theory.overlap(q, p)],
        b == c,
    )
    votable = z3.And(theory.is_justified(b), theory.has_valid_certificates(state, b))
    yield Obligation(
        "a certified block is justified, and its certificates are valid",
        [*given, one, b != theory.genesis, theory.overlap(q, q)],
        votable,
    )
    given_up = theory.given_up_by(state, c, theory.tc_quorum(c))
    follows = [theory.is_justified(c), theory.tc_round(c) >= round_of(b)]
    overlap = theory.overlap(q, theory.tc_quorum(c))
    yield Obligation(
        "a timeout certificate reports what was locked",
        [*given, one, b != theory.genesis, given_up, *follows, overlap],
        round_of(parent(c)) >= round_of(parent(b)),
    )


def _consequences(theory: Theory, without: str) -> Iterator[Obligation]:
    """The lemma and agreement, from the premises that ``_certificates`` proves."""
    b, c, d = z3.Consts("final other between", theory.block)
    child, other_child = z3.Consts("child other_child", theory.block)
    round_of, parent, descends = theory.round, theory.parent, theory.descends
    genesis = theory.genesis
    certified = z3.Function("certified", theory.block, z3.BoolSort())

    def is_final(block: Formula, by: Formula) -> Formula:
        rounds = round_of(by), round_of(block)
        follows = rounds[0] > rounds[1] if without == "R-CONSECUTIVE" else commits_parent(*rounds)
        return z3.And(parent(by) == block, follows, certified(by), by != genesis)

    same_round = [certified(b), certified(c), round_of(b) == round_of(c)]
    sound = z3.And(theory.is_justified(b), certified(parent(b)))
    reports = round_of(parent(c)) >= round_of(parent(b))
    late = [certified(b), certified(c), b != genesis, c != genesis]
    late.append(theory.tc_round(c) >= round_of(b))
    premises = [
        *theory.block_facts,
        _each([b, c], same_round, b == c),
        _each([b], [certified(b), b != genesis], sound),
        _each([b, c], late, reports),
    ]
    above = [is_final(b, child), certified(c), round_of(c) > round_of(b)]
    below = [certified(d), round_of(b) < round_of(d), round_of(d) < round_of(c)]
    hypothesis = _each([d], below, descends(d, b))
    yield Obligation(
        "what is certified above a final block descends from it (induction over rounds)",
        [*premises, *above, hypothesis],
        descends(c, b),
    )
    lemma = _each([b, child, c], above, descends(c, b))
    yield Obligation(
        "agreement: of two final blocks one descends from the other",
        [*premises, lemma, is_final(b, child), is_final(c, other_child)],
        z3.Or(descends(b, c), descends(c, b)),
    )
