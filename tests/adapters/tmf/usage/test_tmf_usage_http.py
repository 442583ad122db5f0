"""The usage log over HTTP: intake of lines, and what each party is shown."""

import json
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request

from adapters.tmf.caller import ANYBODY, OPERATOR, Caller
from adapters.tmf.store.database import Store
from adapters.tmf.usage.audit import open_total
from adapters.tmf.usage.block import open_block
from adapters.tmf.usage.http import usage_routes
from adapters.tmf.usage.leaves import Opening, TotalKey
from adapters.tmf.usage.limits import USAGE_RECORD_BYTES_MAX, USAGE_TRANSACTION_RECORDS
from adapters.tmf.usage.lines import Lines
from adapters.tmf.usage.package import audit_package, decode_package
from adapters.tmf.usage.proof import decode_proof, verify_on_ledger
from adapters.tmf.usage.publishing import note_fault
from ledger.core.errors import Unavailable
from pubsub.io.body import Bodies
from tests.adapters.tmf.usage.usage_node import Node, PlayedLedger
from tests.adapters.tmf.usage.usage_world import (
    BUYER,
    OTHER,
    SELLER,
    counted,
    party,
    usage,
)

THEIRS = {"relatedParty": [party(SELLER, "Seller"), party(OTHER, "Buyer")]}
CALLERS = {
    "operator": OPERATOR,
    "seller": Caller(SELLER),
    "buyer": Caller(BUYER),
    "other": Caller(OTHER),
    "anybody": ANYBODY,
}


async def caller_of(request: Request) -> Caller:
    """Believe what the test says."""
    return CALLERS[request.headers["x-caller"]]


class World:
    """A node with its HTTP interface."""

    def __init__(self, store: Store) -> None:
        self.node = Node(store, PlayedLedger())
        self.faults: list[Exception] = []
        routes = usage_routes(self.node.service, caller_of, Bodies(), self.faults.append)
        self.app = Starlette(routes=routes)
        transport = httpx.ASGITransport(self.app)
        self.http = httpx.AsyncClient(transport=transport, base_url="http://node")

    async def ask(
        self, path: str, caller: str = "seller", status: int = HTTPStatus.OK
    ) -> httpx.Response:
        """Get a path and expect a status."""
        answer = await self.http.get("/usage-log/v1" + path, headers={"x-caller": caller})
        assert answer.status_code == status, answer.text
        return answer

    async def send(self, *documents: dict[str, Any]) -> dict[str, Any]:
        """Send records and expect to hear what became of them."""
        return await self.send_bytes(b"\n".join(json.dumps(one).encode() for one in documents))

    async def send_bytes(self, body: bytes) -> dict[str, Any]:
        """Send any lines."""
        answer = await self.http.post(
            "/usage-log/v1/records", content=body, headers={"x-caller": "seller"}
        )
        assert answer.status_code == HTTPStatus.OK, answer.text
        summary: dict[str, Any] = answer.json()
        return summary

    async def seal(self) -> None:
        """Condense all that waits, and publish it."""
        self.node.clock.ms += 60_000
        self.node.condense()
        await self.node.service.publisher.drain()


@pytest.fixture
async def world(store: Store) -> AsyncIterator[World]:
    """Give a node on each database."""
    made = World(store)
    async with made.http:
        yield made
    assert made.faults == []


async def test_lines_become_records(world: World) -> None:
    """Each line is counted as new, known, corrected or refused; a refusal names line and reason."""
    first = await world.send(usage("a"), usage("b"), usage("a"), {"id": "c"})
    assert first == {
        "lines": 4,
        "taken": 2,
        "corrections": 0,
        "known": 1,
        "refused": 1,
        "refusals": [{"line": 4, "code": "missing-attribute", "detail": "usageDate is missing"}],
    }
    second = await world.send(usage("a"), usage("b", **counted(7)), usage("b", **THEIRS))
    assert (second["taken"], second["corrections"], second["known"]) == (1, 1, 1)
    assert [one["code"] for one in second["refusals"]] == ["other-buyer"]


async def test_no_body_breaks_intake(world: World) -> None:
    """Nonsense, blank lines, lines that are too long, and no body at all are answered."""
    long = b'{"id":"' + b"x" * USAGE_RECORD_BYTES_MAX + b'"}'
    summary = await world.send_bytes(b"\n\r\n \n\xff\n" + long + b"\n[" + b"[" * 9_999 + b"\n{}")
    assert (summary["lines"], summary["refused"]) == (7, 4)
    assert {one["line"] for one in summary["refusals"]} == {4, 5, 6, 7}
    assert (await world.send_bytes(b""))["lines"] == 0


async def test_intake_streams(world: World) -> None:
    """A body longer than one transaction arrives whole; sent again it changes nothing."""
    count = USAGE_TRANSACTION_RECORDS + 300
    documents = [usage(f"u{number:05}") for number in range(count)]
    assert (await world.send(*documents))["taken"] == count
    assert (await world.send(*documents))["known"] == count


@given(st.lists(st.binary(max_size=12)), st.integers(1, 12))
def test_lines_are_cut_wherever_the_pieces_end(pieces: list[bytes], bytes_max: int) -> None:
    """Lines are those of the whole body; one that is too long is there as None."""
    lines = Lines(bytes_max)
    found = [line for piece in pieces for line in lines.feed(piece)] + [*lines.end()]
    whole = b"".join(pieces).split(b"\n")
    expected = whole if whole[-1] else whole[:-1]
    assert found == [line if len(line) <= bytes_max else None for line in expected]


async def test_each_party_is_shown_its_own(world: World) -> None:
    """Records, proofs and packages are for their parties; blocks are for everybody."""
    await world.send(usage("a"), usage("b", **THEIRS))
    await world.seal()
    for caller, expected in {
        "seller": ["a", "b"],
        "operator": ["a", "b"],
        "buyer": ["a"],
        "other": ["b"],
    }.items():
        found = (await world.ask("/records", caller)).json()
        assert [one["record"]["id"] for one in found] == expected
    forbidden = HTTPStatus.FORBIDDEN
    await world.ask("/records", "anybody", forbidden)
    await world.ask("/blocks/1/proof?record=a", "anybody", forbidden)
    await world.ask("/blocks/1/proof?record=b", "buyer", HTTPStatus.NOT_FOUND)
    await world.ask("/blocks/1/audit", "buyer", forbidden)
    await world.ask("/refused", "other", forbidden)
    assert len((await world.ask("/blocks", "anybody")).json()) == 1
    assert "openings" not in (await world.ask("/blocks/1", "anybody")).json()
    refused = await world.http.post("/usage-log/v1/records", headers={"x-caller": "buyer"})
    assert refused.status_code == forbidden


async def test_a_buyer_proves_its_usage_with_genesis_alone(world: World) -> None:
    """What the node serves needs nothing of the node to be believed."""
    await world.send(usage("a", **counted(3)), usage("b", **THEIRS), usage("a", **counted(4)))
    await world.seal()
    genesis = world.node.ledger.chain.genesis
    newest = decode_proof((await world.ask("/blocks/1/proof?record=a", "buyer")).content)
    oldest = decode_proof((await world.ask("/blocks/1/proof?leaf=0", "buyer")).content)
    assert verify_on_ledger(newest, genesis).supersedes == 1
    assert verify_on_ledger(oldest, genesis).number == 1
    shown = (await world.ask("/blocks/1", "buyer")).json()
    (opening,) = shown["openings"]
    key = TotalKey(*(opening[name] for name in ("buyer", "product", "metric", "unit")))
    block = open_block(world.node.ledger.held[0])
    total = open_total(block, Opening(key, bytes.fromhex(opening["salt"])))
    assert (key.buyer, key.product, key.metric) == (BUYER, "urn:product:1", "storage")
    assert (total.amount, total.records) == ("4", 2)
    assert shown["state"] == "final"
    assert shown["totals"][0].keys() == {"reference", "unit", "amount", "records"}


async def test_an_auditor_gets_a_package(world: World) -> None:
    """The seller's package is audited without the node."""
    await world.send(usage("a"), usage("b", **THEIRS))
    await world.seal()
    await world.send(usage("a", **counted(1)))
    await world.seal()
    package = decode_package((await world.ask("/blocks/2/audit", "seller")).content)
    report = audit_package(package, world.node.ledger.chain.genesis)
    assert report.faults == ()
    assert list(report.totals.values()) == ["-4"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/blocks/9", HTTPStatus.NOT_FOUND),
        ("/blocks/x", HTTPStatus.BAD_REQUEST),
        ("/blocks/-1", HTTPStatus.BAD_REQUEST),
        ("/blocks/9/proof?record=a", HTTPStatus.NOT_FOUND),
        ("/blocks/1/proof?leaf=99", HTTPStatus.NOT_FOUND),
        ("/blocks/1/proof?leaf=x", HTTPStatus.BAD_REQUEST),
        ("/blocks/1/proof", HTTPStatus.NOT_FOUND),
        ("/blocks/9/audit", HTTPStatus.NOT_FOUND),
        ("/blocks?after=-1", HTTPStatus.BAD_REQUEST),
        ("/blocks?limit=99999999999999999999", HTTPStatus.BAD_REQUEST),
        ("/blocks?colour=red", HTTPStatus.BAD_REQUEST),
        ("/records?from=yesterday", HTTPStatus.BAD_REQUEST),
        ("/records?colour=red", HTTPStatus.BAD_REQUEST),
    ],
)
async def test_a_wrong_question_is_told_so(world: World, path: str, status: int) -> None:
    """Errors have TM Forum's form and name what was wrong."""
    await world.send(usage("a"))
    await world.seal()
    document = (await world.ask(path, "seller", status)).json()
    assert document["status"] == str(int(status))
    assert document["message"]


async def test_other_methods_are_refused(world: World) -> None:
    """A path that is only read says which methods it has."""
    answer = await world.http.delete("/usage-log/v1/blocks/1", headers={"x-caller": "seller"})
    assert answer.status_code == HTTPStatus.METHOD_NOT_ALLOWED
    assert answer.headers["allow"] == "GET"


async def test_records_are_asked_for_by_time(world: World) -> None:
    """Both ends of the time are inclusive and take any offset; a plus sign may be a space."""
    for hour in range(3):
        await world.send(usage(f"u{hour}", usageDate=f"2026-09-21T0{hour}:00:00Z"))

    async def found(query: str) -> list[str]:
        answer = await world.ask(f"/records?{query}", "buyer")
        return [one["record"]["id"] for one in answer.json()]

    assert await found("from=2026-09-21T01:00:00Z") == ["u1", "u2"]
    assert await found("to=2026-09-21T03:00:00+02:00") == ["u0", "u1"]
    assert await found("product=urn:product:1&after=1&limit=1") == ["u1"]
    assert await found("limit=0") == []


async def test_a_sender_that_leaves_is_no_fault(world: World) -> None:
    """What came before the connection broke may be in the log; nothing fails."""
    pieces: Iterator[dict[str, object]] = iter(
        [
            {"type": "http.request", "body": json.dumps(usage("a")).encode(), "more_body": True},
            {"type": "http.disconnect"},
        ]
    )

    async def receive() -> dict[str, object]:
        return next(pieces)

    async def send(_message: object) -> None:
        raise AssertionError("nobody listens")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/usage-log/v1/records",
        "query_string": b"",
        "headers": [(b"x-caller", b"seller")],
    }
    await world.app(scope, receive, send)
    assert (await world.send(usage("a")))["taken"] == 1


async def test_why_a_block_waits_is_the_sellers_business(world: World) -> None:
    """Buyers and strangers see that a block waits, and nothing of the seller's network."""
    world.node.ledger.errors = [Unavailable("http://10.0.0.1 is down")]
    await world.send(usage("a"))
    with pytest.raises(Unavailable):
        await world.seal()
    await world.node.store.in_thread(lambda store: note_fault("http://10.0.0.1 is down", store))
    for path in ("/blocks", "/blocks/1"):
        for caller in ("seller", "buyer", "anybody"):
            text = (await world.ask(path, caller)).text
            assert ("10.0.0.1" in text) == (caller == "seller")
            assert "waiting" in text


async def test_a_dispute_says_what_differs(world: World) -> None:
    """The buyer's records are held against the newest versions that it may see."""
    await world.send(usage("a"), usage("b"), usage("c", **THEIRS), usage("d"))
    await world.send(usage("d", **counted(8)))
    await world.seal()
    theirs = [usage("a"), usage("d"), usage("x")]
    answer = await world.http.post(
        "/usage-log/v1/disputes",
        content=b"\n".join(json.dumps(one).encode() for one in theirs) + b"\n",
        headers={"x-caller": "buyer"},
    )
    found = {one["id"]: one for one in answer.json()}
    assert {id_: one["what"] for id_, one in found.items()} == {
        "b": "missing",
        "d": "changed",
        "x": "extra",
    }
    assert found["d"]["attributes"] == [
        {"path": "usageCharacteristic[0].value.amount", "buyer": 5, "seller": 8}
    ]
    assert found["b"]["sellerBlock"] == 1
    for body in (b"{}", b"nonsense"):
        refused = await world.http.post(
            "/usage-log/v1/disputes", content=body, headers={"x-caller": "buyer"}
        )
        assert refused.status_code == HTTPStatus.BAD_REQUEST


async def test_a_dispute_is_about_the_newest_versions(world: World) -> None:
    """A record that was corrected out of the time in question is not missed there any more."""
    await world.send(usage("a", usageDate="2026-03-01T00:00:00Z"))
    await world.send(usage("a", usageDate="2026-04-01T00:00:00Z"))
    await world.seal()
    missing = []
    for month in ("03", "04"):
        answer = await world.http.post(
            f"/usage-log/v1/disputes?from=2026-{month}-01T00:00:00Z&to=2026-{month}-20T00:00:00Z",
            content=b"",
            headers={"x-caller": "buyer"},
        )
        missing.append([(one["id"], one["what"]) for one in answer.json()])
    assert missing == [[], [("a", "missing")]]


async def test_the_service_works_by_itself(world: World) -> None:
    """What arrives is condensed and on the ledger without being asked for."""
    async with anyio.create_task_group() as group:
        group.start_soon(world.node.service.run)
        await world.send(*(usage(f"u{number}") for number in range(8)))
        with anyio.fail_after(30):
            await world.node.ledger.holds(2)
        group.cancel_scope.cancel()
    assert [open_block(one).count for one in world.node.ledger.held] == [4, 4]
    assert world.node.service.publisher.error == ""
