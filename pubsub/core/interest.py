"""What a subscriber wants: topic patterns and CloudEvents filters, as a value and as JSON.

Owns the form and the meaning. An interest is fulfilled when one of its topic patterns names the
event's topic (or it has none) and all its filters hold. The filters are the dialects that the
CloudEvents Subscriptions draft demands of everybody: ``exact``, ``prefix`` and ``suffix`` compare
attributes as text, case-sensitively, and hold when all of theirs do; ``all``, ``any`` and ``not``
combine. An attribute that an event does not have compares with nothing. ``tags`` holds when any
single tag does; every other name and form is that of the event as a CloudEvent.

Whatever is unknown is refused, so that a misspelt filter never lets everything through.
"""

from collections.abc import Iterable
from typing import Annotated, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from ledger.core.errors import DecodeError
from ledger.core.limits import LOCATION_CHARS_MAX, TOPIC_CHARS_MAX
from ledger.core.topics import is_topic_pattern
from pubsub.core.limits import INTEREST_DEPTH_MAX, INTEREST_FILTERS_MAX, INTEREST_TOPICS_MAX
from pubsub.core.strict_json import require_strict_json

__all__ = [
    "TOPIC_PATTERN",
    "Attribute",
    "Compare",
    "Filter",
    "FilterDocument",
    "Group",
    "Interest",
    "InterestDocument",
    "filter_document",
    "interest_document",
    "interest_from_document",
    "read_filters",
    "read_interest",
]

Attribute = Literal[
    "id",
    "source",
    "type",
    "subject",
    "time",
    "topic",
    "dataref",
    "datacontenttype",
    "entityhash",
    "previoushash",
    "publisherkey",
    "tags",
]
"""What a filter can compare."""

TOPIC_PATTERN: Final = "^(([*]|[A-Za-z0-9_-]{1,64})\\.){0,15}(>|[*]|[A-Za-z0-9_-]{1,64})$"
"""A topic or pattern, as interface descriptions say it (ECMA-262)."""

_Value = Annotated[str, Meta(min_length=1, max_length=LOCATION_CHARS_MAX)]
_Comparison = Annotated[
    dict[Attribute, _Value],
    Meta(min_length=1, extra_json_schema={"propertyNames": {"enum": [*get_args(Attribute)]}}),
]
_Topic = Annotated[
    str,
    Meta(min_length=1, max_length=TOPIC_CHARS_MAX, extra_json_schema={"pattern": TOPIC_PATTERN}),
]


class Compare(Struct, frozen=True):
    """Attributes that must all have, begin with or end with their value."""

    dialect: Literal["exact", "prefix", "suffix"]
    values: tuple[tuple[Attribute, str], ...]


class Group(Struct, frozen=True):
    """Filters of which all or any must hold, or a single one that must not."""

    dialect: Literal["all", "any", "not"]
    filters: tuple["Filter", ...]


Filter = Compare | Group


class Interest(Struct, frozen=True):
    """Which events a subscriber wants; equal interests want the same.

    Attributes:
        topics: topic patterns of which one must name the topic; none for every topic.
        filters: all of them must hold.
    """

    topics: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()


class FilterDocument(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One filter of CloudEvents Subscriptions: exactly one dialect and what it compares.

    Attributes:
        exact: attributes that equal their value.
        prefix: attributes that begin with their value.
        suffix: attributes that end with their value.
        all: filters that all hold.
        any: filters of which one holds.
        not: a filter that does not hold.
    """

    exact: _Comparison | UnsetType = UNSET
    prefix: _Comparison | UnsetType = UNSET
    suffix: _Comparison | UnsetType = UNSET
    all_: Annotated[tuple["_Filter", ...], Meta(min_length=1)] | UnsetType = msgspec.field(
        default=UNSET, name="all"
    )
    any_: Annotated[tuple["_Filter", ...], Meta(min_length=1)] | UnsetType = msgspec.field(
        default=UNSET, name="any"
    )
    not_: "_Filter | UnsetType" = msgspec.field(default=UNSET, name="not")


_Filter = Annotated[
    FilterDocument, Meta(extra_json_schema={"minProperties": 1, "maxProperties": 1})
]


class InterestDocument(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events are wanted: on one of the topics, and fulfilling all filters.

    Attributes:
        topics: topics or patterns (``*`` is one token, a final ``>`` the rest); empty for all.
        filters: filters as in CloudEvents Subscriptions; empty for all.
    """

    topics: Annotated[tuple[_Topic, ...], Meta(max_length=INTEREST_TOPICS_MAX)] = ()
    filters: Annotated[tuple[_Filter, ...], Meta(max_length=INTEREST_FILTERS_MAX)] = ()


_decode_interest = msgspec.json.Decoder(InterestDocument).decode
_decode_filters = msgspec.json.Decoder(FilterDocument | tuple[FilterDocument, ...]).decode


def read_interest(text: bytes) -> Interest:
    """Read an interest from JSON. Raises DecodeError for whatever is not one."""
    require_strict_json(text)
    try:
        return interest_from_document(_decode_interest(text))
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(str(error)) from None


def read_filters(text: bytes) -> tuple[Filter, ...]:
    """Read one filter or an array of filters from JSON. Raises DecodeError."""
    require_strict_json(text)
    try:
        document = _decode_filters(text)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DecodeError(str(error)) from None
    documents = (document,) if isinstance(document, FilterDocument) else document
    return interest_from_document(InterestDocument(filters=documents)).filters


def interest_from_document(document: InterestDocument) -> Interest:
    """Give the interest that a decoded document describes.

    Raises:
        DecodeError: a topic is no pattern, a filter has not exactly one dialect, or there are
            more or deeper filters than the limits allow.
    """
    for topic in document.topics:
        if not is_topic_pattern(topic):
            raise DecodeError(f"not a topic or topic pattern: {topic[:64]!r}")
    if len(document.topics) > INTEREST_TOPICS_MAX:
        raise DecodeError(f"an interest may name {INTEREST_TOPICS_MAX} topics")
    return Interest(document.topics, _Reading().filters(document.filters, 1))


def interest_document(interest: Interest) -> InterestDocument:
    """Describe an interest; the inverse of :func:`interest_from_document`."""
    return InterestDocument(interest.topics, tuple(map(filter_document, interest.filters)))


def filter_document(wanted: Filter) -> FilterDocument:
    """Describe one filter."""
    if isinstance(wanted, Compare):
        values = dict(wanted.values)
        if wanted.dialect == "exact":
            return FilterDocument(exact=values)
        if wanted.dialect == "prefix":
            return FilterDocument(prefix=values)
        return FilterDocument(suffix=values)
    inner = tuple(map(filter_document, wanted.filters))
    if wanted.dialect == "all":
        return FilterDocument(all_=inner)
    if wanted.dialect == "any":
        return FilterDocument(any_=inner)
    return FilterDocument(not_=inner[0])


class _Reading:
    """Reads the filters of one interest and counts them; its recursion ends at the depth limit."""

    def __init__(self) -> None:
        self._count = 0

    def filters(self, documents: Iterable[FilterDocument], depth: int) -> tuple[Filter, ...]:
        if depth > INTEREST_DEPTH_MAX:
            raise DecodeError(f"filters may stand {INTEREST_DEPTH_MAX} deep in each other")
        return tuple(self._filter(document, depth) for document in documents)

    def _filter(self, document: FilterDocument, depth: int) -> Filter:
        self._count += 1
        if self._count > INTEREST_FILTERS_MAX:
            raise DecodeError(f"an interest may have {INTEREST_FILTERS_MAX} filters, nested or not")
        found: list[Filter] = []
        if document.exact is not UNSET:
            found.append(Compare("exact", tuple(sorted(document.exact.items()))))
        if document.prefix is not UNSET:
            found.append(Compare("prefix", tuple(sorted(document.prefix.items()))))
        if document.suffix is not UNSET:
            found.append(Compare("suffix", tuple(sorted(document.suffix.items()))))
        if document.all_ is not UNSET:
            found.append(Group("all", self.filters(document.all_, depth + 1)))
        if document.any_ is not UNSET:
            found.append(Group("any", self.filters(document.any_, depth + 1)))
        if document.not_ is not UNSET:
            found.append(Group("not", self.filters([document.not_], depth + 1)))
        if len(found) != 1:
            raise DecodeError(
                "a filter has exactly one dialect: exact, prefix, suffix, all, any, not"
            )
        return found[0]
