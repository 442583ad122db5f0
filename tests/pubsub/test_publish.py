"""Publishing over HTTP: receipts, waiting, and a stable problem for every refusal."""

import json
from base64 import b64decode
from collections.abc import Callable

import anyio
import httpx
import msgspec
import pytest

from consensus.core.control import SubmitReply
from ledger.core.errors import RejectCode
from ledger.core.event import entry_id
from ledger.core.ids import Height
from ledger.core.limits import (
    CONTROL_REQUESTS_MAX,
    ENTRY_BYTES_MAX,
    GATEWAY_BODY_BYTES_MAX,
    GATEWAY_EVENT_BODY_BYTES_MAX,
    SUBMIT_ENTRIES_MAX,
)
from ledger.core.proof import decode_bundle, verify_bundle
from pubsub.core.entries import Entries, name_entries
from pubsub.io import finality
from pubsub.io.finality import Wait
from tests.ledger.sample_network import GENESIS, entry
from tests.pubsub.gateway_world import World, sample, sample_json

EVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
BULK = "application/vnd.concordat.events+msgpack"


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """Check that an answer is the problem document of this code, and give it."""
    document = answer.json()
    assert (answer.status_code, document.get("code")) == (status, code), answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "detail", "instance"} <= document.keys()
    assert document["status"] == status
    assert "Traceback" not in answer.text
    assert ("retry-after" in answer.headers) == (status in (429, 503))
    assert isinstance(document, dict)
    return document


async def test_single_event_is_taken_over(world: World) -> None:
    """One CloudEvent is answered 202 with a pending receipt and where it will be."""
    answer = await world.post(sample_json())
    assert answer.status_code == 202
    assert answer.json() == {"status": "pending", "id": sample().id.hex()}
    assert answer.headers["location"] == f"/v1/events/{sample().id.hex()}"
    assert world.node.submissions == [(sample().entry,)]


async def test_batch_gives_a_receipt_each(world: World) -> None:
    """A JSON batch is answered in order; a malformed event in it does not stop the others."""
    body = b"[" + b",".join([sample_json(0), b'{"id":1}', sample_json(1)]) + b"]"
    answer = await world.post(body, BATCH)
    assert answer.status_code == 202
    receipts = answer.json()["receipts"]
    assert [receipt["status"] for receipt in receipts] == ["pending", "refused", "pending"]
    assert receipts[1]["code"] == "malformed"
    assert receipts[2]["id"] == sample(1).id.hex()
    assert world.node.submissions == [(sample(0).entry, sample(1).entry)]


async def test_batch_of_nothing_readable_reaches_no_node(world: World) -> None:
    """When no event of a batch can be read, all are refused and nothing is submitted."""
    answer = await world.post(b"[{},1]", BATCH)
    assert [receipt["code"] for receipt in answer.json()["receipts"]] == ["malformed"] * 2
    assert world.node.submissions == []


async def test_too_large_event_of_a_batch_says_so(world: World) -> None:
    """An event of a batch with too much data is refused as too large."""
    document = json.loads(sample_json()) | {"data": "a" * 40_000}
    answer = await world.post(json.dumps([document]).encode(), BATCH)
    assert answer.json()["receipts"][0]["code"] == "too_large"


async def test_bulk_is_forwarded_as_it_is(world: World) -> None:
    """Bulk entries reach the node byte for byte, with ids computed here."""
    entries = [sample(nonce).entry for nonce in range(5)]
    answer = await world.post_bulk(entries)
    assert answer.status_code == 202
    assert world.node.submissions == [tuple(entries)]
    ids = [receipt["id"] for receipt in answer.json()["receipts"]]
    assert ids == [sample(nonce).id.hex() for nonce in range(5)]


async def test_bulk_with_refusals(world: World) -> None:
    """The node's code of each entry stands in its receipt; unreadable ones have no id."""
    codes = {b"junk": "malformed", sample(1).entry: "topic_forbidden"}
    world.node.judge = lambda data: codes.get(data, "")
    answer = await world.post_bulk([b"junk", sample(1).entry, sample(2).entry])
    first, second, third = answer.json()["receipts"]
    assert answer.status_code == 202
    assert (first["code"], "id" in first) == ("malformed", False)
    assert (second["code"], second["id"]) == ("topic_forbidden", sample(1).id.hex())
    assert third["status"] == "pending"


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (RejectCode.MALFORMED, 400),
        (RejectCode.TOO_LARGE, 413),
        (RejectCode.WRONG_CHAIN, 422),
        (RejectCode.BAD_SIGNATURE, 422),
        (RejectCode.UNKNOWN_PUBLISHER, 403),
        (RejectCode.UNKNOWN_KEY, 403),
        (RejectCode.REVOKED_KEY, 403),
        (RejectCode.TOPIC_FORBIDDEN, 403),
        (RejectCode.TIME_TOO_OLD, 422),
        (RejectCode.TIME_IN_FUTURE, 422),
        (RejectCode.DUPLICATE, 409),
        (RejectCode.OPERATION_MALFORMED, 422),
        (RejectCode.OPERATION_REFUSED, 422),
        (RejectCode.NO_SUCH_ENTRY, 404),
        (RejectCode.CONFLICT, 409),
        (RejectCode.PREVIOUS_HASH_MISMATCH, 409),
        (RejectCode.OVERLOADED, 429),
    ],
)
async def test_refused_single_event(world: World, code: RejectCode, status: int) -> None:
    """One refused event is a problem with the code of its refusal."""
    world.node.judge = lambda _: code.value
    problem(await world.post(sample_json()), status, code.value)


def test_every_reject_code_is_tested() -> None:
    """The table above names every code that the node can answer."""
    (mark,) = [m for m in test_refused_single_event.pytestmark if m.name == "parametrize"]  # type: ignore[attr-defined]
    assert {code for code, _ in mark.args[1]} == set(RejectCode)


async def test_overloaded_bulk(world: World) -> None:
    """When nothing was taken for lack of room, bulk is a 429; else receipts tell which."""
    world.node.judge = lambda _: "overloaded"
    document = problem(await world.post_bulk([sample(0).entry]), 429, "overloaded")
    assert isinstance(document["receipts"], list)
    world.node.judge = lambda data: "" if data == sample(0).entry else "overloaded"
    answer = await world.post_bulk([sample(0).entry, sample(1).entry])
    assert [r["status"] for r in answer.json()["receipts"]] == ["pending", "refused"]


async def test_duplicate_tells_where_the_event_is(world: World) -> None:
    """A duplicate of a final event is refused and names its place in the ledger."""
    world.chain.extend([sample().entry])
    document = problem(await world.post(sample_json()), 409, "duplicate")
    receipt = {
        "status": "refused",
        "id": sample().id.hex(),
        "code": "duplicate",
        "duplicate": True,
        "sequence": 0,
        "height": 1,
    }
    assert document["receipts"] == [receipt]


async def test_duplicate_on_its_way(world: World) -> None:
    """A duplicate of an event that is not final yet is refused without a place."""
    world.node.judge = lambda _: "duplicate"
    answer = await world.post_bulk([sample().entry])
    assert "sequence" not in answer.json()["receipts"][0]


@pytest.mark.parametrize("query", ["?wait=final", "?wait=final&timeout_ms=5000"])
async def test_wait_until_final(world: World, query: str) -> None:
    """With ``wait=final`` the answer comes when the event is in the log, with its place."""
    world.node.finalises = True
    answer = await world.post(sample_json(), query=query)
    assert answer.status_code == 200
    expected = {"status": "final", "id": sample().id.hex(), "sequence": 0, "height": 1}
    assert answer.json() == expected
    assert world.node.awaited == 1
    await world.post(sample_json(1))
    assert (len(world.node.submissions), world.node.awaited) == (2, 1)


BRIEF = {"prefer": "respond-async, Return=minimal"}


@pytest.mark.parametrize("count", [2, 7])
async def test_brief_receipt_stands_for_all(world: World, count: int) -> None:
    """Who prefers little is told at once of events that have one fate."""
    entries = [sample(nonce).entry for nonce in range(count)]
    answer = await world.post_bulk(entries, headers=BRIEF)
    assert answer.json() == {"receipts": [{"status": "pending", "count": count}]}
    assert answer.headers["preference-applied"] == "return=minimal"
    world.node.finalises = True
    entries = [sample(nonce).entry for nonce in range(10, 10 + count)]
    world.chain.extend([sample(99).entry])
    answer = await world.post_bulk(entries, "?wait=final", headers=BRIEF)
    expected = {"status": "final", "sequence": 1, "height": 2, "count": count}
    assert answer.json() == {"receipts": [expected]}
    assert answer.headers["preference-applied"] == "return=minimal"


async def test_brief_receipts_hide_nothing(world: World) -> None:
    """Events that differ in anything, single ones, and proofs have receipts of their own."""
    world.node.finalises = True
    for entries, query in (
        ([sample(1).entry, entry(1, topic="forbidden.topic"), sample(2).entry], "?wait=final"),
        ([sample(4).entry, sample(3).entry, sample(3).entry], "?wait=final"),
        ([sample(5).entry], "?wait=final"),
        ([sample(6).entry], ""),
        ([sample(7).entry, sample(8).entry], "?wait=proof&timeout_ms=1"),
    ):
        answer = await world.post_bulk(entries, query, headers=BRIEF)
        receipts = answer.json()["receipts"]
        assert [receipt["id"] for receipt in receipts] == [entry_id(data).hex() for data in entries]
        assert not any("count" in receipt for receipt in receipts)
        assert "preference-applied" not in answer.headers
    world.node.judge = lambda data: "duplicate" if data == sample(1).entry else ""
    answer = await world.post_bulk([sample(1).entry, sample(9).entry], headers=BRIEF)
    assert [receipt["status"] for receipt in answer.json()["receipts"]] == ["refused", "pending"]
    answer = await world.post(sample_json(10), headers=BRIEF)
    assert answer.json()["id"] == sample(10).id.hex()
    body = b"[" + sample_json(11) + b"," + sample_json(12) + b"]"
    for query in ("", "?wait=final"):
        answer = await world.post(body, BATCH, query, headers=BRIEF)
        ids = [receipt["id"] for receipt in answer.json()["receipts"]]
        assert ids == [sample(11).id.hex(), sample(12).id.hex()]


async def test_block_that_came_with_the_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that the node told of while a request went on is looked at by the request itself."""

    async def nothing() -> None: ...

    monkeypatch.setattr(world.gateway, "_advance", nothing)
    world.chain.extend([sample().entry])
    world.gateway.finality.note(Height(1))
    wait = Wait(
        name_entries(Entries.of(sample().entry)), Height(0), with_proof=False, may_be_old=False
    )
    with anyio.fail_after(5):
        await world.gateway.finality.wait(wait, 60_000)
    assert wait.decisions == [(1, 0, None)]


async def test_wait_for_proof(world: World) -> None:
    """With ``wait=proof`` each receipt holds a bundle that verifies against genesis."""
    world.node.finalises = True
    answer = await world.post_bulk([sample(n).entry for n in range(3)], "?wait=proof")
    assert answer.status_code == 200
    for number, receipt in enumerate(answer.json()["receipts"]):
        verified = verify_bundle(decode_bundle(b64decode(receipt["proof"])), GENESIS)
        assert verified.sequence == receipt["sequence"] == number


async def test_proof_waits_for_a_certified_header(world: World) -> None:
    """Final but not yet provable is not enough for ``wait=proof``; the next block is."""
    answers: list[httpx.Response] = []

    async def publish() -> None:
        answers.append(await world.post(sample_json(), query="?wait=proof"))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(publish)
            await _until(lambda: len(world.gateway.finality) == 1)
            await world.node.extend([sample().entry], certified=False)
            await anyio.sleep(0.05)
            assert not answers
            await world.node.extend()
    assert answers[0].json()["status"] == "final"


async def test_duplicate_is_waited_for(world: World) -> None:
    """Sending a final event again with ``wait`` gives the same place: repeating is safe."""
    world.chain.extend([sample().entry])
    answer = await world.post(sample_json(), query="?wait=final")
    assert answer.status_code == 200
    assert answer.json()["duplicate"] is True
    assert answer.json()["sequence"] == 0


async def test_refusal_by_a_block(world: World) -> None:
    """An event that a block refuses after the node took it over is answered with that code."""
    world.node.finalises = True
    world.node.judge = lambda _: ""
    data = entry(0, topic="forbidden.topic")
    answer = await world.post_bulk([data, sample(1).entry], "?wait=final")
    first, second = answer.json()["receipts"]
    assert (first["status"], first["code"]) == ("refused", "topic_forbidden")
    assert second["status"] == "final"


async def test_earlier_refusal_does_not_count(world: World) -> None:
    """A wait is not ended by the refusal of an earlier attempt with the same event."""
    data = entry(0, topic="forbidden.topic")
    world.chain.extend([data])
    world.node.judge = lambda _: ""
    problem(await world.post_bulk([data], "?wait=final&timeout_ms=50"), 504, "not_final_in_time")


async def test_not_final_in_time(world: World) -> None:
    """A wait that is over is a 504 that gives the receipts and says what may still happen."""
    answer = await world.post(sample_json(), query="?wait=final&timeout_ms=20")
    document = problem(answer, 504, "not_final_in_time")
    assert "may still" in str(document["detail"])
    assert document["receipts"] == [{"status": "pending", "id": sample().id.hex()}]


async def test_proof_not_in_time(world: World) -> None:
    """A wait for a proof that is over tells that the event itself is final."""
    world.chain.extend([sample().entry], certified=False)
    answer = await world.post(sample_json(), query="?wait=proof&timeout_ms=20")
    document = problem(answer, 504, "not_final_in_time")
    receipts = document["receipts"]
    assert isinstance(receipts, list)
    assert receipts[0]["status"] == "final"


async def test_final_is_seen_without_a_head(world: World) -> None:
    """The store is the truth: a wait ends also when the node forgets to tell."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(_expect_final, world)
            await _until(lambda: len(world.gateway.finality) == 1)
            world.chain.extend([sample().entry])


async def test_wait_outlives_the_link(world: World) -> None:
    """A wait goes on when the node's connection breaks and ends when the store has the event."""
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(_expect_final, world)
            await _until(lambda: len(world.gateway.finality) == 1)
            for stream in list(world.node.connections):
                await stream.aclose()
            await world.until_connected()
            await world.node.extend([sample().entry])


async def test_too_many_waits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too many requests wait already, one more is refused before it reaches the node."""
    monkeypatch.setattr(finality, "GATEWAY_WAITS_MAX", 0)
    problem(await world.post(sample_json(), query="?wait=final"), 429, "overloaded")
    assert world.node.submissions == []


async def _expect_final(world: World) -> None:
    answer = await world.post(sample_json(), query="?wait=final")
    assert answer.json()["status"] == "final"


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for has no event
        await anyio.sleep(0.002)


# --- bad requests -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "body"),
    [
        (EVENT, b""),
        (EVENT, b"{"),
        (EVENT, b"[]"),
        (EVENT, b'{"id":1,"id":2}'),
        (EVENT, b"[" * 10_000),
        (EVENT, b"\xff\xfe"),
        (BATCH, b"[]"),
        (BATCH, b"{}"),
        (BATCH, b"[1,"),
        (BULK, b""),
        (BULK, b"\x90"),
        (BULK, b"\x91\xa1a"),
        (BULK, b"\x91\xc4\x01a\x00"),
        (BULK, b"\xdd\xff\xff\xff\xff"),
        (BULK, b"\x91" * 100_000),
        (BULK, b"\xc4\x01a"),
        (BULK, msgspec.msgpack.encode([b"a"] * (SUBMIT_ENTRIES_MAX + 1))),
    ],
)
async def test_malformed_body(world: World, media_type: str, body: bytes) -> None:
    """A body that is not what its media type says is a 400 and reaches no node."""
    problem(await world.post(body, media_type), 400, "malformed")
    assert world.node.submissions == []


async def test_ledger_attributes_are_not_the_publishers(world: World) -> None:
    """A CloudEvent that names its own sequence is refused."""
    document = json.loads(sample_json()) | {"sequence": "0" * 19}
    problem(await world.post(json.dumps(document).encode()), 400, "malformed")


async def test_bulk_of_the_most_entries(world: World) -> None:
    """The largest allowed number of entries is taken, also when each is nonsense."""
    world.node.judge = lambda _: "malformed"
    answer = await world.post_bulk([b""] * SUBMIT_ENTRIES_MAX)
    assert answer.status_code == 202
    assert len(answer.json()["receipts"]) == SUBMIT_ENTRIES_MAX


async def test_oversized_entry_is_the_nodes_to_judge(world: World) -> None:
    """One oversized entry in bulk is refused alone."""
    world.node.judge = lambda data: "too_large" if len(data) > ENTRY_BYTES_MAX else ""
    answer = await world.post_bulk([b"a" * (ENTRY_BYTES_MAX + 1), sample().entry])
    assert [r.get("code") for r in answer.json()["receipts"]] == ["too_large", None]


@pytest.mark.parametrize("media_type", ["", "application/json", "text/plain", "a" * 1000])
async def test_other_media_types(world: World, media_type: str) -> None:
    """Another media type is a 415 that says what would be accepted."""
    answer = await world.post(sample_json(), media_type)
    problem(answer, 415, "unsupported_media_type")
    assert EVENT in answer.headers["accept-post"]


async def test_media_type_parameters_are_ignored(world: World) -> None:
    """Case and parameters of the media type make no difference."""
    answer = await world.post(sample_json(), "Application/CloudEvents+JSON; charset=UTF-8")
    assert answer.status_code == 202


async def test_encoded_body(world: World) -> None:
    """A compressed body is refused: it could expand to anything."""
    headers = {"content-type": EVENT, "content-encoding": "gzip"}
    answer = await world.http.post("/v1/events", content=b"", headers=headers)
    problem(answer, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("media_type", "limit"),
    [(EVENT, GATEWAY_EVENT_BODY_BYTES_MAX), (BULK, GATEWAY_BODY_BYTES_MAX)],
)
@pytest.mark.parametrize("excess", [0, 1])
async def test_body_limit(world: World, media_type: str, limit: int, excess: int) -> None:
    """A body of the limit is read (and is malformed here); one byte more is too large."""
    answer = await world.post(b"\xc1" * (limit + excess), media_type)
    code = "body_too_large" if excess else "malformed"
    problem(answer, 413 if excess else 400, code)


@pytest.mark.parametrize(
    "query",
    [
        "?wait=later",
        "?wait=",
        "?wait=final&wait=final",
        "?timeout_ms=0",
        "?timeout_ms=60001",
        "?timeout_ms=1.5",
        "?timeout_ms=\u0661",
        "?unknown=1",
    ],
)
async def test_bad_parameters(world: World, query: str) -> None:
    """Unknown, repeated, empty and wrong parameters are refused before anything is read."""
    problem(await world.post(sample_json(), query=query), 400, "invalid_parameter")
    assert world.node.submissions == []


# --- the node ---------------------------------------------------------------------------------


async def test_too_many_requests_at_the_node(world: World) -> None:
    """When too many requests wait for the node, one more is overloaded."""
    pending = world.gateway.link._pending
    pending.update(dict.fromkeys(range(-CONTROL_REQUESTS_MAX, 0)))  # type: ignore[arg-type]
    problem(await world.post(sample_json()), 429, "overloaded")
    pending.clear()


async def test_node_that_breaks_off(world: World) -> None:
    """When the link breaks before the answer, the outcome is unknown and the client is told."""
    world.node.is_silent = True
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(_expect_unavailable, world)
            await _until(lambda: bool(world.node.submissions))
            for stream in list(world.node.connections):
                await stream.aclose()


async def _expect_unavailable(world: World) -> None:
    document = problem(await world.post(sample_json()), 503, "node_unavailable")
    assert "may have taken" in str(document["detail"])


async def test_node_with_the_wrong_number_of_codes(world: World) -> None:
    """An answer that does not fit the request counts as none."""

    async def lie(stream: object, reply: object) -> None:
        if isinstance(reply, SubmitReply):
            reply = SubmitReply(reply.request_id, ("", ""))
        await send(stream, reply)  # type: ignore[arg-type]

    send = world.node.send
    world.node.send = lie  # type: ignore[method-assign]
    problem(await world.post(sample_json()), 503, "node_unavailable")
