"""Writes what the scanner's fuzzer starts from: `python -m tests.native.scan_corpus DIRECTORY`."""

import random
import sys
from pathlib import Path

from ledger.core.codec import encode
from ledger.core.event import EVENT_DOMAIN
from ledger.core.hashing import derivation_context
from ledger.core.scanning import LIMITS
from tests.native.scan_cases import batch_case, entry_case

HEADER = "limits_of_scan.h"
INPUT_BYTES_MAX = 8192
HEAD = encode((0, 0, ()))[:-1]


def write_header(directory: Path) -> None:
    """Write the limits as C."""
    values = "".join(f"    .{name} = {value}ull,\n" for name, value in LIMITS.items())
    text = f'#include "scan.h"\n#define CONTEXT "{derivation_context(EVENT_DOMAIN)}"\n'
    text += "static const scan_limits LIMITS = {\n" + values + "};\n"
    (directory / HEADER).write_text(text)


def main(directory: Path) -> None:
    """Write the header, and entries, batches and arrays, good and bad, as fuzz_scan.c cuts them."""
    write_header(directory)
    corpus = directory / "corpus"
    corpus.mkdir()
    generator = random.Random(12)
    for i in range(300):
        items = [entry_case(generator) for _ in range(generator.choice([1, 2, 6]))]
        if i % 3:
            items = [batch_case(generator, items)[0 if i % 3 == 1 else len(HEAD) :]]
        framed = b"".join(
            len(item).to_bytes(2, "big") + item for item in items if len(item) < 2**16
        )
        if len(framed) < INPUT_BYTES_MAX:
            (corpus / f"scan-{i}").write_bytes(bytes([i % 3]) + framed)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
