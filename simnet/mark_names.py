"""The names of marks, states that runs should reach, and what each means."""

from typing import Final

__all__ = ["FULL_MARKS", "MARKS"]

MARKS: Final[dict[str, str]] = {
    "view change": "a round was entered by a timeout certificate",
    "timeout certificate": "a machine formed one",
    "proposal after view change": "a leader proposed with a timeout certificate",
    "lock kept": "a machine voted over a view change for a child of the block that it had locked",
    "lock raised": "a machine voted over a view change for a newer parent than it had locked",
    "late certificate": "a round that was given up was certified all the same",
    "joined": "f + 1 timeouts of others made a machine give the round up",
    "timeout repeated": "a machine said its timeout again",
    "straggler helped": "a machine was sent the proof of a later round",
    "several final at once": "a certificate committed more than one block",
    "synced by blocks": "a machine applied blocks that a peer served",
    "proposal fetched": "a machine got a block that it had asked for by its id",
    "batch fetched": "a machine got a batch that it had asked for",
    "own batch recovered": "the origin of a batch lost it and got it back from a peer",
    "batch sent again": "an own batch was not ordered in time",
    "batch certified": "a quorum acknowledged a batch",
    "inline batch": "a proposal carried the bytes of a batch",
    "certified batch": "a proposal carried the certificate of a batch",
    "empty flush": "a leader proposed nothing, to make something final",
    "idle heartbeat": "a leader proposed nothing, because nothing had happened for a while",
    "duplicate refused": "an entry was refused because it was waiting already",
    "duplicate ordered": "a batch was ordered whose entries were all in the log",
    "full flight": "as many own batches as may be were on the way",
    "leader passed over": "the schedule left a member out",
    "fork": "one machine saw two blocks of one round",
    "two votes": "one machine saw two votes of one member in one round",
    "evidence": "a machine kept evidence of a contradiction",
    "penalty": "a machine penalised a peer",
    "crash before sending": "a machine crashed after it kept what it signed, before that left",
    "vote sent again": "a machine started again and sent its vote of the round again",
    "proposal sent again": "a machine started again and sent its block of the round again",
    "timeout sent again": "a machine started again and sent its timeout of the round again",
    "all down": "no machine was up",
    "partition held votes": "a vote was held back by a partition",
    "vote of the past": "a vote came when its receiver was at least three rounds further",
    "clock jump of the leader": "the clock of the leader of the round jumped",
    "write failed": "the disk failed while a record was written, and the machine stopped",
    "record lost": "a machine started without its safety record",
    "sat out": "a machine that had lost its record was safe again",
    "chain lost": "a machine started without its chain",
    "old record put back": "a machine started with an old safety record",
    "entry refused": "admission refused an entry",
    "members changed": "governors changed the members of whole nodes",
    "member left": "a machine whose member was removed ended, because nobody needed it any more",
    "subscriber resumed": "a subscriber crashed and began again at its cursor",
    "subscriber moved": "a subscriber went on at another member",
}

FULL_MARKS: Final = frozenset(
    {
        "duplicate refused",
        "entry refused",
        "member left",
        "members changed",
        "subscriber moved",
        "subscriber resumed",
    }
)
"""Those that only runs of whole nodes can reach."""
