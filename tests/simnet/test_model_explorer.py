"""The exploration of the real safety rules: silent when they are right, and only then."""

import itertools

import pytest

import consensus.core.safety as real
from consensus.core.safety import SafetyRules, is_justified
from ledger.core.block import Block
from ledger.core.certificate import QuorumCertificate, Timeout, TimeoutCertificate, TimeoutEntry
from ledger.core.errors import InvariantError
from ledger.core.ids import Epoch, Height, NodeIndex, Round
from simnet.model import __main__ as command
from simnet.model import abstract
from simnet.model.explorer import Explorer, Trace
from simnet.model.local import DepartureError, FalseAlarmError
from simnet.model.mutants import MUTANTS, Mutant
from simnet.model.report import trace_lines
from simnet.model.scope import Scope
from simnet.model.state import State
from simnet.model.world import World
from tests.simnet.free_order import Shape, reachable_shapes


def _explore(scope: Scope, *properties: str) -> tuple[list[State], Trace | None]:
    rounds = list(Explorer(scope, frozenset(properties) or None).run())
    _, states, trace = rounds[-1]
    return list(states), trace


def _shape(state: State) -> Shape:
    index_of = {item.id: index for index, item in enumerate(state.certified)}
    tree = tuple((c.block.round, c.parent, c.qc.commit is None) for c in state.certified[1:])
    standing = sorted((r.lock_round, index_of[r.high_qc.block_id]) for r in state.records)
    return tree, tuple(standing), -1 if state.tc is None else state.tc.qc_round_max


@pytest.mark.parametrize(
    "scope",
    [
        Scope(rounds=3),
        Scope(rounds=5, eager=True),
        Scope(validators=7, faulty=2, rounds=3, eager=True),
        Scope(validators=5, faulty=1, rounds=3, eager=True),
        Scope(faulty=0, rounds=2),
    ],
)
def test_the_real_rules_are_safe_within_the_scope(scope: Scope) -> None:
    """Nothing that f Byzantine validators and any schedule can do breaks a property."""
    states, trace = _explore(scope)
    assert trace is None
    assert len(states) > 20  # so that something was explored


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_each_broken_protocol_forks(mutant: Mutant) -> None:
    """Two faulty of four, a smaller quorum, or any rule left out: two final blocks conflict."""
    _, trace = _explore(mutant.scope, "agreement")
    assert trace is not None
    assert trace.violation.name == "agreement"


def test_a_counterexample_can_be_read() -> None:
    """A trace is a table of what each honest validator did in each round."""
    _, trace = _explore(MUTANTS[0].scope, "agreement")
    assert trace is not None
    lines = [" ".join(line.split()) for line in trace_lines(trace)]
    assert lines[0] == "round v0 v1 certified"
    assert lines[1].startswith("1 vote 1a<0, give up (0) vote 1b<0, give up (0)")
    assert "finalises 1a" in lines[2]
    assert "finalises 1b" in lines[2]
    assert lines[3].startswith("VIOLATED: agreement:")


@pytest.mark.parametrize("mutant", MUTANTS[:3], ids=lambda mutant: mutant.name)
def test_weaker_properties_fail_earlier(mutant: Mutant) -> None:
    """Two certificates in one round are found before anything is final."""
    _, trace = _explore(mutant.scope)
    assert trace is not None
    assert trace.violation.name == "one certificate a round"


def test_what_leaves_a_final_chain_is_found() -> None:
    """A certified block that does not descend from a final one is a violation by itself."""
    mutant = next(mutant for mutant in MUTANTS if mutant.name == "without R-REPORT")
    _, trace = _explore(mutant.scope)
    assert trace is not None
    assert trace.violation.name == "the lemma"


@pytest.mark.parametrize(("rounds", "siblings"), [(1, 2), (2, 1)])
def test_the_order_of_rounds_loses_nothing(rounds: int, siblings: int) -> None:
    """Exploring round by round reaches exactly what steps in any order reach."""
    states, _ = _explore(Scope(rounds=rounds, siblings=siblings))
    assert {_shape(state) for state in states} == reachable_shapes(rounds, siblings)


def test_eagerness_loses_no_chain() -> None:
    """Validators that learn late and always give up reach every tree of certified blocks."""
    full, _ = _explore(Scope(rounds=3))
    eager, _ = _explore(Scope(rounds=3, eager=True))
    assert {_shape(state)[0] for state in full} == {_shape(state)[0] for state in eager}


def _loosely_justified(block: Block) -> bool:
    return block.qc.round < block.round


def _never_justified(_block: Block) -> bool:
    return False


@pytest.mark.parametrize("changed", [_loosely_justified, _never_justified])
def test_real_rules_that_leave_the_specification_are_noticed(
    monkeypatch: pytest.MonkeyPatch, changed: object
) -> None:
    """What the real rules allow or refuse against the abstract protocol stops the exploration."""
    monkeypatch.setattr(real, "is_justified", changed)
    with pytest.raises(DepartureError):
        _explore(Scope(rounds=3, eager=True))


def test_a_second_vote_in_a_round_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that would vote again in a round that was voted in stop the exploration."""

    def votes_again(rules: SafetyRules, block: Block) -> bool:
        return block.round >= rules.record.acted_round and is_justified(block)

    monkeypatch.setattr(SafetyRules, "may_vote", votes_again)
    with pytest.raises(DepartureError, match="a round acted in"):
        _explore(Scope(rounds=1))


def test_giving_up_an_earlier_round_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that would sign a timeout of a round below the one acted in stop the exploration."""
    properly = SafetyRules.timeout

    def goes_back(rules: SafetyRules, round_: Round) -> Timeout | None:
        if round_ >= rules.record.acted_round:
            return properly(rules, round_)
        world = World(Scope())
        return Timeout.make(world.domain, round_, world.genesis_qc, None, world.signers[0])

    monkeypatch.setattr(SafetyRules, "timeout", goes_back)
    with pytest.raises(DepartureError, match="an earlier round"):
        _explore(Scope(rounds=2, eager=True))


def test_a_commit_over_a_gap_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A vote whose commit is not the specified one stops the exploration."""
    monkeypatch.setattr(real, "commit_of", lambda *_blocks: None)
    with pytest.raises(DepartureError):
        _explore(Scope(rounds=1))


def test_a_halt_without_reason_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An honest validator that stops although nothing is wrong stops the exploration."""

    def stop(_rules: SafetyRules, _round: Round) -> None:
        msg = "stopped"
        raise InvariantError(msg)

    monkeypatch.setattr(SafetyRules, "note_own_statement", stop)
    with pytest.raises(FalseAlarmError):
        _explore(Scope(rounds=2, eager=True))


def test_justification_is_the_specified_one_for_all_small_rounds() -> None:
    """The real R-JUSTIFY and the abstract one agree on every combination of rounds up to 5."""
    world = World(Scope())
    rounds = range(6)
    for round_, qc_round, tc_round, tc_max in itertools.product(
        rounds, rounds, [-1, *rounds], rounds
    ):
        qc = _certificate(world, qc_round)
        tc = None
        if tc_round >= 0:
            entries = (TimeoutEntry(NodeIndex(0), Round(tc_max), bytes(64)),)
            high_qc = _certificate(world, tc_max)
            tc = TimeoutCertificate(Epoch(0), Round(tc_round), entries, high_qc)
        block = world.block(Round(round_), qc, tc, Height(1), 0)
        expected = abstract.is_justified(round_, qc_round, tc_round, tc_max)
        assert is_justified(block) == expected, (round_, qc_round, tc_round, tc_max)


def _certificate(world: World, round_: int) -> QuorumCertificate:
    return QuorumCertificate(Epoch(0), Round(round_), world.genesis_qc.block_id, None, ())


def test_the_command_says_what_it_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Success when all is as expected; failure, with the trace, when something is not."""
    monkeypatch.setattr(command, "REFUTATION_MS", 100)
    monkeypatch.setattr(command, "SHORT", (Scope(rounds=2),))
    monkeypatch.setattr(command, "RULES", ())
    monkeypatch.setattr(command, "MUTANTS", MUTANTS[:2])
    assert command.main(["--traces"]) == 0
    assert "AS EXPECTED" in capsys.readouterr().out
    monkeypatch.setattr(command, "SHORT", (MUTANTS[0].scope,))
    monkeypatch.setattr(command, "MUTANTS", (Mutant("none", Scope(rounds=2)),))
    assert command.main([]) == 1
    printed = capsys.readouterr().out
    assert "VIOLATED: one certificate a round" in printed
    assert "SURVIVED" in printed
    assert "NOT AS EXPECTED" in printed
