"""Every choice of a run: drawn by key from the seed, or taken from a recorded plan.

A draw depends on the seed and its key alone, never on how many were made before. So leaving one
fault out of a plan changes no other draw, which is what lets a failing plan be shrunk. A key names
what is decided as the run sees it (link, kind of message, round, occurrence), not when.
"""

from collections.abc import Mapping

from blake3 import blake3

__all__ = ["Choices", "Draw", "Value"]

Value = int | tuple[int, ...]
"""What a fault is: 0 or () for none. Its key says what the numbers mean."""

_MILLION = 1_000_000


class Draw:
    """The random bytes of one key, taken from the front bit by bit, 32 at a time."""

    __slots__ = ("_left", "_name")

    def __init__(self, seed: int, key: str) -> None:
        self._name = f"{seed}|{key}"
        self._left = -1  # not hashed yet: most keys decide about troubles that a run leaves out

    def below(self, bound: int) -> int:
        """Give an integer in [0, bound); the bias of 2**-32 or so does not matter here."""
        left = self._left
        if left < bound << 32:
            if left >= 0:
                self._name += "|"  # used up: all that followed would be zero
            left = int.from_bytes(blake3(self._name.encode()).digest(), "little")
        self._left, value = divmod(left, bound)
        return value

    def hits(self, per_million: int) -> bool:
        """Say yes so many times in a million; costs nothing when that is never."""
        return per_million > 0 and self.below(_MILLION) < per_million

    def heavy(self, longest: int) -> int:
        """Give a heavy-tailed number in [1, longest]: each halving is as likely as the last."""
        octaves = max(1, longest.bit_length())
        octave = max(1, longest >> self.below(octaves))
        return octave - self.below(octave // 2 + 1)


class Choices:
    """Decides about faults, and remembers those that it made.

    Attributes:
        seed: of all draws.
        made: key -> value of each fault of this run: the plan that repeats it.
        is_over: after this no fault happens any more, drawn or planned.
    """

    __slots__ = ("_planned", "is_over", "made", "seed")

    def __init__(self, seed: int, planned: Mapping[str, Value] | None = None) -> None:
        """Draw from ``seed``, or do exactly what ``planned`` says."""
        self.seed = seed
        self.made: dict[str, Value] = {}
        self.is_over = False
        self._planned = planned

    @property
    def is_replay(self) -> bool:
        """Say whether a plan decides."""
        return self._planned is not None

    def draw(self, key: str) -> Draw:
        """Give the draw of a key, the same in every run of the seed."""
        return Draw(self.seed, key)

    def settle(self, key: str, drawn: int) -> int:
        """Decide about one fault: ``drawn`` when drawing, else what the plan says; 0 is none."""
        return 0 if self.is_over else self.settle_for_ever(key, drawn)

    def settle_many(self, key: str, drawn: tuple[int, ...]) -> tuple[int, ...]:
        """Decide about a fault of several numbers; () is none."""
        if self.is_over:
            return ()
        value: Value = drawn if self._planned is None else self._planned.get(key, ())
        assert not isinstance(value, int), f"the plan gives a number for {key}"
        if value:
            self.made[key] = value
        return value

    def settle_for_ever(self, key: str, drawn: int) -> int:
        """Decide as :meth:`settle`, also when the chaos is over: Byzantine members do not heal."""
        value: Value = drawn if self._planned is None else self._planned.get(key, 0)
        assert isinstance(value, int), f"the plan gives a list for {key}"
        if value:
            self.made[key] = value
        return value
