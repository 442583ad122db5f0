"""Forgetting old contents of a stopped member's ledger, as far as nobody needs them any more."""

from collections.abc import Callable
from typing import NamedTuple

from concordat.home import Home
from concordat.retention_holds import Hold, holds_of
from ledger.core.ids import Height
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_store import ChainStore
from ledger.io.store_copy import require_no_writer

__all__ = ["Keep", "Pruned", "prune_ledger"]


class Keep(NamedTuple):
    """What the operator wants to keep: all that either condition names.

    Attributes:
        events: so many of the newest. age_ms: those in blocks that are at most so old. None: no
            such condition.
        now_ms: the time by this machine's clock, since 1970. Where that is ahead of the last block
            ages count from the block: a wrong clock must not make everything old.
        without: names of validators that are not waited for.
    """

    events: int | None
    age_ms: int | None
    now_ms: int
    without: frozenset[str] = frozenset()


class Pruned(NamedTuple):
    """What was, or would be, forgotten.

    Attributes:
        first_before, first_held: the first sequence held, before and after.
        wanted: where it would be if nobody needed anything.
        log_size: events that the ledger ever had.
        held_back_by: who needs contents below ``wanted``, the lowest first.
        rows: deleted rows of the store.
    """

    first_before: int
    first_held: int
    wanted: int
    log_size: int
    held_back_by: list[Hold]
    rows: int


def prune_ledger(
    home: Home, keep: Keep, watch: Callable[[int], None], *, is_rehearsal: bool = False
) -> Pruned:
    """Forget what is older than ``keep`` and needed by nobody. The member must be stopped.

    Args:
        watch: told after each step how many rows it deleted.
        is_rehearsal: change nothing, only say what would be forgotten.

    Raises:
        HomeError: the member joined no network, or ``keep`` names no validator of it.
        Unavailable: a part of the member runs, or a database cannot be asked.
        StorageError: a store is damaged or cannot be written.
    """
    genesis = home.genesis()
    chain_dir = home.resolve(home.config.node.chain_dir)
    require_no_writer(chain_dir, "node")
    with ChainStore.open(chain_dir, genesis) as store:
        with store.read() as reader:
            wanted = _wanted(reader, keep)
            before, log_size = reader.first_held(), reader.head().log_size
            holds = holds_of(home, reader, keep.without)
        back = [hold for hold in holds if hold.position < wanted]
        limit = min([wanted, *(hold.position for hold in back)])
        first, rows = max(before, limit), 0
        if not is_rehearsal:
            pruner = store.pruner()
            first = pruner.forget_below(limit)
            for deleted in pruner.sweep() if first else ():
                rows += deleted
                watch(deleted)
    return Pruned(before, first, wanted, log_size, back, rows)


def _wanted(reader: ChainReader, keep: Keep) -> int:
    """Give the first sequence that the operator wants to keep."""
    head = reader.head()
    log_size, kept = head.log_size, [head.log_size]
    if keep.events is not None:
        kept.append(log_size - keep.events)
    if keep.age_ms is not None:
        kept.append(_first_since(reader, min(keep.now_ms, head.time_ms) - keep.age_ms))
    return max(0, min(kept))


def _first_since(reader: ChainReader, time_ms: int) -> int:
    height = reader.first_height_at(time_ms)
    if height is None:
        return reader.head().log_size
    before = reader.root(Height(height - 1)) if height > 0 else None
    return 0 if before is None else before.log_size
