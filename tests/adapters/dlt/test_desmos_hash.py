"""The Desmos-like client hashes as Desmos does: its published vectors."""

import json
from typing import Any

import pytest

from tests.adapters.dlt.desmos_hash import canonical, digest, hashlink, java_double, written
from tests.support.reference import REFERENCE

VECTORS: Any = json.loads((REFERENCE / "vectors" / "desmos_hash_vectors.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["canonical"], ids=lambda vector: vector["sha256"][:8])
def test_canonical_form_and_hash(vector: dict[str, str]) -> None:
    """Each published input has the published canonical form and hash."""
    assert digest(vector["input"]) == vector["sha256"]
    if vector["canonical"] is not None:
        assert written(canonical(json.loads(vector["input"]))) == vector["canonical"]


@pytest.mark.parametrize("vector", VECTORS["hashlink"], ids=lambda vector: vector["hashlink"][:8])
def test_hashlink(vector: dict[str, str]) -> None:
    """Each published link follows from its two hashes; a first publication is its own link."""
    previous, entity = vector["previousHash"], vector["entityHash"]
    found = previous if previous == entity else hashlink(previous, entity)
    assert found == vector["hashlink"]


@pytest.mark.parametrize("value, text", VECTORS["java_double"])
def test_doubles_are_written_as_java_does(value: float, text: str) -> None:
    """Numbers with a fraction look as in Java."""
    assert java_double(float(value)) == text
