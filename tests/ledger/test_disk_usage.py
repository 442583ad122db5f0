"""What a store takes of its disk."""

from pathlib import Path

from ledger.io.disk_usage import disk_usage


def test_sparse_files_count_what_they_take(tmp_path: Path) -> None:
    """The size is that on the disk, not the one that a file claims."""
    with (tmp_path / "data.mdb").open("wb") as file:
        file.write(b"x" * 65_536)
        file.truncate(2**30)
    found = disk_usage(tmp_path)
    assert found is not None
    assert 65_536 <= found.store < 2**20
    assert 0 < found.free <= found.size


def test_no_store(tmp_path: Path) -> None:
    """A directory that is not there has no usage."""
    assert disk_usage(tmp_path / "absent") is None
