"""Writes the fuzzer's first inputs: `python -m tests.native.fuzz_corpus DIRECTORY`."""

import random
import sys
from pathlib import Path

from tests.native import curve
from tests.native.curve import Check
from tests.native.signatures import bent, honest


def encode(checks: list[Check], repeats: int) -> bytes:
    """Lay checks out as fuzz.c cuts them."""
    items = (
        key + signature + bytes([len(message)]) + message
        for key, message, signature in checks
        if len(message) < 256
    )
    return bytes([0, repeats]) + b"".join(items)


def main(directory: Path) -> None:
    """Write good and bent signatures, small-order points and inputs of many lengths."""
    generator = random.Random(4)
    pool = [*honest(60, 9)]
    small = [encoding for point in curve.TORSION for encoding in curve.encodings(point)]
    for i in range(40):
        checks = [generator.choice(pool) for _ in range(generator.choice([1, 3, 9, 20]))]
        if i % 2:
            checks[0] = bent(checks[0], generator)
        if i % 5 == 0:
            checks.append((generator.choice(small), b"", generator.choice(small) + bytes(32)))
        (directory / f"signatures-{i}").write_bytes(encode(checks, generator.randrange(40)))
    for i in range(20):
        lengths = [generator.randrange(1200) for _ in range(6)]
        items = (bytes([n >> 4, n & 15]) + generator.randbytes(n) for n in lengths)
        (directory / f"digests-{i}").write_bytes(bytes([2 + i % 6]) + b"".join(items))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
