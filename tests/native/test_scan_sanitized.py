"""The C scanner runs clean under AddressSanitizer and UndefinedBehaviorSanitizer.

The same sources are compiled into a harness of their own (scan_harness.c); its answers on
generated entries and batches are compared with the Python codec's. The environment of
test_sanitized.py names other compilers and emulators here too.
"""

import random
import subprocess
from pathlib import Path
from struct import pack

import pytest

from ledger.core.block import decode_batch
from ledger.core.codec import encode
from ledger.core.errors import DecodeError, RejectCode
from ledger.core.scanning import verdict
from ledger.native import scan
from tests.native.scan_cases import Found, batch_case, entry_case, reference
from tests.native.scan_corpus import write_header
from tests.native.test_sanitized import COMPILER, IS_FOREIGN, NATIVE, SANITIZERS, ask, paths

pytestmark = pytest.mark.slow

ROUNDS = 40
SOURCES = ("blake3*.c", "cpu.c", "scan*.c")


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compile the harness once."""
    directory = tmp_path_factory.mktemp("scan")
    write_header(directory)
    flags = ["-static"] if IS_FOREIGN else SANITIZERS
    sources = [str(path) for pattern in SOURCES for path in sorted(NATIVE.glob(pattern))]
    sources.append(str(Path(__file__).with_name("scan_harness.c")))
    includes = [f"-I{NATIVE}", f"-I{directory}"]
    command = [*COMPILER, "-std=c11", "-g", "-O1", *flags, *includes, *sources]
    subprocess.run([*command, "-o", str(directory / "harness")], check=True)
    return directory / "harness"


def expected_answer(entries: list[bytes]) -> bytes:
    """Say what the harness must answer about these entries."""
    answer = [pack("<I", len(entries))]
    groups: dict[tuple[bytes, ...], int] = {}
    subjects: list[tuple[bytes, int]] = []
    for place, entry in enumerate(entries):
        found = reference(entry)
        if isinstance(found, RejectCode):
            answer.append(bytes([verdict(found)]))
            continue
        rights = (found.chain_id, found.topic, found.publisher, found.key)
        answer.append(b"\0" + pack("<I", groups.setdefault(rights, len(groups))))
        answer.append(found.id + pack("<Q", found.time_ms))
        fields = (*rights[:3], found.type, found.subject, found.key)
        answer += [pack("<I", len(field)) + field for field in fields]
        subjects.append((found.subject, place))
    answer += [pack("<I", place) for _, place in sorted(subjects)]
    return b"".join(answer)


HEAD = encode((0, 0, ()))[:-1]


def request(kind: str, path: int, items: list[bytes]) -> bytes:
    """Lay out one request."""
    framed = b"".join(pack("<I", len(item)) + item for item in items)
    return pack("<BBI", ord(kind), path, len(items)) + framed


def test_entries(harness: Path) -> None:
    """Any mixture of good, nearly good and bad entries gets the codec's answer."""
    generator = random.Random(8)
    asked, expected = b"", b""
    good = 0
    for _ in range(ROUNDS):
        entries = [entry_case(generator) for _ in range(generator.choice([0, 1, 9, 120]))]
        good += sum(isinstance(reference(entry), Found) for entry in entries)
        for path in paths(scan.implementations()):
            asked += request("e", path, entries)
            expected += expected_answer(entries)
    assert ask(harness, asked) == expected
    assert good > ROUNDS


def test_arrays(harness: Path) -> None:
    """Any mixture of arrays and other bytes is cut as by the codec, in room for what is counted."""
    generator = random.Random(10)
    asked, expected = b"", b""
    good = 0
    for _ in range(ROUNDS):
        entries = [entry_case(generator) for _ in range(generator.choice([1, 16, 40]))]
        other = batch_case(generator, entries)[len(HEAD) :]
        array = generator.choice((encode(tuple(filter(None, entries))), other))
        try:
            inside = decode_batch(HEAD + array).entries
        except DecodeError:
            inside = ()
        good += bool(inside)
        asked += request("a", 0, [array])
        expected += expected_answer(list(inside))
    assert ask(harness, asked) == expected
    assert good > ROUNDS // 4


def test_batches(harness: Path) -> None:
    """Any mixture of batches and other bytes is cut as by the codec."""
    generator = random.Random(9)
    asked, expected = b"", b""
    for _ in range(ROUNDS):
        entries = [entry_case(generator) for _ in range(generator.choice([1, 16, 40]))]
        batches = [batch_case(generator, entries) for _ in range(3)]
        inside: list[bytes] = []
        for batch in batches:
            try:
                inside += decode_batch(batch).entries
            except DecodeError:
                continue
        asked += request("b", 0, batches)
        expected += expected_answer(inside)
    assert ask(harness, asked) == expected
