# Types of blake3.pyx, where the functions are documented.

from collections.abc import Sequence

__all__ = ["hash_many", "hash_records", "implementation", "implementations"]

def hash_many(
    items: Sequence[bytes], context: str | None, *, implementation: str | None = None
) -> bytes: ...
def hash_records(
    records: bytes, size: int, context: str | None, *, implementation: str | None = None
) -> bytes: ...
def implementation() -> str: ...
def implementations() -> tuple[str, ...]: ...
