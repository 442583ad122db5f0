"""Two Desmoses that trust each other, and what must hold of them in the end."""

from typing import Any

from adapters.dome.dlt.identity import derived_address
from tests.adapters.dlt.desmos import Desmos


def offering(seller: str, number: int, version: int = 1) -> dict[str, Any]:
    """Give a product offering as the broker holds it."""
    return {
        "id": f"urn:ngsi-ld:product-offering:{seller}-{number}",
        "type": "product-offering",
        "lifecycleStatus": {"type": "Property", "value": "Launched"},
        "name": {"type": "Property", "value": f"Angebot Nº {number}"},
        "version": {"type": "Property", "value": f"{version}.0"},
        "price": {"type": "Property", "value": [99.99 * version, 1e7, {"b": 1, "a": [3, 1]}]},
        "validFor": {"type": "Property", "value": {"startDateTime": "2024-01-01T00:00:00Z"}},
    }


def trust_each_other(dids: dict[str, Desmos]) -> None:
    """Put the addresses of all into the list of each."""
    for desmos in dids.values():
        desmos.trusted |= {f"0x{derived_address(did).hex()}" for did in dids}


def differences(first: Desmos, second: Desmos) -> list[str]:
    """Say which entities are not the same at both ends."""
    ids = first.broker.keys() | second.broker.keys()
    return sorted(id_ for id_ in ids if first.broker.get(id_) != second.broker.get(id_))


def repetitions(desmos: Desmos) -> int:
    """Give how many notifications came again.

    Raises:
        AssertionError: an event came after a later one without having come before.
    """
    seen: list[int] = []
    for told in desmos.notified:
        assert told["id"] in seen or told["id"] > max(seen, default=-1), "out of order"
        seen.append(told["id"])
    return len(seen) - len(set(seen))
