"""Digests and batches, each computed once in a run however many machines ask for it.

Each real machine hashes the same blocks, votes and batches. Here they share a process, and the same
bytes have the same digest everywhere.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final, TypeVar

import ledger.core.block as blocks
import ledger.core.certificate as certificates

__all__ = ["remembered_digests"]

_KEPT_MAX: Final = 4_096
_DIGESTS: Final = (
    (blocks, ("_batch_digest", "_block_digest", "_root_digest")),
    (certificates, ("_vote_digest", "_timeout_digest", "_ack_digest")),
)

T = TypeVar("T")


class _Codec:
    """Stands in for the codec of batches; values are frozen, so machines may share them."""

    def __init__(self, decode: Callable[[bytes], object]) -> None:
        self.decode = decode


def _remembered(function: Callable[[bytes], T]) -> Callable[[bytes], T]:
    """Give the function with a memory of its results; what it refuses it refuses each time."""
    known: dict[bytes, T] = {}

    def remembering(data: bytes) -> T:
        result = known.get(data)
        if result is None:
            if len(known) >= _KEPT_MAX:
                known.clear()
            result = known[data] = function(data)
        return result

    return remembering


@contextmanager
def remembered_digests() -> Iterator[None]:
    """Remember digests and decoded batches within the context."""
    with ExitStack() as undo:
        for module, names in _DIGESTS:
            for name in names:
                undo.callback(vars(module).__setitem__, name, vars(module)[name])
                vars(module)[name] = _remembered(vars(module)[name])
        codec = blocks._batch_codec
        undo.callback(vars(blocks).__setitem__, "_batch_codec", codec)
        vars(blocks)["_batch_codec"] = _Codec(_remembered(codec.decode))
        yield
