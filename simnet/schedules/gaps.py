"""Branches with gaps in their rounds: the two-chain rule without consecutive rounds is unsafe."""

from simnet.schedules.stage import Stage, on_stage, post

__all__ = ["ancestors_behind_gaps", "gapped_branches"]


def gapped_branches() -> Stage:
    """Certify two branches in alternating rounds, each certificate known to one member at first.

    Source: relab/hotstuff PR 55 (Fast-HotStuff) and issue 249. A chain of two certified blocks
    was final there whatever their rounds. The published schedule takes 11 views, because votes go
    to the next leader alone; here votes go to all, so the network holds them back (0 twins, nobody
    faulty). Committing the parent over a gap makes A1 final for member 0 and B2 for the others.
    R-CONSECUTIVE: neither is final, and both histories go on as one.
    """
    with on_stage({1: 3, 2: 2, 3: 0, 4: 1}) as stage:
        stage.start()
        stage.drop(post("sync"))
        stage.deliver(post("proposal 1"))  # A1 of member 3: all vote, 0 alone sees the votes
        stage.deliver(post("vote 1", to="0"))
        stage.time_out("1", "2", "3")
        stage.deliver(post("timeout 1", to="123"))
        stage.deliver(post("proposal 2", to="13"))  # B2 of member 2, on genesis
        stage.deliver(post("vote 2", of="123", to="1"))
        assert (stage.round("0"), stage.round("1"), stage.round("2")) == (2, 3, 2)
        stage.time_out("0", "2", "3")
        stage.deliver(post("timeout 2", of="023", to="023"))
        stage.deliver(post("proposal 3", to="23"))  # A3 of member 0, on A1
        stage.deliver(post("vote 3", of="23", to="0"))
        assert (stage.round("0"), stage.round("2")) == (4, 3)
        stage.time_out("1", "2", "3")
        stage.deliver(post("timeout 3", of="123", to="123"))
        stage.deliver(post("proposal 4", to="23"))  # B4 of member 1, on B2
        stage.deliver(post("vote 4", of="123", to="123"))
        assert [stage.round(name) for name in "123"] == [5, 5, 5]
        assert not any(stage.final(name) for name in "0123"), "nothing is final over a gap"
        stage.go_on()
        return stage


def ancestors_behind_gaps() -> Stage:
    """Let several blocks with gaps between them wait for one certificate that commits them all.

    Source: asonnino/hotstuff core.rs ``commit`` at dc01ac8. Pending ancestors were delivered in
    the wrong order, and a block that was final already once more after skipped rounds. Commit
    follows parent links down to the head, each block once.
    """
    with on_stage({}) as stage:
        stage.start()
        for round_ in range(1, 7):
            stage.drop(post("sync"))
            if round_ in (1, 3, 5, 6):
                stage.deliver(post(f"proposal {round_}"))
                stage.deliver(post(f"vote {round_}"))
            else:
                stage.drop(post(f"proposal {round_}"))
                stage.time_out(*"0123")
                stage.deliver(post(f"timeout {round_}"))
        assert [b.round for b in stage.final("0")] == [1, 3, 5]
        stage.go_on()
        return stage
