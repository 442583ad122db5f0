"""Searching the log: entries that fulfil several conditions, in order, without reading the rest.

Owns the choice and the intersection of indexes. Each condition with an index is a *stream* of
ascending sequences that can jump forward; the streams leapfrog each other until all stand on the
same sequence. What has no stream (a pattern for very many topics) is compared on the event itself.
"""

import re
from bisect import bisect_left
from collections.abc import Callable
from collections.abc import Sequence as Streams
from typing import NamedTuple, Protocol

import lmdb

from ledger.core.errors import DecodeError, InvariantError
from ledger.core.event import Event, open_entry
from ledger.core.ids import Sequence
from ledger.core.limits import SCAN_TOPICS_MAX
from ledger.core.topics import TopicPattern
from ledger.io.chain_schema import Tables, index_key, number_key, posting_numbers
from ledger.io.environment import Table
from ledger.io.hash_index import HashIndex

__all__ = ["LogIndex", "Selection", "scan"]


class Selection(NamedTuple):
    """Which events are wanted: all conditions that are not None must hold.

    Attributes:
        topic: a topic pattern (every topic is one), or several of which one names the topic.
        subject, publisher, type: the event's value, exactly.
    """

    topic: str | tuple[str, ...] | None = None
    subject: str | None = None
    publisher: str | None = None
    type: str | None = None

    def patterns(self) -> tuple[TopicPattern, ...]:
        """Give the compiled topic patterns; none for every topic. Raises ValueError."""
        topics = (self.topic,) if isinstance(self.topic, str) else self.topic or ()
        return tuple(map(TopicPattern, topics))

    def matches(self, event: Event, patterns: Streams[TopicPattern]) -> bool:
        """Say whether ``event`` fulfils all conditions; ``patterns`` are the compiled topics."""
        return (
            (not patterns or any(pattern.matches(event.topic) for pattern in patterns))
            and self.subject in (None, event.subject)
            and self.publisher in (None, event.publisher)
            and self.type in (None, event.type)
        )


class LogIndex(NamedTuple):
    """What a search reads: the indexes of one snapshot, and the entries."""

    tables: Tables
    transaction: "lmdb.Transaction[memoryview]"
    hashes: Callable[[], HashIndex]
    entry: Callable[[Sequence], bytes | None]


class _Stream(Protocol):
    """Ascending sequences, asked for in this order."""

    def seek(self, at_least: int) -> int | None:
        """Give the first sequence that is not below ``at_least``, or None at the end."""
        ...


class _ValueStream:
    """The sequences of the events with one indexed value."""

    __slots__ = ("_cursor", "_key", "_numbers")

    def __init__(self, source: LogIndex, table: Table, key: bytes) -> None:
        self._cursor = source.transaction.cursor(table)
        self._key = key
        self._numbers = [-1]  # of the row that was read last

    def seek(self, at_least: int) -> int | None:
        if at_least > self._numbers[-1]:
            if not self._cursor.set_range_dup(self._key, number_key(at_least)):
                return None
            self._numbers = posting_numbers(self._cursor.value())
        return self._numbers[bisect_left(self._numbers, at_least)]


class _SubjectStream:
    """The sequences of the events about one subject, and of others with its hash."""

    __slots__ = ("_hash", "_index")

    def __init__(self, index: HashIndex, subject: str) -> None:
        self._index = index
        self._hash = index.hash_of_subject(subject)

    def seek(self, at_least: int) -> int | None:
        return self._index.find(self._hash, at_least)


class _UnionStream:
    """The sequences of several streams together."""

    __slots__ = ("_heads",)

    def __init__(self, streams: Streams[_Stream]) -> None:
        # (the stream's next sequence, the stream); -1: not looked at yet.
        self._heads: list[tuple[int, _Stream]] = [(-1, stream) for stream in streams]

    def seek(self, at_least: int) -> int | None:
        heads: list[tuple[int, _Stream]] = []
        for known, stream in self._heads:
            found = known if known >= at_least else stream.seek(at_least)
            if found is not None:
                heads.append((found, stream))
        self._heads = heads
        return min((found for found, _ in heads), default=None)


def scan(
    source: LogIndex, selection: Selection, window: range, limit: int
) -> list[tuple[Sequence, bytes]]:
    """Give up to ``limit`` (sequence, entry) rows inside ``window`` that ``selection`` wants.

    Raises:
        ValueError: ``selection.topic`` is no topic pattern.
    """
    patterns = selection.patterns()
    streams, is_exact = _streams(source, selection, patterns)
    rows: list[tuple[Sequence, bytes]] = []
    position = window.start
    while len(rows) < limit:
        found = _meet(streams, position)
        if found is None or found >= window.stop:
            break
        sequence = Sequence(found)
        entry = source.entry(sequence)
        if entry is None:
            raise InvariantError(f"the log has no entry {found}, which an index names")
        if is_exact or selection.matches(_event(sequence, entry), patterns):
            rows.append((sequence, entry))
        position = found + 1
    return rows


def _meet(streams: Streams[_Stream], at_least: int) -> int | None:
    """Give the first sequence from ``at_least`` on that is in every stream."""
    candidate, agreeing = at_least, 0
    while agreeing < len(streams):
        for stream in streams:
            found = stream.seek(candidate)
            if found is None:
                return None
            agreeing = agreeing + 1 if found == candidate else 1
            candidate = found
            if agreeing == len(streams):
                break
    return candidate


def _streams(
    source: LogIndex, selection: Selection, patterns: Streams[TopicPattern]
) -> tuple[list[_Stream], bool]:
    """Give a stream for each condition that has one, and whether they say all."""
    tables = source.tables
    streams: list[_Stream] = [
        _ValueStream(source, table, index_key(value))
        for table, value in (
            (tables.publishers, selection.publisher),
            (tables.types, selection.type),
        )
        if value is not None
    ]
    if selection.subject is not None:
        streams.append(_SubjectStream(source.hashes(), selection.subject))
    is_exact = selection.subject is None
    if not patterns:
        return streams, is_exact
    topics = _named_topics(source, patterns)
    if topics is None:
        return streams, False
    named = [_ValueStream(source, tables.topics, topic) for topic in topics]
    return [*streams, named[0] if len(named) == 1 else _UnionStream(named)], is_exact


def _named_topics(source: LogIndex, patterns: Streams[TopicPattern]) -> list[bytes] | None:
    """Give the topics that a pattern names, each once; None when there are too many to look at."""
    topics: dict[bytes, None] = {}
    for pattern in patterns:
        if pattern.is_literal:
            topics[index_key(pattern.text)] = None
            continue
        named = _matching_topics(source, pattern)
        if named is None:
            return None
        topics.update(dict.fromkeys(named))
    return list(topics)


def _matching_topics(source: LogIndex, pattern: TopicPattern) -> list[bytes] | None:
    """Give the topics that ``pattern`` names, or None when too many would have to be looked at."""
    prefix = re.split(r"[*>]", pattern.text, maxsplit=1)[0].encode()
    topics: list[bytes] = []
    with source.transaction.cursor(source.tables.topics) as cursor:
        if not cursor.set_range(prefix or b"\0"):
            return topics
        keys = cursor.iternext_nodup(keys=True, values=False)
        for seen, key in enumerate(map(bytes, keys)):
            if not key.startswith(prefix):
                break
            if seen == SCAN_TOPICS_MAX:
                return None
            if pattern.matches(key.decode()):
                topics.append(key)
    return topics


def _event(sequence: Sequence, entry: bytes) -> Event:
    try:
        return open_entry(entry).event
    except DecodeError as error:
        raise InvariantError(f"entry {sequence} of the log cannot be read: {error}") from error
