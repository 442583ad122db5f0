"""What is remembered of valid batches is bounded, in number and in bytes."""

import pytest

from consensus.io import checked_batches as checked_batches_module
from consensus.io.checked_batches import CheckedBatches
from ledger.core.codec import encode
from ledger.core.ids import BatchId
from ledger.core.scanning import scan_batches

IDS = [BatchId(bytes([number]) * 32) for number in range(4)]
SCANS = [scan_batches((encode((0, number, (bytes(1_000),))),)) for number in range(4)]


def test_the_latest_batches_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more than the limit the oldest are forgotten."""
    monkeypatch.setattr(checked_batches_module, "CHECKED_BATCHES_REMEMBERED", (2, 2**20))
    checked = CheckedBatches()
    for id_ in IDS:
        checked.add(id_)
    assert [id_ for id_ in IDS if id_ in checked] == IDS[2:]
    assert len(checked) == 2


def test_the_latest_scans_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scans are kept up to a number of bytes, and their room is free once they are forgotten."""
    room = 2 * SCANS[0].bytes_held
    monkeypatch.setattr(checked_batches_module, "CHECKED_BATCHES_REMEMBERED", (9, room))
    checked = CheckedBatches()
    for id_, scan in zip(IDS[:3], SCANS, strict=False):
        checked.add(id_, scan)
        checked.add(id_, scan)
    assert list(checked.scans) == IDS[1:3]
    assert all(id_ in checked for id_ in IDS[:3])
    checked.forget_scan(IDS[2])
    checked.forget_scan(IDS[2])
    checked.add(IDS[3], SCANS[3])
    assert list(checked.scans) == [IDS[1], IDS[3]]
