"""Digests. Content is named by BLAKE3-256 in derive-key mode, one context for each kind.

Two kinds of content can therefore never share a digest, whatever their bytes are. The Merkle
log alone uses SHA-256, as RFC 6962 asks, so that standard transparency-log tools can check it.
"""

from collections.abc import Callable
from functools import partial

from blake3 import blake3

__all__ = ["Digest", "derivation_context", "derived_digest"]

Digest = Callable[[bytes], bytes]


def _digest(context: str, data: bytes) -> bytes:
    return blake3(data, derive_key_context=context).digest()


def derivation_context(kind: str) -> str:
    """Give the BLAKE3 context of one kind of content."""
    return f"concordat v1 {kind}"


def derived_digest(kind: str) -> Digest:
    """Give the digest function (bytes -> 32 bytes) of one kind of content."""
    return partial(_digest, derivation_context(kind))
