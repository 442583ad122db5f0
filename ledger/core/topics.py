"""Topic names and topic patterns.

A topic is 1 to 16 tokens of ``[A-Za-z0-9_-]`` joined by dots. In a pattern ``*`` stands for one
token and a final ``>`` for one or more. ``ledger.>`` is reserved for the state machine.
"""

import re

from ledger.core.limits import TOPIC_CHARS_MAX, TOPIC_TOKENS_MAX

__all__ = ["RESERVED_PREFIX", "TOPIC_REGEX", "TopicPattern", "is_topic", "is_topic_pattern"]

RESERVED_PREFIX = "ledger."

_TOKEN = r"[A-Za-z0-9_-]{1,64}"  # noqa: S105 - a pattern, not a password
TOPIC_REGEX = rf"^{_TOKEN}(\.{_TOKEN}){{0,{TOPIC_TOKENS_MAX - 1}}}\Z"
_TOPIC = re.compile(TOPIC_REGEX)
_PATTERN_TOKEN = re.compile(rf"(\*|{_TOKEN})\Z")


def is_topic(name: str) -> bool:
    """Say whether ``name`` is a well-formed topic."""
    return len(name) <= TOPIC_CHARS_MAX and _TOPIC.match(name) is not None


def is_topic_pattern(pattern: str) -> bool:
    """Say whether ``pattern`` is a well-formed topic pattern (every topic is one)."""
    tokens = pattern.split(".")
    if len(pattern) > TOPIC_CHARS_MAX or len(tokens) > TOPIC_TOKENS_MAX:
        return False
    if tokens[-1] == ">":
        tokens = tokens[:-1]
    return all(_PATTERN_TOKEN.match(token) for token in tokens)


class TopicPattern:
    """A compiled pattern; ``matches`` is one regular-expression match."""

    __slots__ = ("_regex", "text")

    def __init__(self, text: str) -> None:
        """Compile ``text``.

        Raises:
            ValueError: ``text`` is no topic pattern.
        """
        if not is_topic_pattern(text):
            msg = f"not a topic pattern: {text!r}"
            raise ValueError(msg)
        self.text = text
        tokens = text.split(".")
        tail = tokens[-1] == ">"
        body = r"\.".join(
            r"[^.]+" if token == "*" else re.escape(token)  # noqa: S105
            for token in (tokens[:-1] if tail else tokens)
        )
        if tail:
            body = body + r"\..+" if body else ".+"
        self._regex = re.compile(body + r"\Z")

    def matches(self, topic: str) -> bool:
        """Say whether the well-formed ``topic`` is named by this pattern."""
        return self._regex.match(topic) is not None

    @property
    def is_literal(self) -> bool:
        """True when the pattern names exactly one topic."""
        return "*" not in self.text and ">" not in self.text
