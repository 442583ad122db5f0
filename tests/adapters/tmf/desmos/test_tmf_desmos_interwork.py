"""A node in Desmos-compatible mode and a Desmos-like peer hold the same, both ways."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.adapters.dlt.desmos_hash import digest
from tests.adapters.dlt.desmos_pair import offering
from tests.adapters.tmf.desmos.desmos_peer import DesmosPeer
from tests.adapters.tmf.desmos.desmos_world import (
    NODE,
    DesmosNode,
    desmos_pair,
    until,
)

LAUNCHED = {"lifecycleStatus": "Launched"}


def value(entity: dict[str, Any], name: str) -> object:
    """Give what a broker's entity says of a property."""
    return entity[name]["value"]


async def until_peer(peer: DesmosPeer, id_: str, **values: object) -> None:
    """Wait until the peer's broker holds an entity with these values."""

    def holds() -> bool:
        entity = peer.broker.get(id_, {})
        return bool(entity) and all(value(entity, name) == values[name] for name in values)

    await until(holds)


async def until_node(node: DesmosNode, id_: str, **members: object) -> None:
    """Wait until the node holds an offering with these members."""

    def holds() -> bool:
        found = node.find("productOffering", id_)
        return found is not None and members.items() <= found.items()

    await until(holds)


def assert_chain(events: list[Any]) -> None:
    """Each link follows from the one before and the hash of an entity, as the facts say."""
    assert events[0].event.entity_hash == events[0].event.previous_hash
    for before, after in pairwise(events):
        assert after.event.previous_hash == before.event.entity_hash


async def test_what_the_node_launches_reaches_the_peer(tmp_path: Path) -> None:
    """An offering, its later versions and its repetition arrive with all that belongs to them."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        price = node.create("productOfferingPrice", name="P", price={"value": 9.5, "unit": "EUR"})
        sent = node.create(
            "productOffering", name="Ä", productOfferingPrice=[{"id": price["id"]}], **LAUNCHED
        )
        id_ = sent["id"]
        await until_peer(peer, id_)
        assert peer.broker[id_]["type"] == "product-offering"
        assert value(peer.broker[id_], "name") == "Ä"
        assert peer.broker[price["id"]]["price"]["value"]["tmfEscaped-value"] == 9.5
        for name in ("two", "three"):
            node.change("productOffering", id_, name=name)
            await until_peer(peer, id_, name=name)
        node.change("productOffering", id_, lifecycleStatus="Retired")
        await until_peer(peer, id_, lifecycleStatus="Retired")
        assert peer.faults == []
        events = await pair.events()
        assert len(events) == 4
        assert_chain(events)
        assert events[0].event.location.startswith(f"{NODE}/api/v2/entities/{id_}?hl=")
        assert {event.event.subject for event in events} == {"0x" + digest(id_)}


async def test_what_is_not_on_the_market_stays_here(tmp_path: Path) -> None:
    """Drafts, expired offers and persons are not told of; what comes after them is."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        node.create("productOffering", name="draft", lifecycleStatus="Active")
        node.create(
            "productOffering",
            name="old",
            validFor={"endDateTime": "2020-01-01T00:00:00Z"},
            **LAUNCHED,
        )
        node.create("individual", givenName="A", familyName="B")
        id_ = node.create("productOffering", name="x", **LAUNCHED)["id"]
        await until_peer(peer, id_)
        assert list(peer.broker) == [id_]
        assert len(await pair.events()) == 1


async def test_what_ends_at_the_node_ends_at_the_peer(tmp_path: Path) -> None:
    """A deleted entity is told of without a link; its id may come again with a chain of its own."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        id_ = node.create("catalog", name="x", **LAUNCHED)["id"]
        await until_peer(peer, id_)
        node.remove("catalog", id_)
        await until(lambda: id_ not in peer.broker)
        node.create("catalog", id=id_, name="again", **LAUNCHED)
        await until_peer(peer, id_)
        first, end, again = await pair.events()
        assert end.event.location == f"{NODE}/api/v2/entities/{id_}"
        assert end.event.previous_hash == first.event.entity_hash
        assert again.event.previous_hash == again.event.entity_hash
        assert peer.faults == []


async def test_what_the_peer_launches_reaches_the_node(tmp_path: Path) -> None:
    """Versions, repetitions and the end of a peer's entity are those of a TM Forum document."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        id_ = offering("s", 1)["id"]
        for count, version in enumerate((1, 2, 2, 3), 1):
            peer.launch(offering("s", 1, version))
            await until_node(node, id_, version=f"{version}.0")
            await until(lambda count=count: published(peer) == count)  # type: ignore[misc]
        assert_chain(await pair.events())
        kept = node.get("productOffering", id_)
        assert kept["name"] == "Angebot Nº 1"
        assert kept["price"] == [99.99 * 3, 10_000_000, {"b": 1, "a": [3, 1]}]
        assert kept["href"].endswith(f"/productOffering/{id_}")
        assert "type" not in kept
        await peer.end(id_)
        await until(lambda: node.find("productOffering", id_) is None)
        peer.launch(offering("s", 1, 4))
        await until_node(node, id_, version="4.0")


async def test_what_belongs_to_a_peers_entity_comes_with_it(tmp_path: Path) -> None:
    """A related entity is stored with the one that needs it, as the same member's."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        price_id = "urn:ngsi-ld:product-offering-price:1"
        price = {
            "id": price_id,
            "type": "product-offering-price",
            "name": {"type": "Property", "value": "P"},
        }
        peer.broker[price_id] = price
        related = {"type": "Relationship", "object": price_id}
        peer.launch(offering("s", 1) | {"productOfferingPrice": related})
        await until_node(node, offering("s", 1)["id"], productOfferingPrice=[{"id": price_id}])
        assert node.get("productOfferingPrice", price_id)["name"] == "P"


async def test_content_of_another_hash_is_not_taken(tmp_path: Path) -> None:
    """What a peer serves must be what it published; the next version is taken again."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        entity = offering("s", 1)
        peer.twist[entity["id"]] = entity | {"name": {"type": "Property", "value": "twisted"}}
        peer.launch(entity)
        await until(lambda: len(peer.endpoint.received) >= 2)
        assert node.find("productOffering", entity["id"]) is None
        peer.twist.clear()
        peer.launch(offering("s", 1, 2))
        await until_node(node, entity["id"], version="2.0")
        assert node.get("productOffering", entity["id"])["name"] == "Angebot Nº 1"


async def test_a_peer_cannot_take_over_an_entity_of_the_node(tmp_path: Path) -> None:
    """Events of the peer about the node's entity change nothing at the node."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        id_ = node.create("productOffering", name="mine", **LAUNCHED)["id"]
        await until_peer(peer, id_)
        entity = offering("s", 1) | {"id": id_}
        peer.launch(entity)
        await until(lambda: published(peer) == 1)
        peer.launch(offering("s", 2))
        await until_node(node, offering("s", 2)["id"])
        assert node.get("productOffering", id_)["name"] == "mine"


def published(peer: DesmosPeer) -> int:
    """Give how many publications the peer has recorded."""
    return sum((record.status, record.trader) == ("PUBLISHED", "PRODUCER") for record in peer.audit)
