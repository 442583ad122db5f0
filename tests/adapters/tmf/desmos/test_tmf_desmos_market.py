"""Two nodes of ours and a Desmos-like peer are one market: what one changes is with the others.

The peer is written from the facts alone. Each act changes something at each of the three, or hurts
one of them, and waits until all hold the same; then everything is compared, the audits, too.
"""

import json
import time
from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.adapters.dlt.desmos_hash import digest, hashlink
from tests.adapters.dlt.desmos_pair import offering
from tests.adapters.tmf.desmos.desmos_market import (
    HARBOUR,
    NORTH,
    SOUTH,
    Json,
    Market,
    Node,
    did_of,
    market,
    until,
)

pytestmark = pytest.mark.process

VERSIONS: Final = 2
PRICE: Final = "urn:ngsi-ld:product-offering-price:harbour-1"
ENTITIES: Final = "/api/v2/entities/"
ORDERS: Final = "/tmf-api/productOrderingManagement/v4/productOrder"
REFERRED: Final = {"@referredType": "Organization"}
NOWHERE: Final = "http://127.0.0.1:9"  # nobody listens there
LINKED: Final = ("type", "version", "lifecycleStatus", "hash", "hashlink")


async def test_two_nodes_and_a_peer_are_one_market(tmp_path: Path) -> None:
    """Changes, ends, absences and a wrong content, at each of the three: nothing is lost."""
    began = time.monotonic()
    async with market(tmp_path) as found:
        story = Story(found)
        await story.open()
        await story.launch()
        await story.order()
        await story.serve_wrong_content()
        await story.change()
        await story.end()
        await story.change_while_the_peer_is_away()
        await story.cut_the_peer_from_the_ledger()
        await story.kill_a_node()
        await story.put_right_what_was_wrong()
        await story.compare_audits()
        await story.close()
        print(f"\n{story.figures()}, {time.monotonic() - began:.0f} s")


class Story:
    """What happened so far.

    Attributes:
        wanted: version of each entity that the market must hold, by id.
        refused: version that the nodes must hold of what the peer serves wrongly; "" for none.
        owners: who made an entity, also one that ended.
        disturbed: entities that changed while one of the three did not look.
        parts: entities that also come as parts of others; a Desmos then notes the other's link.
    """

    def __init__(self, found: Market) -> None:
        self.market = found
        self.north, self.south, self.harbour = found.north, found.south, found.harbour
        self.wanted: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.disturbed: set[str] = set()
        self.parts: set[str] = set()
        self.made: dict[str, Json] = {}  # what stands at our nodes, as it was made
        self.published = 0
        self.lost = 0

    # --- acts -------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start the three. The first to start finds nobody, which is no harm."""
        await self.north.start()
        await self.south.start()
        await self.market.start_peer()
        for node in (self.north, self.south):
            await self.harbour.synchronise(node.url)
        self.market.let_peer_work()

    async def launch(self) -> None:
        """Each launches something; what belongs to an entity comes with it."""
        amount = {"value": 9.5, "unit": "EUR"}
        price = await self.make(NORTH, "productOfferingPrice", name="P", price=amount)
        self.parts.add(price["id"])
        refers = {"productOfferingPrice": [{"id": price["id"], "name": "P"}]}
        await self.make(NORTH, "productOffering", name="Ångström", **refers)
        await self.make(NORTH, "catalog", name="North")
        await self.make(SOUTH, "productSpecification", name="S", isBundle=False)
        await self.make(SOUTH, "productOffering", name="\U0001f600 south", description="1e7")
        self.harbour.broker[PRICE] = {
            "id": PRICE,
            "type": "product-offering-price",
            "name": {"type": "Property", "value": "a part"},
            "price": {"type": "Property", "value": {"value": 1e-7, "unit": "EUR"}},
        }
        relation = {"type": "Relationship", "object": PRICE}
        self.peer_launches(1, productOfferingPrice=relation)
        self.peer_launches(2, href={"type": "Property", "value": "urn:of:the:peer"})
        self.peer_launches(3)
        await self.agree()
        for node in (self.north, self.south):
            assert digest(await node.entity(PRICE)) == digest(self.harbour.text(PRICE))

    async def order(self) -> None:
        """An order reaches the party that it names; the third learns no more than that it is."""
        parties = [("Seller", NORTH), ("Buyer", HARBOUR)]
        sent = {
            "productOrderItem": [{"id": "1", "action": "add"}],
            "relatedParty": [
                {"id": f"urn:{role}", "role": role, "name": did_of(name)} | REFERRED
                for role, name in parties
            ],
        }
        order = await self.north.call("POST", ORDERS, sent)

        async def is_settled() -> bool:
            has_peer = order["id"] in self.harbour.broker
            return has_peer and (await self.south.status())["entities"].get("withheld") == 1

        await until(is_settled, lambda: self.south.log[-2000:])
        assert await self.south.call("GET", ORDERS) == []

    async def serve_wrong_content(self) -> None:
        """What the peer serves of two entities is not what it published: neither node takes it."""
        known, unknown = offering("harbour", 3, 9), offering("harbour", 4)
        for entity in (known, unknown):
            twisted = entity | {"name": {"type": "Property", "value": "twisted"}}
            self.harbour.twist[entity["id"]] = twisted
            self.refused[entity["id"]] = self.wanted.pop(entity["id"], "")
            self.harbour.launch(entity)
        self.owners[unknown["id"]] = HARBOUR
        self.disturbed |= self.refused.keys()
        self.published += 2
        targets = [ENTITIES + id_ for id_ in self.refused]

        async def both_asked() -> bool:
            asked = [request.target for request in self.harbour.endpoint.received]
            return all(sum(target in line for line in asked) >= 4 for target in targets)

        await until(both_asked)
        await self.agree()

    async def change(self) -> None:
        """Each changes what it has, again and again: chains of versions."""
        for number in range(2, 2 + VERSIONS):
            for id_, entity in list(self.made.items()):
                await self.node_of(id_).change(entity, version=f"{number}.0")
                self.wanted[id_] = f"{number}.0"
                self.published += 1
            self.peer_launches(1, number)
            self.peer_launches(2, number, lifecycleStatus={"type": "Property", "value": "Retired"})
            await self.agree()
        assert self.harbour.faults == []

    async def end(self) -> None:
        """Each deletes something: it ends everywhere."""
        for owner, resource in ((NORTH, "catalog"), (SOUTH, "productSpecification")):
            entity = await self.make(owner, resource, name="short-lived")
            await self.agree()
            await self.delete(entity)
        await self.agree()
        await self.make(SOUTH, "productSpecification", id=entity["id"], name="again")
        self.peer_launches(5)
        await self.agree()
        id_ = offering("harbour", 5)["id"]
        await self.harbour.end(id_)
        del self.wanted[id_]
        self.published += 1
        await self.agree()

    async def change_while_the_peer_is_away(self) -> None:
        """The peer is killed meanwhile; it synchronises with both before its queues begin."""
        gone = await self.make(SOUTH, "productSpecification", name="to be ended")
        changed = await self.make(NORTH, "productOffering", name="to be changed")
        await self.agree()
        await self.market.kill_peer()
        await self.change_twice(changed)
        new = await self.make(NORTH, "catalog", name="new")
        other = await self.make(SOUTH, "productOffering", name="new, too")
        await self.delete(gone)
        self.disturbed |= {each["id"] for each in (gone, changed, new, other)}
        await self.agree(without_peer=True)
        await self.market.start_peer()
        for node in (self.north, self.south):
            await self.harbour.synchronise(node.url)
        caught_up = {id_: row["version"] for id_, row in self.seen_by_peer().items()}
        assert caught_up == {**self.wanted, gone["id"]: "1.0", **self.peers_own()}
        assert self.harbour.faults == []
        self.market.let_peer_work()
        await self.agree()
        # A version that was superseded meanwhile is told, and cannot be fetched any more.
        assert {fault.partition("?")[0].split(": ")[0] for fault in self.harbour.faults} <= {
            self.north.url + ENTITIES + changed["id"]
        }
        self.harbour.faults.clear()

    async def cut_the_peer_from_the_ledger(self) -> None:
        """What it cannot publish comes to both nodes by synchronisation; a wrong one does not."""
        adapter, self.harbour.adapter = self.harbour.adapter, httpx.AsyncClient(base_url=NOWHERE)
        told, wrong = offering("harbour", 6), offering("harbour", 7)
        known = offering("harbour", 1, 9)
        twisted = {"name": {"type": "Property", "value": "twisted"}}
        self.harbour.twist[wrong["id"]] = wrong | twisted
        for entity in (told, wrong, known):
            await self.fail_to_publish(entity)
        for node in (self.north, self.south):  # south asks north first, and the peer then
            await node.call("GET", "/backoffice/v2/actions/sync")
            await self.until_held(node, told)
            await self.until_refused(node, wrong["id"])
            assert await node.find("productOffering", wrong["id"]) is None
        told = offering("harbour", 6, 2)
        await self.fail_to_publish(told)
        for node in (self.north, self.south):
            await self.harbour.synchronise(node.url)  # which asks back
            await self.until_held(node, told)
            # The ledger tells of this one, so the ledger decides.
            seen = await node.offers()
            assert seen[known["id"]]["version"] == self.wanted[known["id"]]
        await self.harbour.adapter.aclose()
        self.harbour.adapter = adapter
        del self.harbour.twist[wrong["id"]]
        for number, version in ((6, 2), (7, 1), (1, 9)):
            self.peer_launches(number, version)
        self.disturbed |= {told["id"], wrong["id"]}
        await self.agree()

    async def kill_a_node(self) -> None:
        """One of ours is killed right after a change of its own, and misses others' changes."""
        gone = await self.make(NORTH, "productSpecification", name="ends while south is dead")
        self.peer_launches(9)
        await self.agree()
        own = await self.make(SOUTH, "productOffering", name="just before the end")
        self.south.kill()
        changed = await self.make(NORTH, "catalog", name="while south is dead")
        await self.change_twice(changed)
        await self.delete(gone)
        self.peer_launches(6, 3)
        self.peer_launches(8)
        ended = offering("harbour", 9)["id"]
        await self.harbour.end(ended)
        del self.wanted[ended]
        self.published += 1
        self.disturbed |= {each["id"] for each in (gone, own, changed, offering("harbour", 6))}
        self.disturbed.add(ended)

        async def peer_has_all() -> bool:
            seen = self.versions(self.seen_by_peer())
            return seen.get(changed["id"]) == "3.0" and gone["id"] not in seen

        await until(peer_has_all)
        await self.south.start()
        await self.agree()
        self.harbour.faults.clear()

    async def put_right_what_was_wrong(self) -> None:
        """Both nodes have the wrong contents in quarantine; a right one, newer, ends that."""
        for node in (self.north, self.south):

            async def is_settled(node: Node = node) -> bool:
                return len(await node.quarantine()) == len(self.refused)

            await until(is_settled)
            rows = await node.quarantine()
            assert {row["code"] for row in rows} == {"hash-mismatch"}
            assert {row["publisher"] for row in rows} == {"did:example:harbour"}
        self.harbour.twist.clear()
        self.refused.clear()
        self.peer_launches(3, 10)
        self.peer_launches(4, 2)
        await self.agree()
        for node in (self.north, self.south):
            assert await node.quarantine() == []

    async def compare_audits(self) -> None:
        """Every party's records say the same as the ledger's events, in the same order."""
        nodes = {NORTH: await self.north.audit(), SOUTH: await self.south.audit()}
        peer = [vars(record) for record in self.harbour.audit]
        for records in nodes.values():
            assert_chain(records)
        audits: dict[str, Sequence[Json]] = {**nodes, HARBOUR: peer}
        events = 0
        for id_, owner in self.owners.items():
            told = [event.event for event in await self.market.events(id_)]
            events += len(told)
            links = [event.entity_hash.hex() for event in told if event.entity_hash]
            produced = versions_in(audits[owner], id_, "PRODUCER")
            assert [link for _, link in produced] == links, id_
            assert_links(told, {link: hash_ for hash_, link in produced})
            for name in audits.keys() - {owner}:
                if name == HARBOUR and id_ in self.parts:
                    continue
                consumed = versions_in(audits[name], id_, "CONSUMER")
                if id_ in self.wanted:
                    assert consumed[-1] == produced[-1], (name, id_)
                if id_ not in self.disturbed:
                    assert consumed == produced, (name, id_)
                assert is_within(consumed, produced), (name, id_)
                assert synchronised(audits[name], id_) <= received(audits[owner], id_)
            if id_ not in self.wanted:
                for records in nodes.values():
                    ends = [row["status"] for row in records if row["entity_id"] == id_]
                    assert ends[-1] == "DELETED", id_
        assert events == self.published

    async def close(self) -> None:
        """Stop the nodes: well, and with nothing left to tell."""
        views = [*await self.seen_by_nodes(), self.seen_by_peer()]
        self.lost = sum(id_ not in view for id_ in self.wanted for view in views)
        for node in (self.north, self.south):
            status = await node.status()
            assert status["publishing"]["waiting"] == 0
            assert (status["gaps"], status["quarantined"]) == (0, 0)
            assert status["entities"].keys() - {"withheld"} == {"current", "own"}
            assert await node.stop() == 0
            assert "Traceback" not in node.log

    def figures(self) -> str:
        """Say what was shown."""
        ended = len(self.owners) - len(self.wanted)
        return (
            f"3 marketplaces: {len(self.wanted)} entities with the same hashes at each, "
            f"{ended} ended, {self.published} events, lost {self.lost}"
        )

    # --- what is done -----------------------------------------------------------------------

    def node_of(self, id_: str) -> Node:
        """Give the node that owns an entity."""
        return self.market.nodes[self.owners[id_]]

    async def make(self, owner: str, resource: str, **document: object) -> Json:
        """Launch an entity at a node."""
        made = await self.market.nodes[owner].make(resource, **document)
        self.owners[made["id"]] = owner
        self.wanted[made["id"]] = "1.0"
        self.made[made["id"]] = made
        self.published += 1
        return made

    async def change_twice(self, entity: Json) -> None:
        """Change an entity of a node: its version becomes 3.0."""
        for version in ("2.0", "3.0"):
            await self.node_of(entity["id"]).change(entity, version=version)
            self.published += 1
        self.wanted[entity["id"]] = "3.0"

    async def delete(self, entity: Json) -> None:
        """Delete an entity of a node."""
        await self.node_of(entity["id"]).call("DELETE", entity["href"])
        del self.wanted[entity["id"]], self.made[entity["id"]]
        self.published += 1

    def peer_launches(self, number: int, version: int = 1, **attributes: Any) -> None:  # noqa: ANN401
        """Let the peer launch a version of one of its offerings."""
        entity = offering("harbour", number, version) | attributes
        self.harbour.launch(entity)
        self.owners[entity["id"]] = HARBOUR
        self.wanted[entity["id"]] = f"{version}.0"
        self.published += 1

    async def fail_to_publish(self, entity: Json) -> None:
        """Let the peer launch what no gateway takes."""
        self.harbour.launch(entity)

        async def failed() -> bool:
            return entity["id"] in self.harbour.failed

        await until(failed)
        self.harbour.failed.clear()

    # --- what is seen -----------------------------------------------------------------------

    async def until_held(self, node: Node, entity: Json) -> None:
        """Wait until a node holds an offering as the peer does; nobody else told of it."""
        wanted = entity["version"]["value"]

        async def is_held() -> bool:
            found = await node.find("productOffering", entity["id"])
            return found is not None and found["version"] == wanted

        await until(is_held, lambda: node.log[-3000:])
        held = await node.entity(entity["id"])
        assert digest(held) == digest(self.harbour.text(entity["id"]))
        assert entity["id"] not in await node.offers()

    async def until_refused(self, node: Node, id_: str) -> None:
        """Wait until a node says that it did not take what a peer gave."""

        async def is_refused() -> bool:
            return f'"id": "{id_}", "reason": "its hash is not' in node.log

        await until(is_refused)

    def seen_by_peer(self) -> dict[str, Json]:
        """Give what the peer holds of the catalogue and would tell of, by id."""
        return catalogue({row["id"]: row for row in self.harbour.offers()})

    async def seen_by_nodes(self) -> list[dict[str, Json]]:
        """Give what each node tells the peer of its catalogue, by id."""
        return [catalogue(await node.offers()) for node in (self.north, self.south)]

    def peers_own(self) -> dict[str, str]:
        """Give the versions of what the peer alone holds rightly."""
        seen = self.seen_by_peer()
        return {id_: seen[id_]["version"] for id_ in self.refused}

    async def agree(self, *, without_peer: bool = False) -> None:
        """Wait until all hold what is wanted, with the same hashes and links."""
        seen: list[dict[str, Json]] = []

        async def holds() -> bool:
            seen[:] = await self.seen_by_nodes()
            if any(self.versions(view) != self.wanted | self.held_on() for view in seen):
                return False
            if not without_peer:
                seen.append(self.seen_by_peer())
                if self.versions(seen[2]) != self.wanted | self.peers_own():
                    return False
            return all(self.same(seen, id_) for id_ in self.wanted)

        def describe() -> str:
            views = [self.versions(view) for view in seen]
            differ = [
                [view.get(id_) for view in seen] for id_ in self.wanted if not self.same(seen, id_)
            ]
            return f"{self.wanted=}\n{views=}\n{differ=}\n{self.harbour.faults=}"

        await until(holds, describe)

    def held_on(self) -> dict[str, str]:
        """Give the versions that the nodes hold of what is served wrongly."""
        return {id_: version for id_, version in self.refused.items() if version}

    @staticmethod
    def versions(view: dict[str, Json]) -> dict[str, str]:
        """Give the version of each entity."""
        return {id_: row["version"] for id_, row in view.items()}

    def same(self, seen: list[dict[str, Json]], id_: str) -> bool:
        """Say whether all show an entity alike."""
        names = LINKED[:-1] if id_ in self.parts else LINKED
        rows = [[view[id_][name] for name in names] if id_ in view else None for view in seen]
        return all(row == rows[0] for row in rows)


def catalogue(view: dict[str, Json]) -> dict[str, Json]:
    """Leave out what two agreed on."""
    return {id_: row for id_, row in view.items() if row["type"] != "product-order"}


# --- audits ---------------------------------------------------------------------------------


def assert_chain(records: Sequence[Json]) -> None:
    """Recompute every record's hash and the links between them, as the facts say."""
    previous = None
    for record in records:
        bare = json.dumps(record | {"hash": "", "hashlink": ""}, ensure_ascii=False)
        assert record["hash"] == digest(bare)
        previous = digest(bare) if previous is None else hashlink(previous, digest(bare))
        assert record["hashlink"] == previous


def versions_in(records: Sequence[Json], id_: str, trader: str) -> list[tuple[str, str]]:
    """Give (hash, link) of an entity's versions that the ledger told of, in order."""
    rows = [
        (row["entity_hash"], row["entity_hashlink"])
        for row in records
        if (row["entity_id"], row["status"], row["trader"]) == (id_, "PUBLISHED", trader)
        and ENTITIES in row["data_location"]
    ]
    return [row for row, _ in groupby(rows)]  # what was told again is no other version


def synchronised(records: Sequence[Json], id_: str) -> set[str]:
    """Give the hashes of an entity's versions that came by synchronisation: from no location."""
    return {
        row["entity_hash"]
        for row in records
        if row["entity_id"] == id_ and ENTITIES not in row["data_location"]
    }


def received(records: Sequence[Json], id_: str) -> set[str]:
    """Give the hashes of all versions that an owner had, published or not."""
    return {
        row["entity_hash"]
        for row in records
        if (row["entity_id"], row["status"]) == (id_, "RECEIVED")
    }


def is_within(some: Sequence[object], all_: Sequence[object]) -> bool:
    """Say whether some come in the order of all."""
    rest = iter(all_)
    return all(each in rest for each in some)


def assert_links(told: Sequence[Any], hashes: dict[str, str]) -> None:
    """Each event links to the one before, and a new chain begins after an end."""
    for before, event in pairwise([None, *told]):
        is_first = before is None or not before.entity_hash
        if not event.entity_hash:
            assert event.previous_hash == before.entity_hash
            continue
        link, hash_ = event.entity_hash.hex(), hashes[event.entity_hash.hex()]
        if is_first:
            assert link == hash_ == event.previous_hash.hex()
        else:
            assert event.previous_hash == before.entity_hash
            assert link == hashlink(before.entity_hash.hex(), hash_)
