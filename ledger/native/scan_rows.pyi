# Types of scan_rows.pyx, where the functions are documented.

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ledger.native.scan import Scan

__all__ = ["log_rows", "posting_rows"]

Rows: TypeAlias = list[tuple[bytes, bytes]]

def log_rows(
    scan: Scan, first: int, batch_ids: Sequence[bytes], height: bytes, places_max: int
) -> Rows: ...
def posting_rows(
    scan: Scan,
    name: str,
    first: int,
    numbers_max: int,
    bytes_max: int,
    digest: Callable[[bytes], bytes],
) -> Rows: ...
