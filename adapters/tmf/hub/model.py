"""A registration of the hub, and how its deliveries go: the values that the hub's parts share."""

from typing import Literal

import msgspec

from adapters.tmf.caller import Caller

__all__ = ["Delivery", "Progress", "Registration", "State"]

Delivery = Literal["raw", "listener"]
"""Where events are posted: to the callback itself, or to ``/listener/<event>`` below it."""

State = Literal["active", "failing", "ended"]


class Registration(msgspec.Struct, frozen=True):
    """Who wants which events where.

    Attributes:
        api: name of the API at whose hub it stands.
        callback: absolute URL.
        query: as the client wrote it; empty for all events of the API.
        owner: who registered; only what this caller may see is told.
        created_ms: Unix time.
    """

    id: str
    api: str
    callback: str
    query: str
    owner: Caller
    created_ms: int


class Progress(msgspec.Struct, frozen=True):
    """How far a registration is.

    Attributes:
        position: the number in the journal up to which everything is told or is not for it.
        state: "failing" while the newest attempts failed, "ended" when there will be none.
        attempts: failed in a row.
        error: what the newest attempt met; empty when it went well.
        failing_since_ms: when the first of them failed; 0 for none.
        retry_at_ms: when the next is due; 0 for none.
        told_ms: when an event was last delivered; 0 for never.
    """

    position: int
    state: State = "active"
    attempts: int = 0
    error: str = ""
    failing_since_ms: int = 0
    retry_at_ms: int = 0
    told_ms: int = 0
