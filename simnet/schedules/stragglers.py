"""Members that lack something: blocks, certificates, bytes, or the others' company."""

from consensus.core.catchup import CATCH_UP_TIMER
from consensus.core.dissemination import REBROADCAST_TIMER
from consensus.core.messages import BatchRequest, BlocksRequest, BlocksResponse, SyncInfo
from consensus.core.pacemaker import Pacemaker, Tuning
from ledger.core.ids import Round
from ledger.core.limits import INLINE_BYTES_MAX, ROUND_TIMEOUT_MS_MAX
from simnet.observer import PromiseError
from simnet.schedules.stage import Stage, anything, on_stage, post

__all__ = [
    "block_missing_while_locked",
    "bytes_missing_behind_a_certificate",
    "claims_that_go_back",
    "commit_of_an_unknown_block",
    "joining_the_others_timeout",
    "leader_that_was_behind",
]

_ROUNDS = 9


def leader_that_was_behind() -> Stage:
    """Give a leader nothing but a timeout certificate that demands a certificate it never saw.

    Source: asonnino/hotstuff ``TC``: it carried only rounds of certificates, so a leader that got
    it second-hand proposed something that everybody refused. Here it carries the certificate.
    """
    with on_stage({1: 0, 2: 0, 3: 3}) as stage:
        stage.start()
        stage.drop(post("sync"))
        stage.deliver(post("proposal 1"))
        stage.deliver(post("vote 1", to="012"))
        stage.drop(post("proposal 2"))
        stage.time_out(*"012")
        stage.deliver(post("timeout 2", to="012"))
        stage.drop(post("timeout"))
        stage.drop(post("vote"))
        stage.deliver(post("tc 2", to="3"))
        if stage.proposal(3).block.qc.round != 1:
            raise PromiseError("liveness", "the leader lacks the certificate it should propose on")
        stage.go_on()
        return stage


def block_missing_while_locked() -> Stage:
    """Let a member miss one block, and need it for every round, because another one is down.

    Source: relab/hotstuff 24 and 106, tendermint 861: the task of consensus waited for the block,
    so the node neither voted nor gave up. Here it goes on and asks for the block by its id.
    """
    with on_stage({2: 1}) as stage:
        stage.start()
        stage.drop(post("sync"))
        stage.drop(post("proposal 1", to="3"))
        stage.deliver(post("proposal 1"))
        stage.deliver(post("vote 1"))
        stage.crash("2")
        stage.deliver(post("proposal 2"))  # which 3 cannot vote for
        assert stage.record("3").acted_round < 2
        stage.time_out("3")
        assert stage.record("3").timed_round == 2, "it gives the round up without the block"
        stage.go_on()
        return stage


def commit_of_an_unknown_block() -> Stage:
    """Show a member that has nothing the proof that something is final.

    Source: tendermint 1575, 3003, 3815, PR 8195: a commit of an unknown block left the node stuck.
    """
    with on_stage({}) as stage:
        stage.start()
        stage.drop(post(to="3"))
        stage.flow(post(to="012"), rounds=4)
        assert stage.final("0")
        assert not stage.final("3")
        stage.drop(post("vote", to="3"))
        stage.drop(post("proposal", to="3"))
        stage.go_on()
        return stage


def claims_that_go_back() -> Stage:
    """Have the asked server claim much, then less, then nothing, and never answer.

    Source: CVE-2025-24371 (ASA-2025-001): a peer reported a height, then a lower one, and the
    syncing node waited for ever. A target here is a verified certificate, never a claim, and each
    question moves on to the next peer.
    """
    with on_stage(lambda round_: round_ % 3, faulty=(0,)) as stage:
        stage.start()
        stage.drop(post(to="3"))
        stage.flow(post(to="012"), rounds=6)
        stage.drop(post(to="3"))
        stage.drop(post("sync"))
        first, best = stage.record("3").high_qc, stage.record("0").high_qc
        stage.say(0, "3", SyncInfo(best, None), SyncInfo(first, None), BlocksResponse((), None))
        stage.drop(post(to="3"))
        stage.drop(post("blocksrequest", to="0"))
        asked: set[str] = set()
        for _ in range(4):
            stage.fire("3", CATCH_UP_TIMER.name)
            stage.drop(post("blocksrequest", to="0"))
            asked |= {p.receiver.name for p in stage.wire if isinstance(p.message, BlocksRequest)}
        if not asked & {"1", "2"}:
            raise PromiseError("liveness", "nobody but the liar was asked")
        stage.flow(post("blocksrequest"))
        stage.flow(post("blocksresponse", of="12"))
        if not stage.final("3"):
            raise PromiseError("liveness", "a server that went back keeps the node from syncing")
        stage.go_on()
        return stage


def joining_the_others_timeout() -> Stage:
    """Let f + 1 members give a round up while the others' timers have far to go, and cap timers.

    Source: besu 8307, 7642 (a timer of 4096 s), 6613, 9040: unbounded doubling, and restarted
    validators that did not rejoin. f + 1 timeouts are reason enough, and no timer passes the cap.
    """
    with on_stage({}) as stage:
        stage.start()
        stage.drop(anything)
        stage.time_out("0", "1")
        stage.deliver(post("timeout 1", to="23"))
        stage.deliver(post("timeout 1"))
        if [stage.round(name) for name in "0123"] != [2] * 4:
            raise PromiseError("liveness", "two timeouts of four did not end the round")
        far = Pacemaker(Tuning(), Round(10_000)).timer_ms(
            Round(1), leader_connected=True, idle=False
        )
        if far > ROUND_TIMEOUT_MS_MAX:
            raise PromiseError("liveness", f"a timer of {far} ms")
        stage.go_on()
        return stage


def bytes_missing_behind_a_certificate() -> Stage:
    """Order a batch by its certificate that one member has no bytes of, while its origin is gone.

    Source: MystenLabs/narwhal 286, PR 837, sui 5212, snarkOS 4412: "I know the digest" was taken
    for "I hold the bytes". Here nothing is executed before the bytes are there, and whoever
    acknowledged the batch is asked for them.
    """
    with on_stage({}) as stage:
        stage.start()
        stage.drop(anything)
        stage.submit("0", b"x" * (INLINE_BYTES_MAX + 1))
        stage.drop(post("batch", to="3"))
        stage.flow(post("batch"))
        stage.flow(post("ack"))
        stage.flow(post("certificate"))
        stage.time_out(*"0123")
        stage.flow(post("timeout"))
        stage.crash("0")
        stage.drop(post("batch"))
        for _ in range(3):
            stage.flow(lambda p: not isinstance(p.message, BatchRequest), rounds=_ROUNDS)
            stage.time_out(*(n for n in "123" if "round" in stage.timers[n]))
        orders = [b for b in stage.final("1") if b.payload]
        assert orders, "the batch is ordered without its origin"
        assert REBROADCAST_TIMER.name in stage.timers["3"]
        stage.machines["0"].start()
        stage.go_on()
        if any(len(stage.machines[name].storage.log) != 1 for name in "123"):
            raise PromiseError("availability", "a final batch is not executed everywhere")
        return stage
