"""Interests as predicates: each is compiled once and then costs a few comparisons an event.

Owns how an attribute of an event is read as text. Nothing here decides what an interest means
beyond ``pubsub.core.interest``.
"""

from collections.abc import Callable
from typing import Final

from ledger.core.event import Event
from ledger.core.ids import EventId
from ledger.core.topics import TopicPattern
from pubsub.core.cloudevents import time_text
from pubsub.core.interest import Attribute, Compare, Filter, Interest

__all__ = ["ATTRIBUTE_TEXTS", "Predicate", "compile_interest"]

Predicate = Callable[[Event, EventId], bool]
"""Says whether an event is wanted."""

ATTRIBUTE_TEXTS: Final[dict[Attribute, Callable[[Event, EventId], str]]] = {
    "id": lambda _, id_: id_.hex(),
    "source": lambda event, _: event.publisher,
    "type": lambda event, _: event.type,
    "subject": lambda event, _: event.subject,
    "time": lambda event, _: time_text(event.time_ms),
    "topic": lambda event, _: event.topic,
    "dataref": lambda event, _: event.location,
    "datacontenttype": lambda event, _: event.content_type,
    "entityhash": lambda event, _: event.entity_hash.hex(),
    "previoushash": lambda event, _: event.previous_hash.hex(),
    "publisherkey": lambda event, _: event.key.hex(),
}
"""An attribute as text, empty when the event does not have it; ``tags`` is none, but several."""

_COMPARE: Final[dict[str, Callable[[str, str], bool]]] = {
    "exact": str.__eq__,
    "prefix": str.startswith,
    "suffix": str.endswith,
}


def compile_interest(interest: Interest) -> Predicate:
    """Give the predicate of ``interest``."""
    parts = [_filter(wanted) for wanted in interest.filters]
    if interest.topics:
        parts.insert(0, _topics(interest.topics))
    return _all(parts)


def _topics(patterns: tuple[str, ...]) -> Predicate:
    compiled = [TopicPattern(text) for text in patterns]
    names = frozenset(pattern.text for pattern in compiled if pattern.is_literal)
    matches = [pattern.matches for pattern in compiled if not pattern.is_literal]

    def predicate(event: Event, _: EventId) -> bool:
        topic = event.topic
        return topic in names or any(match(topic) for match in matches)

    return predicate


def _filter(wanted: Filter) -> Predicate:
    if isinstance(wanted, Compare):
        return _all([_compare(wanted.dialect, name, value) for name, value in wanted.values])
    parts = [_filter(inner) for inner in wanted.filters]
    if wanted.dialect == "all":
        return _all(parts)
    if wanted.dialect == "any":
        return lambda event, id_: any(part(event, id_) for part in parts)
    (part,) = parts
    return lambda event, id_: not part(event, id_)


def _compare(dialect: str, name: Attribute, value: str) -> Predicate:
    """Compare one attribute; the value is not empty, so an absent attribute never holds."""
    compare = _COMPARE[dialect]
    if name == "tags":
        return lambda event, _: any(compare(tag, value) for tag in event.tags)
    text = ATTRIBUTE_TEXTS[name]
    return lambda event, id_: compare(text(event, id_), value)


def _all(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]
    return lambda event, id_: all(part(event, id_) for part in parts)
