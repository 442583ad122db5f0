"""A consumer as simple as it can be said: one row for each event, every rule a loop over all.

It restates the promises and calls no production rule.
"""

from dataclasses import dataclass, field

LETTERS_MAX = 3


@dataclass
class Row:
    """What became of one event: new, out, waiting, acked, dead, or gone."""

    status: str = "new"
    deliveries: int = 0
    failures: int = 0
    due: int = 0
    replaying: bool = False


@dataclass
class Naive:
    """All events of a log that all match, and the rules."""

    ordered: bool
    max_in_flight: int
    max_deliveries: int | None
    backoff: tuple[int, ...]
    ack_wait: int
    rows: list[Row] = field(default_factory=list)
    paused_until: int = 0

    def pending(self) -> list[int]:
        """Events that were given out and are not settled."""
        return [n for n, row in enumerate(self.rows) if row.status in ("out", "waiting")]

    def letters(self) -> list[int]:
        """Dead letters."""
        return [n for n, row in enumerate(self.rows) if row.status == "dead"]

    def tick(self, now: int) -> None:
        """Let waits end."""
        if self.ordered:
            head = min(self.pending(), default=None)
            if head is not None and self.rows[head].status == "out" and self.rows[head].due <= now:
                self.fail(head, self.rows[head].due, None)
            return
        late = [
            n for n in self.pending() if self.rows[n].status == "out" and self.rows[n].due <= now
        ]
        for n in sorted(late, key=lambda n: (self.rows[n].due, n)):
            self.fail(n, self.rows[n].due, None)

    def fail(self, n: int, at: int, delay: int | None) -> None:
        """One attempt has failed."""
        row = self.rows[n]
        row.failures += 1
        exhausted = self.max_deliveries is not None and row.failures >= self.max_deliveries
        if exhausted and len(self.letters()) < LETTERS_MAX:
            row.status = "dead"
        else:
            step = self.backoff[min(row.failures, len(self.backoff)) - 1]
            row.status, row.due = "waiting", at + (step if delay is None else delay)
        if self.ordered:
            for other in self.rows[n + 1 :]:
                if other.status == "out":
                    other.status, other.due = "waiting", at

    def give(self, now: int, limit: int) -> list[tuple[int, int]]:
        """Give out what may be given, in order."""
        self.tick(now)
        if now < self.paused_until:
            return []
        room = self.max_in_flight - len(self.pending())
        chosen: list[int] = []
        if self.ordered and any(row.status == "out" for row in self.rows):
            return []
        old = [n for n, row in enumerate(self.rows) if row.status == "waiting" or row.replaying]
        for n in old:
            row = self.rows[n]
            may = (row.due <= now) if row.status == "waiting" else room > 0
            if may and len(chosen) < limit:
                chosen.append(n)
                room -= row.status == "dead"
            elif self.ordered and row.status == "waiting":
                return self.out(chosen, now)
        for n, row in enumerate(self.rows):
            if row.status == "new" and room > 0 and len(chosen) < limit:
                chosen.append(n)
                room -= 1
        return self.out(chosen, now)

    def out(self, chosen: list[int], now: int) -> list[tuple[int, int]]:
        """Note what is given."""
        for n in chosen:
            row = self.rows[n]
            if row.status == "dead":
                row.failures, row.replaying = 0, False
            row.status, row.due = "out", now + self.ack_wait
            row.deliveries += 1
        return [(n, self.rows[n].deliveries) for n in chosen]
