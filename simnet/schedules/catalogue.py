"""The schedules that there are, and the broken rules that each of them must notice."""

from collections.abc import Callable
from typing import Final

from simnet.schedules import gaps, liars, power, stragglers
from simnet.schedules.stage import Stage

__all__ = ["NOTICES", "SCHEDULES"]

SCHEDULES: Final[dict[str, Callable[[], Stage]]] = {
    "gapped_branches": gaps.gapped_branches,
    "ancestors_behind_gaps": gaps.ancestors_behind_gaps,
    "certificate_newer_than_the_record": power.certificate_newer_than_the_record,
    "amnesia": power.amnesia,
    "vote_that_never_left": power.vote_that_never_left,
    "proposal_that_never_left": power.proposal_that_never_left,
    "power_cut_after_timeouts": power.power_cut_after_timeouts,
    "rebroadcast_after_giving_up": power.rebroadcast_after_giving_up,
    "doubled_votes": liars.doubled_votes,
    "doubled_signers": liars.doubled_signers,
    "missing_justification": liars.missing_justification,
    "clock_ratchet": liars.clock_ratchet,
    "leader_that_was_behind": stragglers.leader_that_was_behind,
    "block_missing_while_locked": stragglers.block_missing_while_locked,
    "commit_of_an_unknown_block": stragglers.commit_of_an_unknown_block,
    "claims_that_go_back": stragglers.claims_that_go_back,
    "joining_the_others_timeout": stragglers.joining_the_others_timeout,
    "bytes_missing_behind_a_certificate": stragglers.bytes_missing_behind_a_certificate,
}

NOTICES: Final[tuple[tuple[str, str], ...]] = (
    ("gapped_branches", "commits_over_a_gap"),
    ("ancestors_behind_gaps", "ancestors_in_the_wrong_order"),
    ("ancestors_behind_gaps", "blocks_delivered_twice"),
    ("certificate_newer_than_the_record", "a_record_that_is_not_kept"),
    ("amnesia", "a_record_that_is_not_kept"),
    ("amnesia", "votes_forgotten_at_restart"),
    ("vote_that_never_left", "votes_forgotten_at_restart"),
    ("proposal_that_never_left", "several_proposals_a_round"),
    ("power_cut_after_timeouts", "a_timeout_certificate_forgotten_at_restart"),
    ("rebroadcast_after_giving_up", "votes_after_a_timeout"),
    ("doubled_signers", "duplicate_signers_counted"),
    ("doubled_signers", "certificates_not_verified"),
    ("missing_justification", "unjustified_blocks_accepted"),
    ("clock_ratchet", "any_time_is_accepted"),
    ("block_missing_while_locked", "no_certified_block_is_asked_for"),
    ("commit_of_an_unknown_block", "no_catching_up"),
    ("claims_that_go_back", "only_one_peer_is_asked"),
    ("joining_the_others_timeout", "no_bracha_join"),
    ("bytes_missing_behind_a_certificate", "no_fetching"),
    ("bytes_missing_behind_a_certificate", "a_digest_is_a_batch"),
)
"""(schedule, mutant of ``simnet.mutants``): with the rule broken, the schedule must fail."""
