"""Mutants of what a voter checks, and of batches."""

from typing import Any, Final

from consensus.core.batchbook import BatchBook, HeldBatch
from consensus.core.dissemination import Dissemination
from consensus.core.effects import StoreBatch
from consensus.core.proposing import Judge
from ledger.core.certificate import BatchCertificate
from ledger.core.ids import BatchId
from simnet.mutants.mutant import Patch, Registry

__all__ = ["registry"]

registry: Final = Registry()

_CHECKS = "roots, time, what a voter checks"


def _ignore_obstacles(patch: Patch, *words: str) -> None:
    """Let a voter overlook the obstacles whose sentence holds one of ``words``."""
    original = Judge.obstacle

    def obstacle(self: Judge, *args: Any) -> str:  # noqa: ANN401
        found = original(self, *args)
        return "" if any(word in found for word in words) else found

    patch.set(Judge, "obstacle", obstacle)


@registry.breaks(_CHECKS, actor="false_header")
def another_root_is_accepted(patch: Patch) -> None:
    """Vote for a block whose ledger root is not one's own."""
    _ignore_obstacles(patch, "ROOT MISMATCH")


@registry.breaks(_CHECKS, actor="time_ratchet")
def any_time_is_accepted(patch: Patch) -> None:
    """Vote for a block of any time."""
    _ignore_obstacles(patch, "the block's time")


@registry.breaks("batches")
def batches_never_sent_again(patch: Patch) -> None:
    """Send a batch once only."""
    patch.set(Dissemination, "on_rebroadcast_timer", lambda _self, _now: None)


@registry.breaks("batches", schedule="bytes_missing_behind_a_certificate")
def a_digest_is_a_batch(patch: Patch) -> None:
    """Take a batch for available as soon as its digest is known."""
    original = BatchBook.is_available

    def is_available(self: BatchBook, id_: BatchId) -> bool:
        return id_ in self.held or id_ in self.certified or original(self, id_)

    patch.set(BatchBook, "is_available", is_available)


@registry.breaks("batches")
def acknowledged_before_it_is_stored(patch: Patch) -> None:
    """Acknowledge a batch while it is being written."""

    def store(self: Dissemination, id_: BatchId, held: HeldBatch) -> None:
        if held.state == "valid" and held.encoded is not None:
            held.state = "storing"
            self._outbox.add(StoreBatch(id_, held.encoded))
            self._acknowledge(id_, held)

    patch.set(Dissemination, "_store", store)


@registry.breaks("batches", actor="forger")
def batch_certificates_not_verified(patch: Patch) -> None:
    """Believe every certificate of a batch."""
    patch.set(BatchCertificate, "verify", lambda _self, _domain: None)
