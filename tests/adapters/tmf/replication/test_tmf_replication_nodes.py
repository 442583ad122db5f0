"""Nodes that replicate: real databases, a played ledger, a network that fails."""

from collections import Counter
from functools import partial
from http import HTTPStatus
from pathlib import Path

import anyio
import pytest

from adapters.tmf.refusal import TmfError
from adapters.tmf.replication.core.model import Status, Told
from adapters.tmf.replication.core.selection import Selection
from adapters.tmf.replication.form import Taken
from ledger.core.errors import RejectCode, Unavailable
from ledger.core.limits import REPLICATION_FAULTS_MAX
from tests.adapters.tmf.replication.replication_world import (
    Network,
    Node,
    PlayedLedger,
    until,
    world,
)


def subjects(ledger: PlayedLedger) -> list[str]:
    """Give the subjects of all events, in order."""
    return [held.event.subject for held in ledger.events_held]


def has_tried(node: Node, times: int) -> bool:
    """Say whether the only entity was tried so often."""
    return [item.attempts for item in node.tracked()] == [times]


def holds_all(node: Node, nodes: list[Node]) -> bool:
    """Say whether a node holds what all others own."""
    others = (other.own() for other in nodes if other is not node)
    return node.replicas() == {id_: body for own in others for id_, body in own.items()}


async def test_a_change_travels_to_the_others(tmp_path: Path) -> None:
    """A create, a change and an end of an own entity become so at every other node."""
    async with world(tmp_path) as (one, two):
        id_ = one.create(description="first")
        await until(lambda: two.replicas() == one.own())
        one.change(id_, description="second")
        await until(lambda: b"second" in two.replicas()[id_])
        one.remove(id_)
        await until(lambda: not two.replicas())
    events = [held.event for held in one.ledger.events_held]
    assert [event.previous_hash for event in events[1:]] == [e.entity_hash for e in events[:-1]]
    assert [event.previous_hash == b"" for event in events] == [True, False, False]
    assert {(event.topic, event.type, event.subject) for event in events} == {
        ("tmf.product-offering", "product-offering", id_)
    }


async def test_an_event_whose_receipt_was_lost_is_not_published_twice(tmp_path: Path) -> None:
    """A crash between publishing and noting it leads to the same event again, which counts once."""
    ledger = PlayedLedger()
    node = Node("one", tmp_path, ledger, Network())
    ledger.answers_lost = 1
    id_ = node.create()
    async with node.running():
        await until(lambda: len(ledger.events_held) == 1)
    node.reopen()
    node.change(id_, description="second")
    async with node.running():
        await until(lambda: len(ledger.events_held) == 2)
    assert ledger.events_held[1].event.previous_hash == ledger.events_held[0].event.entity_hash
    assert node.replicator.outbound.error == ""


async def test_many_changes_of_one_entity_stay_in_order(tmp_path: Path) -> None:
    """Each version is told, in order, each naming the one before it."""
    ledger = PlayedLedger()
    node = Node("one", tmp_path, ledger, Network())
    id_ = node.create()
    for number in range(5):
        node.change(id_, description=str(number))
    async with node.running():
        await until(lambda: len(ledger.events_held) == 6)
    hashes = [held.event.entity_hash for held in ledger.events_held]
    assert [held.event.previous_hash for held in ledger.events_held] == [b"", *hashes[:-1]]


async def test_a_refusal_holds_up_what_comes_after(tmp_path: Path) -> None:
    """What the ledger refuses for now is handed in again and again, the reason visible."""
    ledger = PlayedLedger()
    node = Node("one", tmp_path, ledger, Network())
    ledger.refuses = RejectCode.TOPIC_FORBIDDEN
    node.create()
    async with node.running():
        await until(lambda: "topic_forbidden" in node.replicator.outbound.error)
        ledger.refuses = None
        await until(lambda: len(ledger.events_held) == 1)
        await until(lambda: node.replicator.outbound.error == "")


async def test_an_event_that_became_too_old_is_signed_anew(tmp_path: Path) -> None:
    """The same content is told by a new event, because the old one can never be taken."""
    ledger = PlayedLedger()
    node = Node("one", tmp_path, ledger, Network())
    ledger.refuses = RejectCode.TIME_TOO_OLD
    id_ = node.create()
    async with node.running():
        await until(lambda: "time_too_old" in node.replicator.outbound.error)
        ledger.refuses = None
        await until(lambda: subjects(ledger) == [id_])
    assert ledger.seen_count == 2


async def test_only_what_the_profile_publishes_is_told(tmp_path: Path) -> None:
    """Versions before launch stay at home; what was told once is told until its end."""
    async with world(tmp_path) as (one, two):
        one.is_published = lambda _resource, document: document["lifecycleStatus"] == "Launched"
        draft, offer = (one.create(lifecycleStatus="Active") for _ in range(2))
        one.change(offer, lifecycleStatus="Launched")
        await until(lambda: list(two.replicas()) == [offer])
        one.remove(draft)
        one.change(offer, lifecycleStatus="Retired")
        await until(lambda: b"Retired" in two.replicas()[offer])
        one.remove(offer)
        await until(lambda: two.replicas() == {})
        one.create(id=offer, lifecycleStatus="Active")
        one.create(lifecycleStatus="Launched")
        await until(lambda: len(two.replicas()) == 1)
    assert subjects(one.ledger)[:-1] == [offer] * 3


async def test_individuals_and_usage_never_leave(tmp_path: Path) -> None:
    """Personal data and single usage records are not told at all."""
    async with world(tmp_path, "one") as (one,):
        one.create("individual", givenName="A", familyName="B")
        one.create("usage")
        told = one.create("organization", tradingName="O")
        await until(lambda: len(one.ledger.events_held) == 1)
    assert subjects(one.ledger) == [told]


async def test_an_order_is_for_its_parties_only(tmp_path: Path) -> None:
    """Its event hides its id, and a node that is no party gets nothing and asks but once."""
    async with world(tmp_path, "one two three") as (one, two, three):
        party = {"id": "x", "name": two.did, "role": "Seller", "@referredType": "Organization"}
        item = {"id": "1", "action": "add"}
        id_ = one.create("productOrder", productOrderItem=[item], relatedParty=[party])
        await until(lambda: two.replicas("productOrder") == one.own("productOrder"))
        await until(lambda: [item.status for item in three.tracked()] == [Status.WITHHELD])
        one.remove(id_, "productOrder")
        await until(lambda: not two.replicas("productOrder"))
    event = one.ledger.events_held[0].event
    assert event.subject.startswith("h:")
    assert id_ not in event.location
    assert event.tags == ("prd",)
    assert len(one.network.asked) == 2


async def test_the_first_publisher_owns_an_id(tmp_path: Path) -> None:
    """Events of another member about it are quarantined, at all nodes; its own entity stays."""
    async with world(tmp_path, "one two three") as (one, two, three):
        one.create(id="urn:shared")
        await until(lambda: len(one.ledger.events_held) == 1)
        await until(lambda: len(two.replicas()) == 1)
        with two.store.write() as txn:
            txn.remove("productOffering", "urn:shared")
        two.create(id="urn:shared", description="mine")
        await until(lambda: (two.did, "owned-by-other") in three.quarantined())
        await until(lambda: (two.did, "owned-by-other") in two.quarantined())
    assert three.replicas() == one.own()
    assert two.replicas() == {}
    assert one.quarantined() == [(two.did, "owned-by-other")]


async def test_an_entity_of_this_node_is_never_overwritten(tmp_path: Path) -> None:
    """A member that publishes an id which this node uses, untold, meets quarantine here."""
    async with world(tmp_path) as (one, two):
        two.is_published = lambda _resource, _document: False
        two.create(id="urn:shared", description="mine")
        one.create(id="urn:shared")
        await until(lambda: two.quarantined() == [(one.did, "owned-by-other")])
    assert two.replicas() == {}


async def test_content_of_another_hash_is_quarantined_and_replayed(tmp_path: Path) -> None:
    """A faulty origin is asked several times, then no more until a newer event sets it right."""
    async with world(tmp_path) as (one, two):
        one.network.twisted = lambda body: body + b" "
        id_ = one.create()
        for attempt in range(1, REPLICATION_FAULTS_MAX):
            await until(partial(has_tried, two, attempt))
            await two.skip()
        await until(lambda: two.quarantined() == [(one.did, "hash-mismatch")])
        assert len(one.network.asked) == REPLICATION_FAULTS_MAX
        one.network.twisted = None
        one.change(id_, description="new")
        await until(lambda: two.replicas() == one.own())
        assert two.quarantined() == []


async def test_a_replica_is_judged_before_it_is_stored(tmp_path: Path) -> None:
    """What cannot be judged now waits; what is refused ends in quarantine with the reason."""
    verdicts: list[Exception] = [Unavailable("the list of issuers is out of reach")]

    def accepts(told: Told, taken: Taken) -> None:
        assert (told.resource, taken.resource) == ("product-offering", "productOffering")
        if verdicts:
            raise verdicts[0]

    async with world(tmp_path) as (one, two):
        two.accepts = accepts
        one.create()
        await until(lambda: [item.attempts for item in two.tracked()] == [1])
        refusal = TmfError(HTTPStatus.FORBIDDEN, "no-credential", "No", "has no credential")
        verdicts[:] = [refusal]
        for attempt in range(2, REPLICATION_FAULTS_MAX + 1):
            await two.skip()
            await until(partial(has_tried, two, attempt))
        await until(lambda: two.quarantined() == [(one.did, "entity-refused")])
        assert "no-credential" in two.tracked()[0].detail
        assert two.replicas() == {}
        verdicts.clear()
        assert (await two.replicator.repair.once()).replicas == 1
        await until(lambda: two.replicas() == one.own())


async def test_what_cannot_be_judged_in_the_database_holds_up_no_other(tmp_path: Path) -> None:
    """One replica whose transaction must wait is tried later; those beside it are stored."""
    async with world(tmp_path) as (one, two):
        two.entities.poisoned = one.create(id="urn:poison")
        others = {one.create() for _ in range(10)}
        await until(lambda: two.replicas().keys() == others)
        await until(lambda: max(item.attempts for item in two.tracked()) >= 1)
        two.entities.poisoned = ""
        await two.skip()
        await until(lambda: two.replicas() == one.own())


async def test_a_form_that_was_switched_off_waits(tmp_path: Path) -> None:
    """What was told in a form that this node no longer knows is kept, and fetched when it does."""
    async with world(tmp_path) as (one, two):
        forms = dict(two.context.forms)
        one.network.down.add("one.example")
        one.create()
        await until(partial(has_tried, two, 1))
        two.context.forms.clear()  # type: ignore[attr-defined] # it is a dict in this world
        one.network.down.clear()
        await two.skip()
        await until(partial(has_tried, two, 2))
        assert "native" in two.tracked()[0].detail
        two.context.forms.update(forms)  # type: ignore[attr-defined]
        await two.skip()
        await until(lambda: two.replicas() == one.own())


async def test_a_stuck_origin_stops_no_other(tmp_path: Path) -> None:
    """While one origin answers nothing, all entities of another one arrive."""
    async with world(tmp_path, "one two three") as (one, two, three):
        one.network.stuck.add("one.example")
        for _ in range(20):
            one.create()
        await until(lambda: len(one.ledger.events_held) == 20)
        for _ in range(20):
            two.create()
        await until(lambda: three.replicas() == two.own())


async def test_loss_and_restarts_lose_nothing(tmp_path: Path) -> None:
    """With a third of all messages lost and nodes that crash, all become equal."""
    ledger, network = PlayedLedger(), Network(seed=1)
    nodes = [Node(name, tmp_path, ledger, network) for name in ("one", "two", "three")]
    network.loss = 33
    ids = [[node.create() for _ in range(8)] for node in nodes]
    for turn in range(4):
        async with nodes[0].running(), nodes[1].running(), nodes[2].running():
            await anyio.sleep(0.05)
            for node, own in zip(nodes, ids, strict=True):
                node.change(own[turn], description=f"turn {turn}")
                node.remove(own[-1 - turn])
                await node.skip()
        nodes[turn % 3].reopen()
    network.loss = 0
    async with nodes[0].running(), nodes[1].running(), nodes[2].running():
        await until(lambda: len(ledger.events_held) >= 3 * (8 + 8 - 4))
        for node in nodes:
            await node.skip()
            await until(partial(holds_all, node, nodes))
    assert not any(item.has_gap for node in nodes for item in node.tracked())


async def test_a_new_node_fetches_only_the_last_versions(tmp_path: Path) -> None:
    """Reading the history asks for each standing entity once, for none that was superseded."""
    ledger, network = PlayedLedger(), Network()
    one, two = (Node(name, tmp_path, ledger, network) for name in ("one", "two"))
    async with one.running():
        ids = [one.create() for _ in range(5)]
        for number in range(3):
            for id_ in ids:
                one.change(id_, description=str(number))
        one.remove(ids[0])
        await until(lambda: len(ledger.events_held) == 21)
        async with two.running():
            await until(lambda: two.replicas() == one.own())
    assert Counter(network.asked).most_common(1)[0][1] == 1
    assert len(network.asked) == 4


async def test_part_of_the_catalogue_is_taken_and_later_more(tmp_path: Path) -> None:
    """A selection hides entities until it is widened; what says nothing of it is taken."""
    ledger, network = PlayedLedger(), Network()
    one, two = (Node(name, tmp_path, ledger, network) for name in ("one", "two"))
    two.selection = Selection(environment="prd", categories=("c1",))
    two.reopen()
    async with one.running(), two.running():
        mine = one.create(category=[{"id": "c1"}])
        other = one.create(category=[{"id": "c2"}])
        plain = one.create()
        await until(lambda: two.replicas().keys() == {mine, plain})
        statuses = Counter(item.status for item in two.tracked())
        assert statuses[Status.UNWANTED] == 1
        await two.replicator.choose(Selection(environment="prd", categories=("c1", "c2")))
        await until(lambda: other in two.replicas())
    two.selection = None
    two.reopen()
    assert two.replicator.follower.rules.selection.categories == ("c1", "c2")


async def test_repair_puts_replicas_and_heads_right(tmp_path: Path) -> None:
    """Replicas that vanished or were changed, and events that were missed, come back."""
    async with world(tmp_path) as (one, two):
        ids = [one.create() for _ in range(4)]
        await until(lambda: two.replicas() == one.own())
        with two.store.write() as txn:
            txn.remove("productOffering", ids[0])
        two.change(ids[1], description="tampered")
        two.forget(ids[2])
        repaired = await two.replicator.repair.once()
        assert (repaired.replicas, repaired.heads) == (2, 1)
        await until(lambda: two.replicas() == one.own())
        await until(lambda: all(item.status is Status.CURRENT for item in two.tracked()))
        assert await two.replicator.repair.once() == (0, 0)


async def test_a_gap_starts_a_repair_by_itself(tmp_path: Path) -> None:
    """An event whose predecessor this node never took makes it read the entity's history again."""
    async with world(tmp_path) as (one, two):
        id_ = one.create()
        await until(lambda: two.replicas() == one.own())
        two.forget(id_)
        one.change(id_, description="second")
        await until(lambda: two.replicas() == one.own())
        await until(lambda: [item.has_gap for item in two.tracked()] == [False])


@pytest.mark.parametrize("change", ["again", "newer"])
async def test_superseded_fetches_do_no_harm(tmp_path: Path, change: str) -> None:
    """A fetch that ends after a newer version was told is dropped."""
    async with world(tmp_path) as (one, two):
        one.network.down.add("one.example")
        id_ = one.create(description="first")
        await until(lambda: [item.attempts for item in two.tracked()] == [1])
        one.change(id_, description=change)
        one.remove(id_)
        one.network.down.clear()
        await until(lambda: len(one.ledger.events_held) == 3)
        await two.skip()
        await until(lambda: [item.head.is_end for item in two.tracked()] == [True])
    assert two.replicas() == {}
