"""The examples of docs/adapters/usage-vectors.json: changing one changes the format."""

import json
from pathlib import Path
from typing import Any

from adapters.tmf.entity import canonical
from adapters.tmf.usage.condensing import Tip
from adapters.tmf.usage.leaves import Entry, Opening, TotalKey, leaf_hashes, reference_of
from adapters.tmf.usage.proof import decode_proof, verify_usage
from tests.adapters.tmf.usage.usage_world import SELLER, Sealed, seal

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parents[4] / "docs" / "adapters" / "usage-vectors.json").read_bytes()
)


def sealed_blocks() -> list[Sealed]:
    """Condense the examples' records."""
    tip, numbered, sealed = Tip(SELLER), dict[int, Entry](), list[Sealed]()
    for block in VECTORS["blocks"]:
        entries = [Entry(one["supersedes"], canonical(one["record"])) for one in block["records"]]
        made = seal(entries, tip, numbered)
        assert made.secret.hex() == block["secret"]
        numbered |= dict(enumerate(entries, start=made.made.block.first))
        tip = made.made.tip
        sealed.append(made)
    return sealed


def test_blocks_are_those_of_the_examples() -> None:
    """Leaves and blocks come out byte by byte."""
    for made, expected in zip(sealed_blocks(), VECTORS["blocks"], strict=True):
        hashes = [leaf.hex() for leaf in leaf_hashes(made.secret, made.entries)]
        assert hashes == expected["leaves"]
        assert made.made.data.hex() == expected["block"]


def test_the_proof_is_that_of_the_examples() -> None:
    """The example's proof shows the second block's record."""
    made = sealed_blocks()[1]
    proof = decode_proof(canonical(VECTORS["proof"]))
    assert verify_usage(proof, made.event).supersedes == 1


def test_the_opening_is_that_of_the_examples() -> None:
    """The example's opening opens a total of both blocks, which have one secret for once."""
    opening = VECTORS["opening"]
    key = TotalKey(*(opening[name] for name in ("buyer", "product", "metric", "unit")))
    reference = reference_of(Opening(key, bytes.fromhex(opening["salt"])))
    assert reference.hex() == opening["reference"]
    for made in sealed_blocks():
        assert reference in {total.reference for total in made.made.block.totals}
