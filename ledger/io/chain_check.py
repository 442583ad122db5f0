"""The check of a chain store at opening: does its end agree with its own hashes?"""

from pathlib import Path

from ledger.core.chain_check import chain_fault
from ledger.core.errors import InvariantError
from ledger.core.genesis import Genesis
from ledger.io.chain_reader import ChainReader
from ledger.io.errors import StorageError, damaged

__all__ = ["verify_head"]


def verify_head(reader: ChainReader, genesis: Genesis, path: Path) -> None:
    """Compare the end of the chain with its hashes.

    Raises:
        StorageError: something stored is not what was written.
    """
    try:
        fault = chain_fault(reader, genesis) or reader.index_fault()
    except StorageError:
        raise
    except InvariantError as error:
        raise damaged(path, str(error)) from error
    if fault:
        raise damaged(path, fault)
