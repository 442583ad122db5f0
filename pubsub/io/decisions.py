"""What became of the events of a request, looked up together.

Owns how few questions the store is asked: the place of each event, and the height of few of them.
Events further on in the log are never in lower blocks: two of one height tell it of all between.
"""

from typing import NamedTuple

from ledger.core.ids import Height, Sequence
from ledger.io.chain_reader import ChainReader
from ledger.io.chain_schema import Receipt
from pubsub.core.entries import Named

__all__ = ["Run", "find_decisions", "find_run"]


class Run(NamedTuple):
    """Events that stand in the log one behind the other, in their order, all of one block.

    Attributes:
        first: sequence of the first one.
        length: how many they are.
    """

    first: Sequence
    length: int
    height: Height

    def decisions(self) -> list[Receipt | None]:
        """Give what became of each."""
        height, sequences = self.height, range(self.first, self.first + self.length)
        return [Receipt(height, Sequence(sequence), None) for sequence in sequences]


def find_run(reader: ChainReader, events: Named) -> Run | None:
    """Give where events are if they are a run, as nearly all that were handed in together."""
    sequences = reader.sequences_of(events.keys)
    first, count = sequences[0], len(sequences)
    if first is None or sequences != list(range(first, first + count)):
        return None
    height = reader.height_of(first)
    is_one_block = reader.height_of(Sequence(first + count - 1)) == height
    return Run(first, count, height) if is_one_block else None


def find_decisions(reader: ChainReader, events: Named, since: Height) -> list[Receipt | None]:
    """Give what became of each event, in their order; None: nothing yet.

    Args:
        since: a refusal by a block up to this height is of an earlier attempt.
    """
    if len(events.ids) == 1:
        return [_new(reader.receipt(events.ids[0], events.times_ms[0]), since)]
    sequences = reader.sequences_of(events.keys)
    heights = _heights(reader, [sequence for sequence in sequences if sequence is not None])
    return [
        _new(reader.receipt(id_, time_ms), since)
        if sequence is None
        else Receipt(heights[sequence], sequence, None)
        for id_, time_ms, sequence in zip(events.ids, events.times_ms, sequences, strict=True)
    ]


def _heights(reader: ChainReader, sequences: list[Sequence]) -> dict[Sequence, Height]:
    """Give the heights of events of the log, by halves until both ends have the same."""
    rows = sorted(set(sequences))
    heights: dict[Sequence, Height] = {}
    spans = [(0, len(rows))] if rows else []
    while spans:
        begin, end = spans.pop()
        first, last = (reader.height_of(rows[row]) for row in (begin, end - 1))
        if first == last:
            heights.update(dict.fromkeys(rows[begin:end], first))
        else:
            middle = (begin + end) // 2
            spans += ((begin, middle), (middle, end))
    return heights


def _new(receipt: Receipt | None, since: Height) -> Receipt | None:
    """Leave out what was decided about an earlier attempt."""
    if receipt is not None and receipt.sequence is None and receipt.height <= since:
        return None
    return receipt
