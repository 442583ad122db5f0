"""What others sent is given again letter by letter, so an entity has one hash everywhere."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import func, select

from adapters.tmf.caller import OPERATOR
from adapters.tmf.desmos.offers import Offer
from adapters.tmf.desmos.originals import _TABLE
from adapters.tmf.entity import OWN, Entity, canonical
from adapters.tmf.store.database import Store
from tests.adapters.dlt.desmos_hash import digest
from tests.adapters.dlt.desmos_pair import offering
from tests.adapters.dlt.dlt_world import SELLER_DID
from tests.adapters.tmf.desmos.desmos_world import DesmosNode, Pair, desmos_pair, until
from tests.adapters.tmf.desmos.test_tmf_desmos_interwork import LAUNCHED, until_node

HREF: dict[str, Any] = {"href": {"type": "Property", "value": "urn:of:the:peer"}}
PRICE: dict[str, Any] = {
    "id": "urn:ngsi-ld:product-offering-price:1",
    "type": "product-offering-price",
    "name": {"type": "Property", "value": "P", "observedAt": "2026-01-01T00:00:00Z"},
}


def offers(node: DesmosNode) -> dict[str, Offer]:
    """Give what a node tells of, by id."""
    with node.store.read() as reading:
        return {offer.id: offer for offer in node.shelf.offers(reading, OPERATOR)}


def served(node: DesmosNode, id_: str) -> list[str]:
    """Give the hashes of what a node serves for an entity."""
    with node.store.read() as reading:
        return [digest(each.decode()) for each in node.shelf.bundle(reading, OPERATOR, id_)]


def originals(store: Store) -> int:
    """Give how many are kept."""
    with store.read() as reading:
        query = select(func.count()).select_from(_TABLE)
        return int(reading.connection.execute(query).scalar_one())


def hash_of(entity: dict[str, Any]) -> str:
    """Give H of an entity of the peer's."""
    return digest(json.dumps(entity, ensure_ascii=False))


def replace(node: DesmosNode, id_: str, origin: str = SELLER_DID, **members: object) -> None:
    """Store another version of an offering, past all rules."""
    with node.store.write() as txn:
        kept = txn.get("productOffering", id_)
        assert kept is not None
        body = canonical(kept.document() | members)
        txn.put(msgspec.structs.replace(kept, body=body, origin=origin), "attribute")


@pytest.fixture
def entity() -> dict[str, Any]:
    """Give an offering whose document does not say all of it, with a part."""
    related = {"productOfferingPrice": {"type": "Relationship", "object": PRICE["id"]}}
    return offering("s", 1) | HREF | related


async def test_what_an_event_told_of_is_given_again(tmp_path: Path, entity: dict[str, Any]) -> None:
    """Each version has its owner's hash, and so have its parts; nothing is left after the end."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        peer.broker[PRICE["id"]] = PRICE
        for version in (1, 2):
            newer = entity | {"version": {"type": "Property", "value": f"{version}.0"}}
            peer.launch(newer)
            await until_node(node, entity["id"], version=f"{version}.0")
            assert served(node, entity["id"]) == [hash_of(PRICE), hash_of(newer)]
            assert offers(node)[entity["id"]].hash == hash_of(newer)
        assert originals(node.store) == 2
        assert node.get("productOffering", entity["id"])["href"].startswith("/tmf-api/")
        await until(lambda: peer._last(entity["id"], ("PUBLISHED",), "PRODUCER") is not None)
        await peer.end(entity["id"])
        await until(lambda: node.find("productOffering", entity["id"]) is None)
        assert originals(node.store) == 1


async def test_what_a_peer_told_of_is_given_again(tmp_path: Path, entity: dict[str, Any]) -> None:
    """By synchronisation, too; but not told to a third, before an event tells of it."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        own = node.create("productOffering", name="mine", **LAUNCHED)["id"]
        for each in (PRICE, entity):
            peer.broker[each["id"]] = each
        assert (await node.sync.synchronise(node.peer)).taken == 2
        assert served(node, entity["id"]) == [hash_of(PRICE), hash_of(entity)]
        assert offers(node).keys() == {own}
        await begin(pair)
        peer.launch(entity)
        await until(lambda: entity["id"] in offers(node))
        assert offers(node)[entity["id"]].hash == hash_of(entity)
        assert PRICE["id"] not in offers(node)


async def begin(pair: Pair) -> None:
    """Let both replicate over the ledger, too."""
    assert await pair.peer.start()
    pair.group.start_soon(pair.peer.run)
    pair.group.start_soon(pair.node.replicator.run)


async def test_what_came_as_a_part_replaces_no_original(
    tmp_path: Path, entity: dict[str, Any]
) -> None:
    """What an event told of itself is given as that said, whatever came with another entity."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        price = PRICE | {"lifecycleStatus": {"type": "Property", "value": "Launched"}}
        peer.launch(price)
        await until(lambda: node.find("productOfferingPrice", price["id"]) is not None)
        peer.twist[price["id"]] = price | {"name": {"type": "Property", "value": "twisted"}}
        peer.launch(entity)
        await until_node(node, entity["id"])
        assert served(node, entity["id"]) == [hash_of(price), hash_of(entity)]


async def test_an_original_counts_for_its_document_alone(
    tmp_path: Path, entity: dict[str, Any]
) -> None:
    """What came since in another way is given as it is held, and an own entity always is."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        peer.broker[entity["id"]] = entity
        await node.sync.synchronise(node.peer)
        before = served(node, entity["id"])
        replace(node, entity["id"], name="newer")
        assert served(node, entity["id"]) != before
        replace(node, entity["id"], name="Angebot Nº 1")
        assert served(node, entity["id"]) == before
        replace(node, entity["id"], origin=OWN)
        assert served(node, entity["id"]) != before


async def test_what_the_document_says_in_full_is_kept_once(tmp_path: Path) -> None:
    """An entity of a node of ours has no original beside it; an own one never has."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        id_ = "urn:ngsi-ld:catalog:1"
        href = {"type": "Property", "value": f"/tmf-api/productCatalogManagement/v4/catalog/{id_}"}
        launched = {"type": "Property", "value": "Launched"}
        whole = {"id": id_, "type": "catalog", "lifecycleStatus": launched, "href": href}
        whole["name"] = {"type": "Property", "value": "C"}
        peer.broker[id_] = whole
        await node.sync.synchronise(node.peer)
        assert served(node, id_) == [hash_of(whole)]
        assert originals(node.store) == 0
        with node.store.write() as txn:
            txn.put(Entity("catalog", id_, canonical({"id": id_}), OWN), "attribute")
        assert served(node, id_) == [hash_of({"id": id_, "type": "catalog"})]
