# Types of read_ahead.pyx, where the class is documented.

from typing import Final

__all__ = ["AHEAD_BYTES", "ReadAhead"]

AHEAD_BYTES: Final[int]

class ReadAhead:
    def meet(self, value: memoryview | bytes) -> bool: ...
