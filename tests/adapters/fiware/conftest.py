"""Fixtures of the tests of FIWARE's registries."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.access import WriteAccess
from adapters.fiware.facade import FiwareFacade, FiwareSettings
from tests.adapters.registry_world import RegistryWorld, alice, registry_world


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryWorld]:
    """Give a network in which everybody may write."""
    facade = FiwareFacade(FiwareSettings(), alice, WriteAccess(is_open=True))
    async with registry_world(tmp_path, monkeypatch, facade) as running:
        yield running
