"""How often a block reads the rules of topics: each one at most once a step."""

from collections import Counter
from collections.abc import Callable

import pytest

from ledger.core import topic_application
from ledger.core.topic_rules import TopicRule
from tests.ledger.sample_network import BOB, BOB_DID, entry
from tests.ledger.topics.topic_world import HASHES, TopicWorld, update

PATTERNS = ("catalog.>", "catalog.*.changed")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the reads of each rule."""
    found: Counter[str] = Counter()
    read = topic_application._rule

    def counted(get: Callable[[bytes], bytes | None], pattern: str) -> TopicRule:
        found[pattern] += 1
        return read(get, pattern)

    monkeypatch.setattr(topic_application, "_rule", counted)
    return found


def rules_world() -> TopicWorld:
    """Give a world with two rules that both name the topics below."""
    world = TopicWorld()
    for pattern in PATTERNS:
        world.set_rule(pattern, complete=True, expects=True)
    return world


def test_many_topics_read_a_rule_once(reads: Counter[str]) -> None:
    """A block with events on many topics reads each rule once a step, not once a topic."""
    world = rules_world()
    reads.clear()
    entries = [
        update(number, "x", b"", HASHES[0], f"catalog.t{number}.changed") for number in range(20)
    ]
    assert not world.block(*entries).refused
    # To refuse, to find what is complete, and to extend the chain.
    assert reads == dict.fromkeys(PATTERNS, 3)


def test_refused_events_read_no_rule(reads: Counter[str]) -> None:
    """The topics of events that may not be published ask for no rule."""
    world = rules_world()
    reads.clear()
    entries = [
        entry(number, BOB, publisher=BOB_DID, topic=f"catalog.t{number}.changed")
        for number in range(20)
    ]
    assert len(world.block(*entries).refused) == 20
    assert not reads
