"""What must hold after any faults, stated anew from the promises and not from production code.

Pure: it is told what clients were told, what every node's store holds and what subscribers saw, and
gives one sentence for each broken promise. Real processes (`tests/chaos`) and the simulator are
judged by this one file, which imports nothing of ours. `tests/chaos/test_checker.py` shows each
check bite.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from blake3 import blake3

__all__ = ["RESTART_S_MAX", "History", "event_id", "find_faults"]

RESTART_S_MAX = 3.0  # first new commit after the last start of four members at once
_EXAMPLES_MAX = 3  # sentences for one promise of one node: the first ones tell the story
_CONTEXT = "concordat v1 event"
_EVENT = slice(1, -66)  # an entry: array header, event, header and 64 bytes of signature


@dataclass(slots=True)
class History:
    """What happened, as seen from outside.

    Attributes:
        handed_in: ids of all events that clients signed.
        acknowledged: event id -> every sequence at which a client was told that it is final.
        logs: member -> ids of its log's events, by sequence.
        roots: member -> the ledger root that it computed for its log.
        blocks: member -> ids of its final blocks, from height 1 on.
        accusations: (accuser, accused) for each piece of evidence in a member's store.
        suspects: members that may be accused: what they had signed was taken from them.
        seen: subscriber -> (sequence, id) of what it was given, in that order.
        restarts_s: seconds from the last start to the first new commit, of each full restart.
        restart_s_max: what each of these may be.
    """

    handed_in: set[bytes] = field(default_factory=set)
    acknowledged: dict[bytes, set[int]] = field(default_factory=dict)
    logs: dict[str, Sequence[bytes]] = field(default_factory=dict)
    roots: dict[str, bytes] = field(default_factory=dict)
    blocks: dict[str, Sequence[bytes]] = field(default_factory=dict)
    accusations: set[tuple[str, str]] = field(default_factory=set)
    suspects: set[str] = field(default_factory=set)
    seen: dict[str, Sequence[tuple[int, bytes]]] = field(default_factory=dict)
    restarts_s: list[float] = field(default_factory=list)
    restart_s_max: float = RESTART_S_MAX


def event_id(entry: bytes) -> bytes:
    """Give the id of an encoded entry."""
    return blake3(entry[_EVENT], derive_key_context=_CONTEXT).digest()


def find_faults(history: History) -> list[str]:
    """Give a sentence for each broken promise."""
    return [
        *_acknowledged_once(history.acknowledged),
        *_in_every_log(history),
        *_logs_agree(history),
        *_blocks_agree(history.blocks),
        *_nobody_wrongly_accused(history),
        *_nothing_twice(history.logs),
        *_nothing_invented(history),
        *(
            fault
            for name, events in history.seen.items()
            for fault in _first(_seen_without_gap(name, events, _longest(history.logs)))
        ),
        *_restarted_in_time(history.restarts_s, history.restart_s_max),
    ]


def _acknowledged_once(acknowledged: Mapping[bytes, set[int]]) -> Iterator[str]:
    for id_, sequences in acknowledged.items():
        if len(sequences) != 1:
            yield f"event {id_.hex()} was acknowledged as final at {sorted(sequences)}"


def _in_every_log(history: History) -> Iterator[str]:
    for name, log in history.logs.items():
        yield from _first(_missing(name, log, history.acknowledged))


def _missing(
    name: str, log: Sequence[bytes], acknowledged: Mapping[bytes, set[int]]
) -> Iterator[str]:
    for id_, sequences in acknowledged.items():
        for sequence in sequences:
            if sequence >= len(log) or log[sequence] != id_:
                yield f"{name} does not hold the acknowledged event {id_.hex()} at {sequence}"


def _logs_agree(history: History) -> Iterator[str]:
    longest = _longest(history.logs)
    for name, log in history.logs.items():
        if len(log) != len(longest):
            yield f"{name} holds {len(log)} events, another member {len(longest)}"
        for sequence, (mine, theirs) in enumerate(zip(log, longest, strict=False)):
            if mine != theirs:
                yield f"{name} holds another event at {sequence} than the longest log"
                break
    if len(set(history.roots.values())) > 1:
        yield f"ledger roots differ: { {name: r.hex() for name, r in history.roots.items()} }"


def _blocks_agree(blocks: Mapping[str, Sequence[bytes]]) -> Iterator[str]:
    longest = _longest(blocks)
    for name, chain in blocks.items():
        for height, (mine, theirs) in enumerate(zip(chain, longest, strict=False), start=1):
            if mine != theirs:
                yield f"{name} has another final block at height {height} than the longest chain"
                break


def _nobody_wrongly_accused(history: History) -> Iterator[str]:
    for accuser, accused in sorted(history.accusations):
        if accused not in history.suspects:
            yield f"{accuser} holds evidence that {accused} contradicted itself"


def _nothing_twice(logs: Mapping[str, Sequence[bytes]]) -> Iterator[str]:
    for name, log in logs.items():
        if len(set(log)) != len(log):
            yield f"{name} holds {len(log) - len(set(log))} events more than once"


def _nothing_invented(history: History) -> Iterator[str]:
    for name, log in history.logs.items():
        if strangers := set(log) - history.handed_in:
            yield f"{name} holds {len(strangers)} events that nobody published"


def _seen_without_gap(
    name: str, events: Sequence[tuple[int, bytes]], log: Sequence[bytes]
) -> Iterator[str]:
    expected = 0
    for sequence, id_ in events:
        if sequence < expected:
            yield f"{name} was given {sequence} again after {expected - 1}"
            continue
        if sequence > expected:
            yield f"{name} was not given {expected} to {sequence - 1}"
        if sequence >= len(log) or log[sequence] != id_:
            yield f"{name} was given another event as {sequence} than the log holds"
        expected = sequence + 1
    if expected < len(log):
        yield f"{name} was given nothing from {expected} to {len(log) - 1}"


def _restarted_in_time(restarts_s: Sequence[float], seconds_max: float) -> Iterator[str]:
    for number, seconds in enumerate(restarts_s, start=1):
        if seconds > seconds_max:
            yield f"full restart {number}: first new commit after {seconds:.2f} s"


def _longest(logs: Mapping[str, Sequence[bytes]]) -> Sequence[bytes]:
    return max(logs.values(), key=len, default=())


def _first(faults: Iterator[str]) -> Iterator[str]:
    """Pass the first faults on and count the rest."""
    rest = 0
    for number, fault in enumerate(faults):
        if number < _EXAMPLES_MAX:
            yield fault
        else:
            rest += 1
    if rest:
        yield f"... and {rest} more of this kind"
