"""The state while a block is applied: what it changes lies over what was there before.

Small values that were read are remembered: every operation asks who governs, and a proposal of
governors asks for a hundred participants, each a path through the map.
"""

from collections.abc import Callable

from ledger.core.limits import OVERLAY_VALUE_BYTES_MAX, OVERLAY_VALUES_REMEMBERED_MAX

__all__ = ["StateOverlay"]


class StateOverlay:
    """Reads through to a base, which does not change meanwhile, and keeps writes to itself.

    Attributes:
        changes: key -> new value, in the order of their first writing.
    """

    __slots__ = ("_read", "_remembered", "changes")

    def __init__(self, read: Callable[[bytes], bytes | None]) -> None:
        """Lie over ``read``, which gives the value of a key or None."""
        self._read = read
        self._remembered: dict[bytes, bytes | None] = {}
        self.changes: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Give the value of a key, or None."""
        value = self.changes.get(key)
        if value is not None:
            return value
        if key in self._remembered:
            return self._remembered[key]
        value = self._read(key)
        is_small = value is None or len(value) <= OVERLAY_VALUE_BYTES_MAX
        if is_small and len(self._remembered) < OVERLAY_VALUES_REMEMBERED_MAX:
            self._remembered[key] = value
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key. Nothing is ever deleted: an end is a value, so that it can be proved."""
        self.changes[key] = value

    def attempt(self) -> "StateOverlay":
        """Give an overlay over this one, whose changes count only when ``adopt`` takes them."""
        return StateOverlay(self.get)

    def adopt(self, attempt: "StateOverlay") -> None:
        """Take over what an attempt changed."""
        self.changes.update(attempt.changes)
