"""What a child process is given by the one that starts it."""

import subprocess

import pytest

from concordat.process import start_child

pytestmark = pytest.mark.process

# timeit runs its argument: a child that says what its C library was told.
REPORT = ["-n1", "-r1", "import os; print(os.environ['GLIBC_TUNABLES'])"]


HUGE_PAGES = "glibc.malloc.hugetlb=1"
KEPT = "glibc.malloc.mmap_threshold=33554432:glibc.malloc.trim_threshold=67108864"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, f"{HUGE_PAGES}:{KEPT}"),
        ("", f"{HUGE_PAGES}:{KEPT}"),
        ("glibc.malloc.check=1", f"glibc.malloc.check=1:{HUGE_PAGES}:{KEPT}"),
        ("glibc.malloc.hugetlb=0", f"glibc.malloc.hugetlb=0:{KEPT}"),
    ],
)
def test_a_child_is_told_how_its_malloc_works(
    given: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Huge pages, and memory kept for later; what its operator has set stays and goes first."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if given is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", given)
    child = start_child(REPORT, module="timeit", stdout=subprocess.PIPE)
    output, _ = child.communicate(timeout=30)
    assert output.decode().splitlines()[0] == expected
