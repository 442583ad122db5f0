"""Reading ahead: who walks over neighbouring pages is noticed, and the kernel is asked once."""

import ctypes
import mmap
import os
import time
from pathlib import Path

import pytest

from ledger.native.read_ahead import AHEAD_BYTES, ReadAhead

PAGE = 4096
PAGES = 3 * AHEAD_BYTES // PAGE


@pytest.fixture
def pages() -> memoryview:
    """Give a map whose pages need not be there."""
    return memoryview(mmap.mmap(-1, PAGES * PAGE))


def met(pages: memoryview, *numbers: int) -> list[bool]:
    """Meet values on some pages; a value begins behind its page's head."""
    ahead = ReadAhead()
    return [ahead.meet(pages[number * PAGE + 16 : number * PAGE + 99]) for number in numbers]


def test_neighbours_are_asked_for_once(pages: memoryview) -> None:
    """The second of two neighbours asks for what lies ahead, and again where that ends."""
    asked = met(pages, *range(PAGES))
    ends = [number for number in range(PAGES) if asked[number]]
    assert ends == [1, 1 + AHEAD_BYTES // PAGE, 1 + 2 * AHEAD_BYTES // PAGE]


@pytest.mark.parametrize("numbers", [(0,), (5, 5), (5, 7, 9), (9, 8, 7), (0, 3, 1)])
def test_what_is_no_walk_asks_for_nothing(pages: memoryview, numbers: tuple[int, ...]) -> None:
    """Pages that are not one behind the other are left to whoever touches them."""
    assert not any(met(pages, *numbers))


def test_pages_are_read_before_they_are_touched(tmp_path: Path) -> None:
    """What was asked for comes into memory; other pages of a dropped file stay on the disk."""
    path = tmp_path / "map"
    path.write_bytes(bytes(PAGES * PAGE))
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as mapped:
            mapped.madvise(mmap.MADV_RANDOM)
            before = resident(mapped)
            with memoryview(mapped) as view:
                assert met(view, 0, 1) == [False, True]
            wanted = range(1, 1 + AHEAD_BYTES // PAGE)
            deadline = time.monotonic() + 10
            while not all(resident(mapped)[number] for number in wanted):
                assert time.monotonic() < deadline
            others = set(range(PAGES)) - set(wanted)
            assert all(resident(mapped)[number] == before[number] for number in others)


def resident(mapped: mmap.mmap) -> list[bool]:
    """Say which pages of a map are in memory."""
    found, first = (ctypes.c_ubyte * PAGES)(), ctypes.c_char.from_buffer(mapped)
    assert ctypes.CDLL(None).mincore(ctypes.byref(first), ctypes.c_size_t(len(mapped)), found) == 0
    return [bool(byte & 1) for byte in found]
