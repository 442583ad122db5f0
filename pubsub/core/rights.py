"""Who asks, what for, and which topics it may read: scopes and principals of one gateway.

Owns the judgement, not how a principal proves who it is. Rights are a gateway's own: the ledger's
rights to write are judged by the state machine alone, whoever hands an event in.

A restricted topic is one that the operator named; only a principal whose patterns name it may read
it. What cannot be filtered by topic (the raw log, blocks, tiles) needs all restricted topics.
"""

from enum import StrEnum
from functools import lru_cache

import msgspec

from ledger.core.topics import TopicPattern
from pubsub.core.limits import RIGHTS_PATTERNS_CACHED

__all__ = ["ANONYMOUS_NAME", "DEFAULT_ANONYMOUS", "Principal", "Scope", "pattern_covers"]

ANONYMOUS_NAME = "anonymous"


class Scope(StrEnum):
    """What a principal may do. The values are stable.

    Attributes:
        PUBLIC: what everybody may: health, genesis, status; never listed in a token.
        READ: read events and state. PUBLISH: hand events in. CONSUME: durable consumers.
        WEBHOOKS: webhook endpoints. OPERATE: the console, tokens, audit, what belongs to others.
    """

    PUBLIC = "public"
    READ = "read"
    PUBLISH = "publish"
    CONSUME = "consume"
    WEBHOOKS = "webhooks"
    OPERATE = "operate"


DEFAULT_ANONYMOUS = frozenset({Scope.READ, Scope.PUBLISH})


class Principal(msgspec.Struct, frozen=True):
    """Somebody who asks something of the gateway.

    Attributes:
        name: unique over all kinds of principals, and the same each time.
        scopes: what it may do.
        topics: patterns of the restricted topics that it may read; None for all.
        restricted: patterns of the topics that the operator restricted.
        expires_ms: what it showed is void from then on, in ms since 1970; None for never.
    """

    name: str
    scopes: frozenset[Scope]
    topics: tuple[str, ...] | None = ()
    restricted: tuple[str, ...] = ()
    expires_ms: int | None = None

    def may(self, scope: Scope) -> bool:
        """Say whether it has the scope."""
        return scope is Scope.PUBLIC or scope in self.scopes

    def may_read(self, topic: str) -> bool:
        """Say whether it may read events on the well-formed ``topic``; needs READ besides."""
        return (
            not self.restricted
            or self.topics is None
            or not _names(self.restricted, topic)
            or _names(self.topics, topic)
        )

    @property
    def reads_all(self) -> bool:
        """Whether there is no topic that it may not read."""
        granted = self.topics
        return granted is None or all(
            any(pattern_covers(pattern, restricted) for pattern in granted)
            for restricted in self.restricted
        )


def pattern_covers(wide: str, narrow: str) -> bool:
    """Say whether the pattern ``wide`` names every topic that the pattern ``narrow`` names."""
    wide_tokens, narrow_tokens = wide.split("."), narrow.split(".")
    for position, token in enumerate(wide_tokens):
        if position >= len(narrow_tokens):
            return False
        if token == ">":  # noqa: S105 - a token of a pattern
            return True
        other = narrow_tokens[position]
        if other == ">" or (token not in ("*", other)):
            return False
    return len(wide_tokens) == len(narrow_tokens)


def _names(patterns: tuple[str, ...], topic: str) -> bool:
    return any(_compiled(pattern).matches(topic) for pattern in patterns)


@lru_cache(maxsize=RIGHTS_PATTERNS_CACHED)
def _compiled(pattern: str) -> TopicPattern:
    return TopicPattern(pattern)
