# Types of scan_rows.pyx, where the functions are documented.

from collections.abc import Callable, Sequence
from typing import TypeAlias

from ledger.native.scan import Scan

__all__ = ["field_rows", "id_rows", "log_rows", "number_keys"]

Rows: TypeAlias = list[tuple[bytes, bytes]]

def field_rows(
    scan: Scan,
    name: str,
    numbers: list[bytes],
    bytes_max: int,
    digest: Callable[[bytes], bytes],
) -> Rows: ...
def id_rows(scan: Scan, numbers: list[bytes]) -> Rows: ...
def log_rows(
    scan: Scan, numbers: list[bytes], batch_ids: Sequence[bytes], height: bytes
) -> Rows: ...
def number_keys(first: int, count: int) -> list[bytes]: ...
