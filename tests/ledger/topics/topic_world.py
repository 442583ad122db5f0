"""A ledger in memory whose one governor sets topic rules, and the rules written anew.

``naive_chain`` and ``naive_heads`` say what the chain and the entities are, from the log alone and
without any production rule, so that whoever breaks one breaks a test.
"""

from collections.abc import Sequence
from hashlib import sha256

import msgspec
from blake3 import blake3

from ledger.core.execute import BlockResult
from ledger.core.topic_rules import TopicRule, rule_codec, rule_key
from ledger.core.trust.operations import (
    CONTENT_TYPE,
    Operation,
    Propose,
    SetTopicRule,
    operation_codec,
    topic_of,
)
from tests.ledger.memory_ledger import MemoryLedger
from tests.ledger.sample_network import ALICE, START_MS, entry

TOPIC = "catalog.offering.changed"
HASHES = tuple(bytes([number]) * 32 for number in range(1, 9))


def operation_entry(operation: Operation, nonce: int) -> bytes:
    """Give an event of Alice's, who governs alone, that carries an operation."""
    data = operation_codec.encode(operation)
    return entry(nonce, ALICE, topic=topic_of(operation), data=data, content_type=CONTENT_TYPE)


def rule_entry(pattern: str, nonce: int, *, complete: bool = False, expects: bool = False) -> bytes:
    """Give the proposal that sets a rule at once."""
    action = SetTopicRule(pattern, complete, expects)
    return operation_entry(Propose(action, START_MS + 10**6), nonce)


def update(nonce: int, subject: str, before: bytes, after: bytes, topic: str = TOPIC) -> bytes:
    """Give an event that replaces an entity's content."""
    return entry(nonce, topic=topic, subject=subject, previous_hash=before, entity_hash=after)


class TopicWorld:
    """A ledger in memory, and what its rules say."""

    def __init__(self) -> None:
        self.ledger = MemoryLedger()
        self._number = 0

    def block(self, *entries: bytes) -> BlockResult:
        """Apply a block."""
        self._number += 1
        return self.ledger.extend(*entries, number=self._number)

    def set_rule(self, pattern: str, *, complete: bool = False, expects: bool = False) -> None:
        """Set a rule in a block of its own, without other events."""
        rule = rule_entry(pattern, 1_000 + self._number, complete=complete, expects=expects)
        assert not self.block(rule).refused

    def rule(self, pattern: str) -> TopicRule | None:
        """Give what the state holds of a rule."""
        encoded = self.ledger.state.get(rule_key(pattern))
        return None if encoded is None else rule_codec.decode(encoded)


def digest(kind: str, data: bytes) -> bytes:
    """Give the digest of one kind of content."""
    return blake3(data, derive_key_context=f"concordat v1 {kind}").digest()


def naive_chain(
    log: Sequence[bytes], topics: Sequence[str], since: int, until: int
) -> tuple[int, int | None, bytes]:
    """Give count, last sequence and digest of the chain over some topics of a log."""
    chain, count, last = bytes(32), 0, None
    for sequence in range(since, until):
        topic = msgspec.msgpack.decode(log[sequence])[0][2]
        if topic in topics:
            leaf = sha256(b"\0" + log[sequence]).digest()
            row = sequence.to_bytes(8, "big") + digest("topic", topic.encode()) + leaf
            chain = sha256(chain + row).digest()
            count, last = count + 1, sequence
    return count, last, chain


def naive_heads(
    log: Sequence[bytes], topics: Sequence[str], since: int
) -> dict[bytes, tuple[bytes, int]]:
    """Give key -> (hash, sequence) of each entity that the log names on these topics."""
    heads: dict[bytes, tuple[bytes, int]] = {}
    for sequence in range(since, len(log)):
        fields = msgspec.msgpack.decode(log[sequence])[0]
        if fields[2] in topics:
            name = fields[2].encode() + b"\0" + fields[8].encode()
            heads[b"entity/" + digest("entity", name)] = (fields[9], sequence)
    return heads
