"""Rows of complete topics as the gateway serves them, checked by a verifier that is not ours."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ledger.core.errors import DecodeError, PeerFault, ProofError
from ledger.core.proof import Verifier
from pubsub.client.completeness import CompletenessChecker
from pubsub.core.topic_documents import page_codec
from tests.independent.verifier import RefusedError, ShownRows, digest, verify_rows
from tests.ledger.sample_network import GENESIS, entry
from tests.ledger.topics.topic_world import rule_entry
from tests.pubsub.gateway_world import World, gateway_world

MEDIA = "application/vnd.concordat.completeness+msgpack"
RULE, TOPIC = "catalog.>", "catalog.offering.changed"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a gateway to a ledger with five events on complete topics, from sequence 2 on."""
    async with gateway_world(tmp_path) as found:
        found.chain.extend([entry(0), rule_entry(RULE, 1, complete=True)])
        for numbers in ((2,), (3, 4), (5, 6)):
            found.chain.extend([entry(number) for number in numbers])
        found.chain.extend()
        yield found


async def pages_of(world: World, begin: int) -> list[bytes]:
    """Read every page of rows, two rows each."""
    query, pages = f"begin={begin}", []
    while True:
        answer = await world.get(f"/v1/topics/catalog.%3E/completeness?limit=2&{query}", MEDIA)
        pages.append(answer.content)
        following = page_codec.decode(answer.content).next
        if following is None:
            return pages
        query = f"after={following}"


def ours(pages: list[bytes], begin: int) -> bool:
    """Say whether the product accepts pages as well."""
    checker = CompletenessChecker(Verifier(GENESIS), RULE, RULE, begin)
    try:
        results = [checker.take(page_codec.decode(page), 0) for page in pages]
    except (DecodeError, PeerFault, ProofError):
        return False
    return results[-1] is not None


def theirs(pages: list[bytes]) -> ShownRows | None:
    """Give what the independent verifier says."""
    try:
        return verify_rows(pages, RULE, GENESIS.to_json())
    except RefusedError:
        return None


async def test_both_accept_what_the_gateway_serves(world: World) -> None:
    """The same rows from the beginning; fewer from later on, with one in front."""
    shown = theirs(whole := await pages_of(world, 2))
    assert shown is not None
    assert ours(whole, 2)
    assert (shown.since, shown.end, shown.is_whole) == (2, 7, True)
    assert [row[0] for row in shown.rows] == [2, 3, 4, 5, 6]
    assert {row[1] for row in shown.rows} == {digest("topic", TOPIC.encode())}
    later = await pages_of(world, 6)
    part = theirs(later)
    assert part is not None
    assert ours(later, 6)
    assert (part.is_whole, part.rows) == (False, shown.rows[1:])


async def test_both_refuse_what_was_changed(world: World) -> None:
    """A byte changed anywhere but in what nobody looks at: proofs and ends of earlier pages."""
    pages = await pages_of(world, 2)
    for number, page in enumerate(pages):
        is_last = number == len(pages) - 1
        size = len(page) if is_last else page.index(b"\xa5state") - 2
        for place in range(0, size, 3 if is_last else 1):
            changed = page[:place] + bytes([page[place] ^ 1]) + page[place + 1 :]
            forged = [*pages[:number], changed, *pages[number + 1 :]]
            assert theirs(forged) is None, (number, place)
            assert not ours(forged, 2), (number, place)


async def test_both_refuse_pages_left_out(world: World) -> None:
    """Also rows of another page are missed."""
    pages = await pages_of(world, 2)
    assert len(pages) == 3
    for forged in (pages[1:], [pages[0], pages[2]], pages[:2], [pages[0], *pages]):
        assert theirs(forged) is None
        assert not ours(forged, 2)
