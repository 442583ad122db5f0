"""Complete topics: the chain in the state is what the log says, whatever the blocks."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.core.errors import RejectCode
from ledger.core.limits import TOPIC_RULES_MAX
from ledger.core.topic_rules import RULES_KEY, TopicChain, rules_codec
from tests.ledger.sample_network import entry
from tests.ledger.topics.topic_world import TopicWorld, naive_chain, rule_entry

CREATED, CHANGED = "catalog.offering.created", "catalog.offering.changed"


def chain_of(world: TopicWorld, pattern: str) -> TopicChain:
    """Give the chain of a rule, which must have one."""
    rule = world.rule(pattern)
    assert rule is not None
    assert rule.chain is not None
    return rule.chain


def test_a_chain_covers_every_event_from_the_next_block_on() -> None:
    """Those of the block that set the rule, in front of it and behind it, are not in it."""
    world = TopicWorld()
    world.block(entry(1, topic=CREATED))
    rule = rule_entry("catalog.>", 2, complete=True)
    world.block(entry(3, topic=CREATED), rule, entry(4, topic=CREATED))
    assert chain_of(world, "catalog.>") == TopicChain(4, None, 0, None, bytes(32))
    world.block(entry(5, topic=CREATED), entry(6, topic=CHANGED), entry(7, topic="ledger.x"))
    chain = chain_of(world, "catalog.>")
    expected = naive_chain(world.ledger.entries, (CREATED, CHANGED), 4, 6)
    assert (chain.count, chain.last, chain.digest) == expected
    assert (chain.since, chain.count, chain.last) == (4, 2, 5)


def test_a_block_without_such_events_changes_nothing() -> None:
    """The state's root stays, whatever else the block holds."""
    world = TopicWorld()
    world.set_rule("catalog.price.*", complete=True)
    before = world.ledger.root.state_root
    result = world.block(entry(1), entry(2, topic="catalog.price"))
    assert (result.changes, result.root.state_root) == ({}, before)


def test_a_refused_event_is_in_no_chain() -> None:
    """Neither are duplicates."""
    world = TopicWorld()
    world.set_rule("catalog.>", complete=True)
    world.block(entry(1), entry(1), entry(2, topic="catalog"))
    chain = chain_of(world, "catalog.>")
    assert (chain.count, chain.last) == (1, 1)


def test_operations_are_chained_like_other_events() -> None:
    """A rule for reserved topics shows that no change of a list was left out."""
    world = TopicWorld()
    world.set_rule("ledger.governance", complete=True)
    world.set_rule("a", complete=True)
    expected = naive_chain(world.ledger.entries, ("ledger.governance",), 1, 2)
    chain = chain_of(world, "ledger.governance")
    assert (chain.count, chain.last, chain.digest) == expected


def test_an_ended_chain_stays_and_says_where_it_ended() -> None:
    """Events of the block that ends it are in it; none of a later one; a new one begins anew."""
    world = TopicWorld()
    world.set_rule("catalog.>", complete=True)
    world.block(entry(1, topic=CREATED))
    world.block(entry(2, topic=CREATED), rule_entry("catalog.>", 3), entry(4, topic=CREATED))
    world.block(entry(5, topic=CREATED))
    expected = naive_chain(world.ledger.entries, (CREATED,), 1, 5)
    ended = chain_of(world, "catalog.>")
    assert (ended.since, ended.until) == (1, 5)
    assert (ended.count, ended.last, ended.digest) == expected
    assert rules_codec.decode(world.ledger.state.get(RULES_KEY) or b"") == ()
    world.set_rule("catalog.>", complete=True)
    assert chain_of(world, "catalog.>") == TopicChain(7, None, 0, None, bytes(32))


def test_a_chain_goes_on_when_the_other_option_changes() -> None:
    """Events of the very block that changes it are covered as before."""
    world = TopicWorld()
    world.set_rule("catalog.>", complete=True)
    change = rule_entry("catalog.>", 1, complete=True, expects=True)
    world.block(entry(2, topic=CREATED), change)
    world.block(entry(3, topic=CREATED))
    rule = world.rule("catalog.>")
    assert rule is not None
    assert rule.expects_since == 3
    chain = chain_of(world, "catalog.>")
    expected = naive_chain(world.ledger.entries, (CREATED,), 1, 4)
    assert (chain.count, chain.last, chain.digest) == expected


def test_an_ended_chain_is_left_alone_while_the_rule_goes_on() -> None:
    """Who still expects previous hashes does not go on with what is complete no more."""
    world = TopicWorld()
    world.set_rule("catalog.>", complete=True, expects=True)
    world.block(entry(1, topic=CREATED))
    world.set_rule("catalog.>", expects=True)
    ended = chain_of(world, "catalog.>")
    assert (ended.count, ended.until) == (1, 3)
    world.block(entry(2, topic=CREATED))
    assert chain_of(world, "catalog.>") == ended


def test_ended_and_begun_in_one_block_is_begun_anew() -> None:
    """The last word of the block counts; the old chain's end is not in the state any more."""
    world = TopicWorld()
    world.set_rule("catalog.>", complete=True)
    off, on = rule_entry("catalog.>", 1), rule_entry("catalog.>", 2, complete=True)
    world.block(entry(3, topic=CREATED), off, on)
    assert chain_of(world, "catalog.>") == TopicChain(4, None, 0, None, bytes(32))


def test_rules_that_change_nothing_and_too_many_are_refused() -> None:
    """What is the case already cannot be set, what is not cannot be ended; 64 rules are enough."""
    world = TopicWorld()
    absent = world.block(rule_entry("a", 1))
    assert [item.code for item in absent.refused] == [RejectCode.OPERATION_REFUSED]
    for number in range(TOPIC_RULES_MAX):
        world.set_rule(f"a.{number}", complete=True)
    again = world.block(rule_entry("a.0", 1, complete=True), rule_entry("b", 2, complete=True))
    assert [item.code for item in again.refused] == [RejectCode.OPERATION_REFUSED] * 2
    world.set_rule("a.0")
    world.set_rule("b", complete=True)
    kept = rules_codec.decode(world.ledger.state.get(RULES_KEY) or b"")
    assert len(kept) == TOPIC_RULES_MAX
    assert list(kept) == sorted(kept)


def test_what_is_no_pattern_is_no_operation() -> None:
    """A malformed pattern is refused before anybody looks at the state."""
    world = TopicWorld()
    good = rule_entry("catalog.offering", 1, complete=True)
    assert b"catalog.offering" in good
    from_state = world.block(entry(1, topic="ledger.governance", data=b"\x93\x04\x94\x04\xa2.."))
    assert [item.code for item in from_state.refused] == [RejectCode.OPERATION_MALFORMED]


_PATTERNS = ("catalog.>", CREATED, "catalog.*.changed", ">", "news")
_TOPICS = (CREATED, CHANGED, "catalog.price.changed")
_MATCH = {
    "catalog.>": _TOPICS,
    CREATED: (CREATED,),
    "catalog.*.changed": (CHANGED, "catalog.price.changed"),
    ">": (*_TOPICS, "ledger.governance"),
    "news": ("news",),
}


@settings(max_examples=40, deadline=None)
@given(
    blocks=st.lists(
        st.lists(
            st.one_of(
                st.sampled_from(_TOPICS),
                st.tuples(st.sampled_from(_PATTERNS), st.booleans()),
            ),
            max_size=6,
        ),
        max_size=8,
    )
)
def test_chains_are_what_the_log_says(blocks: list[list[str | tuple[str, bool]]]) -> None:
    """However events and rules are mixed and divided into blocks, a naive reading agrees."""
    world = TopicWorld()
    nonce = 0
    for rows in blocks:
        entries = []
        for row in rows:
            nonce += 1
            if isinstance(row, str):
                entries.append(entry(nonce, topic=row))
            else:
                entries.append(rule_entry(row[0], nonce, complete=row[1]))
        world.block(*entries)
    for pattern, topics in _MATCH.items():
        rule = world.rule(pattern)
        if rule is not None and rule.chain is not None:
            chain = rule.chain
            size = len(world.ledger.entries)
            until = size if chain.until is None else chain.until
            expected = naive_chain(world.ledger.entries, topics, chain.since, until)
            assert (chain.count, chain.last, chain.digest) == expected
