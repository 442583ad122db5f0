"""Two nodes synchronise without the ledger: both ways, by lines and by the arrays of before."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.tmf.desmos.audit import first_fault
from adapters.tmf.desmos.audit_log import page_of_records
from adapters.tmf.desmos.sync import Peer, Synchronised, until_night_ms
from ledger.core.errors import Unavailable
from tests.adapters.dlt.desmos_pair import offering
from tests.adapters.tmf.desmos.desmos_world import (
    NODE,
    OPERATOR_TOKEN,
    OnlyShown,
    desmos_pair,
    until,
)
from tests.adapters.tmf.desmos.test_tmf_desmos_interwork import LAUNCHED, value


def at(entity: dict[str, Any], updated: str) -> dict[str, Any]:
    """Give an entity with a last update."""
    return entity | {"lastUpdate": {"type": "Property", "value": f"2026-01-0{updated}T00:00:00Z"}}


@pytest.mark.parametrize("is_old", [False, True])
async def test_a_peer_takes_what_the_node_has(tmp_path: Path, is_old: bool) -> None:
    """Launched entities come with what belongs to them, each with the hash that was told."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        peer.is_old = is_old
        price = node.create("productOfferingPrice", name="P")
        refers = {"productOfferingPrice": [{"id": price["id"]}]}
        ids = [
            node.create("productOffering", name=f"o{number}", **LAUNCHED, **refers)["id"]
            for number in range(3)
        ]
        node.create("productOffering", name="draft", lifecycleStatus="Active")
        await peer.synchronise(NODE)
        assert peer.broker.keys() == {price["id"], *ids}
        assert peer.faults == []
        node.change("productOffering", ids[0], version="2.0", name="newer")
        await peer.synchronise(NODE)
        assert value(peer.broker[ids[0]], "name") == "newer"
        assert peer.faults == []


@pytest.mark.parametrize("is_old", [False, True])
async def test_the_node_takes_what_a_peer_has(tmp_path: Path, is_old: bool) -> None:
    """What is unknown or newer is taken, what is not on the market or older is not."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        for number in range(3):
            entity = at(offering("s", number, 2), "2")
            peer.broker[entity["id"]] = entity
        draft = offering("s", 9) | {"lifecycleStatus": {"type": "Property", "value": "Active"}}
        peer.broker[draft["id"]] = draft
        peer.is_old = False  # the peer answers lines; what it is asked is lines in any case
        assert await node.sync.synchronise(node.peer) == Synchronised(3, 0)
        assert node.find("productOffering", draft["id"]) is None
        peer.is_old = is_old
        assert await node.sync.synchronise(node.peer) == Synchronised(0, 0)
        newer, older, later = (offering("s", number)["id"] for number in range(3))
        peer.broker[newer] = at(offering("s", 0, 3), "1")
        peer.broker[older] = at(offering("s", 1, 1), "3")
        peer.broker[later] = at(offering("s", 2, 2), "3")
        assert await node.sync.synchronise(node.peer) == Synchronised(2, 0)
        versions = [node.get("productOffering", id_)["version"] for id_ in (newer, older, later)]
        assert versions == ["3.0", "2.0", "2.0"]


async def test_content_of_another_hash_than_was_told_is_refused(tmp_path: Path) -> None:
    """One wrong entity is left out, the others are taken."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        for number in range(2):
            peer.broker[offering("s", number)["id"]] = offering("s", number)
        wrong = offering("s", 0)["id"]
        peer.twist[wrong] = offering("s", 0) | {"name": {"type": "Property", "value": "twisted"}}
        assert await node.sync.synchronise(node.peer) == Synchronised(1, 1)
        assert node.find("productOffering", wrong) is None


async def test_a_sub_entity_with_a_hash_of_its_own_is_held_to_it(tmp_path: Path) -> None:
    """What belongs to an entity is verified, too, where its hash was told."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        spec = offering("s", 1) | {
            "id": "urn:ngsi-ld:product-specification:1",
            "type": "product-specification",
        }
        related = {"productSpecification": {"type": "Relationship", "object": spec["id"]}}
        for entity in (spec, offering("s", 0) | related):
            peer.broker[entity["id"]] = entity
        peer.twist[spec["id"]] = spec | {"name": {"type": "Property", "value": "twisted"}}
        came = await node.sync.synchronise(node.peer)
        assert came.refused >= 1
        assert node.find("productSpecification", spec["id"]) is None
        assert node.find("productOffering", offering("s", 0)["id"]) is not None


async def test_what_the_ledger_tells_of_the_ledger_decides(tmp_path: Path) -> None:
    """A peer cannot give a version that its owner never published."""
    async with desmos_pair(tmp_path) as pair:
        node, peer = pair.node, pair.peer
        entity = offering("s", 1, 1)
        peer.launch(entity)
        await until(lambda: node.find("productOffering", entity["id"]) is not None)
        peer.broker[entity["id"]] = offering("s", 1, 9)
        assert await node.sync.synchronise(node.peer) == Synchronised(0, 0)
        assert node.get("productOffering", entity["id"])["version"] == "1.0"


async def test_an_own_entity_is_never_taken_from_a_peer(tmp_path: Path) -> None:
    """However new a peer's version of it is."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        id_ = node.create("productOffering", name="mine", version="1.0", **LAUNCHED)["id"]
        peer.broker[id_] = offering("s", 1, 9) | {"id": id_}
        assert await node.sync.synchronise(node.peer) == Synchronised(0, 0)
        assert node.get("productOffering", id_)["name"] == "mine"


async def test_a_discovery_of_a_peer_is_answered_and_followed(tmp_path: Path) -> None:
    """Who discovers us is asked back when it is one of the peers, and nobody else is."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        peer.broker[offering("s", 1)["id"]] = offering("s", 1)
        await peer.synchronise(NODE)
        assert list(node.sync._offered) == [peer.domain]
        url, offers = node.sync._offered.popitem()
        assert await node.sync.take(Peer(url, node.peer.did), offers) == Synchronised(1, 0)
        node.sync.offered("http://stranger.example", offers)
        assert not node.sync._offered


async def test_synchronising_at_the_start_and_when_told(tmp_path: Path) -> None:
    """The task synchronises at once, and again when the operator says so."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        peer.broker[offering("s", 1)["id"]] = offering("s", 1)
        pair.group.start_soon(node.sync.run)
        await until(lambda: node.find("productOffering", offering("s", 1)["id"]) is not None)
        peer.broker[offering("s", 2)["id"]] = offering("s", 2)
        headers = {"authorization": f"Bearer {OPERATOR_TOKEN}"}
        async with node.http() as http:
            answer = await http.get(f"{NODE}/backoffice/v2/actions/sync", headers=headers)
        assert answer.status_code == 202
        await until(lambda: node.find("productOffering", offering("s", 2)["id"]) is not None)


async def test_a_peer_is_told_of_what_its_member_may_see(tmp_path: Path) -> None:
    """Our side of a discovery shows no more than theirs would."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        for name in ("hidden", "shown"):
            node.create("catalog", id=name, name=name, **LAUNCHED)
        node.entities._policies = (OnlyShown(),)
        await node.sync.synchronise(node.peer)
        ((issuer, offers),) = peer.offered
        assert issuer == NODE
        assert [offer["id"] for offer in offers] == ["shown"]


@pytest.mark.parametrize("answer", [b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", b""])
async def test_a_peer_that_does_not_answer_is_unavailable(tmp_path: Path, answer: bytes) -> None:
    """Errors and lost connections are no answer; nothing changes."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        pair.peer.endpoint.answer = lambda _: answer
        with pytest.raises(Unavailable):
            await pair.node.sync.synchronise(pair.node.peer)


async def test_what_is_taken_from_a_peer_is_in_the_audit(tmp_path: Path) -> None:
    """Each entity has its records, with the peer as location, and the chain holds."""
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        peer.broker[offering("s", 1)["id"]] = offering("s", 1)
        await node.sync.synchronise(node.peer)
        with node.store.read() as reading:
            rows = page_of_records(reading.connection, 0, 10)
        records = [record for _, record in rows]
        assert [record.status for record in records] == ["RECEIVED", "RETRIEVED", "PUBLISHED"]
        assert {record.data_location for record in records} == {peer.domain}
        assert {record.entity_hash for record in records} == {peer.offers()[0]["hash"]}
        assert first_fault(records) is None


async def test_a_synchronisation_that_failed_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that was away at the start is synchronised with soon after."""
    monkeypatch.setattr("adapters.tmf.desmos.sync.DESMOS_SYNC_RETRY_MS", 20)
    async with desmos_pair(tmp_path, replicates=False) as pair:
        node, peer = pair.node, pair.peer
        peer.broker[offering("s", 1)["id"]] = offering("s", 1)
        answer, peer.endpoint.answer = peer.endpoint.answer, lambda _: b""
        pair.group.start_soon(node.sync.run)
        await until(lambda: len(peer.endpoint.received) >= 2)
        peer.endpoint.answer = answer
        await until(lambda: node.find("productOffering", offering("s", 1)["id"]) is not None)


@pytest.mark.parametrize(
    "clock, minutes", [("01:59", 1), ("02:00", 24 * 60), ("02:01", 24 * 60 - 1), ("23:00", 3 * 60)]
)
def test_the_next_night_begins_at_two(clock: str, minutes: int) -> None:
    """Every day at 02:00 UTC."""
    now = datetime.fromisoformat(f"2026-11-21T{clock}:00Z")
    assert until_night_ms(int(now.timestamp() * 1000)) == minutes * 60_000
