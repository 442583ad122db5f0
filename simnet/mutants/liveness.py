"""Mutants of the rules of liveness: rounds, timers, repeating, catching up."""

from collections.abc import Callable
from typing import Any, Final

from consensus.core.agreement import Agreement
from consensus.core.catchup import CatchUp
from consensus.core.leader import LeaderSchedule
from consensus.core.pacemaker import Pacemaker
from consensus.core.proposing import Proposer
from consensus.core.stragglers import Stragglers
from consensus.core.votes import TimeoutCollector
from ledger.core.ids import NodeIndex
from simnet.mutants.mutant import Patch, Registry

__all__ = ["registry"]

registry: Final = Registry()

_ROUNDS = "repeated timeouts, Bracha join, late QC, sync info"


def _never(*_args: object) -> None:
    """Do nothing."""


@registry.breaks(_ROUNDS, seeds=400)
def timeouts_said_once(patch: Patch) -> None:
    """Never say a timeout again: a lost one stops the network."""
    patch.set(Pacemaker, "resend_ms", property(lambda _self: 10**9))


@registry.breaks(_ROUNDS, schedule="joining_the_others_timeout")
def no_bracha_join(patch: Patch) -> None:
    """Wait for one's own timer, whatever f + 1 others say."""
    patch.set(TimeoutCollector, "count", property(lambda _self: 0))


@registry.breaks(_ROUNDS, mark="straggler helped", seeds=60)
def no_sync_info(patch: Patch) -> None:
    """Prove one's round to nobody."""
    patch.set(Stragglers, "prove_round_to", _never)


@registry.breaks("flush, idle, timers")
def no_flushing(patch: Patch) -> None:
    """Without a payload, never propose."""
    patch.set(Proposer, "_pause_ms", lambda _self, _path: 10**9)
    patch.set(Agreement, "on_idle_timer", _never)


@registry.breaks("flush, idle, timers")
def no_round_timer(patch: Patch) -> None:
    """Never give a round up by oneself."""
    patch.set(Agreement, "on_round_timer", _never)


@registry.breaks("leader schedule", actor="silent_leader")
def one_leader_for_ever(patch: Patch) -> None:
    """Let the same member lead every round."""
    patch.set(LeaderSchedule, "leader", lambda _self, _round: NodeIndex(0))


@registry.breaks("catching up")
def no_catching_up(patch: Patch) -> None:
    """Never ask for committed blocks."""
    patch.set(CatchUp, "on_unreachable_commit", _never)


@registry.breaks("catching up")
def no_fetching(patch: Patch) -> None:
    """Never ask for batches that a final block names."""
    patch.set(CatchUp, "fetch_batches", _never)


@registry.breaks("catching up", schedule="claims_that_go_back")
def only_one_peer_is_asked(patch: Patch) -> None:
    """Ask the same peer again and again."""
    ask: Callable[..., Any] = CatchUp._ask

    def stubborn(self: CatchUp, message: Any) -> None:  # noqa: ANN401
        self._turn = 0
        ask(self, message)

    patch.set(CatchUp, "_ask", stubborn)


@registry.breaks("catching up")
def no_certified_block_is_asked_for(patch: Patch) -> None:
    """Never ask for a certified block that did not come."""
    patch.set(CatchUp, "on_missing_block", _never)
    patch.set(CatchUp, "_missing_block", _never)
