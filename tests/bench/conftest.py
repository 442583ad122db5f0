"""Names the marker of tests that run real networks."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register ``process``."""
    config.addinivalue_line("markers", "process: runs a network of real processes for seconds")
