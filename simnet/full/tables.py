"""A table of a simulated store: what is durable, and what its open transaction adds.

Holds LMDB's promise and no more: readers see what was committed, the one writer sees its own
changes too, and a transaction comes through whole or not at all.
"""

from typing import Generic, TypeVar

__all__ = ["Table"]

K = TypeVar("K")
V = TypeVar("V")


class Table(Generic[K, V]):
    """Keys and values.

    Attributes:
        durable: what a reader sees, and what outlives a crash.
    """

    __slots__ = ("_open", "durable")

    def __init__(self) -> None:
        self.durable: dict[K, V] = {}
        self._open: dict[K, V | None] = {}

    def get(self, key: K) -> V | None:
        """Read as the writer does: its own changes first."""
        return self._open[key] if key in self._open else self.durable.get(key)

    def put(self, key: K, value: V) -> None:
        """Set a value in the open transaction."""
        self._open[key] = value

    def delete(self, key: K) -> None:
        """Delete a key in the open transaction."""
        self._open[key] = None

    def rows(self) -> list[tuple[K, V]]:
        """Give what the writer sees."""
        changed = [(key, value) for key, value in self._open.items() if value is not None]
        kept = [row for row in self.durable.items() if row[0] not in self._open]
        return kept + changed

    def __len__(self) -> int:
        """Number of keys that the writer sees, at most: deleted ones that are durable count."""
        return len(self.durable) + sum(key not in self.durable for key in self._open)

    def commit(self) -> None:
        """Make the open transaction durable."""
        for key, value in self._open.items():
            if value is None:
                self.durable.pop(key, None)
            else:
                self.durable[key] = value
        self._open.clear()

    def lose(self) -> None:
        """Forget the open transaction."""
        self._open.clear()
