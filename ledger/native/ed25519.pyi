# Types of ed25519.pyx, where the functions are documented.

from collections.abc import Sequence

__all__ = [
    "implementation",
    "implementations",
    "is_small_order",
    "is_valid_point",
    "verify_batch",
    "verify_each",
    "verify_many",
    "verify_rows",
]

def implementation() -> str: ...
def implementations() -> tuple[str, ...]: ...
def is_small_order(public_key: bytes) -> bool: ...
def is_valid_point(public_key: bytes) -> bool: ...
def verify_batch(
    items: Sequence[tuple[bytes, bytes, bytes]], *, implementation: str | None = None
) -> bool: ...
def verify_each(
    items: Sequence[tuple[bytes, bytes, bytes]], *, implementation: str | None = None
) -> list[bool]: ...
def verify_many(
    items: Sequence[tuple[bytes, bytes, bytes]], *, implementation: str | None = None
) -> list[bool]: ...
def verify_rows(rows: bytes, message_bytes: int, *, implementation: str | None = None) -> bytes: ...
