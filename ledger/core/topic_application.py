"""What the rules of topics do to the events of a block: refuse some, and chain the rest.

All rules are those of the state before the block. An event sees what earlier ones of the same block
made of its entity. The same state and events give the same result on every node.
"""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import msgspec

from ledger.core.codec import encode
from ledger.core.errors import DecodeError, InvariantError, RejectCode
from ledger.core.limits import HASH_BYTES
from ledger.core.merkle import separate
from ledger.core.scanning import Scan, verdict
from ledger.core.state import StateView
from ledger.core.topic_rules import (
    AT_END_OF_BLOCK,
    RULE_PREFIX,
    EntityHead,
    TopicChain,
    TopicRule,
    TopicRules,
    can_expect_previous,
    chain_row,
    entity_key,
    extend_chain,
    head_codec,
    row_sequence,
    rule_codec,
    rule_key,
    topic_digest,
)

__all__ = ["current_hash", "refuse_mismatches", "rule_changes"]

_ENTITY_HASH: Final = 9  # positions in an event
_PREVIOUS_HASH: Final = 10

_read_fields: Final = msgspec.msgpack.Decoder().decode


def current_hash(state: StateView, topic: str, subject: str) -> bytes | None:
    """Give the hash that an event about an entity must name as the previous one.

    Returns:
        ``b""`` when there is no such entity; None when events of the topic need not name any.
    """
    since = _expecting(_Rules(state), topic)
    key = entity_key(topic.encode(), subject.encode())
    return None if since is None else _head_hashes(state, {key: since})[key]


def refuse_mismatches(scan: Scan, state: StateView, first: int) -> dict[bytes, bytes]:
    """Refuse, in the scan, events that do not name what they replace; give the state's changes.

    Args:
        scan: of a block's batches, judged, after its operations were carried out.
        state: before the block.
        first: sequence of the first event that the block adds to the log.
    """
    rules = _Rules(state)
    expecting = {
        topic.encode(): _expecting(rules, topic) for topic in _open_topics(scan, rules.patterns)
    }
    if all(since is None for since in expecting.values()):
        return {}
    updates = _updates(scan, expecting)
    known = _head_hashes(state, {item.key: item.since for item in updates})
    heads: dict[bytes, EntityHead] = {}
    refused: set[bytes] = set()
    for item in updates:
        if item.previous_hash == known[item.key]:
            known[item.key] = item.entity_hash
            heads[item.key] = EntityHead(item.entity_hash, first + item.place - len(refused))
        else:
            refused.add(item.id)
    scan.refuse_known(refused, verdict(RejectCode.PREVIOUS_HASH_MISMATCH))
    return {key: encode(head) for key, head in heads.items()}


def rule_changes(
    scan: Scan,
    state: StateView,
    first: int,
    leaf_hashes: bytes,
    changes: Mapping[bytes, bytes],
) -> dict[bytes, bytes]:
    """Give what a block changes of the rules themselves.

    Args:
        scan: of the block's batches; its open entries are the events that the log took.
        state: before the block.
        first: sequence of the first of them.
        leaf_hashes: of them, side by side, in order.
        changes: what the block's operations changed.
    """
    changed = {
        key: _decode_rule(value) for key, value in changes.items() if key.startswith(RULE_PREFIX)
    }
    for pattern, rows in _rows_of_chains(scan, state, first, leaf_hashes).items():
        key = rule_key(pattern)
        rule = changed.get(key) or _rule(state.get, pattern)
        # One that begins with the end of this block covers nothing of it.
        if rule.chain is not None and rule.chain.since != AT_END_OF_BLOCK:
            chain = msgspec.structs.replace(
                rule.chain,
                count=rule.chain.count + len(rows),
                last=row_sequence(rows[-1]),
                digest=extend_chain(rule.chain.digest, rows),
            )
            changed[key] = TopicRule(chain, rule.expects_since)
    size = first + len(leaf_hashes) // HASH_BYTES
    return {key: encode(_settled(rule, size)) for key, rule in changed.items()}


# --- helpers --------------------------------------------------------------------------------


class _Rules(dict[str, TopicRule]):
    """The rules of a state by their patterns; each is read once, when it is first asked for."""

    def __init__(self, state: StateView) -> None:
        super().__init__()
        self.patterns = state.topic_rules()
        self._state = state

    def __missing__(self, pattern: str) -> TopicRule:
        self[pattern] = rule = _rule(self._state.get, pattern)
        return rule


def _open_topics(scan: Scan, patterns: TopicRules) -> list[str]:
    """Give the topics of the entries that are not refused, sorted, if a rule names any."""
    named = any(patterns.matching(topic) for _, topic, _, _ in scan.groups()) if patterns else False
    return sorted(topic.decode() for topic in set(scan.field("topic"))) if named else []


class _Topic(NamedTuple):
    """A topic that chains cover: its digest, and how to add a row to each of them."""

    digest: bytes
    add: tuple[Callable[[bytes], None], ...]


def _rows_of_chains(
    scan: Scan, state: StateView, first: int, leaf_hashes: bytes
) -> dict[str, list[bytes]]:
    """Give the rows of the block's events, for each pattern whose chain they extend."""
    rules = _Rules(state)
    found: dict[str, list[bytes]] = {}
    topics: dict[bytes, _Topic] = {}
    for topic in _open_topics(scan, rules.patterns):
        complete = [name for name in rules.patterns.matching(topic) if rules[name].is_complete]
        if complete:
            add = tuple(found.setdefault(name, []).append for name in complete)
            topics[topic.encode()] = _Topic(topic_digest(topic), add)
    if not topics:
        return {}
    columns = zip(scan.field("topic"), separate(leaf_hashes), strict=True)
    for sequence, (name, leaf_hash) in enumerate(columns, first):
        topic_found = topics.get(name)
        if topic_found is not None:
            row = chain_row(sequence, topic_found.digest, leaf_hash)
            for add_row in topic_found.add:
                add_row(row)
    return found


def _settled(rule: TopicRule, size: int) -> TopicRule:
    """Say where what began or ended with this block did so: the log has ``size`` events now."""
    chain = rule.chain
    if chain is not None:
        since = size if chain.since == AT_END_OF_BLOCK else chain.since
        until = size if chain.until == AT_END_OF_BLOCK else chain.until
        chain = TopicChain(since, until, chain.count, chain.last, chain.digest)
    expects_since = size if rule.expects_since == AT_END_OF_BLOCK else rule.expects_since
    return TopicRule(chain, expects_since)


def _expecting(rules: _Rules, topic: str) -> int | None:
    """Give the log's size when events of a topic began to have to name what they replace."""
    if not can_expect_previous(topic):
        return None
    found = (rules[pattern].expects_since for pattern in rules.patterns.matching(topic))
    return min((since for since in found if since is not None), default=None)


class _Update(NamedTuple):
    """An event that must name what it replaces.

    Attributes:
        place: among the events that nothing else refused; since: when its rule began.
    """

    place: int
    id: bytes
    key: bytes
    since: int
    entity_hash: bytes
    previous_hash: bytes


def _updates(scan: Scan, expecting: Mapping[bytes, int | None]) -> list[_Update]:
    rows = zip(scan.field("topic"), scan.field("subject"), scan.ids(), scan.entries(), strict=True)
    found: list[_Update] = []
    for place, (topic, subject, id_, entry) in enumerate(rows):
        since = expecting[topic]
        if since is not None:
            fields = _read_fields(entry)[0]  # of an entry that the scan found to be canonical
            key = entity_key(topic, subject)
            hashes = fields[_ENTITY_HASH], fields[_PREVIOUS_HASH]
            found.append(_Update(place, id_, key, since, *hashes))
    return found


def _head_hashes(state: StateView, keys: Mapping[bytes, int]) -> dict[bytes, bytes]:
    """Give the hash of each entity's newest event, empty when there is none.

    Args:
        keys: of entities -> when the rule began. What was before it is not known to be the newest.
    """
    held = state.get_many(keys)
    found = dict.fromkeys(keys, b"")
    for key, encoded in held.items():
        try:
            head = head_codec.decode(encoded)
        except DecodeError as error:
            raise InvariantError(f"the state holds no head of an entity: {error}") from error
        if head.sequence >= keys[key]:
            found[key] = head.hash
    return found


def _rule(read: Callable[[bytes], bytes | None], pattern: str) -> TopicRule:
    encoded = read(rule_key(pattern))
    if encoded is None:
        raise InvariantError(f"the state lacks the rule of {pattern}, which is in force")
    return _decode_rule(encoded)


def _decode_rule(encoded: bytes) -> TopicRule:
    try:
        return rule_codec.decode(encoded)
    except DecodeError as error:
        raise InvariantError(f"the state holds no rule: {error}") from error
