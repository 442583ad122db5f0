"""Rules of topics, judged at the end of a run of whole nodes from the longest log alone.

What the state holds of each rule is what this naive reading of docs/proofs.md and
docs/decisions/0008-topic-rules.md gives: where it begins and ends, the chain over every event, each
entity's newest hash. No event is in the log that had to name another hash.
"""

from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from blake3 import blake3

from simnet.checkers.checker import Checker, require
from simnet.checkers.delivery import wants
from simnet.checkers.promises import event_id
from simnet.full.storage import FullStorage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from simnet.world import World

__all__ = ["Topics"]

_GOVERNANCE = "ledger.governance"
_PROPOSE, _APPROVE, _SET_RULE = 4, 5, 4  # numbers of operations, and of actions


class _Span(NamedTuple):
    """Where something holds: from one size of the log to another, None while it goes on."""

    since: int
    until: int | None


class _Event(NamedTuple):
    """What matters of an entry."""

    topic: str
    subject: str
    hash: bytes
    previous: bytes
    data: bytes
    entry: bytes


class Topics(Checker):
    """Derives every rule again and compares it with the states."""

    def on_end(self, world: "World") -> None:
        """Judge the longest log, and the state of whoever holds all of it."""
        stores = [m.storage for m in world.honest if isinstance(m.storage, FullStorage)]
        longest = max(stores, key=lambda store: store.chain.durable_height)
        height = longest.chain.durable_height
        size = longest.roots[height].log_size
        log = [_read(entry) for entry in longest.log[:size]]
        ends = [root.log_size for root in longest.roots]  # of the log, after each block
        complete, expecting = _spans(log, ends, longest.chain.log_heights)
        expected = _chains(log, complete, expecting) | _heads(log, expecting)
        for store in stores:
            if store.chain.durable_height == height:
                for key, value in expected.items():
                    held = store.snapshot.state.get(key)
                    require(held == value, "topics", f"the state holds {held!r} for {key!r}")


def _read(entry: bytes) -> _Event:
    fields = msgspec.msgpack.decode(entry)[0]
    return _Event(fields[2], fields[8], fields[9], fields[10], fields[13], entry)


def _spans(
    log: list[_Event], ends: list[int], heights: "Sequence[int]"
) -> tuple[dict[str, _Span], dict[str, _Span]]:
    """Give where each pattern is complete, and where its events must name what they replace."""
    proposals: dict[bytes, list[object]] = {}
    complete: dict[str, _Span] = {}
    expecting: dict[str, _Span] = {}
    for sequence, event in enumerate(log):
        if event.topic != _GOVERNANCE:
            continue
        operation = msgspec.msgpack.decode(event.data)
        if operation[0] == _PROPOSE and operation[1][0] == _SET_RULE:
            proposals[event_id(event.entry)] = operation[1]
        if operation[0] == _APPROVE and operation[1] in proposals:  # the second of two
            _, pattern, is_complete, expects = proposals.pop(operation[1])
            end = ends[heights[sequence]]
            _switch(complete, str(pattern), bool(is_complete), end)
            _switch(expecting, str(pattern), bool(expects), end)
    return complete, expecting


def _switch(spans: dict[str, _Span], pattern: str, on: bool, end: int) -> None:  # noqa: FBT001
    span = spans.get(pattern)
    is_on = span is not None and span.until is None
    if on and not is_on:
        spans[pattern] = _Span(end, None)
    elif span is not None and is_on and not on:
        spans[pattern] = _Span(span.since, end)


def _chains(
    log: list[_Event], complete: dict[str, _Span], expecting: dict[str, _Span]
) -> dict[bytes, bytes]:
    """Give key -> value of every rule."""
    found: dict[bytes, bytes] = {}
    for pattern in sorted(complete.keys() | expecting.keys()):
        span, expects = complete.get(pattern), expecting.get(pattern)
        chain: list[object] | None = None
        if span is not None:
            digest, count, last = bytes(32), 0, None
            until = len(log) if span.until is None else span.until
            for sequence in range(span.since, until):
                event = log[sequence]
                if wants(pattern, event.topic):
                    row = _digest("topic", event.topic) + sha256(b"\0" + event.entry).digest()
                    digest = sha256(digest + sequence.to_bytes(8, "big") + row).digest()
                    count, last = count + 1, sequence
            chain = [span.since, span.until, count, last, digest]
        since = expects.since if expects is not None and expects.until is None else None
        found[b"topic-rule/" + pattern.encode()] = msgspec.msgpack.encode([chain, since])
    return found


def _heads(log: list[_Event], expecting: dict[str, _Span]) -> dict[bytes, bytes]:
    """Give key -> value of every entity, and require that each event named what it replaced."""
    hashes: dict[bytes, bytes] = {}
    found: dict[bytes, bytes] = {}
    for pattern, span in expecting.items():
        until = len(log) if span.until is None else span.until
        for sequence in range(span.since, until):
            event = log[sequence]
            if wants(pattern, event.topic):
                key = b"entity/" + _digest("entity", f"{event.topic}\0{event.subject}")
                named = event.previous == hashes.get(key, b"")
                require(named, "topics", f"event {sequence} does not name what it replaces")
                hashes[key] = event.hash
                found[key] = msgspec.msgpack.encode([event.hash, sequence])
    return found


def _digest(kind: str, text: str) -> bytes:
    return blake3(text.encode(), derive_key_context=f"concordat v1 {kind}").digest()
