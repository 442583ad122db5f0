# Types of merkle.pyx, where the functions are documented.

from collections.abc import Sequence

from ledger.native.scan import Scan

__all__ = [
    "implementation",
    "implementations",
    "leaf_hashes",
    "node_hashes",
    "scanned_leaf_hashes",
    "subtree_root",
]

def implementation() -> str: ...
def implementations() -> tuple[str, ...]: ...
def leaf_hashes(entries: Sequence[bytes], *, implementation: str | None = None) -> bytes: ...
def node_hashes(pairs: bytes, *, implementation: str | None = None) -> bytes: ...
def scanned_leaf_hashes(scan: Scan, *, implementation: str | None = None) -> bytes: ...
def subtree_root(hashes: bytes, *, implementation: str | None = None) -> bytes: ...
