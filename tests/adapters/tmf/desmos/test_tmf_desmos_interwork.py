"""A node in Desmos-compatible mode and a Desmos-like peer hold the same, both ways."""

from pathlib import Path
from typing import Any

from tests.adapters.dlt.desmos_hash import digest, hashlink
from tests.adapters.dlt.desmos_pair import offering
from tests.adapters.tmf.desmos.desmos_world import NODE, Pair, desmos_pair, until

LAUNCHED = {"lifecycleStatus": "Launched"}


def value(entity: dict[str, Any], name: str) -> object:
    """Give what a broker's entity says of a property."""
    return entity[name]["value"]


def assert_chain(events: list[Any]) -> None:
    """Each link follows from the one before and the hash of an entity, as the facts say."""
    assert events[0].event.entity_hash == events[0].event.previous_hash
    for before, after in zip(events, events[1:], strict=False):
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
        await until(lambda: id_ in peer.broker)
        assert peer.broker[id_]["type"] == "product-offering"
        assert value(peer.broker[id_], "name") == "Ä"
        assert peer.broker[price["id"]]["price"]["value"]["tmfEscaped-value"] == 9.5
        for name in ("two", "three"):
            node.change("productOffering", id_, name=name)
            await until(lambda name=name: value(peer.broker[id_], "name") == name)
        node.change("productOffering", id_, lifecycleStatus="Retired")
        await until(lambda: value(peer.broker[id_], "lifecycleStatus") == "Retired")
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
        await until(lambda: id_ in peer.broker)
        assert list(peer.broker) == [id_]
        assert len(await pair.events()) == 1


async def test_what_ends_at_the_node_ends_at_the_peer(tmp_path: Path) -> None:
    """A deleted entity is told of without a link; its id may come again with a chain of its own."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        id_ = node.create("catalog", name="x", **LAUNCHED)["id"]
        await until(lambda: id_ in peer.broker)
        node.remove("catalog", id_)
        await until(lambda: id_ not in peer.broker)
        node.create("catalog", id=id_, name="again", **LAUNCHED)
        await until(lambda: id_ in peer.broker)
        first, end, again = await pair.events()
        assert end.event.location == f"{NODE}/api/v2/entities/{id_}"
        assert end.event.previous_hash == first.event.entity_hash
        assert again.event.previous_hash == again.event.entity_hash
        assert peer.faults == []


async def test_what_the_peer_launches_reaches_the_node(tmp_path: Path) -> None:
    """Versions, repetitions and the end of a peer's entity are those of a TM Forum document."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        for version in (1, 2, 2, 3):
            entity = offering("s", 1, version)
            id_ = entity["id"]
            peer.launch(entity)
            await until(
                lambda: (node.find("productOffering", id_) or {}).get("version") == f"{version}.0"
            )
        kept = node.get("productOffering", id_)
        assert kept["name"] == "Angebot Nº 1"
        assert kept["price"] == [99.99 * 3, 10_000_000, {"b": 1, "a": [3, 1]}]
        assert kept["href"].endswith(f"/productOffering/{id_}")
        assert "type" not in kept
        await until(lambda: len([r for r in peer.audit if r.status == "PUBLISHED"]) == 4)
        await peer.end(id_)
        await until(lambda: node.find("productOffering", id_) is None)
        peer.launch(offering("s", 1, 4))
        await until(lambda: node.find("productOffering", id_) is not None)
