"""Fixtures of the trust registry's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.access import WriteAccess
from adapters.dome.trust.facade import DomeTrustFacade, DomeTrustSettings
from adapters.fiware.facade import FiwareFacade, FiwareSettings
from tests.adapters.registry_world import RegistryWorld, alice, registry_world


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RegistryWorld]:
    """Give a network with DOME's registry and FIWARE's, in which everybody may write."""
    access = WriteAccess(is_open=True)
    facades = (
        DomeTrustFacade(DomeTrustSettings(), alice, access),
        FiwareFacade(FiwareSettings(), alice, access),
    )
    async with registry_world(tmp_path, monkeypatch, *facades) as running:
        yield running
