"""What a node starts from, and what it says when that cannot be read."""

from pathlib import Path

import pytest

from consensus.io.restore import restore
from ledger.core.ids import Height
from ledger.io.chain_store import ChainStore
from ledger.io.errors import StorageError
from ledger.io.safety_store import SafetyStore
from tests.consensus.io.members import make_settings


def test_a_record_that_cannot_be_decoded_is_never_rebuilt_from_others(tmp_path: Path) -> None:
    """Other validators hold no safety record: the message says how to start without one."""
    (settings,) = make_settings(tmp_path, 1)
    with (
        ChainStore.open(settings.chain_dir, settings.genesis) as chain,
        SafetyStore.open(settings.safety_dir) as safety,
    ):
        safety.write(b"no record", (), Height(0))
        with pytest.raises(StorageError, match=r"start once with --recover.*never put back a copy"):
            restore(settings.genesis, settings.signer.public_key, chain, safety)
