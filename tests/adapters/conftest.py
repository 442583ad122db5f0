"""Tests against published data of others run where these data stand beside the checkout."""

from tests.support.reference import REFERENCE

_PUBLISHED = [
    "dlt/test_desmos_hash.py",
    "dlt/test_dlt_published.py",
    "test_published_contracts.py",
    "tmf/desmos/test_tmf_desmos_published.py",
]
collect_ignore = [] if REFERENCE.is_dir() else _PUBLISHED


def pytest_report_header() -> str:
    """Say whether they run."""
    if REFERENCE.is_dir():
        return f"published data: {REFERENCE}"
    return f"published data: none in {REFERENCE}; {len(_PUBLISHED)} files that compare stay out"
