"""The Byzantine catalogue: each member misbehaves as it says, by choices that a plan repeats."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest

from consensus.core.effects import Effect, Penalize, RecordEvidence
from consensus.core.inputs import Input, PeerMisbehaved
from consensus.core.messages import (
    Message,
    ProposalMessage,
    VoteMessage,
    decode_message,
    encode_message,
)
from ledger.core.block import Block, block_id
from ledger.core.certificate import Domain, QuorumCertificate, TimeoutEntry, Vote
from ledger.core.codec import encode
from ledger.core.errors import DecodeError, PeerFault
from ledger.core.ids import Epoch, NodeIndex
from simnet.actors.forgery import forge_certificate, forge_timeouts
from simnet.actors.mutation import leaves, with_leaf
from simnet.actors.serving import BLOCK_LIES, lie_about_blocks
from simnet.catalogue import ACTORS, TWIN
from simnet.machine import Machine
from simnet.observer import Observer
from simnet.run import Outcome, replay, simulate
from simnet.scenario import Scenario, Weather
from simnet.schedules.stage import Stage, anything, on_stage, post

BAD = 2  # the member that is not honest
SEEDS = 4
ROUGH = Weather(drop=20_000, hold=100_000)

# actor -> what at least one honest member notes of it in a few runs: an offence, or evidence.
NOTED = {
    "twin": {"double_vote", "double_proposal"},
    "equivocating_leader": {"double_proposal", "equivocation"},
    "equivocating_voter": {"double_vote", "wrong_commit", "equivocation"},
    "forger": {"bad_certificate", "bad_signature"},
    "signature_forger": {"bad_signature"},
    "lying_server": {"bad_sync", "bad_certificate", "bad_batch"},
    "bad_batcher": {"bad_batch"},
    "mutator": {"malformed", "bad_block", "bad_signature", "bad_certificate"},
}
QUIET = set(ACTORS) - set(NOTED)  # break no rule that another member could hold against them


class Notes(Observer):
    """What honest members hold against others, and what the faulty one sent."""

    def __init__(self) -> None:
        self.against: Counter[str] = Counter()
        self.accused: set[int] = set()
        self.sent: Counter[str] = Counter()
        self.trace: list[tuple[str, str]] = []

    def on_effect(self, machine: Machine, effect: Effect) -> None:
        """Take note of what an honest member finds."""
        self.trace.append((machine.name, type(effect).__name__))
        match effect:
            case Penalize(peer, offence) if machine.is_honest:
                self.against[offence.value] += 1
                self.accused.add(peer)
            case RecordEvidence(offender, kind) if machine.is_honest:
                self.against[kind] += 1
                self.accused.add(offender)
            case _:
                pass

    def on_input(self, machine: Machine, input_: Input) -> None:
        """Take note of frames that nobody can decode."""
        if isinstance(input_, PeerMisbehaved) and machine.is_honest:
            self.against[input_.offence.value] += 1
            self.accused.add(input_.peer)

    def on_sent(self, machine: Machine, receiver: NodeIndex, message: Message) -> None:
        """Count what the faulty member sends."""
        if machine.index == BAD:
            self.sent[f"{type(message).__name__} {receiver}"] += 1


def scenario(actor: str, seed: int) -> Scenario:
    """Give a short run with one faulty member in rough weather."""
    return Scenario(seed=seed, chaos_ms=700, actors=((BAD, actor),), weather=ROUGH)


def runs(actor: str) -> Iterator[tuple[Outcome, Notes]]:
    """Run a few seeds with an actor."""
    for seed in range(SEEDS):
        notes = Notes()
        yield simulate(scenario(actor, seed), [notes]), notes


@pytest.mark.parametrize("actor", ACTORS)
def test_no_single_actor_breaks_a_promise(actor: str) -> None:
    """At most f faulty: every promise is kept, and only the faulty member is held for one."""
    against: Counter[str] = Counter()
    for outcome, notes in runs(actor):
        assert not outcome.promise, outcome.plan.failure
        assert notes.accused <= {BAD}
        assert outcome.height > 2
        against += notes.against
    if actor in NOTED:
        assert NOTED[actor] & set(against), f"nobody noted anything: {against}"


@pytest.mark.parametrize("actor", ACTORS)
def test_an_actor_changes_the_run_by_recorded_choices(actor: str) -> None:
    """Its decisions are in the plan; the plan repeats the run, and without them it is honest."""
    for seed in range(20):
        first, second, third = Notes(), Notes(), Notes()
        outcome = simulate(scenario(actor, seed), [first])
        mine = {key: v for key, v in outcome.plan.faults.items() if is_choice_of_actor(key)}
        if not mine:
            continue
        assert replay(outcome.plan, [second]).height == outcome.height
        assert second.trace == first.trace
        others = {k: v for k, v in outcome.plan.faults.items() if k not in mine}
        replay(msgspec.structs.replace(outcome.plan, faults=others), [third])
        assert third.trace != first.trace
        return
    pytest.fail(f"{actor} never does anything")


def is_choice_of_actor(key: str) -> bool:
    """Say whether a fault is an actor's decision: its key ends with the name of its machine."""
    own = key.split(" #", maxsplit=1)[0].rsplit(" ", maxsplit=1)[-1] in {str(BAD), f"{BAD}'"}
    return own and not key.startswith(("drop", "hold", "execute"))


def test_the_catalogue_has_the_members_that_others_name() -> None:
    """Plans and mutants name actors: a name, once given, stays."""
    assert TWIN in ACTORS
    assert set(NOTED) <= set(ACTORS)
    assert len(QUIET) == len(ACTORS) - len(NOTED)
    assert {"usurper", "withholder", "stale_leader", "flooder", "false_acknowledger"} <= QUIET


# --- what they are made of --------------------------------------------------------------------


def grown() -> Stage:
    """Give a stage after a few rounds, with a proposal on the wire."""
    with on_stage({}) as stage:
        stage.start()
        stage.flow(anything, rounds=4)
        return stage


def test_every_leaf_of_every_message_can_be_changed_in_every_way() -> None:
    """A changed message differs or cannot be decoded; no decoder raises anything else."""
    stage = grown()
    messages = list({parcel.message for parcel in stage.wire})
    assert {type(m) for m in messages} >= {ProposalMessage, VoteMessage}
    changed = refused = 0
    for message in messages:
        for path in leaves(message):
            for way in range(1, 7):
                other = with_leaf(message, path, way, bytes(range(32)))
                changed += other != message
                try:
                    decode_message(encode(other))
                except DecodeError:
                    refused += 1
    assert changed > 150
    assert 30 < refused < changed


def test_a_leaf_is_where_its_path_says() -> None:
    """One field changes and no other."""
    stage = grown()
    proposal = stage.proposal(5)
    message = ProposalMessage(proposal)
    place = Block.__struct_fields__.index("height")
    other = with_leaf(message, (0, 0, place), 1, b"")
    assert isinstance(other, ProposalMessage)
    assert other.proposal.block.height == proposal.block.height + 1
    block = msgspec.structs.replace(other.proposal.block, height=proposal.block.height)
    assert msgspec.structs.replace(other.proposal, block=block) == proposal
    assert encode_message(message) != encode_message(other)


@pytest.mark.parametrize("kind", range(1, 9))
def test_no_forged_certificate_is_valid(kind: int) -> None:
    """Every way to forge one out of true votes is refused by verification."""
    with on_stage({}, faulty=(3,)) as stage:
        stage.start()
        stage.flow(anything, rounds=4)
        true = stage.record("0").high_qc
        true.verify(stage.domain)
        own = Vote.make(stage.domain, true.round, true.block_id, true.commit, stage.signer(3))
        stray = ((NodeIndex(0), bytes(64)), (NodeIndex(1), bytes(64)))
        forged = forge_certificate(kind, true, (own.signer, own.signature), stray)
        assert forged != true
        assert is_refused(forged, stage.domain), "genesis is compared whole by its receiver"


def is_refused(qc: QuorumCertificate, domain: Domain) -> bool:
    """Say whether a certificate is none of ``domain``."""
    try:
        qc.verify(domain)
    except PeerFault:
        return True
    return False


@pytest.mark.parametrize("kind", range(1, 6))
def test_no_forged_certificate_of_timeouts_is_valid(kind: int) -> None:
    """Nor any that lies about what its signers reported."""
    with on_stage({}, faulty=(3,)) as stage:
        stage.start()
        genesis = stage.record("0").high_qc
        stage.flow(anything, rounds=2)
        stage.drop(anything)
        stage.time_out(*"0123")
        stage.deliver(post("timeout"))
        true = stage.record("0").high_tc or stage.machines["0"].core._parts.rules.record.high_tc  # type: ignore[union-attr]
        assert true is not None
        assert true.high_qc.round > 0
        true.verify(stage.domain, lambda _qc: None)
        own = true.entries[0]
        row = TimeoutEntry(own.signer, own.qc_round, own.signature)
        forged = forge_timeouts(kind, true, row, genesis)
        with pytest.raises(PeerFault):
            forged.verify(stage.domain, lambda _qc: None)


def test_lies_about_blocks_are_lies() -> None:
    """Each kind differs from the truth, and none of the chains it shows is the true one."""
    stage = grown()
    answer = stage.machines["0"].storage.blocks_from(1)  # type: ignore[arg-type]
    assert answer is not None
    assert len(answer.blocks) > 1
    ids = [block_id(block) for block in answer.blocks]
    for kind in BLOCK_LIES:
        for lie in lie_about_blocks(answer, kind):
            shown = [block_id(block) for block in lie.blocks]
            assert (shown, lie.certificate) != (ids, answer.certificate), kind
    assert lie_about_blocks(answer, "silent") == []
    with pytest.raises(AssertionError, match="no such"):
        lie_about_blocks(answer, "no such")
    assert stage.domain.epoch == Epoch(0)
