"""The state while a block is applied: what it changes lies over what was there before."""

from collections.abc import Callable

__all__ = ["StateOverlay"]


class StateOverlay:
    """Reads through to a base and keeps writes to itself.

    Attributes:
        changes: key -> new value, in the order of their first writing.
    """

    __slots__ = ("_read", "changes")

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        """Lie over ``read``, which gives the value of a key or None."""
        self._read = read
        self.changes: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Give the value of a key, or None."""
        value = self.changes.get(key)
        return self._read(key) if value is None else value

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key. Nothing is ever deleted: an end is a value, so that it can be proved."""
        self.changes[key] = value

    def attempt(self) -> "StateOverlay":
        """Give an overlay over this one, whose changes count only when ``adopt`` takes them."""
        return StateOverlay(self.get)

    def adopt(self, attempt: "StateOverlay") -> None:
        """Take over what an attempt changed."""
        self.changes.update(attempt.changes)
