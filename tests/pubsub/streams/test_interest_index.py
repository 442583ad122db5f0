"""The index of interests: the answer of asking each, at the price of asking few."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.event import Event, OpenEntry
from ledger.core.ids import EventId
from pubsub.core import interest_index
from pubsub.core.interest import Interest, read_interest
from pubsub.core.interest_index import InterestIndex
from pubsub.core.interest_match import Predicate, compile_interest
from tests.pubsub.pubsub_strategies import make_entry
from tests.pubsub.streams.interest_oracle import Json, interests, patterns, sample_events, wants
from tests.pubsub.streams.test_interest import read


@settings(max_examples=300)
@given(
    st.lists(interests, max_size=8),
    st.lists(st.integers(0, 7), max_size=8),
    st.lists(sample_events(), min_size=1, max_size=4),
)
def test_the_index_answers_like_asking_each(
    documents: list[Json], removed: list[int], events: list[OpenEntry]
) -> None:
    """After any adding and removing an event finds each key that wants it, exactly once."""
    index: InterestIndex[int] = InterestIndex()
    for key, document in enumerate(documents):
        index.add(key, read(document))
    alive = dict(enumerate(documents))
    for key in removed:
        if key in alive:
            index.remove(key)
            del alive[key]
    assert len(index) == len(alive)
    for opened in events:
        found = index.keys(opened.event, opened.id)
        assert sorted(found) == [key for key in alive if wants(alive[key], opened)]


@given(st.lists(interests, max_size=6), st.randoms(use_true_random=False))
def test_nothing_stays_behind(documents: list[Json], order: random.Random) -> None:
    """When every key is gone the index is as it was when it was made."""
    index: InterestIndex[int] = InterestIndex()
    keys = list(range(len(documents)))
    for key in keys:
        index.add(key, read(documents[key]))
    order.shuffle(keys)
    for key in keys:
        index.remove(key)
    assert not index._entries
    assert not index._exact
    assert not index._affixes
    assert not index._everywhere
    assert not index._patterns.next


@settings(max_examples=200)
@given(st.lists(patterns, min_size=1, max_size=12, unique=True), sample_events())
def test_every_pattern_is_found(topics: list[str], opened: OpenEntry) -> None:
    """All patterns that name a topic are found, however they cross each other."""
    index: InterestIndex[str] = InterestIndex()
    for topic in topics:
        index.add(topic, Interest((topic,)))
    found = index.keys(opened.event, opened.id)
    assert sorted(found) == sorted(t for t in topics if wants({"topics": [t]}, opened))


def test_equal_interests_are_asked_once() -> None:
    """Keys with equal interests share one place, and each is found."""
    index: InterestIndex[str] = InterestIndex()
    for key in ("one", "two", "three"):
        index.add(key, read_interest(b'{"topics":["dome.*"]}'))
    index.remove("two")
    opened = make_entry()
    assert index.keys(opened.event, opened.id) == ["one", "three"]
    assert len(index._entries) == 1


def test_an_event_asks_few_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 3,000 interests only those at the event's places are asked, whatever they name."""
    asked: list[Interest] = []

    def compile_and_watch(interest: Interest) -> Predicate:
        predicate = compile_interest(interest)

        def watched(event: Event, id_: EventId) -> bool:
            asked.append(interest)
            return predicate(event, id_)

        return watched

    monkeypatch.setattr(interest_index, "compile_interest", compile_and_watch)
    index: InterestIndex[int] = InterestIndex()
    texts = (
        '{"filters":[{"exact":{"subject":"urn:%04d","type":"a"}}]}',
        '{"filters":[{"prefix":{"type":"org.%04d."}}]}',
        '{"filters":[{"all":[{"suffix":{"source":":%04d"}},{"exact":{"type":"a"}}]}]}',
        '{"filters":[{"any":[{"exact":{"tags":"%04d"}},{"exact":{"subject":"x"}}]}]}',
        '{"topics":["dome.%04d.>"]}',
        '{"topics":["*.%04d"]}',
    )
    made = [read_interest((texts[n % 6] % n).encode()) for n in range(3_000)]
    for number, interest in enumerate(made):
        index.add(number, interest)
    opened = make_entry(subject="urn:0600", topic="dome.0005")
    assert index.keys(opened.event, opened.id) == [5]
    assert asked == [made[600], made[5]]
