"""One faulty member that says what it should not: forged, doubled, unjustified, out of time."""

import msgspec

from consensus.core.messages import (
    ProposalMessage,
    SyncInfo,
    TimeoutCertificateMessage,
    VoteMessage,
)
from ledger.core.block import Block, Proposal, block_id, block_message
from ledger.core.certificate import Vote
from ledger.core.ids import NodeIndex
from ledger.core.limits import BLOCK_DRIFT_MS_MAX
from simnet.actors.forgery import forge_certificate
from simnet.observer import PromiseError
from simnet.schedules.stage import Stage, anything, on_stage, post

__all__ = ["clock_ratchet", "doubled_signers", "doubled_votes", "missing_justification"]


def _signed(stage: Stage, like: Proposal, block: Block) -> ProposalMessage:
    signature = stage.signer(block.author).sign(block_message(block_id(block)))
    return ProposalMessage(msgspec.structs.replace(like, block=block, signature=signature))


def doubled_votes() -> Stage:
    """Say one vote many times, then a second one, to a member that holds one vote besides its own.

    Source: Galxe/gravity-sdk 732 and 727: votes of one kind were not kept per author, so a faulty
    member counted several times. Here a vote counts for its author's first choice, once.
    """
    with on_stage({1: 0}, faulty=(3,)) as stage:
        stage.start()
        stage.deliver(post("proposal 1", to="13"))
        (vote,) = {
            p.message.vote
            for p in stage.wire
            if isinstance(p.message, VoteMessage) and p.sender.name == "3"
        }
        other = Vote.make(stage.domain, vote.round, vote.block_id, None, stage.signer(3))
        stage.drop(post("vote 1", of="012"))
        stage.say(3, "1", *[VoteMessage(vote)] * 5, VoteMessage(other), *[VoteMessage(vote)] * 5)
        if stage.round("1") != 1:
            raise PromiseError("certificate", "a quorum was made of two members")
        stage.go_on()
        return stage


def doubled_signers() -> Stage:
    """Prove a round by certificates whose signers are repeated, too few or of other rounds.

    Source: besu 1736 (found by formal verification), PR 7875: duplicate prepares counted. Also
    CVE-2020-15091: signatures beyond the quorum, or for another block, were not verified.
    """
    with on_stage({}, faulty=(3,)) as stage:
        stage.start()
        stage.flow(anything, rounds=3)
        true = stage.record("0").high_qc
        stage.drop(anything)
        before = stage.round("1")
        ahead = msgspec.structs.replace(true, round=true.round + 5)
        own = Vote.make(stage.domain, ahead.round, ahead.block_id, ahead.commit, stage.signer(3))
        stray = tuple((NodeIndex(i), true.signatures[0][1]) for i in range(3))
        for kind in range(1, 9):
            forged = forge_certificate(kind, ahead, (own.signer, own.signature), stray)
            stage.say(3, "1", SyncInfo(forged, None))
        if stage.round("1") != before:
            raise PromiseError("certificate", "a forged certificate was taken")
        stage.go_on()
        return stage


def missing_justification() -> Stage:
    """Propose on an old certificate, with no reason or another round's reason to do so.

    Source: projnanda/nandatown 191 (the lock was not checked when the field was left out) and
    EspressoSystems/HotShot 3971. Every field is mandatory here, and R-JUSTIFY has no default.
    """
    with on_stage({4: 3}, faulty=(3,)) as stage:
        stage.start()
        stage.drop(post("sync"))
        for round_ in (1, 2):
            stage.deliver(post(f"proposal {round_}"))
            stage.deliver(post(f"vote {round_}"))
        (third,) = {p.message for p in stage.wire if p.label == "proposal 3"}
        assert isinstance(third, ProposalMessage)
        stage.drop(post("proposal 3"))
        stage.time_out(*"012")
        stage.deliver(post("timeout 3"))
        like = stage.proposal(4)
        stage.drop(post("proposal 4"))
        block, old = like.block, third.proposal.block
        for changed in (
            {"tc": None},
            {"tc": msgspec.structs.replace(block.tc, round=2) if block.tc else None},
            {"qc": old.qc, "parent_id": old.qc.block_id, "tc": None, "height": old.height},
            {"parent_id": old.parent_id[::-1]},
        ):
            wrong = msgspec.structs.replace(block, **changed)
            stage.say(3, "0", _signed(stage, like, wrong))
        vote = stage.record("0").last_vote
        if vote is not None and vote.round == 4:
            raise PromiseError("justification", "member 0 voted for an unjustified block")
        stage.say(3, "0", TimeoutCertificateMessage(block.tc) if block.tc else third)
        stage.go_on()
        return stage


def clock_ratchet() -> Stage:
    """Date each block of a faulty leader as late as is allowed, in every round that it leads.

    Source: harmony 5047, cometbft 2521, diem 1521: skewed leaders moved the chain's time ahead,
    each by one more tolerance. The bound is the voter's clock and not the parent's time, so chain
    time is never more than one tolerance ahead of an honest clock.
    """
    with on_stage(lambda round_: 3 if round_ % 2 else 0, faulty=(3,)) as stage:
        stage.start()
        ahead = stage.machines["3"]
        for _ in range(10):
            stage.drop(post("sync"))
            (round_,) = {stage.round(name) for name in "012"}
            block = stage.proposal(round_).block
            ahead.clock_us += (block.time_ms + BLOCK_DRIFT_MS_MAX - 200 - ahead.now_ms) * 1_000
            stage.deliver(post(f"proposal {round_}"))
            stage.deliver(post(f"vote {round_}"))
            if stage.round("0") == round_:
                stage.time_out(*"012")
                stage.deliver(post(f"timeout {round_}"))
        latest = max(block.time_ms for name in "012" for block in stage.final(name))
        if latest > max(stage.machines[name].now_ms for name in "012") + BLOCK_DRIFT_MS_MAX:
            raise PromiseError("time", "the chain's time ran away from the clocks")
        return stage
