"""Reading over HTTP: only what is final, in order, completely, and refused when asked wrongly."""

import json
from pathlib import Path

import httpx
import pytest

from ledger.core.ids import Sequence
from ledger.core.limits import (
    GATEWAY_PAGE_EVENTS,
    GATEWAY_PAGE_EVENTS_MAX,
    INT_MAX,
    SUBJECT_CHARS_MAX,
)
from ledger.core.proof import decode_bundle, verify_bundle
from pubsub.core.cloudevents import read_cloudevent, read_cloudevent_item, split_cloudevents
from pubsub.core.interest import Compare, Interest
from pubsub.core.rights import Scope
from pubsub.io import pages, reads
from pubsub.io.pages import read_page
from pubsub.io.rights import Rights, RightsSettings
from pubsub.io.wanted import wanted_of
from tests.ledger.sample_network import ALICE_DID, BOB, BOB_DID, GENESIS, entry
from tests.pubsub.gateway_world import World, gateway_world, sample
from tests.pubsub.rights.test_principals import add, api_token, settings_of, text_of
from tests.pubsub.test_publish import problem

PROOF = "application/vnd.concordat.proof+msgpack"
ENTRY = "application/vnd.concordat.event+msgpack"


def numbers(answer: httpx.Response) -> list[int]:
    """Give the sequences of a page, each event checked against its id on the way."""
    assert answer.status_code == 200, answer.text
    if answer.content == b"[]":
        return []
    rows = [read_cloudevent_item(item) for item in split_cloudevents(answer.content)]
    return [row.sequence for row in rows if row.sequence is not None]


async def test_event_by_id_and_sequence(world: World) -> None:
    """An event is found by its id and by its sequence, as the same exact CloudEvent."""
    world.chain.extend([sample(0).entry, sample(1).entry])
    for name in (sample(1).id.hex(), "1"):
        answer = await world.get(f"/v1/events/{name}")
        assert answer.headers["content-type"] == "application/cloudevents+json"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["concordat-sequence"] == "1"
        received = read_cloudevent(answer.content)
        assert (received.opened, received.sequence, received.height) == (sample(1), 1, 1)


async def test_who_may_keep_an_answer(tmp_path: Path) -> None:
    """Everybody's caches keep only what anybody gets who shows no token."""
    rights = settings_of(tmp_path, anonymous=frozenset(Scope))
    add(rights, api_token("reader", Scope.READ))
    shown = {"authorization": f"Bearer {text_of('reader')}"}
    async with gateway_world(tmp_path, rights=rights) as world:
        world.chain.extend([sample(0).entry])
        world.chain.extend()
        for path in ("/v1/events/0", "/v1/blocks/1"):
            for headers, kept in (({}, "public"), (shown, "private")):
                answer = await world.http.get(path, headers=headers)
                assert answer.headers["cache-control"].startswith(f"{kept}, "), path
                assert "authorization" in answer.headers["vary"]
        proof = await world.http.get("/v1/events/0/proof")
        assert "authorization" in proof.headers["vary"]
        world.gateway.rights = Rights(RightsSettings(restricted=("secret",)))
        for path in ("/v1/events/0", "/v1/blocks/1"):
            kept = (await world.http.get(path)).headers["cache-control"]
            assert kept.startswith("private, "), path


async def test_event_as_its_bytes(world: World) -> None:
    """The signed bytes themselves are given to who accepts them."""
    world.chain.extend([sample(0).entry])
    answer = await world.get("/v1/events/0", ENTRY)
    assert answer.content == sample(0).entry
    assert answer.headers["content-type"] == ENTRY


@pytest.mark.parametrize("name", ["0", str(INT_MAX), "ab" * 32])
async def test_unknown_event(world: World, name: str) -> None:
    """What is not in the log is not found."""
    problem(await world.get(f"/v1/events/{name}"), 404, "event_not_found")
    problem(await world.get(f"/v1/events/{name}/proof"), 404, "event_not_found")


@pytest.mark.parametrize(
    "name",
    ["-1", "x", "AB" * 32, "ab" * 31, "01", str(INT_MAX + 1), "1" * 64 + "0", "%00", "\u0661"],
)
async def test_malformed_event_name(world: World, name: str) -> None:
    """What is neither an id nor a sequence is refused."""
    problem(await world.get(f"/v1/events/{name}"), 400, "invalid_parameter")


async def test_refused_event(world: World) -> None:
    """An event that a block refused is answered with its reason."""
    data = entry(0, topic="forbidden.topic")
    world.chain.extend([data])
    name = sample(0, topic="forbidden.topic").id.hex()
    document = problem(await world.get(f"/v1/events/{name}"), 404, "event_refused")
    assert "topic_forbidden" in str(document["detail"])


async def test_proof_verifies(world: World) -> None:
    """A proof checks out against genesis alone; its JSON form names the same event."""
    world.chain.extend([sample(n).entry for n in range(5)])
    world.chain.extend()
    answer = await world.get(f"/v1/events/{sample(3).id.hex()}/proof")
    assert answer.headers["content-type"] == PROOF
    assert verify_bundle(decode_bundle(answer.content), GENESIS).sequence == 3
    as_json = await world.get("/v1/events/3/proof", "application/json")
    assert as_json.json()["id"] == sample(3).id.hex()


async def test_proof_that_is_not_ready(world: World) -> None:
    """A final event without a certified later header is a 503 that says to try again."""
    world.chain.extend([sample(0).entry])
    problem(await world.get("/v1/events/0/proof"), 503, "proof_not_ready")


async def test_pages_cover_the_log(world: World) -> None:
    """Following ``rel=next`` gives every event once, in order, and ends."""
    for block in range(5):
        world.chain.extend([sample(block * 7 + n).entry for n in range(7)])
    target, seen = "/v1/events?limit=4", list[int]()
    for _ in range(20):
        answer = await world.get(target)
        seen += numbers(answer)
        if "link" not in answer.headers:
            break
        target = answer.links["next"]["url"]
    assert seen == list(range(35))
    assert answer.headers["concordat-cursor"] == "34"
    assert answer.headers["concordat-log-size"] == "35"


async def test_conditions_are_combined(world: World) -> None:
    """All conditions must hold, and the next page keeps them."""
    bob = {"signer": BOB, "publisher": BOB_DID}
    world.chain.extend(
        [
            entry(0, subject="a/b c&d"),
            entry(1, topic="catalog.price.changed", subject="a/b c&d"),
            entry(2, topic="catalog.price.changed"),
            entry(3, topic="catalog.price.changed", subject="a/b c&d", type="other"),
            entry(4, topic="catalog.price.changed", subject="a/b c&d", **bob),  # type: ignore[arg-type]
            entry(5, topic="news", subject="a/b c&d", **bob),  # type: ignore[arg-type]
        ]
    )

    async def find(**conditions: str) -> list[int]:
        return numbers(await world.http.get("/v1/events", params=conditions))

    assert await find() == [0, 1, 2, 3, 4, 5]
    assert await find(topic="catalog.price.changed") == [1, 2, 3, 4]
    assert await find(topic="catalog.>") == [0, 1, 2, 3, 4]
    assert await find(topic="*.price.*", subject="a/b c&d") == [1, 3, 4]
    assert await find(topic="*.price.*", subject="a/b c&d", publisher=ALICE_DID) == [1, 3]
    assert await find(topic="*.price.*", subject="a/b c&d", type="other") == [3]
    assert await find(topic="absent") == []
    answer = await world.http.get("/v1/events", params={"subject": "a/b c&d", "limit": "1"})
    assert numbers(await world.get(answer.links["next"]["url"])) == [1]


@pytest.mark.parametrize(
    ("query", "expected"),
    [("?after=-1", [0, 1, 2]), ("?after=0", [1, 2]), ("?after=2", []), (f"?after={INT_MAX}", [])],
)
async def test_after_is_exclusive(world: World, query: str, expected: list[int]) -> None:
    """``after`` names the last sequence that was seen, also one that is still to come."""
    world.chain.extend([sample(n).entry for n in range(3)])
    answer = await world.get(f"/v1/events{query}")
    assert numbers(answer) == expected
    assert "link" not in answer.headers
    after = int(query.partition("=")[2])
    assert int(answer.headers["concordat-cursor"]) == max(after, 2)  # never sends a reader back


async def test_default_and_largest_page(world: World) -> None:
    """A page has 100 events unless asked otherwise, and 1,000 at most."""
    for start in range(0, 1_100, 100):
        world.chain.extend([sample(start + n).entry for n in range(100)])
    assert len(numbers(await world.get("/v1/events"))) == GATEWAY_PAGE_EVENTS
    largest = await world.get(f"/v1/events?limit={GATEWAY_PAGE_EVENTS_MAX}")
    assert len(numbers(largest)) == GATEWAY_PAGE_EVENTS_MAX
    answer = await world.get(f"/v1/events?limit={GATEWAY_PAGE_EVENTS_MAX + 1}")
    problem(answer, 400, "invalid_parameter")


@pytest.mark.parametrize(
    "query",
    [
        "?limit=0",
        "?limit=x",
        "?limit=",
        "?after=-2",
        f"?after={INT_MAX + 1}",
        "?after=1e3",
        "?topic=a..b",
        "?topic=>.a",
        "?type=a&type=b",
        "?filter={}",
        "?filter=[1]",
        "?topic=a&topic=b..c",
        "?" + "&".join(["topic=a"] * 33),
        "?topci=a",
        "?subject=",
        "?subject=" + "a" * (SUBJECT_CHARS_MAX + 1),
        "?topic=%ff",
    ],
)
async def test_bad_conditions(world: World, query: str) -> None:
    """A condition that is unknown, repeated, empty or malformed is never ignored."""
    problem(await world.get(f"/v1/events{query}"), 400, "invalid_parameter")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ([("topic", "catalog.a.x"), ("topic", "catalog.c.>")], [0, 2, 3]),
        ([("filter", '{"prefix":{"subject":"s1"}}')], [1, 3]),
        (
            [("filter", '[{"prefix":{"topic":"catalog.a."}},{"not":{"exact":{"subject":"s0"}}}]')],
            [1],
        ),
        ([("filter", '{"exact":{"topic":"catalog.a.x","subject":"s0"}}')], [0]),
        ([("filter", '{"all":[{"exact":{"topic":"catalog.c.x"}}]}'), ("topic", "*.*.x")], [2, 3]),
        ([("filter", '{"any":[{"suffix":{"type":"none"}}]}'), ("subject", "s0")], []),
        ([("filter", '{"exact":{"topic":"no topic"}}')], []),
        ([("filter", '{"exact":{"topic":"catalog.*.x"}}')], []),
        ([("topic", "catalog.a.x"), ("filter", '{"exact":{"topic":"catalog.c.x"}}')], []),
    ],
)
async def test_interests(world: World, query: list[tuple[str, str]], expected: list[int]) -> None:
    """Several topics and filters select what they say, page by page, as they do on streams."""
    rows = [("a.x", "s0"), ("a.y", "s1"), ("c.x", "s0"), ("c.x", "s1")]
    events = [sample(n, topic=f"catalog.{t}", subject=s) for n, (t, s) in enumerate(rows)]
    world.chain.extend([event.entry for event in events])
    target, found = f"/v1/events?{httpx.QueryParams([*query, ('limit', '1')])}", []
    while target:
        answer = await world.get(target)
        found += numbers(answer)
        target = answer.links.get("next", {}).get("url", "")
    assert found == expected


async def test_page_of_large_events_ends_early(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page ends when its bytes are enough, and its link goes on behind it."""
    monkeypatch.setattr(reads, "GATEWAY_PAGE_BYTES_MAX", 1)
    monkeypatch.setattr(pages, "_SCAN_ROWS", 2)
    world.chain.extend([sample(n).entry for n in range(5)])
    answer = await world.get("/v1/events")
    assert numbers(answer) == [0, 1]
    assert numbers(await world.get(answer.links["next"]["url"])) == [2, 3]


async def test_long_search_is_cut_into_windows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page looks at the log in windows and, when its time is over, says how far it came."""
    world.chain.extend([sample(n).entry for n in range(9)])
    monkeypatch.setattr(pages, "GATEWAY_SCAN_ENTRIES", 2)
    seventh = Compare("exact", (("subject", "urn:offering:7"),))
    wanted = wanted_of(Interest(filters=(seventh,)), lambda _: True)
    page = read_page(world.chain.store, wanted, -1, 10, 1_000_000)
    assert ([row.sequence for row in page.rows], page.cursor) == ([Sequence(7)], 8)
    monkeypatch.setattr(pages, "GATEWAY_SCAN_MS_MAX", -1)
    page = read_page(world.chain.store, wanted, -1, 10, 1_000_000)
    assert (page.rows, page.cursor, page.log_size) == ([], 1, 9)


async def test_block(world: World) -> None:
    """A block is described with its ledger, its author's name and its certificate's signers."""
    world.chain.extend([sample(0).entry])
    world.chain.extend(certified=False)
    document = (await world.get("/v1/blocks/1")).json()
    assert (document["height"], document["author"]) == (1, "node-1")
    assert document["signers"] == ["node-0", "node-1", "node-2"]
    assert document["root"]["log_size"] == 1
    assert len(document["batches"]) == 1
    second = (await world.get("/v1/blocks/2")).json()
    assert (second["signers"], second["parent_id"]) == (None, document["id"])
    assert second["ledger_root"] == document["root"]["digest"]


@pytest.mark.parametrize(
    ("height", "status", "code"),
    [
        ("0", 404, "block_not_found"),
        ("1", 404, "block_not_found"),
        ("-1", 400, "invalid_parameter"),
        ("x", 400, "invalid_parameter"),
        (str(INT_MAX + 1), 400, "invalid_parameter"),
    ],
)
async def test_no_such_block(world: World, height: str, status: int, code: str) -> None:
    """Heights that do not exist are not found, others are refused."""
    problem(await world.get(f"/v1/blocks/{height}"), status, code)


async def test_validators_and_genesis(world: World) -> None:
    """The validators are those of the genesis file, which is given as it is."""
    document = (await world.get("/v1/validators")).json()
    assert (document["quorum"], document["faulty_max"]) == (3, 1)
    assert [member["name"] for member in document["validators"]] == [
        f"node-{number}" for number in range(4)
    ]
    assert document["set_hash"] == GENESIS.validator_set().hash.hex()
    assert (await world.get("/v1/genesis")).content == GENESIS.to_json()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "application/cloudevents+json"),
        ("application/json", "application/json"),
        ("application/*;q=0.5, text/html", "application/cloudevents+json"),
        ("application/cloudevents+json;q=0.1, application/json;q=0.9", "application/json"),
        (f"{ENTRY}, */*;q=0.1", ENTRY),
        ("*/*, application/cloudevents+json;q=0", "application/json"),
        ("application/json;q=2, */*;q=0.1", "application/cloudevents+json"),
    ],
)
async def test_accept(world: World, accept: str, expected: str) -> None:
    """The best accepted form is chosen; without a wish the first."""
    world.chain.extend([sample(0).entry])
    assert (await world.get("/v1/events/0", accept)).headers["content-type"] == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "*/*;q=0", ";;;", "application/json;q=x"]
)
async def test_not_acceptable(world: World, accept: str) -> None:
    """When no form is acceptable the answer says which there are."""
    world.chain.extend([sample(0).entry])
    problem(await world.get("/v1/events/0", accept), 406, "not_acceptable")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/events",
        "/v1/events/0",
        "/v1/events/0/proof",
        "/v1/blocks/1",
        "/v1/validators",
        "/v1/genesis",
        "/v1/stream",
        "/v1/stream?after=0",
        "/readyz",
    ],
)
async def test_without_a_store(tmp_path: Path, target: str) -> None:
    """Before the node has made the store, everything that needs it is a 503."""
    async with gateway_world(tmp_path, with_store=False) as world:
        problem(await world.get(target), 503, "store_unavailable")


@pytest.mark.parametrize(
    ("method", "target", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/events/", 404, "not_found"),
        ("GET", "/v1/events/0/proof/", 404, "not_found"),
        ("GET", "/v1/../etc/passwd", 404, "not_found"),
        ("POST", "/v1/status", 405, "method_not_allowed"),
        ("DELETE", "/v1/events", 405, "method_not_allowed"),
        ("PUT", "/v1/events/0", 405, "method_not_allowed"),
    ],
)
async def test_unknown_routes(
    world: World, method: str, target: str, status: int, code: str
) -> None:
    """Unknown paths and methods have problem documents too."""
    answer = await world.http.request(method, target)
    problem(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


async def test_allow_names_every_method(world: World) -> None:
    """``Allow`` lists all methods of the path, also when they have different handlers."""
    answer = await world.http.request("OPTIONS", "/v1/events")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_problem_names_the_path_only(world: World) -> None:
    """``instance`` is the path; the query may name persons and is not repeated."""
    document = problem(await world.get("/v1/events?subject=&x=secret"), 400, "invalid_parameter")
    assert document["instance"] == "/v1/events"
    assert "secret" not in json.dumps(document)
