"""A ledger with one issuer who may issue both LEARCredentials."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.io.chain_store import ChainStore
from tests.adapters.credentials.credential_world import ISSUER, World
from tests.ledger.sample_network import GENESIS


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give the world of one test."""
    with ChainStore.create(tmp_path / "chain", GENESIS) as store:
        made = World(store)
        made.list_issuer(ISSUER, "LEARCredentialEmployee", "LEARCredentialMachine")
        yield made
