"""Rules of topics: which topics are complete, and on which an event must name what it replaces.

Owns what the state holds about them, and the chain that makes a topic complete. Governors set rules
(``ledger.core.trust.topic_rules``); what they do to a block's events is ``topic_application``.

Invariants:
- A rule is in force from the block after the one that set it, to the end of the one that ended it.
- A chain names each event that it covers by its sequence, the digest of its topic and its leaf
  hash, in the order of the log. It depends on the events alone and not on how blocks divide them,
  so that also who has only the log can compute it anew.
- Nothing is deleted: a rule that ended stays, and says where.
"""

import struct
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated, Final

from msgspec import Meta

from ledger.core.codec import Codec, Hash32, Record, UInt
from ledger.core.hashing import derived_digest
from ledger.core.limits import (
    HASH_BYTES,
    INT_MAX,
    TOPIC_CHARS_MAX,
    TOPIC_RIGHTS_REMEMBERED_MAX,
    TOPIC_RULES_MAX,
)
from ledger.core.topics import RESERVED_PREFIX, TopicPattern

__all__ = [
    "AT_END_OF_BLOCK",
    "CHAIN_START",
    "RULES_KEY",
    "RULE_PREFIX",
    "EntityHead",
    "TopicChain",
    "TopicRule",
    "TopicRules",
    "can_expect_previous",
    "chain_row",
    "changed_rule",
    "entity_key",
    "extend_chain",
    "head_codec",
    "row_sequence",
    "rule_codec",
    "rule_key",
    "rules_codec",
    "topic_digest",
]

RULES_KEY: Final = b"topic rules"
RULE_PREFIX: Final = b"topic-rule/"
AT_END_OF_BLOCK: Final = INT_MAX
"""Stands, while a block is applied, for the log's size after it."""
CHAIN_START: Final = bytes(HASH_BYTES)

_ENTITY_PREFIX: Final = b"entity/"
_entity_digest = derived_digest("entity")
_topic_digest = derived_digest("topic")
_sequence = struct.Struct(">Q")


class TopicChain(Record, frozen=True):
    """The events on the topics of one rule, as one digest.

    Attributes:
        since: the log's size when it began: it covers events from this sequence on.
        until: the log's size when it ended; None while it goes on.
        count: how many events it covers.
        last: sequence of the newest of them; None when there is none.
        digest: ``CHAIN_START``, extended by the row of each of them.
    """

    since: UInt
    until: UInt | None
    count: UInt
    last: UInt | None
    digest: Hash32


class TopicRule(Record, frozen=True):
    """What holds for the topics that a pattern names.

    Attributes:
        chain: of the events while the topics are, or were, complete; None when they never were.
        expects_since: the log's size when events began to have to name what they replace; None
            when they need not.
    """

    chain: TopicChain | None
    expects_since: UInt | None

    @property
    def is_complete(self) -> bool:
        """True while every event is added to the chain."""
        return self.chain is not None and self.chain.until is None

    @property
    def is_in_force(self) -> bool:
        """True while the rule does anything."""
        return self.is_complete or self.expects_since is not None


class EntityHead(Record, frozen=True):
    """The newest event about one entity on a topic where events name what they replace.

    Attributes:
        hash: digest of the entity's content, empty when that event ended it.
        sequence: of that event.
    """

    hash: Annotated[bytes, Meta(max_length=HASH_BYTES)]
    sequence: UInt


_Pattern = Annotated[str, Meta(max_length=TOPIC_CHARS_MAX)]
_Patterns = Annotated[tuple[_Pattern, ...], Meta(max_length=TOPIC_RULES_MAX)]

rules_codec: Codec[tuple[str, ...]] = Codec(_Patterns)
rule_codec = Codec(TopicRule)
head_codec = Codec(EntityHead)


class TopicRules:
    """The patterns of the rules in force, compiled for many questions.

    It depends on them alone, so it may be shared by every state that holds them, in any thread.
    """

    __slots__ = ("_compiled", "_known", "patterns")

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns = tuple(patterns)
        self._compiled = tuple(map(TopicPattern, patterns))
        self._known: dict[str, tuple[str, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self.patterns)

    def matching(self, topic: str) -> tuple[str, ...]:
        """Give the patterns that name a topic, in their order."""
        found = self._known.get(topic)
        if found is None:
            found = tuple(pattern.text for pattern in self._compiled if pattern.matches(topic))
            if len(self._known) >= TOPIC_RIGHTS_REMEMBERED_MAX:
                self._known.clear()
            self._known[topic] = found
        return found


def rule_key(pattern: str) -> bytes:
    """Give the key of the rule of a pattern, in force or ended."""
    return RULE_PREFIX + pattern.encode()


def entity_key(topic: bytes, subject: bytes) -> bytes:
    """Give the key of an entity's head. A digest: a subject is longer than a key, and private."""
    return _ENTITY_PREFIX + _entity_digest(topic + b"\0" + subject)


def topic_digest(topic: str) -> bytes:
    """Give what a row names a topic by: who may not read a topic need not learn its name."""
    return _topic_digest(topic.encode())


def chain_row(sequence: int, digest_of_topic: bytes, leaf_hash: bytes) -> bytes:
    """Give what stands for one event in a chain: 8, 32 and 32 bytes."""
    return _sequence.pack(sequence) + digest_of_topic + leaf_hash


def row_sequence(row: bytes) -> int:
    """Give the sequence that a row names."""
    return int(_sequence.unpack_from(row)[0])


def extend_chain(digest: bytes, rows: Iterable[bytes]) -> bytes:
    """Give the digest of a chain after more rows."""
    for row in rows:
        digest = sha256(digest + row).digest()
    return digest


def can_expect_previous(pattern: str) -> bool:
    """Say whether events of a pattern's topics may have to name what they replace.

    Those of reserved topics never have to: governors must be able to undo every rule.
    """
    return not pattern.startswith(RESERVED_PREFIX)


def changed_rule(
    old: TopicRule | None, *, is_complete: bool, expects_previous: bool
) -> TopicRule | None:
    """Give a rule with other options, or None when it has these options already.

    What begins or ends does so with the end of the block. A chain that goes on is left as it is.
    """
    before = TopicRule(None, None) if old is None else old
    chain, expects_since = before.chain, before.expects_since
    if is_complete and not before.is_complete:
        chain = TopicChain(AT_END_OF_BLOCK, None, 0, None, CHAIN_START)
    elif chain is not None and before.is_complete and not is_complete:
        chain = TopicChain(chain.since, AT_END_OF_BLOCK, chain.count, chain.last, chain.digest)
    if not expects_previous:
        expects_since = None
    elif expects_since is None:
        expects_since = AT_END_OF_BLOCK
    new = TopicRule(chain, expects_since)
    return None if new == before else new
