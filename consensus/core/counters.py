"""What the core counts. Read by metrics and status; decides nothing."""

from dataclasses import dataclass, field

from ledger.core.errors import Offence

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    """Totals since the start of the process."""

    rounds: int = 0
    timeouts: int = 0
    timeout_certificates: int = 0
    proposals_sent: int = 0
    votes_sent: int = 0
    blocks_committed: int = 0
    events_executed: int = 0
    batches_sent: int = 0
    batches_received: int = 0
    batches_refused: int = 0
    entries_submitted: int = 0
    entries_refused: int = 0
    blocks_synced: int = 0
    root_mismatches: int = 0
    evidence: int = 0
    leader_timeouts: dict[str, int] = field(default_factory=dict)  # by the leader's name
    peer_faults: dict[Offence, int] = field(default_factory=dict)

    def give_up(self, leader: str) -> None:
        """Count a round that this validator gave up, and the name of who led it."""
        self.timeouts += 1
        self.leader_timeouts[leader] = self.leader_timeouts.get(leader, 0) + 1
