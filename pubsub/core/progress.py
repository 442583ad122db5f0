"""The plain answer to "why is there no progress?", from what a gateway can see."""

from typing import Final, Literal

import msgspec

from ledger.core.limits import GATEWAY_STALL_MS
from pubsub.core.documents import ChainStatus, Progress

__all__ = ["explain_progress"]

_State = Literal["ok", "stalled", "behind"]

# The first word of the node's own sentence, see consensus/core/status.py.
_STATES: Final[dict[str, _State]] = {
    "ok": "ok",
    "syncing": "behind",
    "executing": "behind",
    "sitting out": "stalled",
    "halted": "stalled",
    "slow": "stalled",
}


class _NodeView(msgspec.Struct):
    """The part of the node's status document that is read here; the rest is handed on."""

    progress: str = ""


_decode = msgspec.json.Decoder(_NodeView).decode


def explain_progress(
    chain: ChainStatus | None, store_error: str | None, node: bytes | None, node_error: str | None
) -> Progress:
    """Say whether the chain grows, and if not why and what to do.

    Args:
        chain: what the store holds, or None with ``store_error``.
        node: the node's status document, or None with ``node_error``.
    """
    if chain is None:
        return Progress(
            "store_missing",
            f"The chain store cannot be read: {store_error}. Check that the node was set up and "
            "that this gateway may read its data directory.",
        )
    if node is None:
        return Progress(
            "node_down",
            f"This member's node does not answer ({node_error}), so nothing can be published "
            f"here. Reading goes on from the store, which ends at height {chain.height}. Start "
            "the node; it catches up by itself.",
        )
    sentence = _sentence(node)
    if not sentence:
        return _by_age(chain)
    return Progress(_STATES.get(sentence.partition(":")[0], "stalled"), _readable(sentence))


def _sentence(node: bytes) -> str:
    """Give the node's own explanation, or nothing when it has none that can be read."""
    try:
        return _decode(node).progress
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return ""


def _readable(sentence: str) -> str:
    if sentence == "ok":
        return "Blocks become final without delay."
    return sentence[0].upper() + sentence[1:] + "."


def _by_age(chain: ChainStatus) -> Progress:
    if chain.age_ms <= GATEWAY_STALL_MS:
        return Progress("ok", "Blocks become final without delay.")
    return Progress(
        "stalled",
        f"The newest final block, at height {chain.height}, is {chain.age_ms // 1000} s old. More "
        "than two thirds of the validators must be up and reach each other.",
    )
