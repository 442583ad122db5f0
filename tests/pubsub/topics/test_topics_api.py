"""Topics over HTTP: counts, rules, rows of a chain from anywhere, and who may see what."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from ledger.core.errors import ProofError, RejectCode
from ledger.core.event import open_entry
from ledger.core.ids import Sequence
from ledger.core.merkle import leaf_hash
from ledger.core.proof import Verifier
from ledger.core.topic_rules import CHAIN_START, topic_digest
from ledger.io.chain_store import ChainStore
from pubsub.client.answers import LedgerEvent
from pubsub.client.async_client import AsyncClient
from pubsub.client.completeness import CompletenessChecker
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.rights import Scope
from pubsub.core.topic_documents import CompletenessPage, page_codec
from pubsub.io.rights import Rights, RightsSettings
from pubsub.io.topic_reads import Question, completeness_page
from tests.ledger.sample_network import GENESIS, entry
from tests.ledger.snapshot_world import copy_all, follow, grow
from tests.ledger.topics.topic_world import HASHES, naive_chain, rule_entry, update
from tests.pubsub.gateway_world import World, gateway_world

MEDIA = "application/vnd.concordat.completeness+msgpack"
CREATED, CHANGED = "catalog.offering.created", "catalog.offering.changed"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a gateway whose topics below ``catalog`` are complete from sequence 3 on.

    Sequences 3 and 4 stand in one block, 5 alone, 6 is of another topic, 7 to 9 stand in one.
    """
    async with gateway_world(tmp_path) as found:
        chain = found.chain
        chain.extend([entry(0, topic=CREATED)])
        chain.extend([entry(1, topic=CHANGED), rule_entry("catalog.>", 2, complete=True)])
        chain.extend([entry(3, topic=CREATED), entry(4, topic=CHANGED)])
        chain.extend([entry(5, topic=CREATED)])
        chain.extend(
            [entry(6, topic="ledger.identity", data=b"?"), rule_entry("news", 6, complete=True)]
        )
        chain.extend([entry(n, topic=CREATED) for n in (7, 8, 9)])
        chain.extend()
        await found.node.tell_head()
        yield found


def log_of(world: World) -> list[bytes]:
    """Give every entry."""
    with world.chain.store.read() as reader:
        return reader.entries(Sequence(0), 1_000, 2**20)


def events_of(world: World) -> list[LedgerEvent]:
    """Give every event as a client holds it."""
    opened = [open_entry(data) for data in log_of(world)]
    return [
        LedgerEvent(Sequence(n), item.event, item.id, item.entry) for n, item in enumerate(opened)
    ]


async def page_of(world: World, query: str = "", pattern: str = "catalog.%3E") -> CompletenessPage:
    """Read a page of rows."""
    answer = await world.get(f"/v1/topics/{pattern}/completeness{query}", MEDIA)
    assert answer.status_code == 200, answer.text
    return page_codec.decode(answer.content)


def client_of(world: World) -> AsyncClient:
    """Give a client of the gateway."""
    transport = httpx.ASGITransport(app=world.app)
    return AsyncClient("http://gateway", GENESIS, give_up_ms=500, transport=transport)


async def test_topics_are_listed_with_counts_and_rules(world: World) -> None:
    """In order of their names, in pages; rules with where they begin."""
    answer = (await world.get("/v1/topics?limit=2")).json()
    assert answer["topics"] == [
        {"topic": CHANGED, "events": 2},
        {"topic": CREATED, "events": 6},
    ]
    assert answer["next"] == CREATED
    rest = (await world.get(f"/v1/topics?after={CREATED}")).json()
    assert rest["topics"] == [{"topic": "ledger.governance", "events": 2}]
    assert rest["next"] is None
    count, last, digest = naive_chain(log_of(world), (CREATED, CHANGED), 3, 10)
    assert answer["rules"] == [
        {
            "pattern": "catalog.>",
            "is_complete": True,
            "expects_previous": False,
            "since": 3,
            "until": None,
            "count": count,
            "last": last,
            "digest": digest.hex(),
        },
        {
            "pattern": "news",
            "is_complete": True,
            "expects_previous": False,
            "since": 7,
            "until": None,
            "count": 0,
            "last": None,
            "digest": CHAIN_START.hex(),
        },
    ]


@pytest.mark.parametrize("begin", range(11))
async def test_rows_from_anywhere_lead_to_the_proven_end(world: World, begin: int) -> None:
    """Wherever one begins, in pages of any size, all rows from there on are given, in order."""
    for limit in (1, 2, 100):
        page = await page_of(world, f"?begin={begin}&limit={limit}")
        assert page.start is not None
        rows = list(page.rows)
        while page.next is not None:
            page = await page_of(world, f"?after={page.next}&limit={limit}")
            assert page.start is None
            rows += page.rows
        sequences = [row.sequence for row in rows]
        known = [3, 4, 5, 7, 8, 9]
        assert sequences == known[known.index(sequences[0]) :]
        assert sequences[0] < begin or sequences == known


async def test_rows_say_topic_and_leaf(world: World) -> None:
    """A row is the event's place, topic and leaf hash; as JSON, too, for people."""
    page = await page_of(world, "?begin=4&limit=2")
    log = log_of(world)
    assert page.start is not None
    assert (page.start.count, page.start.digest) == (0, CHAIN_START)
    assert [(row.sequence, row.topic) for row in page.rows] == [(3, CREATED), (4, CHANGED)]
    assert [row.leaf_hash for row in page.rows] == [leaf_hash(log[3]), leaf_hash(log[4])]
    target = "/v1/topics/catalog.>/completeness?begin=9&limit=1"
    document = (await world.get(target, "application/json")).json()
    covered, _, digest = naive_chain(log, (CREATED, CHANGED), 3, 5)
    assert document["start"] == {"count": covered, "digest": digest.hex()}
    assert document["rows"] == [
        {
            "sequence": 5,
            "topic": CREATED,
            "topic_digest": topic_digest(CREATED).hex(),
            "leaf_hash": leaf_hash(log[5]).hex(),
        }
    ]
    assert (document["next"], document["log_size"]) == (5, 10)


async def test_what_cannot_be_answered_says_why(world: World) -> None:
    """No rule, no pattern, both positions, a log that is not so long yet."""
    rows = "/v1/topics/catalog.%3E/completeness"
    for target, status, code in (
        ("/v1/topics/catalog.offering/completeness", 404, "rule_not_found"),
        ("/v1/topics/a..b/completeness", 400, "invalid_parameter"),
        (rows + "?begin=1&after=1", 400, "invalid_parameter"),
        (rows + "?limit=0", 400, "invalid_parameter"),
        (rows + "?size=11", 503, "proof_not_ready"),
        ("/v1/topics?after=a..b", 400, "invalid_parameter"),
        ("/v1/topics?limit=1001", 400, "invalid_parameter"),
    ):
        answer = await world.get(target)
        assert (answer.status_code, answer.json()["code"]) == (status, code), target


async def test_a_client_proves_that_it_has_all(world: World) -> None:
    """Of the rule's pattern, of one topic below it, from the rule's beginning or from later on."""
    events = events_of(world)
    async with client_of(world) as client:
        every = await client.prove_complete("catalog.>", events)
        assert (every.begin, every.end, every.events) == (3, 10, 6)
        assert every.height == 6
        changed = [event for event in events if event.event.topic == CHANGED]
        one = await client.prove_complete(CHANGED, changed)
        assert (one.begin, one.end, one.events) == (3, 10, 1)
        late = await client.prove_complete("catalog.*.*", events[8:], begin=8)
        assert (late.begin, late.end, late.events) == (8, 10, 2)
        none = await client.prove_complete("catalog.x", [])
        assert (none.begin, none.end, none.events) == (3, 10, 0)


async def test_a_client_cannot_prove_what_nothing_shows(world: World) -> None:
    """A topic without a rule, a time before it, an event too few, one too many."""
    events = events_of(world)
    stranger = entry(99, topic=CREATED)
    false = LedgerEvent(Sequence(6), open_entry(stranger).event, open_entry(stranger).id, stranger)
    async with client_of(world) as client:
        for pattern, given, begin, words in (
            (">", events, None, "no rule makes > complete"),
            ("catalog.>", events, 2, "complete only from sequence 3 on"),
            ("catalog.>", [*events[:4], *events[5:]], None, "event 4 was left out"),
            ("catalog.>", [*events, false], None, "no such event as was sent as 6"),
            (
                "catalog.>",
                [*events[:7], false._replace(sequence=Sequence(7)), *events[8:]],
                None,
                "as 7",
            ),
        ):
            with pytest.raises(ProofError, match=words):
                await client.prove_complete(pattern, given, begin=begin)


async def test_restricted_topics_are_not_named(world: World) -> None:
    """Neither listed nor named in rows; a literal pattern can still be proven, a wider one not."""
    world.gateway.rights = Rights(RightsSettings(restricted=(CHANGED,)))
    listed = (await world.get("/v1/topics")).json()
    assert [row["topic"] for row in listed["topics"]] == [CREATED, "ledger.governance"]
    page = await page_of(world)
    hidden = next(row for row in page.rows if row.sequence == 4)
    assert (hidden.topic, hidden.hidden_topic) == (None, topic_digest(CHANGED))
    events = [event for event in events_of(world) if event.event.topic == CREATED]
    async with client_of(world) as client:
        assert (await client.prove_complete(CREATED, events)).events == 5
        with pytest.raises(ProofError, match="does not say on which topic event 4 is"):
            await client.prove_complete("catalog.>", events)


async def test_whoever_may_not_read_sees_no_topics(world: World) -> None:
    """Both requests need the scope of reading."""
    world.gateway.rights = Rights(RightsSettings(anonymous=frozenset({Scope.PUBLISH})))
    for target in ("/v1/topics", "/v1/topics/catalog.%3E/completeness"):
        assert (await world.get(target)).status_code == 401


async def test_who_was_overtaken_is_told_the_current_hash(world: World) -> None:
    """In the problem of one event and in the receipts of several; empty when there is none."""
    first, second = HASHES[:2]
    await world.node.extend([rule_entry("catalog.>", 20, complete=True, expects=True)])
    await world.node.extend([update(21, "x", b"", first)])
    code = RejectCode.PREVIOUS_HASH_MISMATCH
    world.node.judge = lambda _: code.value
    stale = open_entry(update(22, "x", second, second))
    answer = await world.post(cloudevent_json(stale))
    assert answer.status_code == 409
    problem = answer.json()
    assert (problem["code"], problem["receipts"][0]["current_hash"]) == (code, first.hex())
    assert first.hex() in problem["detail"]
    several = await world.post_bulk([stale.entry, update(23, "y", first, second)])
    hashes = [row["current_hash"] for row in several.json()["receipts"]]
    assert hashes == [first.hex(), ""]
    async with client_of(world) as client:
        receipts = await client.publish_many([stale])
        assert (receipts[0].code, receipts[0].current_hash) == (code, first)


async def test_who_was_overtaken_in_a_block_is_told_too(world: World) -> None:
    """Of two that the node took, the one that came second waits and hears of the first."""
    await world.node.extend([rule_entry("catalog.>", 20, expects=True)])
    world.node.finalises = True
    world.node.judge = lambda _: ""
    entries = [update(n, "x", b"", HASHES[n - 21]) for n in (21, 22)]
    rows = (await world.post_bulk(entries, "?wait=final")).json()["receipts"]
    assert [row["status"] for row in rows] == ["final", "refused"]
    assert rows[1]["current_hash"] == HASHES[0].hex()


def test_a_gateway_that_joined_shows_it_from_the_beginning(tmp_path: Path) -> None:
    """It lacks the states of before, so its rows begin with the rule, whatever was asked for."""
    with ChainStore.create(tmp_path / "source", GENESIS) as source:
        grow(source, [rule_entry("catalog.>", 0, complete=True)], 1)
        for number in range(2, 6):
            grow(source, [entry(number, topic=CREATED)], number)
        for number in range(6, 10):
            grow(source, [], number)
        with copy_all(source, tmp_path / "copy") as copy:
            for number in range(10, 14):
                grow(source, [], number)
            follow(copy, source)
            pages = [rows_from(store, 4) for store in (source, copy)]
    assert [[row.sequence for row in page.rows] for page in pages] == [[2, 3, 4], [1, 2, 3, 4]]
    for page in pages:
        checker = CompletenessChecker(Verifier(GENESIS), "catalog.>", CREATED, 4)
        proven = checker.take(page, 5)
        assert proven is not None
        assert (proven.begin, proven.end, proven.events) == (4, 5, 1)


def rows_from(store: ChainStore, begin: int) -> CompletenessPage:
    """Read rows as the gateway does."""
    with store.read() as reader:
        return completeness_page(reader, "catalog.>", Question(None, begin, 100, 0), lambda _: True)
