"""Checking what a gateway sent against genesis, with as few proofs as possible.

Owns which proofs are needed and what they must show. Events of a filtered log need a proof each.
Of an unfiltered log one proof for each *batch* is enough: the left siblings on the inclusion path
of its last event are, by RFC 9162, exactly the roots of the complete subtrees over all events
before it, so comparing them with those that the reader computed shows every event of the batch.

A failed check changes nothing here. Every event's own signature is verified too.
"""

from collections.abc import Mapping, Sequence

from ledger.core.errors import ProofError
from ledger.core.event import signature_check
from ledger.core.ids import EventId
from ledger.core.merkle import leaf_hash, node_hash
from ledger.core.proof import ProofBundle, VerifiedEvent, Verifier
from ledger.core.signing import verify_many
from pubsub.core.cloudevents import ReceivedEvent

__all__ = ["LogChecker", "check_signatures"]


def check_signatures(events: Sequence[ReceivedEvent], chain_id: str) -> None:
    """Check that publishers signed events for this network.

    Raises:
        ProofError: one did not.
    """
    if any(event.opened.event.chain_id != chain_id for event in events):
        raise ProofError("an event is for another network")
    if not all(verify_many([signature_check(event.opened) for event in events])):
        raise ProofError("a publisher's signature is wrong")


class _Frontier:
    """The complete subtrees over the first ``size`` leaves, largest first."""

    __slots__ = ("peaks", "size")

    def __init__(self, size: int, peaks: Sequence[bytes]) -> None:
        self.size = size
        self.peaks = list(peaks)

    def append(self, leaf: bytes) -> None:
        """Add the next leaf."""
        self.peaks.append(leaf)
        self.size += 1
        # Two subtrees of one height become one: as often as the new size is even, halved.
        merges = (self.size & -self.size).bit_length() - 1
        for _ in range(merges):
            right = self.peaks.pop()
            self.peaks.append(node_hash(self.peaks.pop(), right))

    def copy(self) -> "_Frontier":
        return _Frontier(self.size, self.peaks)


class LogChecker:
    """Checks the batches of one reader, in order."""

    __slots__ = ("_frontier", "_is_complete", "_verifier")

    def __init__(self, verifier: Verifier, *, is_complete: bool) -> None:
        """Check with ``verifier``; ``is_complete`` says that no event is left out."""
        self._verifier = verifier
        self._is_complete = is_complete
        self._frontier: _Frontier | None = None

    def wanted(self, events: Sequence[ReceivedEvent]) -> list[EventId]:
        """Give the events of a batch whose proofs :meth:`check` needs."""
        if not events or not self._is_complete:
            return [event.opened.id for event in events]
        ends = [events[0], events[-1]] if self._begins_inside(events) else [events[-1]]
        return list(dict.fromkeys(event.opened.id for event in ends))

    def check(
        self, events: Sequence[ReceivedEvent], bundles: Mapping[EventId, ProofBundle]
    ) -> None:
        """Check a batch with the proofs that were :meth:`wanted`.

        Raises:
            ProofError: an event is not in the ledger as it was sent.
        """
        if not events:
            return
        if not self._is_complete:
            for event in events:
                self._verify(event, bundles[event.opened.id])
            return
        frontier = self._check_ends(events, bundles)
        check_signatures(events, self._verifier.chain_id)
        self._frontier = frontier

    def _begins_inside(self, events: Sequence[ReceivedEvent]) -> bool:
        """Say whether these are the first events read, and not the first of the log."""
        return self._frontier is None and events[0].sequence != 0

    def _check_ends(
        self, events: Sequence[ReceivedEvent], bundles: Mapping[EventId, ProofBundle]
    ) -> _Frontier:
        """Show that the batch is what the log holds there; give the frontier after it."""
        first, last = events[0], events[-1]
        if self._begins_inside(events):
            bundle = bundles[first.opened.id]
            start = self._verify(first, bundle).sequence
            frontier = _Frontier(start, _left_siblings(bundle))
        else:
            frontier = _Frontier(0, ()) if self._frontier is None else self._frontier.copy()
        bundle = bundles[last.opened.id]
        self._verify(last, bundle)
        for event in events[:-1]:
            frontier.append(leaf_hash(event.opened.entry))
        if frontier.peaks != _left_siblings(bundle):
            raise ProofError(f"the ledger holds other events before {last.sequence}")
        frontier.append(leaf_hash(last.opened.entry))
        return frontier

    def _verify(self, event: ReceivedEvent, bundle: ProofBundle) -> VerifiedEvent:
        verified = self._verifier.verify(bundle)
        if verified.entry != event.opened.entry or verified.sequence != event.sequence:
            raise ProofError(f"the proof is not of the event sent as {event.sequence}")
        return verified


def _left_siblings(bundle: ProofBundle) -> list[bytes]:
    """Give the siblings on the left of a path that was verified, the largest subtree first."""
    left: list[bytes] = []
    siblings = iter(bundle.path)
    last_leaf = bundle.root.log_size - 1
    for level in range(last_leaf.bit_length()):
        node, last = bundle.sequence >> level, last_leaf >> level
        if node & 1:
            left.append(next(siblings))
        elif node < last:
            next(siblings)
    left.reverse()
    return left


def is_fork(error: ProofError) -> bool:
    """Say whether proofs that hold contradict each other: evidence that no gateway can mend."""
    return str(error).startswith("fork:")
