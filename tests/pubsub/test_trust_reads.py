"""Lists, participants and governance over HTTP: what stands, its history, and proofs of both."""

from collections.abc import Sequence
from urllib.parse import quote

import pytest

from ledger.core.codec import Codec
from ledger.core.event import open_entry
from ledger.core.genesis import Governors, Participant
from ledger.core.limits import (
    GATEWAY_PAGE_EVENTS_MAX,
    GATEWAY_PROPOSALS_MAX,
    INT_MAX,
    LIST_ID_CHARS_MAX,
)
from ledger.core.state_proof import VerifiedState, decode_state_bundle, verify_state_bundle
from ledger.core.trust.governance import proposal_codec
from ledger.core.trust.lists import EntryStatus, entry_codec, entry_key, revision_key
from ledger.core.trust.operations import (
    Approve,
    ChangeList,
    Operation,
    Propose,
    PutEntry,
    RevokeEntry,
    SetGovernors,
    SetParameter,
)
from pubsub.core.trust_documents import list_page_codec
from tests.ledger.sample_network import ALICE_DID, BOB_DID, GENESIS, START_MS
from tests.ledger.trust.test_application import operation_entry
from tests.pubsub.gateway_world import World
from tests.pubsub.test_publish import problem

PROOF = "application/vnd.concordat.state-proof+msgpack"
IDS = ("did:web:a.example", "did:web:a.example%3A8080", "did:web:b.example")
CREDENTIAL = b'{ "credentialsType":"A" }'


def put(id_: str, body: bytes = b"", kind: str = "issuer", *, valid: int = 0) -> PutEntry:
    """Put an entry that ends at ``valid``, 0 for never."""
    return PutEntry(id_, kind, body, 0, valid, None)


def carry_out(world: World, operations: Sequence[Operation]) -> list[str]:
    """Apply operations, a block each, certified by later ones; give their events' ids."""
    ids = []
    for operation in operations:
        data = operation_entry(operation, next(NONCES))
        world.chain.extend([data])
        ids.append(open_entry(data).id.hex())
    world.chain.extend()
    return ids


NONCES = iter(range(1_000))


def fill(world: World) -> None:
    """Make three issuers (blocks 1), an attribute (2), a new revision (3) and a revocation (4)."""
    attribute = put(f"{IDS[0]}/x", CREDENTIAL, "credential")
    carry_out(
        world,
        [
            ChangeList("issuers", tuple(put(id_) for id_ in IDS)),
            ChangeList("issuers", (attribute,)),
            ChangeList("issuers", (put(IDS[0], valid=START_MS + 3_500),)),
            ChangeList("issuers", (RevokeEntry(IDS[2], None),)),
        ],
    )


def path_of(id_: str, list_name: str = "issuers") -> str:
    """Give the path of an entry."""
    return f"/v1/lists/{list_name}/entries/{quote(id_, safe='')}"


async def proven(world: World, target: str) -> VerifiedState:
    """Read a proof and verify it against genesis."""
    answer = await world.get(target, PROOF)
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROOF), answer.text
    return verify_state_bundle(decode_state_bundle(answer.content), GENESIS)


async def test_lists_are_named_and_counted(world: World) -> None:
    """Every list is there with its topic; revoked entries do not count, children count apart."""
    before = (await world.get("/v1/lists")).json()
    assert {row["entries"] for row in before["lists"]} == {0}
    fill(world)
    document = (await world.get("/v1/lists")).json()
    assert document["height"] == 5
    rows = {row["name"]: row for row in document["lists"]}
    assert len(rows) == 8
    assert rows["issuers"] == {
        "name": "issuers",
        "topic": "ledger.lists.issuers",
        "entries": 2,
        "children": 1,
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
async def test_pages_hold_each_entry_once(world: World, limit: int) -> None:
    """Following the links gives every standing entry, in order of the ids, children too."""
    fill(world)
    target, ids = f"/v1/lists/issuers?limit={limit}", []
    while target:
        answer = await world.get(target)
        document = answer.json()
        assert answer.headers["concordat-height"] == str(document["height"])
        ids += [entry["id"] for entry in document["entries"]]
        target = answer.links["next"]["url"] if document["next"] else ""
    assert ids == sorted([*IDS[:2], f"{IDS[0]}/x"])


async def test_page_of_children_and_of_revoked_entries(world: World) -> None:
    """A prefix gives what belongs to one entry; revoked entries are shown to who asks."""
    fill(world)
    children = (await world.get(f"/v1/lists/issuers?prefix={IDS[0]}/")).json()
    assert [(row["id"], row["body"]) for row in children["entries"]] == [
        (f"{IDS[0]}/x", {"credentialsType": "A"})
    ]
    every = (await world.get("/v1/lists/issuers?status=all")).json()["entries"]
    assert [row["id"] for row in every if row["status"] == "revoked"] == [IDS[2]]


async def test_page_for_programs(world: World) -> None:
    """The canonical page holds the entries exactly as the state does, and where it ends."""
    fill(world)
    accept = "application/vnd.concordat.list-page+msgpack"
    page = list_page_codec.decode((await world.get("/v1/lists/issuers?limit=2", accept)).content)
    assert page.next_id == page.rows[-1].id == IDS[1]
    rest = await world.get(f"/v1/lists/issuers?after={quote(page.next_id)}", accept)
    page = list_page_codec.decode(rest.content)
    assert (page.next_id, [row.entry.body for row in page.rows]) == (None, [CREDENTIAL])


async def test_entry_and_its_revisions(world: World) -> None:
    """The newest revision, a numbered one, and the whole history, oldest first."""
    fill(world)
    newest = (await world.get(path_of(IDS[0]))).json()
    assert (newest["id"], newest["revision"], newest["status"]) == (IDS[0], 2, "active")
    assert (newest["writer"], newest["valid_to_ms"]) == (ALICE_DID, START_MS + 3_500)
    assert newest["body"] is None
    first = (await world.get(path_of(IDS[0]) + "?revision=1")).json()
    assert (first["revision"], first["valid_to_ms"]) == (1, None)
    history = (await world.get(path_of(IDS[2]) + "/revisions")).json()
    assert [row["status"] for row in history["revisions"]] == ["active", "revoked"]
    assert history["next"] is None
    part = (await world.get(path_of(IDS[2]) + "/revisions?limit=1")).json()
    assert part["next"] == 1
    rest = await world.get(path_of(IDS[2]) + f"/revisions?after={part['next']}")
    assert [row["revision"] for row in rest.json()["revisions"]] == [2]


@pytest.mark.parametrize(
    ("id_", "offset", "revision"),
    [
        (IDS[0], 999, None),
        (IDS[0], 1_000, 1),
        (IDS[0], 2_999, 1),
        (IDS[0], 3_000, 2),
        (IDS[0], 3_499, 2),
        (IDS[0], 3_500, None),
        (IDS[2], 3_999, 1),
        (IDS[2], 4_000, None),
        (f"{IDS[0]}/x", 90_000, 1),
    ],
)
async def test_entry_as_it_was_valid_at_a_time(
    world: World, id_: str, offset: int, revision: int | None
) -> None:
    """The revision of that time is given while it stands and its validity covers the time."""
    fill(world)
    answer = await world.get(path_of(id_) + f"?valid-at={START_MS + offset}")
    if revision is None:
        problem(answer, 404, "entry_not_found")
    else:
        assert answer.json()["revision"] == revision


async def test_ids_may_hold_anything_printable(world: World) -> None:
    """Slashes, percents, question marks, and the names of the parts of the path are no trouble."""
    ids = ["a/b", "a%2Fb", "a?b#c", "a/proof", "a/revisions", "a//b/", "proof"]
    changes = tuple(put(id_, b"{}", "schema") for id_ in ids)
    carry_out(world, [ChangeList("schemas", changes)])
    for id_ in ids:
        assert (await world.get(path_of(id_, "schemas"))).json()["id"] == id_
        history = (await world.get(path_of(id_, "schemas") + "/revisions")).json()
        assert (history["id"], len(history["revisions"])) == (id_, 1)
        shown = await proven(world, path_of(id_, "schemas") + "/proof?height=0")
        assert (shown.key, shown.value) == (entry_key("schemas", id_), None)
    assert (await world.get("/v1/lists/schemas/entries/a/b")).json()["id"] == "a/b"


async def test_proof_of_an_entry_at_heights(world: World) -> None:
    """At each height the proof shows what stood then: nothing, a revision, the end."""
    fill(world)
    expected = {0: None, 1: (1, EntryStatus.ACTIVE), 3: (1, EntryStatus.ACTIVE)}
    for height, (revision_and_status) in {**expected, 4: (2, EntryStatus.REVOKED)}.items():
        shown = await proven(world, path_of(IDS[2]) + f"/proof?height={height}")
        assert (shown.key, shown.height) == (entry_key("issuers", IDS[2]), height)
        entry = None if shown.value is None else entry_codec.decode(shown.value)
        assert (entry and (entry.revision, entry.status)) == revision_and_status
    newest = await proven(world, path_of(IDS[2]) + "/proof")
    assert newest.height == 4
    first = await proven(world, path_of(IDS[2]) + "/proof?revision=1")
    assert first.key == revision_key("issuers", IDS[2], 1)
    third = await proven(world, path_of(IDS[2]) + "/proof?revision=3")
    assert third.value is None
    problem(await world.get(path_of(IDS[2]) + "/proof?height=5", PROOF), 503, "proof_not_ready")
    readable = (await world.get(path_of(IDS[2]) + "/proof", "application/json")).json()
    assert bytes.fromhex(readable["key"]) == entry_key("issuers", IDS[2])


async def test_participants(world: World) -> None:
    """Participants are listed by DID, found, and proven, also that somebody is none."""
    world.chain.extend()
    world.chain.extend()
    page = (await world.get("/v1/participants?limit=1")).json()
    assert [row["did"] for row in page["participants"]] == [ALICE_DID]
    rest = (await world.get(f"/v1/participants?after={page['next']}")).json()
    assert ([row["did"] for row in rest["participants"]], rest["next"]) == ([BOB_DID], None)
    alice = (await world.get(f"/v1/participants/{ALICE_DID}")).json()
    assert [key["revoked"] for key in alice["keys"]] == [False, True]
    shown = await proven(world, f"/v1/participants/{BOB_DID}/proof")
    assert Codec(Participant).decode(shown.value or b"").did == BOB_DID
    assert (await proven(world, "/v1/participants/did:web:nobody/proof")).value is None
    problem(await world.get("/v1/participants/did:web:nobody"), 404, "participant_not_found")
    problem(await world.get("/v1/participants/nobody"), 400, "invalid_parameter")


async def test_governance(world: World) -> None:
    """Governors, parameters and open proposals are shown; decided ones are found by id."""
    expires_ms = START_MS + 60_000
    two = SetGovernors(Governors(2, (ALICE_DID, BOB_DID)))
    ids = carry_out(
        world,
        [
            Propose(SetParameter("speed", 7, 9), expires_ms),
            Propose(two, expires_ms),
            Propose(SetParameter("speed", 8, 9), expires_ms),
        ],
    )
    document = (await world.get("/v1/governance")).json()
    assert document["governors"] == {"threshold": 2, "members": [ALICE_DID, BOB_DID]}
    assert document["parameters"] == {"speed": [7, 9]}
    assert (document["open_count"], document["validators_change"]) == (1, False)
    (shown,) = document["proposals"]
    assert (shown["id"], shown["status"], shown["approvals"]) == (ids[2], "open", [ALICE_DID])
    assert shown["action"] == {"kind": "set_parameter", "name": "speed", "value": 8, "height": 9}
    done = (await world.get(f"/v1/governance/proposals/{ids[1]}")).json()
    assert (done["status"], done["executed_ms"]) == ("carried_out", START_MS + 2_000)
    assert done["action"]["governors"]["threshold"] == 2
    proof = await proven(world, f"/v1/governance/proposals/{ids[1]}/proof")
    assert proposal_codec.decode(proof.value or b"").executed_ms == START_MS + 2_000
    governors = await proven(world, "/v1/governance/proof?height=0")
    assert governors.value is not None
    assert Codec(Governors).decode(governors.value) == GENESIS.governors
    unknown = f"/v1/governance/proposals/{'0' * 64}"
    problem(await world.get(unknown), 404, "proposal_not_found")


@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_so_many_open_proposals_are_shown(world: World, over: int) -> None:
    """The first to expire are shown, up to the limit; all are counted."""
    count = GATEWAY_PROPOSALS_MAX + over
    two = SetGovernors(Governors(2, (ALICE_DID, BOB_DID)))
    carry_out(world, [Propose(two, START_MS + 60_000)])
    operations = [Propose(SetParameter("a", 1, 1), START_MS + 90_000 - n) for n in range(count)]
    world.chain.extend([operation_entry(item, 2_000 + n) for n, item in enumerate(operations)])
    document = (await world.get("/v1/governance")).json()
    ends = [item["expires_ms"] for item in document["proposals"]]
    assert document["open_count"] == count
    assert ends == sorted(item.expires_ms for item in operations)[:GATEWAY_PROPOSALS_MAX]


async def test_a_proposal_that_ran_out_is_not_open(world: World) -> None:
    """By the newest block's time a proposal expires; it can still be found."""
    two = SetGovernors(Governors(2, (ALICE_DID, BOB_DID)))
    ids = carry_out(
        world,
        [
            Propose(two, START_MS + 60_000),
            Propose(SetParameter("a", 1, 1), START_MS + 5_000),
            Approve(bytes(32)),
        ],
    )
    world.chain.extend()
    assert (await world.get("/v1/governance")).json()["proposals"] == []
    late = (await world.get(f"/v1/governance/proposals/{ids[1]}")).json()
    assert (late["status"], late["executed_ms"]) == ("expired", None)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/lists?limit=1",
        "/v1/lists/issuers?limit=0",
        f"/v1/lists/issuers?limit={GATEWAY_PAGE_EVENTS_MAX + 1}",
        "/v1/lists/issuers?status=some",
        "/v1/lists/issuers?after=%20",
        "/v1/lists/issuers?offset=1",
        "/v1/lists/issuers/entries/",
        "/v1/lists/issuers/entries/a%20b",
        "/v1/lists/issuers/entries/%C3%A9",
        f"/v1/lists/issuers/entries/{'a' * (LIST_ID_CHARS_MAX + 1)}",
        "/v1/lists/issuers/entries/a?revision=0",
        "/v1/lists/issuers/entries/a?revision=1&valid-at=1",
        "/v1/lists/issuers/entries/a?valid-at=2026-01-01",
        "/v1/lists/issuers/entries/a/revisions?after=-1",
        "/v1/lists/issuers/entries/a/proof?valid-at=1",
        f"/v1/lists/issuers/entries/a/proof?height={INT_MAX + 1}",
        "/v1/participants?after=alice",
        "/v1/participants/did:web:a/proof?revision=1",
        "/v1/governance?all=1",
        "/v1/governance/proposals/AB",
    ],
)
async def test_wrong_questions_are_refused(world: World, target: str) -> None:
    """What is misspelt or out of bounds is never ignored."""
    problem(await world.get(target), 400, "invalid_parameter")


@pytest.mark.parametrize("target", ["/v1/lists/others", "/v1/lists/ISSUERS/entries/a/proof"])
async def test_unknown_lists_are_not_found(world: World, target: str) -> None:
    """There is no list but those of the protocol."""
    problem(await world.get(target), 404, "list_not_found")


async def test_the_longest_id_is_found(world: World) -> None:
    """An id at the limit can be written, read and proven."""
    id_ = "a" * LIST_ID_CHARS_MAX
    carry_out(world, [ChangeList("timestamps", (put(id_, b"{}", "timestamp"),))])
    assert (await world.get(path_of(id_, "timestamps"))).json()["id"] == id_
    page = (await world.get("/v1/lists/timestamps")).json()
    assert [row["id"] for row in page["entries"]] == [id_]
