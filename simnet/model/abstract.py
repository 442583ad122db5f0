"""The abstract protocol: the safety rules as formulas over rounds, stated a second time.

Every formula here is written with ``&``, ``|`` and comparisons only, so the same text is read in
two ways: on plain integers it judges what the real ``SafetyRules`` does at each explored step
(``simnet.model.world``), and on symbols it is the transition relation of the proof for any
number of rounds and validators (``simnet.model.proof``). It imports nothing of ``consensus``: a
specification that calls the code it specifies would agree with any bug.
"""

from typing import Any

__all__ = ["commits_parent", "is_justified", "may_report", "may_time_out", "may_vote"]

# An int or a bool, or a solver's expression of that sort: the solver's package has no types.
Term = Any


def is_justified(round_: Term, qc_round: Term, tc_round: Term, tc_max: Term) -> Term:
    """R-JUSTIFY. ``tc_round`` is -1 when the block carries no timeout certificate."""
    follows = (tc_round == -1) & (qc_round + 1 == round_)
    gap = (tc_round >= 0) & (qc_round + 1 < round_)
    given_up = (tc_round + 1 == round_) & (qc_round >= tc_max)
    return (qc_round < round_) & (follows | (gap & given_up))


def may_vote(acted_round: Term, round_: Term) -> Term:
    """R-ONCE and R-NO-VOTE-AFTER-TIMEOUT, given that both raise ``acted_round``."""
    return round_ > acted_round


def may_time_out(acted_round: Term, round_: Term) -> Term:
    """A round may be given up after a vote in it, never after acting in a later one."""
    return round_ >= acted_round


def may_report(lock_round: Term, round_: Term, reported: Term) -> Term:
    """R-REPORT: a timeout reports a certificate that is no older than the lock."""
    return (reported >= lock_round) & (reported < round_)


def commits_parent(round_: Term, qc_round: Term) -> Term:
    """R-CONSECUTIVE: a vote commits the parent iff their rounds are consecutive."""
    return qc_round + 1 == round_
