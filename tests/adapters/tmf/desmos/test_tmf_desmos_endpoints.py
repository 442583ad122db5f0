"""The endpoints answer as those of Desmos, and give nothing to whom it does not concern."""

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from adapters.tmf.caller import OPERATOR as OPERATOR_CALLER
from adapters.tmf.resources.registry import RESOURCES
from ledger.core.limits import (
    DESMOS_REFERENCES_MAX,
    DESMOS_SUB_ENTITIES_MAX,
    DESMOS_SYNC_IDS_MAX,
)
from tests.adapters.dlt.desmos_hash import digest
from tests.adapters.dlt.examples import example
from tests.adapters.tmf.desmos.desmos_world import (
    NODE,
    OPERATOR_TOKEN,
    PEER_TOKEN,
    DesmosNode,
    OnlyShown,
    Pair,
    desmos_pair,
)
from tests.adapters.tmf.desmos.test_tmf_desmos_interwork import LAUNCHED, until_peer

ENTITIES = f"{NODE}/api/v2/entities"
PEER = {"authorization": f"Bearer {PEER_TOKEN}"}
OPERATOR = {"authorization": f"Bearer {OPERATOR_TOKEN}"}


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    """A node and a peer that do not replicate."""
    async with desmos_pair(tmp_path, replicates=False) as running:
        yield running


@pytest.fixture
async def http(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the node."""
    async with pair.node.http() as client:
        yield client


def entities(answer: httpx.Response) -> list[dict[str, Any]]:
    """Give the entities of an answer."""
    assert answer.status_code == 200, answer.text
    return [json.loads(b64decode(row["value"])) for row in answer.json()]


async def test_what_an_entity_refers_to_comes_before_it(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    """References are followed at any depth and distance, each entity once, the root last."""
    node = pair.node
    spec = node.create("productSpecification", name="S")
    value = {"productSpecification": {"id": spec["id"]}}
    price = node.create("productOfferingPrice", name="P", prodSpecCharValueUse=[value])
    root = node.create(
        "productOffering",
        name="O",
        productOfferingPrice=[{"id": price["id"]}],
        productSpecification={"id": spec["id"]},
        category=[{"id": "urn:ngsi-ld:category:nowhere"}],
        relatedParty=[{"id": node.create("individual", givenName="a", familyName="b")["id"]}],
    )
    found = entities(await http.get(f"{ENTITIES}/{root['id']}", headers=PEER))
    assert [entity["id"] for entity in found][-1] == root["id"]
    assert {entity["id"] for entity in found} == {spec["id"], price["id"], root["id"]}


async def test_entities_that_refer_to_each_other_come_once(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    """A circle of references has an end."""
    node = pair.node
    one = node.create("category", name="1")["id"]
    two = node.create("category", name="2", subCategory=[{"id": one}])["id"]
    node.change("category", one, subCategory=[{"id": two}, {"id": one}])
    found = entities(await http.get(f"{ENTITIES}/{one}", headers=PEER))
    assert [entity["id"] for entity in found] == [two, one]


async def test_an_entity_of_another_owner_does_not_come_with_it(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    """Who asks would take it for ours."""
    node, theirs = pair.node, "urn:ngsi-ld:category:theirs"
    with node.store.write() as txn:
        node.entities.accept(
            txn, "did:elsi:VATES-3", RESOURCES["category"], theirs, {"id": theirs, "name": "C"}
        )
    ours = node.create("catalog", name="K", category=[{"id": theirs}])["id"]
    for id_ in (ours, theirs):
        (entity,) = entities(await http.get(f"{ENTITIES}/{id_}", headers=PEER))
        assert entity["id"] == id_


async def test_an_entity_comes_with_a_bounded_number_of_others(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    """One that refers to too many comes with as many as allowed."""
    node = pair.node
    with node.store.write() as txn:
        ids = [
            node.entities.create(txn, OPERATOR_CALLER, RESOURCES["category"], {"name": "C"}).id
            for _ in range(DESMOS_SUB_ENTITIES_MAX + 1)
        ]
    root = node.create("catalog", name="K", category=[{"id": id_} for id_ in ids])
    found = entities(await http.get(f"{ENTITIES}/{root['id']}", headers=PEER))
    assert len(found) == DESMOS_SUB_ENTITIES_MAX + 1
    assert found[-1]["id"] == root["id"]


@pytest.mark.parametrize(
    "missing, found", [(DESMOS_REFERENCES_MAX - 1, 2), (DESMOS_REFERENCES_MAX, 1)]
)
async def test_a_bounded_number_of_references_is_looked_up(
    pair: Pair, http: httpx.AsyncClient, missing: int, found: int
) -> None:
    """References to nothing cost as much as others, so they count."""
    node = pair.node
    there = {"id": node.create("category", name="C")["id"]}
    refs = [{"id": f"urn:ngsi-ld:category:none{number}"} for number in range(missing)]
    parts = {"first": refs[:1_000], "second": refs[1_000:]}  # arrays are bounded, too
    root = node.create("catalog", name="K", category=[there], **parts)  # its end comes first
    answer = await http.get(f"{ENTITIES}/{root['id']}", headers=PEER)
    assert len(entities(answer)) == found


async def test_a_changed_entity_has_another_hash_in_the_next_discovery(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    """What is remembered of a discovery belongs to the content."""

    async def hashes() -> dict[str, str]:
        answer = await http.post(f"{NODE}/api/v2/sync/p2p/discovery", content=b"", headers=PEER)
        return {row["id"]: row["hash"] for row in map(json.loads, answer.text.splitlines())}

    node = pair.node
    one, two = (node.create("catalog", name="x", **LAUNCHED)["id"] for _ in range(2))
    before = await hashes()
    assert await hashes() == before
    node.change("catalog", one, name="y")
    after = await hashes()
    assert after[one] != before[one]
    assert after[two] == before[two]


async def test_a_link_names_a_version(tmp_path: Path) -> None:
    """With ``hl`` the very version is served that was published under it; else the newest."""
    async with desmos_pair(tmp_path) as pair, pair.node.http() as http:
        node, peer = pair.node, pair.peer
        id_ = node.create("catalog", name="one", **LAUNCHED)["id"]
        await until_peer(peer, id_, name="one")
        node.change("catalog", id_, name="two")
        await until_peer(peer, id_, name="two")
        locations = [event.event.location for event in await pair.events()]
        names = []
        for location in (*locations, f"{ENTITIES}/{id_}", f"{ENTITIES}/{id_}?hl={'0' * 64}"):
            (entity,) = entities(await http.get(location, headers=PEER))
            names.append(entity["name"]["value"])
        assert names == ["one", "two", "two", "two"]


async def test_entities_are_for_those_who_may_see_them(pair: Pair, http: httpx.AsyncClient) -> None:
    """Without a token nobody gets anything, and a token shows what its organisation may see."""
    node = pair.node
    hidden = node.create("catalog", name="hidden", **LAUNCHED)["id"]
    shown = node.create("catalog", name="shown", category=[{"id": hidden}], **LAUNCHED)["id"]
    node.entities._policies = (OnlyShown(),)
    refused = await http.get(f"{ENTITIES}/{shown}")
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    for path in ("discovery", "entities"):
        assert (await http.post(f"{NODE}/api/v2/sync/p2p/{path}", content=b"[]")).status_code == 401
    assert (await http.get(f"{ENTITIES}/{hidden}", headers=PEER)).status_code == 404
    found = entities(await http.get(f"{ENTITIES}/{shown}", headers=PEER))
    assert [entity["id"] for entity in found] == [shown]
    asked = await http.post(
        f"{NODE}/api/v2/sync/p2p/entities",
        json=[{"id": hidden}, {"id": shown}],
        headers=PEER | {"accept": "application/json"},
    )
    assert [entity["id"] for entity in entities(asked)] == [shown]
    told = await http.post(
        f"{NODE}/api/v2/sync/p2p/discovery",
        content=b"",
        headers=PEER | {"content-type": "application/x-ndjson"},
    )
    assert [json.loads(line)["id"] for line in told.text.splitlines()] == [shown]


async def test_a_discovery_tells_hashes_of_what_is_served(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    """Each line's hash is that of the entity as it is served, and its link at first the same."""
    id_ = pair.node.create("catalog", name="x", price=1.0, **LAUNCHED)["id"]
    pair.node.create("catalog", name="draft", lifecycleStatus="In design")
    answer = await http.post(
        f"{NODE}/api/v2/sync/p2p/discovery",
        content=b"",
        headers=PEER | {"content-type": "application/x-ndjson", "x-issuer": "http://other"},
    )
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["x-issuer"] == NODE
    (offer,) = [json.loads(line) for line in answer.text.splitlines()]
    served = await http.get(f"{ENTITIES}/{id_}", headers=PEER)
    assert offer["hash"] == digest(b64decode(served.json()[0]["value"]).decode())
    assert offer["hashlink"] == offer["hash"]


@pytest.mark.parametrize(
    "method, path, body, status",
    [
        ("GET", "/api/v2/entities/urn:ngsi-ld:catalog:none", b"", 404),
        ("GET", "/api/v2/entities/a%00b", b"", 404),
        ("POST", "/api/v2/sync/p2p/entities", b"{}", 400),
        ("POST", "/api/v2/sync/p2p/entities", b'[{"id":1}]', 400),
        ("POST", "/api/v2/sync/p2p/discovery", b"x", 400),
        ("POST", "/api/v2/notifications/dlt", b"{}", 400),
        ("GET", "/backoffice/v2/actions/sync", b"", 403),
        ("GET", "/backoffice/v2/audit-records", b"", 403),
    ],
)
async def test_errors_have_desmos_form(
    http: httpx.AsyncClient, method: str, path: str, body: bytes, status: int
) -> None:
    """Title, message and path, whatever was wrong."""
    answer = await http.request(method, NODE + path, content=body, headers=PEER)
    assert answer.status_code == status
    assert answer.json().keys() == {"title", "message", "path"}
    assert answer.json()["path"] == httpx.URL(NODE + path).path


async def test_too_many_ids_are_refused(http: httpx.AsyncClient) -> None:
    """As many as allowed are answered, one more is refused."""
    for count, status in ((DESMOS_SYNC_IDS_MAX, 200), (DESMOS_SYNC_IDS_MAX + 1, 400)):
        body = json.dumps([{"id": "x"}] * count)
        answer = await http.post(
            f"{NODE}/api/v2/sync/p2p/entities", content=body, headers=PEER | {"accept": "*/*"}
        )
        assert answer.status_code == status


async def test_a_notification_is_a_hint_when_its_sender_is_trusted(
    pair: Pair, http: httpx.AsyncClient
) -> None:
    """202 for a sound one of a trusted node, 401 in Desmos' words else; nothing is fetched."""
    told = example("notification_to_subscriber")
    url = f"{NODE}/api/v2/notifications/dlt"
    answer = await http.post(url, json=told)
    assert answer.status_code == 401
    assert answer.json() == {
        "title": "UnauthorizedDomeParticipantException",
        "message": "Dome Participant not found",
        "path": "/api/v2/notifications/dlt",
    }
    assert pair.node.hints == 0
    pair.node.trusted.add(told["ethereumAddress"].lower())
    answer = await http.post(url, json=told | {"ethereumAddress": told["ethereumAddress"].upper()})
    assert (answer.status_code, answer.content) == (202, b"")
    assert pair.node.hints == 1
    assert pair.peer.endpoint.received == []


async def test_the_operator_reads_the_audit(tmp_path: Path) -> None:
    """Records come by number, in pages."""
    async with desmos_pair(tmp_path) as pair, pair.node.http() as http:
        node: DesmosNode = pair.node
        id_ = node.create("catalog", name="x", **LAUNCHED)["id"]
        await until_peer(pair.peer, id_)
        url = f"{NODE}/backoffice/v2/audit-records"

        async def rows(query: str) -> list[dict[str, Any]]:
            answer = await http.get(url + query, headers=OPERATOR)
            assert answer.status_code == 200
            found: list[dict[str, Any]] = answer.json()
            return found

        while len(found := await rows("")) < 3:  # noqa: ASYNC110 - the log has no event
            await anyio.sleep(0.01)
        assert [row["number"] for row in found] == [1, 2, 3]
        statuses = [row["record"]["status"] for row in found]
        assert statuses == ["RECEIVED", "CREATED", "PUBLISHED"]
        assert await rows("?after=1&limit=1") == found[1:2]
        assert (await http.get(f"{url}?after=x", headers=OPERATOR)).status_code == 400


async def test_health(http: httpx.AsyncClient) -> None:
    """Anybody may ask."""
    answer = await http.get(f"{NODE}/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "UP"})
