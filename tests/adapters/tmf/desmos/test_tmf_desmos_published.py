"""H and the hashlinks against the published vectors (see tests/adapters/conftest.py)."""

import json
from typing import Any

import pytest

from adapters.tmf.desmos.hash import canonical_json, digest, hashed_name, hashlink, next_link
from tests.support.reference import REFERENCE

VECTORS: Any = json.loads((REFERENCE / "vectors" / "desmos_hash_vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["canonical"], ids=lambda vector: vector["sha256"][:8])
def test_published_forms_and_hashes(vector: dict[str, str]) -> None:
    """Each published input has the published canonical form and hash."""
    assert digest(vector["input"]) == vector["sha256"]
    if vector["canonical"] is not None:
        assert canonical_json(json.loads(vector["input"])) == vector["canonical"]


@pytest.mark.parametrize("vector", VECTORS["hashlink"], ids=lambda vector: vector["hashlink"][:8])
def test_published_links(vector: dict[str, str]) -> None:
    """Each published link follows from its two hashes; a first publication is its own link."""
    previous, entity = vector["previousHash"], vector["entityHash"]
    assert next_link(previous, entity) == vector["hashlink"]
    if previous != entity:
        assert hashlink(previous, entity) == vector["hashlink"]


@pytest.mark.parametrize("value, text", VECTORS["java_double"])
def test_published_numbers(value: float, text: str) -> None:
    """Numbers are written as ``Double.toString`` does."""
    assert canonical_json(float(value)) == text


def test_published_names() -> None:
    """Ids of entities and organisations stand on the ledger as 0x and H."""
    names = [vector for vector in VECTORS["canonical"] if vector["canonical"] is None]
    assert names
    for vector in names:
        assert hashed_name(vector["input"]) == f"0x{vector['sha256']}"
