"""Giving the disk back what a chain store does not use: free pages, and dead bytes of batch files.

Owns which batches move to new files: those in files that hold bytes to which no row refers. That is
done in the copy, before it takes the store's place. Its files are second names of the store's own,
so nothing is appended to those: what moves goes to files of new numbers.
"""

from collections import Counter
from pathlib import Path

from ledger.core.genesis import Genesis
from ledger.io.batch_appender import BatchAppender, bytes_on_disk
from ledger.io.batch_files import End
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import BATCH_END_KEY, Tables
from ledger.io.chain_store import ChainStore
from ledger.io.environment import Environment
from ledger.io.store_copy import Watch, compact_store
from ledger.io.store_files import files_of

__all__ = ["compact_chain"]


def compact_chain(path: Path, genesis: Genesis, watch: Watch) -> int:
    """Rewrite a store that nobody uses without what it does not use; give the bytes won.

    Raises:
        Unavailable, StorageError: as ``compact_store``.
    """

    def check(copy: Path) -> None:
        environment = Environment.open(copy, "chain")
        try:
            _repack(environment, Tables(environment, create=False))
        finally:
            environment.close()
        ChainStore.open(copy, genesis).close()

    return compact_store(path, "chain", check, watch)


def _repack(environment: Environment, tables: Tables) -> None:
    """Move batches out of files with dead bytes, and delete those."""
    files = tables.batch_files
    sizes = {int(name): size for name, size in files_of(environment.path).items()}
    if not sizes:
        return
    with environment.write() as transaction:
        reader = ChainReader(environment.path, tables, transaction, {})
        places, end = reader.places(), reader.batch_end()
        live: Counter[int] = Counter()
        for place in places.values():
            live[place.file] += bytes_on_disk(place.length)
        wasteful = {number for number, size in sizes.items() if size > live[number]}
        # A new file in any case: the last one has a second name until the old store is removed.
        end = End(max(end.file, *sizes) + 1, 0)
        appender = BatchAppender(files)
        try:
            moving = sorted((p, id_) for id_, p in places.items() if p.file in wasteful)
            if moving:
                appender.begin(end)
            for place, id_ in moving:
                moved = appender.append(files.read(place, 0, place.length))
                transaction.put(id_, moved.pack(), db=tables.batches)
            if moving:
                end = appender.sync()
        finally:
            appender.close()
        transaction.put(BATCH_END_KEY, end.pack(), db=tables.meta)
    files.delete(wasteful)
