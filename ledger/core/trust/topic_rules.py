"""Governors set and end rules of topics.

Owns when a rule may be set. The index of the rules in force and the rules themselves change
together; where a rule begins or ends in the log is known only when the block's events are.
"""

from ledger.core.codec import encode
from ledger.core.errors import DecodeError, InvariantError
from ledger.core.limits import TOPIC_RULES_MAX
from ledger.core.topic_rules import (
    RULES_KEY,
    TopicRule,
    can_expect_previous,
    changed_rule,
    rule_codec,
    rule_key,
    rules_codec,
)
from ledger.core.trust.operations import SetTopicRule
from ledger.core.trust.overlay import StateOverlay

__all__ = ["rule_fault", "set_rule"]


def rule_fault(state: StateOverlay, operation: SetTopicRule) -> bool:
    """Say whether a rule cannot be set: it changes nothing, or there would be too many."""
    if operation.expects_previous and not can_expect_previous(operation.pattern):
        return True
    if _changed(state, operation) is None:
        return True
    patterns = _in_force(state)
    return operation.pattern not in patterns and len(patterns) >= TOPIC_RULES_MAX


def set_rule(state: StateOverlay, operation: SetTopicRule) -> None:
    """Set a rule, which has no fault, from the next block on."""
    new = _changed(state, operation)
    assert new is not None, "it was asked for its fault"
    others = [pattern for pattern in _in_force(state) if pattern != operation.pattern]
    if new.is_in_force:
        others.append(operation.pattern)
    state.put(RULES_KEY, encode(tuple(sorted(others))))
    state.put(rule_key(operation.pattern), encode(new))


def _changed(state: StateOverlay, operation: SetTopicRule) -> TopicRule | None:
    encoded = state.get(rule_key(operation.pattern))
    try:
        old = None if encoded is None else rule_codec.decode(encoded)
    except DecodeError as error:
        raise InvariantError(f"the state holds no rule: {error}") from error
    return changed_rule(
        old, is_complete=operation.is_complete, expects_previous=operation.expects_previous
    )


def _in_force(state: StateOverlay) -> tuple[str, ...]:
    encoded = state.get(RULES_KEY)
    try:
        return () if encoded is None else rules_codec.decode(encoded)
    except DecodeError as error:
        raise InvariantError(f"the state holds no topic rules: {error}") from error
