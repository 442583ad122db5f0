"""The C kernels run clean under AddressSanitizer and UndefinedBehaviorSanitizer.

The same sources are compiled into a harness of their own (harness.c), which judges generated
inputs on every path; its answers are compared with the oracles. CONCORDAT_HARNESS_CC and
CONCORDAT_HARNESS_RUN name another compiler and an emulator, to try another processor.
"""

import os
import random
import shlex
import subprocess
from hashlib import sha256
from pathlib import Path
from struct import pack

import pytest
from blake3 import blake3 as package_blake3

from ledger.native import blake3, ed25519, merkle
from tests.native import curve
from tests.native.signatures import bent, honest, oracle

pytestmark = pytest.mark.slow

NATIVE = Path(__file__).parents[2] / "ledger" / "native" / "c"
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
COMPILER = shlex.split(os.environ.get("CONCORDAT_HARNESS_CC", "gcc"))
RUNNER = shlex.split(os.environ.get("CONCORDAT_HARNESS_RUN", ""))
IS_FOREIGN = bool(RUNNER)  # its paths are the portable ones, and it brings no sanitizer
ROUNDS = 9


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the harness once."""
    program = tmp_path_factory.mktemp("harness") / "harness"
    flags = ["-static"] if IS_FOREIGN else SANITIZERS
    sources = [str(Path(__file__).with_name("harness.c")), *map(str, sorted(NATIVE.glob("*.c")))]
    command = [*COMPILER, "-std=c11", "-g", "-O1", *flags, f"-I{NATIVE}", *sources]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


def ask(harness: Path, request: bytes) -> bytes:
    """Run one process on one request; a sanitizer's report is its failure."""
    done = subprocess.run([*RUNNER, str(harness)], input=request, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def paths(names: tuple[str, ...]) -> range:
    """Number a kernel's implementations as C does."""
    return range(1 if IS_FOREIGN else len(names))


def test_signatures(harness: Path) -> None:
    """Any mixture of good, bent and foreign signatures gets the oracle's verdicts."""
    generator = random.Random(1)
    pool = honest(140, 20)
    small = [encoding for point in curve.TORSION for encoding in curve.encodings(point)]
    for round_number in range(ROUNDS):
        checks = [generator.choice(pool) for _ in range(generator.choice([1, 7, 16, 17, 60, 300]))]
        checks += [(a, b"", a + bytes(32)) for a in small]
        for i in range(len(checks)):
            if generator.randrange(100) < (0, 2, 60)[round_number % 3]:
                checks[i] = bent(checks[i], generator)
        items = b"".join(
            key + signature + pack("<I", len(message)) + message
            for key, message, signature in checks
        )
        expected = bytes(map(oracle, checks))
        for kind in b"em":
            for path in paths(ed25519.implementations()):
                request = pack("<BBI", kind, path, len(checks)) + items
                assert ask(harness, request) == expected


def test_digests(harness: Path) -> None:
    """Any mixture of lengths gets the digests of the usual libraries."""
    generator = random.Random(2)
    for _ in range(ROUNDS):
        lengths = [generator.choice([0, 1, 64, 1000, 1024, 1025, 5000]) for _ in range(9)]
        lengths += [generator.randrange(2500) for _ in range(generator.randrange(60))]
        entries = [generator.randbytes(length) for length in lengths]
        items = b"".join(pack("<I", len(entry)) + entry for entry in entries)
        trees = b"".join(package_blake3(e, derive_key_context="harness").digest() for e in entries)
        leaves = b"".join(sha256(b"\0" + entry).digest() for entry in entries)
        for path in paths(blake3.implementations()):
            assert ask(harness, pack("<BBI", ord("b"), path, len(entries)) + items) == trees
        for path in paths(merkle.implementations()):
            assert ask(harness, pack("<BBI", ord("l"), path, len(entries)) + items) == leaves
