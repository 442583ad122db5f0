"""Who stands behind an entity: the parties that it names, by their roles.

Owns how a party is recognised: by the ``name`` in ``relatedParty``, which is its DID in DOME, never
by the ``id``, which anybody can choose. Whatever a client or another member wrote there, reading it
never fails.
"""

from collections.abc import Iterator
from typing import Final

from adapters.tmf.entity import JsonObject

__all__ = [
    "BUYER",
    "BUYER_OPERATOR",
    "ROLES",
    "SELLER",
    "SELLER_OPERATOR",
    "holders_of",
    "operators_of",
    "parties_of",
    "party_in",
]

SELLER: Final = "Seller"
SELLER_OPERATOR: Final = "SellerOperator"
BUYER: Final = "Buyer"
BUYER_OPERATOR: Final = "BuyerOperator"
ROLES: Final = (SELLER, SELLER_OPERATOR, BUYER, BUYER_OPERATOR)


def parties_of(document: JsonObject) -> Iterator[tuple[str, str]]:
    """Give (role, name) of each related party; what is no text is empty."""
    rows = document.get("relatedParty")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, dict):
            role, name = row.get("role"), row.get("name")
            yield (role if isinstance(role, str) else "", name if isinstance(name, str) else "")


def holders_of(document: JsonObject, role: str) -> list[str]:
    """Give the names under a role, however its letters are written."""
    wanted = role.casefold()
    return [name for found, name in parties_of(document) if found.casefold() == wanted]


def party_in(document: JsonObject, role: str) -> str:
    """Give the one party of a role; empty when there is none, or more than one."""
    found = holders_of(document, role)
    return found[0] if len(found) == 1 else ""


def operators_of(document: JsonObject) -> frozenset[str]:
    """Give the marketplaces through which an entity came about."""
    roles = (SELLER_OPERATOR, BUYER_OPERATOR)
    return frozenset(name for role in roles for name in holders_of(document, role) if name)
