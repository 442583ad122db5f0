"""What is stored of what was fetched, and what hostile content may not do."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.tmf.replication.core.model import Code, Status, Told, Tracked
from adapters.tmf.replication.form import FetchFailed, Taken
from adapters.tmf.replication.ledger import Members
from adapters.tmf.replication.storing import Attempt, store_attempts
from adapters.tmf.replication.tracking import Line, lines, save
from adapters.tmf.replication.versions import key_of
from ledger.core.errors import Offence, PeerFault, Unavailable
from ledger.core.genesis import Participant
from ledger.core.limits import REPLICATION_MEMBER_FRESH_MS
from ledger.core.signing import SeedSigner
from pubsub.client.trust_calls import Reading
from tests.adapters.tmf.replication.replication_world import Network, Node, PlayedLedger

OTHER, THIRD = "did:web:other.example", "did:web:third.example"
VERSION = b"v" * 32


@pytest.fixture
def node(tmp_path: Path) -> Node:
    """Give a node that does not run."""
    return Node("one", tmp_path, PlayedLedger(), Network())


def wanted(node: Node, id_: str, owner: str = OTHER) -> Told:
    """Make an entity wanted; give its event."""
    key = key_of("product-offering", id_)
    told = Told("native", key, "product-offering", id_, owner, 1, VERSION, b"")
    with node.store.write() as txn:
        save(txn.connection, [Line(Tracked(told, {"native": told}, Status.WANTED))])
    return told


def store(node: Node, told: Told, taken: Taken) -> Tracked:
    """Store what was fetched; give what is known of the entity then."""
    store_attempts(node.context, [Attempt(told, taken)], node.store)
    with node.store.read() as reading:
        return lines(reading.connection, [told.key])[told.key].tracked


def offering(id_: str, *others: Taken, **document: object) -> Taken:
    """Give a fetched offering."""
    return Taken("productOffering", id_, {"id": id_, "name": "x", **document}, others)


@pytest.mark.parametrize("id_", ["a\0b", "", "a/b", "ü", "x" * 1_000])
def test_an_id_that_no_entity_may_have_is_refused(node: Node, id_: str) -> None:
    """It never reaches the database, whose kinds differ in what they bear."""
    tracked = store(node, wanted(node, "urn:x"), offering(id_))
    assert (tracked.status, tracked.code) == (Status.QUARANTINED, Code.MALFORMED)
    assert node.replicas() == {}


def test_what_comes_along_is_kept_while_nothing_tells_of_it(node: Node) -> None:
    """An entity without an event of its own is stored, and gives way to its owner's."""
    along = [offering("urn:along"), offering("urn:told"), offering("a\0b"), offering("urn:own")]
    own = node.create(id="urn:own", description="mine")
    store(node, wanted(node, "urn:told", THIRD), offering("urn:told", description="third"))
    store(node, wanted(node, "urn:same"), offering("urn:same", description="as told"))
    along.append(offering("urn:same", description="as it came along"))
    tracked = store(node, wanted(node, "urn:x"), offering("urn:x", *along))
    assert b"as told" in node.replicas().pop("urn:same")
    assert tracked.status is Status.CURRENT
    assert node.replicas().keys() == {"urn:x", "urn:along", "urn:told", "urn:same"}
    assert b"third" in node.replicas()["urn:told"]
    assert b"mine" in node.own()[own]
    store(node, wanted(node, "urn:along", THIRD), offering("urn:along", description="real"))
    with node.store.read() as reading:
        kept = reading.get("productOffering", "urn:along")
    assert kept is not None
    assert (kept.origin, b"real" in kept.body) == (THIRD, True)


def test_one_refusal_takes_no_other_entity_with_it(node: Node) -> None:
    """Entities that are stored in one transaction are judged each by itself."""
    tolds = [wanted(node, f"urn:{number}") for number in range(3)]
    bad = Taken("productOffering", "urn:1", {"id": "urn:1"})
    taken: Sequence[Taken] = [offering("urn:0"), bad, offering("urn:2")]
    attempts = [Attempt(told, item) for told, item in zip(tolds, taken, strict=True)]
    store_attempts(node.context, attempts, node.store)
    assert node.replicas().keys() == {"urn:0", "urn:2"}
    with node.store.read() as reading:
        line = lines(reading.connection, [tolds[1].key])[tolds[1].key]
    assert (line.tracked.status, line.tracked.code) == (Status.WANTED, Code.ENTITY_REFUSED)


def test_a_hidden_entity_is_not_taken_from_its_owner(node: Node) -> None:
    """Under hidden subjects one id can have two names on the ledger; who came first has it."""
    for name, owner in (("first", OTHER), ("second", THIRD)):
        told = Told("native", f"product/{name}", "product", name, owner, 1, VERSION, b"")
        with node.store.write() as txn:
            save(txn.connection, [Line(Tracked(told, {"native": told}, Status.WANTED))])
        document = {"id": "urn:p", "name": name, "status": "active"}
        tracked = store(node, told, Taken("product", "urn:p", document))
    assert (tracked.status, tracked.code) == (Status.QUARANTINED, Code.OWNED_BY_OTHER)
    assert b"first" in node.replicas("product")["urn:p"]


def test_a_version_that_was_superseded_meanwhile_is_dropped(node: Node) -> None:
    """What was fetched of it is not stored, and the newest one is wanted as before."""
    told = wanted(node, "urn:x")
    newer = msgspec.structs.replace(told, version=b"w" * 32, previous=VERSION, sequence=2)
    with node.store.write() as txn:
        save(txn.connection, [Line(Tracked(newer, {"native": newer}, Status.WANTED))])
    tracked = store(node, told, offering("urn:x"))
    assert (tracked.head, tracked.status, tracked.stored) == (newer, Status.WANTED, b"")
    assert node.replicas() == {}


def test_texts_of_others_fit_every_database(node: Node) -> None:
    """A reason or a location with a NUL is kept without it."""
    told = wanted(node, "urn:x")
    told = msgspec.structs.replace(told, location="https://x\0y")
    with node.store.write() as txn:
        save(txn.connection, [Line(Tracked(told, {"native": told}, Status.WANTED))])
    store(node, told, offering("a\0b"))
    assert node.quarantined() == [(OTHER, "malformed")]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


names = st.sampled_from(["id", "name", "category", "x"]) | st.text()
SHARED_NODE = [HealthCheck.function_scoped_fixture]


@settings(max_examples=100, deadline=None, suppress_health_check=SHARED_NODE)
@given(document=st.dictionaries(names, json_values))
def test_any_content_becomes_an_outcome(node: Node, document: dict[str, object]) -> None:
    """Whatever an origin serves is stored or refused; nothing else comes out."""
    body = msgspec.json.encode(document)
    told = wanted(node, "urn:x")
    told = msgspec.structs.replace(told, version=sha256(body).digest())
    try:
        taken = node.form.check(told, body)
    except FetchFailed:
        return
    store(node, told, taken)


class Participants(PlayedLedger):
    """Counts look-ups, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.fails = False

    async def participant(self, did: str) -> Reading[Participant]:
        """Give a participant."""
        self.count += 1
        if self.fails:
            raise PeerFault(Offence.MALFORMED, "nonsense")
        return await super().participant(did)


async def test_members_are_remembered_for_a_while_and_strangers_not() -> None:
    """A member's keys are read once a minute; who is none is looked up each time."""
    ledger, now = Participants(), [0]
    members = Members(ledger, lambda: now[0])
    ledger.join(OTHER, SeedSigner(b"o" * 32))
    assert len((await members.get(OTHER)).keys) == 1
    now[0] = REPLICATION_MEMBER_FRESH_MS - 1
    await members.get(OTHER)
    assert ledger.count == 1
    now[0] += 1
    await members.get(OTHER)
    assert ledger.count == 2
    for _ in range(2):
        assert (await members.get(THIRD)).keys == ()
    assert ledger.count == 4
    assert (await members.get("no did")).keys == ()
    assert ledger.count == 4
    ledger.fails = True
    with pytest.raises(Unavailable):
        await members.get(THIRD)
