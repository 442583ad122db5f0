"""Searching the log: entries that fulfil several conditions, in order, without reading the rest.

Owns the choice and the intersection of indexes. Each condition with an index is a *stream* of
ascending sequences that can jump forward; the streams leapfrog each other until all stand on the
same sequence. What has no stream (a pattern for very many topics) is compared on the event itself.
"""

import re
from collections.abc import Callable
from collections.abc import Sequence as Streams
from typing import NamedTuple, Protocol

import lmdb

from ledger.core.errors import DecodeError, InvariantError
from ledger.core.event import Event, open_entry
from ledger.core.ids import Sequence
from ledger.core.limits import SCAN_TOPICS_MAX
from ledger.core.topics import TopicPattern
from ledger.io.chain_schema import Tables, index_key, number_key, read_number
from ledger.io.environment import Table

__all__ = ["LogIndex", "Selection", "scan"]


class Selection(NamedTuple):
    """Which events are wanted: all conditions that are not None must hold.

    Attributes:
        topic: a topic pattern (every topic is one).
        subject, publisher, type: the event's value, exactly.
    """

    topic: str | None = None
    subject: str | None = None
    publisher: str | None = None
    type: str | None = None

    def matches(self, event: Event, pattern: TopicPattern | None) -> bool:
        """Say whether ``event`` fulfils all conditions; ``pattern`` is the compiled topic."""
        return (
            (pattern is None or pattern.matches(event.topic))
            and self.subject in (None, event.subject)
            and self.publisher in (None, event.publisher)
            and self.type in (None, event.type)
        )


class LogIndex(NamedTuple):
    """What a search reads: the indexes of one snapshot, and the entries."""

    tables: Tables
    transaction: "lmdb.Transaction[memoryview]"
    entry: Callable[[Sequence], bytes | None]


class _Stream(Protocol):
    """Ascending sequences."""

    def seek(self, at_least: int) -> int | None:
        """Give the first sequence that is not below ``at_least``, or None at the end."""
        ...


class _ValueStream:
    """The sequences of the events with one indexed value."""

    __slots__ = ("_cursor", "_key")

    def __init__(self, source: LogIndex, table: Table, key: bytes) -> None:
        self._cursor = source.transaction.cursor(table)
        self._key = key

    def seek(self, at_least: int) -> int | None:
        if not self._cursor.set_range_dup(self._key, number_key(at_least)):
            return None
        return read_number(self._cursor.value())


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
    pattern = None if selection.topic is None else TopicPattern(selection.topic)
    streams, is_exact = _streams(source, selection, pattern)
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
        if is_exact or selection.matches(_event(sequence, entry), pattern):
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
    source: LogIndex, selection: Selection, pattern: TopicPattern | None
) -> tuple[list[_Stream], bool]:
    """Give a stream for each condition that has one, and whether they say all."""
    tables = source.tables
    streams: list[_Stream] = []
    is_exact = True
    for table, value in (
        (tables.subjects, selection.subject),
        (tables.publishers, selection.publisher),
        (tables.types, selection.type),
        (tables.topics, pattern.text if pattern is not None and pattern.is_literal else None),
    ):
        if value is not None:
            streams.append(_ValueStream(source, table, index_key(value)))
    if pattern is not None and not pattern.is_literal:
        topics = _matching_topics(source, pattern)
        if topics is None:
            is_exact = False
        else:
            streams.append(
                _UnionStream([_ValueStream(source, tables.topics, topic) for topic in topics])
            )
    return streams, is_exact


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
