"""The scanner decides and extracts what the Python codec does, on every kernel."""

import random
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.core import limits
from ledger.core.block import decode_batch
from ledger.core.codec import encode
from ledger.core.errors import DecodeError, RejectCode
from ledger.core.event import open_entry, signature_check
from ledger.core.scanning import LIMITS, Scan, code, make_scanner, verdict
from ledger.native import scan
from ledger.native.scan import Scanner
from tests.ledger.sample_network import ALICE, BOB, entry, forged
from tests.native.scan_cases import Found, batch_case, entry_case, reference

SCANNERS = {name: make_scanner(name) for name in scan.implementations()}

every_path = pytest.mark.parametrize("path", SCANNERS)


def columns(scanned: Scan) -> list[Found]:
    """Give what a scan found about its open entries, one row each."""
    texts = [scanned.field(name) for name in ("chain_id", "topic", "publisher")]
    kind, subject = scanned.field("type"), scanned.field("subject")
    rows = zip(scanned.ids(), *texts, keys(scanned), kind, subject, scanned.times_ms(), strict=True)
    return [Found(*row) for row in rows]


def keys(scanned: Scan) -> list[bytes]:
    """Give the keys of the open entries, by way of what is handed to the verifier."""
    rows: list[bytes] = []

    def note(data: bytes, message_bytes: int) -> bytes:
        size = 96 + message_bytes
        rows.extend(data[at : at + size] for at in range(0, len(data), size))
        return b"\1" * len(rows)

    scanned.refuse_forged(note, verdict(RejectCode.BAD_SIGNATURE))
    return [row[:32] for row in rows]


def resident_bytes() -> int:
    """Give the memory that this process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def require_equal(entries: list[bytes], scanned: Scan) -> int:
    """Compare a scan with the reference; give how many entries are good."""
    expected = [reference(item) for item in entries]
    codes = [code(number) for number in scanned.verdicts()]
    assert codes == [item if isinstance(item, RejectCode) else None for item in expected]
    good = [item for item in expected if isinstance(item, Found)]
    assert columns(scanned) == good
    assert scanned.entries() == [
        data for data, item in zip(entries, expected, strict=True) if isinstance(item, Found)
    ]
    wanted = [(i.chain_id, i.topic, i.publisher, i.key) for i in good]
    groups = [(c.encode(), t.encode(), p.encode(), k) for c, t, p, k in scanned.groups()]
    assert groups == list(dict.fromkeys(wanted))
    return len(good)


@every_path
@given(seed=st.integers(0, 2**64), count=st.integers(0, 40))
def test_entries_get_the_verdicts_of_the_codec(path: str, seed: int, count: int) -> None:
    """Whatever the bytes are, each verdict and each field is the codec's."""
    generator = random.Random(seed)
    entries = [entry_case(generator) for _ in range(count)]
    require_equal(entries, SCANNERS[path].scan_entries(entries))


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_any_bytes_get_a_verdict(entries: list[bytes]) -> None:
    """Bytes of any kind are judged, never an error."""
    require_equal(entries, SCANNERS["portable"].scan_entries(entries))


@every_path
def test_each_byte_of_an_entry(path: str) -> None:
    """Every value of every byte of an entry, and every length of it, is judged as by the codec."""
    data = entry(1, data=b"x" * 5, tags=("t",))
    changed = [
        data[:place] + bytes([value]) + data[place + 1 :]
        for place in range(len(data) - 64)
        for value in range(256)
    ]
    assert require_equal(changed, SCANNERS[path].scan_entries(changed)) > len(data)
    cut = [data[:length] for length in range(len(data) + 1)]
    assert require_equal(cut, SCANNERS[path].scan_entries(cut)) == 1


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_longest_entry(extra: int) -> None:
    """Beyond its limit an entry is too large, whatever it holds."""
    data = entry().ljust(limits.ENTRY_BYTES_MAX + extra, b"\0")
    expected = RejectCode.TOO_LARGE if extra > 0 else RejectCode.MALFORMED
    scanned = SCANNERS["portable"].scan_entries([data])
    assert [code(number) for number in scanned.verdicts()] == [expected]
    assert scanned.refused() == [(None, verdict(expected))]
    require_equal([data], scanned)


def require_equal_batches(batches: list[bytes], scanned: Scan) -> int:
    """Compare a scan of batches with the reference; give how many are batches."""
    entries: list[bytes] = []
    places: list[tuple[int, int]] = []
    good = 0
    for number, batch in enumerate(batches):
        try:
            inside = decode_batch(batch).entries
        except DecodeError:
            assert SCANNERS["portable"].batch_head(batch) is None
            continue
        assert SCANNERS["portable"].batch_head(batch) == (decode_batch(batch).origin, len(inside))
        good += 1
        offset = len(batch) - sum(len(encode(item)) for item in inside)
        for item in inside:
            offset += len(encode(item))
            entries.append(item)
            places.append((number, offset - len(item)))
    is_good = [isinstance(reference(item), Found) for item in entries]
    require_equal(entries, scanned)
    assert scanned.places() == [place for place, ok in zip(places, is_good, strict=True) if ok]
    return good


@every_path
@given(seed=st.integers(0, 2**64), sizes=st.lists(st.integers(0, 20), max_size=4))
def test_batches_are_cut_as_by_the_codec(path: str, seed: int, sizes: list[int]) -> None:
    """What is a batch, where its entries are and what they say is as the codec has it."""
    generator = random.Random(seed)
    batches = [
        batch_case(generator, [entry_case(generator) for _ in range(size)]) for size in sizes
    ]
    scanner = SCANNERS[path]
    require_equal_batches(batches, scanner.scan_batches(batches))
    parts = [scanner.scan_batches([item]) for item in batches]
    require_equal_batches(batches, scanner.join(parts))
    changed = scanner.join(parts)
    changed.refuse_before(2**63, 9)
    require_equal_batches(batches, scanner.join(parts))


def test_scans_of_one_batch_are_joined() -> None:
    """Scans of entries, of no batch and of several are not; one knows what memory it keeps."""
    scanner = SCANNERS["portable"]
    data = encode((0, 0, (entry(1), entry(2))))
    one = scanner.scan_batches([data])
    assert len(data) + 2 * 100 < one.bytes_held < len(data) + 2 * 200
    assert len(scanner.join([])) == 0
    for other in (scanner.scan_batches([]), scanner.scan_batches([data, data])):
        with pytest.raises(ValueError, match="one batch each"):
            scanner.join([one, other])


def test_entries_of_a_joined_scan_have_its_groups() -> None:
    """What is refused for its topic is refused in the batch that has it, and nowhere else."""
    scanner = SCANNERS["portable"]
    parts = [
        scanner.scan_batches([encode((0, 0, (entry(number, topic=topic),)))])
        for number, topic in enumerate(("alice.first", "alice.second", "alice.first"), 1)
    ]
    joined = scanner.join(parts)
    topics = [group[1] for group in joined.groups()]
    assert topics == ["alice.first", "alice.second"]
    joined.refuse_groups(b"\x09\x00")
    assert joined.verdicts() == b"\x09\x00\x09"


def test_a_kept_scan_keeps_little() -> None:
    """A scan of a small batch takes the memory that it says, not that of the longest batch."""
    data = encode((0, 0, (bytes(6_000),)))
    before = resident_bytes()
    scans = [SCANNERS["portable"].scan_batches([data]) for _ in range(1_000)]
    assert resident_bytes() - before < 16 * sum(item.bytes_held - len(data) for item in scans)


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_limits_of_a_batch(extra: int) -> None:
    """Number, size and total of entries, and the origin, are accepted up to their limits."""
    count, rest = divmod(limits.BATCH_BYTES_MAX, 60_000)
    total = [b"\xc1" * 60_000] * count + [b"\xc1" * (rest + extra)]
    batches = [
        encode((0, 0, (b"\xc1",) * (limits.BATCH_ENTRIES_MAX + extra))),
        encode((0, 0, total)),
        encode((0, 0, (b"\xc1" * (limits.ENTRY_BYTES_MAX + extra),))),
        encode((limits.VALIDATORS_COUNT_MAX - 1 + extra, 0, (b"\xc1",))),
        encode((0, limits.INT_MAX + extra, (b"\xc1",))),
        encode((0, 0, (b"\xc1",) * (1 + extra))),
    ]
    good = require_equal_batches(batches, SCANNERS["portable"].scan_batches(batches))
    assert good == {-1: 5, 0: 6, 1: 1}[extra]


def bent(data: bytes) -> list[bytes]:
    """Give it with every value of each byte near its ends, and cut off at every length."""
    places = [*range(12), *range(len(data) - 12, len(data))]
    changed = [
        data[:place] + bytes([value]) + data[place + 1 :]
        for place in places
        for value in range(256)
    ]
    return [*changed, *(data[:length] for length in range(len(data) + 1))]


def test_each_byte_of_a_batch() -> None:
    """Every value of every byte of a batch, and every length of it, is judged as by the codec."""
    batches = bent(encode((3, 200, (b"\xc1", b"\xc1" * 256, b"x"))))
    assert require_equal_batches(batches, SCANNERS["portable"].scan_batches(batches)) > 500


@every_path
@given(seed=st.integers(0, 2**64), size=st.integers(0, 20))
def test_arrays_are_cut_as_batches_are(path: str, seed: int, size: int) -> None:
    """An array of entries is what stands behind a batch's head, and means the same."""
    generator, scanner, head = random.Random(seed), SCANNERS[path], encode((0, 0, ()))[:-1]
    items = [entry_case(generator) for _ in range(size)]
    other = batch_case(generator, items)[len(head) :]
    array = generator.choice((encode(tuple(filter(None, items))), other))
    alone, whole = scanner.scan_array(array), scanner.scan_batches([head + array])
    assert scanner.array_count(array) == len(alone) == len(whole)
    assert alone.verdicts() == whole.verdicts()
    assert (alone.ids(), alone.entries()) == (whole.ids(), whole.entries())


def test_each_byte_of_an_array() -> None:
    """Every value of every byte of an array, and every length of it, is judged as in a batch."""
    scanner, arrays = SCANNERS["portable"], bent(encode((b"\xc1", b"\xc1" * 256, b"x")))
    counts = [scanner.array_count(item) for item in arrays]
    heads = [scanner.batch_head(b"\x93\0\0" + item) for item in arrays]
    assert counts == [0 if head is None else head[1] for head in heads]
    assert sum(map(bool, counts)) > 500


def test_an_array_may_be_longer_than_a_batch() -> None:
    """How much fits in a batch is not its concern; how long an entry may be is."""
    scanner, most = SCANNERS["portable"], limits.ENTRY_BYTES_MAX
    count = limits.BATCH_BYTES_MAX // most + 1
    assert scanner.array_count(encode((b"x" * most,) * count)) == count
    assert scanner.array_count(encode((b"x" * (most + 1),))) == 0
    assert scanner.array_count(encode((b"x", b""))) == 0
    assert scanner.array_count(encode((b"x",) * limits.BATCH_ENTRIES_MAX)) == 4_096
    assert scanner.array_count(encode((b"x",) * (limits.BATCH_ENTRIES_MAX + 1))) == 0


def test_rows_are_what_is_signed() -> None:
    """The verifier gets key, signature and message of each entry of a batch without trust."""
    data = [entry(1), forged(2), entry(3, signer=BOB)]
    batches = [encode((0, 0, [item])) for item in data]
    rows: list[bytes] = []

    def note(buffer: bytes, message_bytes: int) -> bytes:
        rows.append(buffer)
        assert len(buffer) == 2 * (96 + message_bytes)
        return b"\0\1"

    scanned = SCANNERS["portable"].scan_batches(batches)
    scanned.refuse_forged(note, 7, b"\0\1")
    assert scanned.verdicts() == b"\7\0\0"
    checks = [signature_check(open_entry(item)) for item in (data[0], data[2])]
    assert rows == [b"".join(key + signature + message for key, message, signature in checks)]


def test_refusals_leave_earlier_ones() -> None:
    """Each rule refuses open entries only, so the first that refuses names the reason."""
    data = [b"", entry(1), entry(2, signer=BOB), entry(1), entry(3, time_ms=5), entry(4, time_ms=9)]
    scanned = SCANNERS["portable"].scan_entries(data)
    assert [key for _, _, _, key in scanned.groups()] == [ALICE.public_key, BOB.public_key]
    scanned.refuse_groups(b"\0\x0a")
    scanned.refuse_before(6, 11)
    scanned.refuse_after(8, 12)
    assert scanned.verdicts() == bytes([2, 12, 10, 12, 11, 12])
    scanned = SCANNERS["portable"].scan_entries(data)
    scanned.refuse_repeats(13)
    scanned.refuse_known({open_entry(data[4]).id, open_entry(data[1]).id}, 14)
    scanned.refuse_forged(lambda *_: bytes(2), 15)
    assert scanned.verdicts() == bytes([2, 14, 15, 13, 14, 15])
    keys = [open_entry(item).key for item in data[1:]]
    assert scanned.refused() == [(None, 2), *zip(keys, [14, 15, 13, 14, 15], strict=True)]
    assert (scanned.ids(), scanned.entries(), scanned.places()) == ([], [], [])
    assert (scanned.open_count(), scanned.last_entry()) == (0, None)


def test_last_entry_and_count_leave_out_the_refused() -> None:
    """How many entries are open, and which is the last of them, follow each refusal."""
    data = [entry(1, time_ms=5), entry(2, time_ms=6), b"none", entry(3, time_ms=9)]
    scanned = SCANNERS["portable"].scan_entries(data)
    assert (scanned.open_count(), scanned.last_entry()) == (3, data[3])
    scanned.refuse_after(8, 12)
    assert (scanned.open_count(), scanned.last_entry()) == (2, data[1])


def test_time_limits_are_inclusive() -> None:
    """Entries of exactly the first and the last time stay open, up to the greatest time."""
    data = [entry(1, time_ms=5), entry(2, time_ms=6), entry(3, time_ms=limits.INT_MAX)]
    scanned = SCANNERS["portable"].scan_entries(data)
    scanned.refuse_before(6, 11)
    scanned.refuse_after(limits.INT_MAX, 12)
    assert scanned.verdicts() == bytes([11, 0, 0])
    scanned.refuse_after(limits.INT_MAX - 1, 12)
    assert scanned.verdicts() == bytes([11, 0, 12])


def test_forged_copy_is_no_earlier_entry() -> None:
    """A refused entry in front of an equal one does not make that one a repeat."""
    data = [entry(1), entry(2), entry(1), entry(1)]
    scanned = SCANNERS["portable"].scan_entries(data)
    scanned.refuse_forged(lambda *_: b"\0\1\1\1", 10)
    scanned.refuse_repeats(11)
    assert scanned.verdicts() == bytes([10, 0, 0, 11])


@pytest.mark.parametrize(
    "call",
    [
        lambda scanner: scanner.scan_entries(["text"]),
        lambda scanner: scanner.scan_entries([bytearray(b"x")]),
        lambda scanner: scanner.scan_batches([None]),
        lambda scanner: scanner.scan_entries(None),
        lambda scanner: scanner.scan_entries([b""]).refuse_groups(None),
        lambda scanner: scanner.scan_entries([b""]).refuse_forged(None, 1, None),
    ],
)
def test_other_types_are_the_callers_bug(call: Callable[[Scanner], object]) -> None:
    """What is not bytes is a TypeError, without a verdict."""
    with pytest.raises(TypeError):
        call(SCANNERS["portable"])


@pytest.mark.parametrize(
    "call",
    [
        lambda scanned: scanned.refuse_groups(b""),
        lambda scanned: scanned.refuse_groups(b"\0\0"),
        lambda scanned: scanned.refuse_forged(lambda *_: b"", 9),
        lambda scanned: scanned.refuse_forged(lambda *_: b"\0\0", 9),
    ],
)
def test_verdicts_must_be_as_many_as_asked(call: Callable[[Scan], object]) -> None:
    """Fewer or more verdicts than groups or rows are an error, not a guess."""
    with pytest.raises(ValueError, match="one verdict"):
        call(SCANNERS["portable"].scan_entries([entry()]))


def test_settings_are_complete() -> None:
    """A missing limit, one that the format cannot hold, or an unknown kernel is an error."""
    with pytest.raises(ValueError, match="no such implementation"):
        make_scanner("abacus")
    with pytest.raises(ValueError, match="specified for struct attribute"):
        Scanner(context="x", message_prefix=b"", limits={})
    sizes = dict.fromkeys(LIMITS, 70_000)
    with pytest.raises(ValueError, match="other forms"):
        Scanner(context="x", message_prefix=b"", limits=sizes)
    assert scan.implementation() in scan.implementations()


def test_nothing_is_scanned_to_nothing() -> None:
    """No entries and no batches have no verdicts, groups, ids or rows."""
    for scanned in (
        SCANNERS["portable"].scan_entries([]),
        SCANNERS["portable"].scan_batches([]),
        SCANNERS["portable"].scan_batches([b"", b"\x93"]),
    ):
        assert (len(scanned), scanned.verdicts(), scanned.groups()) == (0, b"", [])
        assert (scanned.ids(), scanned.refused()) == ([], [])
        scanned.refuse_forged(lambda *_: b"", 9)
        scanned.refuse_repeats(9)


def test_threads_share_a_scanner() -> None:
    """Scans of many threads at the same time do not disturb each other."""
    generator = random.Random(5)
    work = [[entry_case(generator) for _ in range(300)] for _ in range(4)]
    expected = [SCANNERS["portable"].scan_entries(item).verdicts() for item in work]
    scanner = make_scanner()
    failures: list[int] = []

    def run(number: int) -> None:
        scans = (scanner.scan_entries(work[number]) for _ in range(30))
        failures.extend(number for one in scans if one.verdicts() != expected[number])

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
