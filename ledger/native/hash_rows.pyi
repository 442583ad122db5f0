# Types of hash_rows.pyx, where the functions are documented.

from collections.abc import Iterator, Sequence
from typing import Final

from ledger.native.scan import Scan

__all__ = ["ROW_BYTES", "event_hash_rows", "keyed_hash", "merge_rows", "number_at"]

ROW_BYTES: Final[int]

def event_hash_rows(scan: Scan, first: int, key: bytes, mask: int) -> bytes: ...
def keyed_hash(value: bytes, key: bytes) -> int: ...
def merge_rows(
    sources: Sequence[Iterator[bytes | memoryview]], after: bytes, rows_max: int, chunk_rows: int
) -> list[bytes]: ...
def number_at(rows: bytes | memoryview, hash_: int, at_least: int) -> int: ...
