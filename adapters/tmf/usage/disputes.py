"""A dispute: what differs between the buyer's and the seller's records.

Owns the comparison of two sets of documents, attribute by attribute. It says what differs, never
who is right: that the proofs say.
"""

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

from adapters.tmf.entity import JsonObject

__all__ = ["ABSENT", "AttributeDifference", "Difference", "Held", "compare"]

ABSENT: Final = None
"""The value of an attribute that a side does not have; JSON's null is the same to TM Forum."""


class Held(NamedTuple):
    """One record as one side has it.

    Attributes:
        block: number of its block; None when that side does not say.
    """

    document: JsonObject
    block: int | None = None


class AttributeDifference(NamedTuple):
    """One attribute that differs.

    Attributes:
        path: dotted, an element of an array in brackets by its place from 0.
        buyer, seller: the values; None where there is none.
    """

    path: str
    buyer: object
    seller: object


class Difference(NamedTuple):
    """One record that differs.

    Attributes:
        what: "missing": the seller has it, the buyer does not; "extra": the other way round;
            "changed": both have it and say different things; "moved": the same, in another block.
    """

    id: str
    what: Literal["missing", "extra", "changed", "moved"]
    attributes: tuple[AttributeDifference, ...] = ()
    buyer_block: int | None = None
    seller_block: int | None = None


def compare(buyer: Mapping[str, Held], seller: Mapping[str, Held]) -> list[Difference]:
    """Say what differs between two sets of records, by id.

    Args:
        buyer, seller: id -> the newest version that each side has.

    Returns:
        In the order of the ids; empty when both have the same.
    """
    return [
        difference
        for id_ in sorted(buyer.keys() | seller.keys())
        if (difference := _difference(id_, buyer.get(id_), seller.get(id_))) is not None
    ]


def _difference(id_: str, buyer: Held | None, seller: Held | None) -> Difference | None:
    buyer_block = buyer.block if buyer else None
    seller_block = seller.block if seller else None
    if buyer is None or seller is None:
        what: Literal["missing", "extra"] = "missing" if buyer is None else "extra"
        return Difference(id_, what, (), buyer_block, seller_block)
    changed = tuple(_walk("", buyer.document, seller.document))
    if changed:
        return Difference(id_, "changed", changed, buyer_block, seller_block)
    if None not in (buyer_block, seller_block) and buyer_block != seller_block:
        return Difference(id_, "moved", (), buyer_block, seller_block)
    return None


def _walk(path: str, buyer: object, seller: object) -> Iterator[AttributeDifference]:
    """Descend together; nesting is bounded where documents are read."""
    if isinstance(buyer, dict) and isinstance(seller, dict):
        for name in sorted(buyer.keys() | seller.keys()):
            inner = f"{path}.{name}" if path else name
            yield from _walk(inner, buyer.get(name), seller.get(name))
    elif isinstance(buyer, list) and isinstance(seller, list):
        for index in range(max(len(buyer), len(seller))):
            pair = [side[index] if index < len(side) else ABSENT for side in (buyer, seller)]
            yield from _walk(f"{path}[{index}]", *pair)
    elif (type(buyer) is bool) != (type(seller) is bool) or buyer != seller:
        yield AttributeDifference(path, buyer, seller)
