"""What other systems broke on: our core survives it, and each script notices its broken rule."""

from collections.abc import Callable
from typing import Any

import pytest

from consensus.core.agreement import Agreement
from consensus.core.leader import LeaderSchedule
from consensus.core.votes import VoteCollector
from ledger.core.certificate import Vote
from ledger.core.ids import NodeIndex
from simnet.mutants import MUTANTS, broken
from simnet.observer import PromiseError
from simnet.schedules.catalogue import NOTICES, SCHEDULES
from simnet.schedules.liars import doubled_votes
from simnet.schedules.power import (
    certificate_newer_than_the_record,
    record_kept_at_round_entry_only,
)
from simnet.schedules.stage import anything, leaders_imposed, on_stage, post


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_core_survives(name: str) -> None:
    """Every promise is kept, and afterwards new blocks become final everywhere."""
    stage = SCHEDULES[name]()
    assert not any(machine.halted for machine in stage.world.honest)
    assert all(stage.final(m.name) for m in stage.world.honest if m.is_up)


@pytest.mark.parametrize(("name", "mutant"), NOTICES)
def test_the_schedule_notices_its_broken_rule(name: str, mutant: str) -> None:
    """With the rule dropped the same script fails: a promise is broken, or the core breaks down."""
    with broken(mutant), pytest.raises((PromiseError, AssertionError, KeyError)):
        SCHEDULES[name]()


def test_every_schedule_has_a_broken_rule_to_notice() -> None:
    """No script is there that could not fail; two have their own broken rule below."""
    here = {"doubled_votes", "leader_that_was_behind"}
    assert {name for name, _ in NOTICES} == set(SCHEDULES) - here
    assert {mutant for _, mutant in NOTICES} <= set(MUTANTS)


def test_the_trap_of_lazy_records_forks_a_final_block() -> None:
    """A record that is kept at round entry only lets a power cut of f + 1 voters fork the chain."""
    with pytest.raises(PromiseError, match="agreement: "):
        certificate_newer_than_the_record(record_kept_at_round_entry_only)


def test_votes_that_count_once_for_each_time_they_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without a slot for each author, one faulty member's votes make a quorum."""
    add: Callable[..., Any] = VoteCollector.add

    def forgetful(self: VoteCollector, vote: Vote) -> Any:  # noqa: ANN401
        slots = self._rounds[vote.round].slots if vote.round in self._rounds else {}
        if vote.signer in slots:
            spare = next(NodeIndex(i) for i in range(99) if i not in slots)
            slots[spare] = slots.pop(vote.signer)
        return add(self, vote)

    monkeypatch.setattr(VoteCollector, "add", forgetful)
    with pytest.raises(PromiseError):
        doubled_votes()


def test_a_certificate_of_timeouts_without_its_certificate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A leader that cannot learn from it what it demands makes nothing that can be voted for."""
    learn = Agreement._learn

    def learn_votes_only(self: Agreement, qc: Any) -> None:  # noqa: ANN401
        if self._me != 3 or qc.round != 1:
            learn(self, qc)

    monkeypatch.setattr(Agreement, "_learn", learn_votes_only)
    with pytest.raises((PromiseError, LookupError)):
        SCHEDULES["leader_that_was_behind"]()


def test_nothing_happens_on_stage_but_by_the_script() -> None:
    """Messages wait on the wire, timers wait for their cue, and imposed leaders propose."""
    with on_stage({1: 2}) as stage:
        stage.start()
        assert [stage.round(name) for name in "0123"] == [1, 1, 1, 1]
        assert {p.sender.name for p in stage.wire if p.label == "proposal 1"} == {"2"}
        assert stage.deliver(post("proposal 1", to="0")) > 0
        assert stage.record("0").acted_round == 1
        assert stage.record("1").acted_round == 0
        assert stage.drop(anything) > 0
        assert not stage.wire
        stage.time_out("1")
        assert stage.record("1").timed_round == 1
        assert {p.receiver.name for p in stage.wire} == {"0", "2", "3"}


def test_a_script_speaks_for_faulty_members_only() -> None:
    """Nobody honest can have words put into its mouth, or its key used."""
    with on_stage({}, faulty=(3,)) as stage:
        stage.start()
        with pytest.raises(AssertionError, match="faulty"):
            stage.say(0, "1")
        with pytest.raises(AssertionError, match="faulty"):
            stage.signer(1)
        assert stage.signer(3).public_key


def test_imposed_leaders_are_gone_afterwards() -> None:
    """The true schedule of leaders is back when the context ends, also by an exception."""
    true = LeaderSchedule.leader

    def fail() -> None:
        with leaders_imposed(lambda _round: 2):
            assert LeaderSchedule.leader is not true
            raise ValueError("end")

    with pytest.raises(ValueError, match="end"):
        fail()
    assert LeaderSchedule.leader is true


def test_a_stage_that_stands_still_is_noticed() -> None:
    """When nothing can go on, that is a broken promise and no endless loop."""
    with on_stage({}) as stage:
        stage.start()
        stage.crash("0", "1")
        with pytest.raises(PromiseError, match="liveness"):
            stage.go_on()
