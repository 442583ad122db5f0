"""Which versions other members are told of."""

import pytest

from adapters.tmf.policy.publishing import is_published


@pytest.mark.parametrize(
    ("resource", "status", "told"),
    [
        ("productOffering", "Launched", True),
        ("productOffering", "launched ", True),
        ("productOffering", "Active", False),
        ("productOffering", "Retired", False),
        ("productOffering", None, False),
        ("usageSpecification", "Active", False),
        ("category", "Active", True),
        ("category", "Retired", True),
        ("category", None, True),
        ("category", "In design", False),
        ("serviceCategory", "rejected", False),
        ("organization", None, True),
        ("productOrder", None, True),
        ("product", None, True),
        ("individual", None, False),
        ("catalogExportJob", None, False),
    ],
)
def test_version_is_told_when_it_concerns_others(
    resource: str, status: str | None, told: bool
) -> None:
    """Offers once launched, categories that are no drafts, organisations, what two agreed on."""
    document = {} if status is None else {"lifecycleStatus": status}
    assert is_published(resource, document) is told
