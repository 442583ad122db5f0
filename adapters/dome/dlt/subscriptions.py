"""What a subscriber asked for, and which events that is."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from adapters.dome.dlt.events import Notification
from ledger.core.limits import (
    DLT_ENDPOINT_CHARS_MAX,
    DLT_EVENT_TYPES_MAX,
    EVENT_TYPE_CHARS_MAX,
    TAG_CHARS_MAX,
    TAGS_COUNT_MAX,
)

__all__ = ["ENVIRONMENTS", "SubscribeAllRequest", "SubscribeRequest", "Subscription"]

ENVIRONMENTS: Final = frozenset({"sbx", "prd", "dev"})

_Endpoint = Annotated[str, Meta(min_length=1, max_length=DLT_ENDPOINT_CHARS_MAX)]
_EventType = Annotated[str, Meta(min_length=1, max_length=EVENT_TYPE_CHARS_MAX)]
_Tag = Annotated[str, Meta(min_length=1, max_length=TAG_CHARS_MAX)]


class SubscribeRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of subscribe, and an item of the answer to GET; its members in that order."""

    event_types: Annotated[
        tuple[_EventType, ...], Meta(min_length=1, max_length=DLT_EVENT_TYPES_MAX)
    ]
    metadata: Annotated[tuple[_Tag, ...], Meta(min_length=1, max_length=TAGS_COUNT_MAX)]
    notification_endpoint: _Endpoint


class SubscribeAllRequest(msgspec.Struct, frozen=True, rename="camel"):
    """The body of subscribe/all."""

    notification_endpoint: _Endpoint


class Subscription(msgspec.Struct, frozen=True):
    """Who is told of what.

    Attributes:
        event_types: None for all.
    """

    endpoint: str
    event_types: tuple[str, ...] | None = None
    metadata: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What makes two subscriptions the same one: order and repetition do not matter."""
        types = None if self.event_types is None else sorted(set(self.event_types))
        return msgspec.json.encode([self.endpoint, types, sorted(set(self.metadata))]).decode()

    def wants(self, told: Notification) -> bool:
        """Say whether the subscriber is told of an event, whoever published it."""
        if self.event_types is not None and told.event_type not in self.event_types:
            return False
        return ENVIRONMENTS.intersection(self.metadata) <= set(told.relevant_metadata)
