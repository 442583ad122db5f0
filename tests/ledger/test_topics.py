"""Topics and patterns: exactly the well-formed ones, and exactly the topics that they name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core.limits import TOPIC_CHARS_MAX, TOPIC_TOKENS_MAX
from ledger.core.topics import TopicPattern, is_topic, is_topic_pattern

tokens = st.text("ab_-", min_size=1, max_size=2)
topics = st.lists(tokens, min_size=1, max_size=5).map(".".join)
patterns = st.builds(
    lambda parts, tail: ".".join([*parts, *tail]),
    st.lists(tokens | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
) | st.just(">")


def names(pattern: str, topic: str) -> bool:
    """Compare token by token, as the rules are written."""
    wanted, given_ = pattern.split("."), topic.split(".")
    for place, token in enumerate(wanted):
        if token == ">":
            return len(given_) > place
        if place >= len(given_) or token not in ("*", given_[place]):
            return False
    return len(wanted) == len(given_)


@pytest.mark.parametrize(
    "name", ["a", "A-b_9", "catalog.offering.changed", "ledger.x", "0", "-", "_._", "a" * 64]
)
def test_topic_is_well_formed(name: str) -> None:
    """Tokens of letters, digits, hyphen and underscore, joined by dots, are a topic."""
    assert is_topic(name)
    assert is_topic_pattern(name)


@pytest.mark.parametrize(
    "name",
    ["", ".", "a.", ".a", "a..b", "a b", "a/b", "a\n", "\na", "\u00e4", "\u0661", "a" * 65, "a\0"],
)
def test_neither_topic_nor_pattern(name: str) -> None:
    """Empty tokens, other characters and too long tokens are refused, a final newline too."""
    assert not is_topic(name)
    assert not is_topic_pattern(name)
    with pytest.raises(ValueError, match="not a topic pattern"):
        TopicPattern(name)


@pytest.mark.parametrize("pattern", ["*", ">", "a.*", "*.a", "a.>", "*.>", "*.*.a", "a.*.b.>"])
def test_pattern_is_no_topic(pattern: str) -> None:
    """What has a wildcard is a pattern and not a topic."""
    assert is_topic_pattern(pattern)
    assert not is_topic(pattern)


@pytest.mark.parametrize("pattern", [">.a", "a.>.b", "a*", "*a", "a.b>", ">>", "**", "a.>.>", "> "])
def test_malformed_pattern(pattern: str) -> None:
    """A wildcard is a whole token, and ``>`` the last."""
    assert not is_topic_pattern(pattern)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_limits(extra: int) -> None:
    """Characters and tokens are counted at their limits."""
    many = ".".join("a" * (TOPIC_TOKENS_MAX + extra))
    assert is_topic(many) == is_topic_pattern(many) == (extra <= 0)
    long = ("a" * 50 + ".") * 4 + "b" * (TOPIC_CHARS_MAX - 204 + extra)
    assert is_topic(long) == is_topic_pattern(long) == (extra <= 0)


def test_pattern_tail_counts_as_a_token() -> None:
    """``>`` takes one of the tokens that a pattern may have."""
    assert is_topic_pattern(".".join("a" * (TOPIC_TOKENS_MAX - 1)) + ".>")
    assert not is_topic_pattern(".".join("a" * TOPIC_TOKENS_MAX) + ".>")


@pytest.mark.parametrize(
    ("pattern", "topic", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.b", "axb", False),
        ("*", "a", True),
        ("*", "a.b", False),
        (">", "a", True),
        (">", "a.b.c", True),
        ("a.>", "a", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c", True),
        ("a.>", "ab.c", False),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.b.c", False),
        ("*.*", "a", False),
        ("*.>", "a.b", True),
        ("*.>", "a", False),
    ],
)
def test_examples(pattern: str, topic: str, matches: bool) -> None:
    """``*`` stands for one token, a final ``>`` for one or more."""
    assert TopicPattern(pattern).matches(topic) == matches


@given(patterns, topics)
def test_matching_is_token_by_token(pattern: str, topic: str) -> None:
    """A compiled pattern names exactly the topics that the rules name."""
    assert TopicPattern(pattern).matches(topic) == names(pattern, topic)


@given(topics)
def test_topic_names_itself_alone(topic: str) -> None:
    """A literal pattern says that it is one, and names its topic."""
    pattern = TopicPattern(topic)
    assert pattern.is_literal
    assert pattern.matches(topic)
    assert not pattern.matches(topic + "x")


@given(patterns)
def test_wildcards_are_not_literal(pattern: str) -> None:
    """A pattern is literal exactly when it has no wildcard."""
    assert TopicPattern(pattern).is_literal == is_topic(pattern)


@given(st.text(max_size=12))
def test_any_text_is_judged(text: str) -> None:
    """Every topic is a pattern, and judging any text raises nothing."""
    assert is_topic(text) <= is_topic_pattern(text)
