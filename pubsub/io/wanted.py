"""Which events a reader gets: what it asked for, and of that only what it may read.

Owns the reading of an interest from a query, and the choice of the indexes that a search of the
store can use for it. The indexes narrow a search down; the predicate alone decides.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ledger.core.errors import DecodeError
from ledger.core.event import OpenEntry
from ledger.core.limits import DID_CHARS_MAX, EVENT_TYPE_CHARS_MAX, SUBJECT_CHARS_MAX
from ledger.core.topics import is_topic, is_topic_pattern
from ledger.io.chain_scan import Selection
from pubsub.core.interest import Attribute, Compare, Filter, Group, Interest, read_filters
from pubsub.core.interest_match import compile_interest
from pubsub.core.limits import INTEREST_QUERY_CHARS_MAX, INTEREST_TOPICS_MAX
from pubsub.core.parameters import Parameters
from pubsub.core.problems import HttpCode, Refusal

__all__ = ["FILTER_NAMES", "REPEATABLE_NAMES", "Readable", "Wanted", "read_interest", "wanted_of"]

FILTER_NAMES = ("topic", "subject", "publisher", "type", "filter")
REPEATABLE_NAMES = ("topic",)

Readable = Callable[[str], bool]
"""Says whether a reader may see events on a topic."""


class Wanted(NamedTuple):
    """Which events a reader gets.

    Attributes:
        selection: what an index can say of it; an event outside is never wanted.
        matches: whether an event is.
    """

    selection: Selection
    matches: Callable[[OpenEntry], bool]


def wanted_of(interest: Interest, readable: Readable) -> Wanted:
    """Give what somebody with ``interest`` gets who may read what ``readable`` says."""
    predicate = compile_interest(interest)

    def matches(opened: OpenEntry) -> bool:
        return predicate(opened.event, opened.id) and readable(opened.event.topic)

    required = _required(interest.filters)
    topic = required.get("topic", "")
    topics = (topic,) if is_topic(topic) else interest.topics  # a filter's value may be any text
    selection = Selection(
        topics or None, required.get("subject"), required.get("source"), required.get("type")
    )
    return Wanted(selection, matches)


def read_interest(parameters: Parameters) -> Interest:
    """Read the interest in the parameters ``FILTER_NAMES``. Raises Refusal for a malformed one."""
    topics = parameters.texts("topic", INTEREST_TOPICS_MAX)
    if not all(map(is_topic_pattern, topics)):
        raise Refusal(
            HttpCode.INVALID_PARAMETER,
            "topic is tokens of letters, digits, _ and - joined by dots; "
            "* stands for one token and a final > for one or more",
        )
    rows: tuple[tuple[Attribute, str | None], ...] = (
        ("source", parameters.text("publisher", DID_CHARS_MAX)),
        ("subject", parameters.text("subject", SUBJECT_CHARS_MAX)),
        ("type", parameters.text("type", EVENT_TYPE_CHARS_MAX)),
    )
    values = tuple((name, value) for name, value in rows if value is not None)
    filters: tuple[Filter, ...] = (Compare("exact", values),) if values else ()
    text = parameters.text("filter", INTEREST_QUERY_CHARS_MAX)
    if text is not None:
        try:
            filters += read_filters(text.encode())
        except DecodeError as error:
            raise Refusal(HttpCode.INVALID_PARAMETER, f"filter: {error}") from None
    return Interest(topics, filters)


def _required(filters: Iterable[Filter]) -> dict[Attribute, str]:
    """Give attributes with the value that they must have for all the filters to hold."""
    required: dict[Attribute, str] = {}
    for wanted in filters:
        if isinstance(wanted, Group):
            if wanted.dialect == "all":
                required.update(_required(wanted.filters))
        elif wanted.dialect == "exact":
            required.update(wanted.values)
    return required
