"""Events that must name what they replace: accepted in order, refused when overtaken."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core import admission
from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.topic_application import current_hash
from ledger.core.topic_rules import EntityHead, entity_key, head_codec
from ledger.core.trust.operations import Propose, SetTopicRule, operation_codec
from tests.ledger.sample_network import BOB, BOB_DID, CHAIN_ID, START_MS, entry
from tests.ledger.topics.topic_world import (
    HASHES,
    TOPIC,
    TopicWorld,
    naive_heads,
    rule_entry,
    update,
)

NONE = b""
A, B, C = HASHES[:3]
MISMATCH = RejectCode.PREVIOUS_HASH_MISMATCH


def expecting_world() -> TopicWorld:
    """Give a world in which events on ``catalog.>`` must name what they replace."""
    world = TopicWorld()
    world.set_rule("catalog.>", expects=True)
    return world


def head_of(world: TopicWorld, subject: str, topic: str = TOPIC) -> EntityHead | None:
    """Give what the state holds of an entity."""
    encoded = world.ledger.state.get(entity_key(topic.encode(), subject.encode()))
    return None if encoded is None else head_codec.decode(encoded)


def test_an_update_must_name_the_present_hash() -> None:
    """The first names nothing; one that was overtaken is refused and changes nothing."""
    world = expecting_world()
    world.block(update(1, "x", NONE, A))
    assert head_of(world, "x") == EntityHead(A, 1)
    for number, wrong in enumerate((NONE, B)):
        stale = update(2 + number, "x", wrong, C)
        before = world.ledger.root.state_root
        result = world.block(stale)
        assert [(item.id, item.code) for item in result.refused] == [
            (open_entry(stale).id, MISMATCH)
        ]
        assert result.root.state_root == before
    assert not world.block(update(9, "x", A, B)).refused
    assert head_of(world, "x") == EntityHead(B, 2)


def test_events_of_one_block_follow_each_other() -> None:
    """Of two that replace the same content the first in the block wins, the rest goes on."""
    world = expecting_world()
    entries = [
        update(1, "x", NONE, A),
        update(2, "x", NONE, B),
        update(3, "y", NONE, C),
        update(4, "x", A, C),
        update(5, "x", A, B),
    ]
    result = world.block(*entries)
    assert [item.entry for item in result.accepted] == [entries[0], entries[2], entries[3]]
    assert [item.code for item in result.refused] == [MISMATCH] * 2
    assert head_of(world, "x") == EntityHead(C, 3)
    assert head_of(world, "y") == EntityHead(C, 2)


def test_an_event_without_content_ends_the_entity() -> None:
    """After that, one begins again with nothing before it."""
    world = expecting_world()
    world.block(update(1, "x", NONE, A))
    world.block(update(2, "x", A, NONE))
    assert head_of(world, "x") == EntityHead(NONE, 2)
    result = world.block(update(3, "x", A, B), update(4, "x", NONE, B))
    assert [item.code for item in result.refused] == [MISMATCH]
    assert head_of(world, "x") == EntityHead(B, 3)


def test_topics_and_subjects_are_told_apart() -> None:
    """The same subject on another topic is another entity; no subject is one, too."""
    world = expecting_world()
    world.block(
        update(1, "x", NONE, A),
        update(2, "x", NONE, B, "catalog.price.changed"),
        update(3, "", NONE, C),
    )
    assert (head_of(world, "x"), head_of(world, "")) == (EntityHead(A, 1), EntityHead(C, 3))
    assert head_of(world, "x", "catalog.price.changed") == EntityHead(B, 2)


def test_the_rule_holds_from_the_next_block_on() -> None:
    """Before, and in the block that ends it... until its end, nothing and everything is asked."""
    world = TopicWorld()
    free = world.block(rule_entry("catalog.>", 1, expects=True), update(2, "x", B, A))
    assert not free.refused
    still = world.block(rule_entry("catalog.>", 3), update(4, "x", B, A))
    assert [item.code for item in still.refused] == [MISMATCH]
    assert not world.block(update(5, "x", B, A)).refused


def test_a_rule_that_begins_again_knows_nothing_of_before() -> None:
    """What became of an entity while no rule held is not known, so what is known does not count."""
    world = expecting_world()
    world.block(update(1, "x", NONE, A))
    world.set_rule("catalog.>")
    world.block(update(2, "x", C, B))
    world.set_rule("catalog.>", expects=True)
    assert current_hash(world.ledger.state, TOPIC, "x") == NONE
    assert not world.block(update(3, "x", NONE, C)).refused


def test_of_two_rules_the_older_one_says_what_is_known() -> None:
    """A narrower rule that comes later forgets nothing, and ending it neither."""
    world = expecting_world()
    world.block(update(1, "x", NONE, A))
    world.set_rule(TOPIC, expects=True)
    assert current_hash(world.ledger.state, TOPIC, "x") == A
    world.set_rule(TOPIC)
    assert current_hash(world.ledger.state, TOPIC, "x") == A


def test_reserved_topics_are_never_asked() -> None:
    """Governors can end a rule for everything, whatever their events say of hashes."""
    world = TopicWorld()
    refused = world.block(rule_entry("ledger.>", 1, expects=True))
    assert [item.code for item in refused.refused] == [RejectCode.OPERATION_REFUSED]
    world.set_rule(">", expects=True)
    assert current_hash(world.ledger.state, "ledger.governance", "") is None
    action = SetTopicRule(">", is_complete=False, expects_previous=False)
    data = operation_codec.encode(Propose(action, START_MS + 10**6))
    end = entry(2, topic="ledger.governance", data=data, previous_hash=B, entity_hash=C)
    assert not world.block(end).refused
    assert not world.block(update(3, "x", B, C)).refused


def test_the_node_that_takes_an_event_refuses_at_once() -> None:
    """Those of one submission see each other; what is wrong already is not handed on."""
    world = expecting_world()
    world.block(update(1, "x", NONE, A))
    entries = [update(2, "x", NONE, B), update(3, "x", A, B), update(4, "x", B, C)]
    verdicts = admission.examine_entries(
        entries,
        chain_id=CHAIN_ID,
        state=world.ledger.state,
        now_ms=START_MS + 5_000,
        known_events=lambda _: set(),
    )
    assert verdicts[0] is MISMATCH
    assert [getattr(item, "entry", None) for item in verdicts[1:]] == entries[1:]


def test_an_event_that_may_not_be_published_takes_no_place() -> None:
    """What other rules refuse is not looked at, and does not become an entity's newest."""
    world = expecting_world()
    foreign = entry(1, BOB, publisher=BOB_DID, topic=TOPIC, subject="x", entity_hash=A)
    result = world.block(foreign, update(2, "x", NONE, B))
    assert [item.code for item in result.refused] == [RejectCode.TOPIC_FORBIDDEN]
    assert head_of(world, "x") == EntityHead(B, 1)


def test_the_current_hash_is_told_only_where_one_is_asked() -> None:
    """None where events need not name any."""
    world = expecting_world()
    assert current_hash(world.ledger.state, "news", "x") is None
    assert current_hash(world.ledger.state, TOPIC, "x") == NONE


_steps = st.tuples(
    st.sampled_from(("x", "y", "")),
    st.sampled_from((NONE, *HASHES[:3])),
    st.sampled_from((NONE, *HASHES[:3])),
    st.sampled_from((TOPIC, "catalog.price.changed")),
)


@settings(max_examples=40, deadline=None)
@given(blocks=st.lists(st.lists(_steps, max_size=8), max_size=6))
def test_what_is_taken_is_what_a_plain_reading_takes(
    blocks: list[list[tuple[str, bytes, bytes, str]]],
) -> None:
    """A dictionary of entities, asked one event after the other, decides the same."""
    world = expecting_world()
    entities: dict[tuple[str, str], bytes] = {}
    nonce = 0
    for steps in blocks:
        entries, expected = [], []
        for subject, before, after, topic in steps:
            nonce += 1
            entries.append(update(nonce, subject, before, after, topic))
            if entities.get((topic, subject), NONE) == before:
                entities[topic, subject] = after
                expected.append(entries[-1])
        assert [item.entry for item in world.block(*entries).accepted] == expected
    topics = (TOPIC, "catalog.price.changed")
    for key, (hash_, sequence) in naive_heads(world.ledger.entries, topics, 1).items():
        head = head_codec.decode(world.ledger.state.get(key) or b"")
        assert (head.hash, head.sequence) == (hash_, sequence)
