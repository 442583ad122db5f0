"""What an interest means, said once more and naively: JSON against JSON.

The oracle reads the event as the CloudEvent that subscribers get and the interest as the document
that they wrote; it knows nothing of how either is held inside. Values are drawn from few letters,
so that filters often hold.
"""

from typing import Any

import msgspec
from hypothesis import strategies as st

from ledger.core.event import Event, OpenEntry, sign_event
from pubsub.core.cloudevents import cloudevent
from tests.pubsub.pubsub_strategies import CHAIN_ID, SIGNER

Json = dict[str, Any]

ATTRIBUTES = (
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
)


def wants(interest: Json, opened: OpenEntry) -> bool:
    """Say whether the document ``interest`` wants the event."""
    event: Json = msgspec.to_builtins(cloudevent(opened))
    topics = interest.get("topics", [])
    return (not topics or any(_names(topic, event["topic"]) for topic in topics)) and all(
        _holds(part, event) for part in interest.get("filters", [])
    )


def _holds(wanted: Json, event: Json) -> bool:
    ((dialect, value),) = wanted.items()
    if dialect == "all":
        return all(_holds(part, event) for part in value)
    if dialect == "any":
        return any(_holds(part, event) for part in value)
    if dialect == "not":
        return not _holds(value, event)
    return all(_compares(dialect, text, _values(name, event)) for name, text in value.items())


def _values(name: str, event: Json) -> list[str]:
    text = event.get(name)
    if text is None:
        return []
    if name == "tags":
        return [tag.replace("%2C", ",").replace("%25", "%") for tag in text.split(",")]
    return [text]


def _compares(dialect: str, text: str, values: list[str]) -> bool:
    if dialect == "exact":
        return text in values
    if dialect == "prefix":
        return any(value[: len(text)] == text for value in values)
    return any(len(value) >= len(text) and value[-len(text) :] == text for value in values)


def _names(pattern: str, topic: str) -> bool:
    wanted, given = pattern.split("."), topic.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given) > place
        if place >= len(given) or token not in ("*", given[place]):
            return False
    return len(wanted) == len(given)


_word = st.sampled_from(["a", "b", "ab", "bab"])
_token = st.sampled_from(["a", "b", "ab"])
patterns = st.builds(
    lambda tokens, tail: ".".join([*tokens, *tail]),
    st.lists(_token | st.just("*"), min_size=1, max_size=2),
    st.sampled_from([[], [], [">"]]),
) | st.just(">")
_attribute = st.sampled_from(["type", "subject", "tags"]) | st.sampled_from(ATTRIBUTES)
_value = _word | st.sampled_from(["did:web:", "did:web:a", "20", "Z", "a.", ".b", "a.b", "text/"])


@st.composite
def sample_events(draw: st.DrawFn) -> OpenEntry:
    """Draw an event whose values repeat."""
    maybe = st.just("") | _word
    digest = st.sampled_from([b"", b"\xaa" * 32, b"\xab" * 32])
    event = Event(
        version=1,
        chain_id=CHAIN_ID,
        topic=".".join(draw(st.lists(_token, min_size=1, max_size=3))),
        publisher=f"did:web:{draw(_word)}",
        key=SIGNER.public_key,
        nonce=draw(st.integers(0, 3)),
        time_ms=draw(st.sampled_from([0, 1_795_253_400_123])),
        type=draw(_word),
        subject=draw(maybe),
        entity_hash=draw(digest),
        previous_hash=draw(digest),
        location=draw(maybe),
        content_type=draw(st.sampled_from(["", "text/a", "a"])),
        data=b"",
        tags=tuple(draw(st.lists(_word | st.sampled_from(["a,b", "%2C"]), max_size=3))),
    )
    return sign_event(event, SIGNER)


_comparison = st.builds(
    lambda dialect, values: {dialect: values},
    st.sampled_from(["exact", "prefix", "suffix"]),
    st.dictionaries(_attribute, _value, min_size=1, max_size=2),
)
filters: st.SearchStrategy[Json] = st.recursive(
    _comparison,
    lambda inner: st.one_of(
        st.builds(
            lambda dialect, parts: {dialect: parts},
            st.sampled_from(["all", "any"]),
            st.lists(inner, min_size=1, max_size=3),
        ),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=4,
)
interests: st.SearchStrategy[Json] = st.fixed_dictionaries(
    {},
    optional={
        "topics": st.lists(patterns, max_size=3),
        "filters": st.lists(filters, max_size=2),
    },
)
