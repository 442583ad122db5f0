"""What a child process is given by the one that starts it."""

import subprocess

import pytest

from concordat.process import start_child

pytestmark = pytest.mark.process

# timeit runs its argument: a child that says what its C library was told.
REPORT = ["-n1", "-r1", "import os; print(os.environ['GLIBC_TUNABLES'])"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "glibc.malloc.hugetlb=1"),
        ("", "glibc.malloc.hugetlb=1"),
        ("glibc.malloc.check=1", "glibc.malloc.check=1:glibc.malloc.hugetlb=1"),
        ("glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
    ],
)
def test_huge_pages_are_asked_for(
    given: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child's memory is of huge pages; what its operator has set is kept and goes first."""
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if given is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", given)
    child = start_child(REPORT, module="timeit", stdout=subprocess.PIPE)
    output, _ = child.communicate(timeout=30)
    assert output.decode().splitlines()[0] == expected
