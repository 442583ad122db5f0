"""Power cuts at the worst moments: what a safety record is for."""

from collections.abc import Callable

import msgspec

from consensus.core.effects import Effect, Persist, SetTimer
from consensus.core.messages import TimeoutMessage, VoteMessage
from consensus.core.pacemaker import ROUND_TIMER
from consensus.core.safety_record import SafetyRecord
from ledger.core.ids import Height
from simnet.checkers.agreement import Agreement
from simnet.checkers.checker import Panel
from simnet.machine import Machine
from simnet.observer import Observer, PromiseError
from simnet.schedules.stage import Stage, anything, on_stage, post

__all__ = [
    "amnesia",
    "certificate_newer_than_the_record",
    "power_cut_after_timeouts",
    "proposal_that_never_left",
    "rebroadcast_after_giving_up",
    "record_kept_at_round_entry_only",
    "vote_that_never_left",
]

Setup = Callable[[Stage], None]


class _RoundEntryOnly(Observer):
    """Persistence mode P2 with its trap: the record reaches the disk when a round is entered.

    After a restart the restored round counts as acted in.
    """

    def on_effect(self, machine: Machine, effect: Effect) -> None:
        """Keep the record of a round's beginning."""
        if isinstance(effect, SetTimer) and effect.timer.name == ROUND_TIMER:
            core = machine.core
            assert core is not None
            record: SafetyRecord = core._parts.rules.record
            entered = msgspec.structs.replace(
                record,
                acted_round=core._parts.pacemaker.round,
                last_vote=None,
                last_timeout=None,
                last_proposal=None,
            )
            machine.storage.persist(Persist(entered, (), Height(0)))


def record_kept_at_round_entry_only(stage: Stage) -> None:
    """Have every machine run in mode P2, without its rule for newer certificates.

    Agreement alone is judged then: other checkers would see at once what is not kept.
    """
    stage.world.observers = ()
    stage.world.watch(Panel([Agreement()]), _RoundEntryOnly())
    for machine in stage.machines.values():
        machine._handlers[Persist] = lambda _effect: None


def certificate_newer_than_the_record(setup: Setup = lambda _stage: None) -> Stage:
    """Cut the power of f + 1 voters whose vote brought a certificate newer than their record.

    Source: consensus.md 1.4.5, "the P2 trap"; 12,000 random schedules did not find it. Members 1, 2
    and 3 enter round 2 by a timeout certificate and vote for block 2, whose certificate of round 1
    they had not seen. Member 0 sees the votes: block 1 is final. Then 1 and 2 lose power. If that
    certificate was not durable, they, with 3 who never saw block 2, report nothing newer than
    genesis, and block 1 is forked away. R-PERSIST (mode P1): it is in the record before the vote
    leaves.

    Args:
        setup: done before anything starts; ``record_kept_at_round_entry_only`` springs the trap.
    """
    with on_stage({1: 0, 2: 0, 3: 3, 4: 1}) as stage:
        setup(stage)
        stage.start()
        stage.drop(post("sync"))
        stage.deliver(post("proposal 1"))
        stage.deliver(post("vote 1", to="0"))
        stage.time_out("1", "2", "3")
        stage.deliver(post("timeout 1", to="123"))
        assert [stage.round(name) for name in "0123"] == [2, 2, 2, 2]
        stage.deliver(post("proposal 2", to="12"))
        stage.deliver(post("vote 2", of="12", to="0"))
        assert [b.round for b in stage.final("0")] == [1], "block 1 is final"
        stage.drop(anything)
        stage.crash("1", "2")
        stage.start()
        stage.drop(post(of="0"))  # 0 is slow from now on
        stage.drop(post("sync"))
        stage.time_out("1", "2", "3")
        stage.deliver(post("timeout 2", of="123", to="123"))
        for round_ in (3, 4):
            stage.flow(post(f"proposal {round_}", to="123"))
            stage.flow(post("proposalrequest", to="123"))
            stage.deliver(post(f"vote {round_}", to="123"))
        stage.go_on()
        return stage


def _statements(stage: Stage, name: str, round_: int) -> list[object]:
    """Give the distinct votes and timeouts of a machine for a round, as they are on the wire."""
    found: list[object] = []
    for parcel in stage.wire:
        match parcel.message:
            case VoteMessage(statement) | TimeoutMessage(statement):
                if parcel.sender.name == name and statement.round == round_:
                    found.append(statement)
            case _:
                pass
    return list(dict.fromkeys(found))


def amnesia() -> Stage:
    """Cut a voter's power between the two blocks of a leader with two machines.

    Source: Galxe/gravity-sdk 743 (no fsync), Telcoin 934, omni 1998, bsc 2598 (a durable write that
    was not): the voter forgets its vote and votes again, so both blocks are certified. R-PERSIST.
    """
    with on_stage({1: 0}, twins=(0,)) as stage:
        stage.start()
        stage.deliver(post("proposal 1", of=("0",), to="12"))
        stage.deliver(post("vote 1", to="3"))  # the vote of member 1 has left
        first = stage.record("1").last_vote
        stage.crash("1")
        stage.start()
        stage.deliver(post("proposal 1", of=("0'",), to="13"))
        if any(statement != first for statement in _statements(stage, "1", 1)):
            raise PromiseError("double vote", "member 1 voted for both blocks of round 1")
        stage.go_on()
        return stage


def vote_that_never_left() -> Stage:
    """Cut a voter's power after its vote was recorded and before it left, with another one away.

    Source: diem 4390, PR 4843: the restarted node knew that it had voted, refused to vote again
    and had nothing to send, so the round failed. The vote itself is in the record and goes out to
    whoever connects.
    """
    with on_stage({}) as stage:
        stage.start()
        stage.crash("3")
        stage.deliver(post("proposal 1"))
        stage.drop(post(of="2"))  # its vote is recorded and does not leave
        stage.crash("2")
        stage.machines["2"].start()
        stage.drop(post("proposal"))
        stage.deliver(post("vote 1"))
        stage.deliver(post("vote 1"))
        if [stage.round(name) for name in "012"] != [2, 2, 2]:
            raise PromiseError("liveness", "the recorded vote of member 2 is lost for its round")
        stage.machines["3"].start()
        stage.go_on()
        return stage


def proposal_that_never_left() -> Stage:
    """Cut a leader's power after its proposal was recorded, and let it start with other things.

    Source: malachite 850, PR 864 (a value asked for twice after a restart makes an equivocation).
    The recorded proposal goes out again; nothing else is proposed in its round.
    """
    with on_stage({1: 0}) as stage:
        stage.start()
        first = stage.proposal(1)
        stage.drop(anything)
        stage.crash("0")
        stage.machines["0"].clock_us += 1_000_000
        stage.start()
        stage.submit("0", b"something new")
        proposed = {p.message for p in stage.wire if p.label == "proposal 1"}
        if len(proposed) != 1 or stage.proposal(1) != first:
            raise PromiseError("double proposal", "member 0 proposed twice in round 1")
        stage.go_on()
        return stage


def power_cut_after_timeouts() -> Stage:
    """Cut everybody's power in a round that was entered by a timeout certificate and given up.

    Source: radixdlt/babylon-node 243: recovery ignored timeout certificates, so nodes came back in
    a round before the one that they had acted in and could neither vote nor time out.
    """
    with on_stage({}) as stage:
        stage.start()
        for round_ in (1, 2, 3):
            stage.drop(post("proposal"))
            stage.time_out(*"0123")
            if round_ < 3:
                stage.deliver(post(f"timeout {round_}"))
        stage.drop(anything)
        stage.crash(*"0123")
        stage.start()
        stage.drop(anything)
        stage.go_on()
        return stage


def rebroadcast_after_giving_up() -> Stage:
    """Offer a block to one who gave its round up, then restart it and let it say all again.

    Source: commonware 2050 and 2100, ava-labs/Simplex 280: what was forgotten to save memory was
    made anew on the way of repeating, as a vote for a round that had been given up.
    """
    with on_stage({1: 0}) as stage:
        stage.start()
        stage.time_out("1")
        stage.deliver(post("proposal 1", to="1"))
        stage.crash("1")
        stage.start()
        stage.time_out("1")
        stage.deliver(post("proposal 1", to="1"))
        said = _statements(stage, "1", 1)
        if len(said) != 1:
            raise PromiseError("vote after timeout", f"member 1 said {len(said)} things")
        stage.go_on()
        return stage
