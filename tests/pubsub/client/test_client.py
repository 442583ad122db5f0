"""Both clients against a gateway that works, fails and lies: publish, read, prove, follow."""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from msgspec.json import decode, encode
from msgspec.structs import replace

from ledger.core.errors import PeerFault, ProofError, RejectCode, Rejected, Unavailable
from ledger.core.event import OpenEntry
from ledger.core.ids import EventId, Sequence
from ledger.core.limits import CLIENT_ANSWER_BYTES_MAX, CLIENT_BULK_BYTES_MAX
from ledger.core.proof import encode_bundle
from pubsub.client.async_client import AsyncClient
from pubsub.client.calls import chunks
from pubsub.core.documents import Receipt, Receipts
from pubsub.core.entries import split_bulk
from pubsub.core.problems import HttpCode
from tests.support.memory_chain import MemoryChain, make_entry, make_genesis
from tests.support.memory_gateway import Chunks, Fault, MemoryGateway, problem

Test = Callable[[], Coroutine[None, None, None]]
URLS = ["http://a", "http://b"]


@pytest.fixture(params=["asyncio", "trio"], autouse=True)
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Test], None]:
    """Give what runs a test's body on each library; pauses take no time."""

    async def no_pause(_seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    monkeypatch.setattr("pubsub.client.async_client.anyio.sleep", no_pause)
    return lambda body: anyio.run(body, backend=request.param)


Run = Callable[[Test], None]


def gateway_with(count: int) -> MemoryGateway:
    """Give a gateway to a ledger of events whose topics alternate."""
    chain = MemoryChain()
    for nonce in range(count):
        topic = ("even", "odd")[nonce % 2]
        chain.grow([make_entry(chain.genesis.chain_id, nonce, topic)])
    for _ in range(3):
        chain.grow()
    return MemoryGateway(chain)


@asynccontextmanager
async def client_of(gateway: MemoryGateway, give_up_ms: int = 60_000) -> AsyncIterator[AsyncClient]:
    """Give a client of ``gateway`` that trusts its genesis."""
    client = AsyncClient(
        URLS, gateway.chain.genesis, give_up_ms=give_up_ms, transport=gateway.transport
    )
    async with client:
        yield client


def entry_of(gateway: MemoryGateway, nonce: int) -> OpenEntry:
    """Give an event that the gateway's network takes."""
    return make_entry(gateway.chain.genesis.chain_id, nonce)


def first(count: int, fault: Fault) -> Fault:
    """Give a fault that happens ``count`` times."""
    left = [fault] * count
    return lambda request: left.pop()(request) if left else None


def always(answer: httpx.Response) -> Fault:
    """Give a fault that answers everything so."""
    return lambda _request: answer


def lose(_request: httpx.Request) -> httpx.Response:
    """Break the connection."""
    raise httpx.ConnectError("refused")


@pytest.mark.parametrize("wait", ["accepted", "final", "proof"])
def test_publish_waits_as_long_as_asked(run: Run, wait: str) -> None:
    """Each way of waiting gives what it promises."""
    gateway = gateway_with(3)
    opened = entry_of(gateway, 10)

    async def body() -> None:
        async with client_of(gateway) as client:
            receipt = await client.publish(opened, wait=wait)  # type: ignore[arg-type]
        assert receipt.id == opened.id
        assert receipt.status == ("pending" if wait == "accepted" else "final")
        assert receipt.sequence == (None if wait == "accepted" else 3)
        assert (receipt.proof is not None) == (wait == "proof")

    run(body)
    query = "" if wait == "accepted" else f"?wait={wait}"
    assert gateway.requests == [f"POST /v1/events{query}"]


def test_publishing_again_is_safe(run: Run) -> None:
    """An answer that was lost after the event was taken ends in one event, and in success."""
    gateway = gateway_with(0)
    opened = entry_of(gateway, 0)

    def take_then_lose(request: httpx.Request) -> httpx.Response:
        gateway._publish(request)
        raise httpx.ReadTimeout("late")

    gateway.faults.append(first(1, take_then_lose))

    async def body() -> None:
        async with client_of(gateway) as client:
            receipt = await client.publish(opened)
            assert (receipt.status, receipt.sequence, receipt.duplicate) == ("final", 0, True)
            assert (await client.publish(opened, wait="final")).duplicate

    run(body)
    assert gateway.chain.entries == [opened.entry]


def test_a_refused_event_raises_its_code(run: Run) -> None:
    """One event's refusal is an error with the stable code, however it is answered."""
    gateway = gateway_with(0)
    opened = entry_of(gateway, 0)
    receipt = Receipt(status="refused", code=RejectCode.TOPIC_FORBIDDEN, detail="no right")
    answers = [
        httpx.Response(202, content=encode(Receipts([receipt]))),
        problem(RejectCode.TOPIC_FORBIDDEN, "no right"),
    ]

    async def body() -> None:
        async with client_of(gateway) as client:
            for answer in answers:
                gateway.faults[:] = [always(answer)]
                with pytest.raises(Rejected, match="no right") as caught:
                    await client.publish(opened)
                assert caught.value.code is RejectCode.TOPIC_FORBIDDEN

    run(body)


def test_many_events_are_published_in_few_requests(run: Run) -> None:
    """Bulk publishing repeats what was not taken, and reports each event in order."""
    gateway = gateway_with(0)
    entries = [entry_of(gateway, nonce) for nonce in range(1_500)]
    sizes: list[int] = []

    def half_is_overloaded(request: httpx.Request) -> httpx.Response:
        taken = gateway._publish(request)
        rows = _receipts(taken)
        half = len(rows) // 2
        rows[half:] = [replace(row, status="refused", code="overloaded") for row in rows[half:]]
        return httpx.Response(202, content=encode(Receipts(rows)))

    def note(request: httpx.Request) -> None:
        sizes.append(len(split_bulk(request.content)))

    gateway.faults += [note, first(1, half_is_overloaded)]

    async def body() -> None:
        async with client_of(gateway) as client:
            receipts = await client.publish_many(iter([*entries, entries[0]]), wait="final")
        assert [receipt.id for receipt in receipts] == [*(e.id for e in entries), entries[0].id]
        assert {receipt.status for receipt in receipts} == {"final"}

    run(body)
    assert sizes == [1_024, 512, 477]
    assert gateway.chain.entries == [opened.entry for opened in entries]


def _receipts(response: httpx.Response) -> list[Receipt]:
    return decode(response.content, type=Receipts).receipts


def test_bulk_requests_are_bounded() -> None:
    """A piece ends at its number of events or of bytes; one large event is a piece of its own."""
    small = make_entry("test-1", 0)
    large = small._replace(entry=bytes(CLIENT_BULK_BYTES_MAX))
    assert [len(piece) for piece in chunks([small] * 1_025)] == [1_024, 1]
    assert [len(piece) for piece in chunks([small, large, small])] == [1, 1, 1]
    assert list(chunks([])) == []


def test_overload_without_end_is_told(run: Run) -> None:
    """When the node stays overloaded, publishing ends in Unavailable in its time."""
    gateway = gateway_with(0)
    opened = entry_of(gateway, 0)
    row = Receipt(status="refused", id=opened.id.hex(), code="overloaded")
    full = httpx.Response(202, content=encode(Receipts([row])))
    gateway.faults.append(lambda _request: full)

    async def body() -> None:
        async with client_of(gateway, give_up_ms=0) as client:
            with pytest.raises(Unavailable, match="overloaded"):
                await client.publish(opened)

    run(body)


def test_reading_one_event(run: Run) -> None:
    """An event is found by id in both forms; one that is not there is None."""
    gateway = gateway_with(5)

    async def body() -> None:
        async with client_of(gateway) as client:
            id_ = make_entry(gateway.chain.genesis.chain_id, 2, "even").id
            for name in (id_, id_.hex()):
                event = await client.get(name)
                assert event is not None
                assert (event.sequence, event.id, event.is_verified) == (2, id_, False)
            assert await client.get(EventId(bytes(32))) is None
            assert await client.proof(EventId(bytes(32))) is None
            with pytest.raises(ValueError, match="event id"):
                await client.get("abcd")

    run(body)


def test_proofs_are_verified(run: Run) -> None:
    """A proof is given out only when it holds against genesis and is of that event."""
    gateway = gateway_with(5)
    other = make_entry(gateway.chain.genesis.chain_id, 1, "odd").id

    async def body() -> None:
        async with client_of(gateway) as client:
            id_ = make_entry(gateway.chain.genesis.chain_id, 2, "even").id
            bundle = await client.proof(id_)
            assert bundle is not None
            assert bundle.sequence == 2
            wrong = gateway.proof(gateway.chain.sequence_of(other))  # type: ignore[arg-type]
            broken = encode_bundle(replace(bundle, sequence=3))
            for content in (wrong, broken):
                gateway.faults[:] = [always(httpx.Response(200, content=content))]
                with pytest.raises(ProofError):
                    await client.proof(id_)
        foreign = AsyncClient("http://a", make_genesis(4, "x"), transport=gateway.transport)
        gateway.faults.clear()
        async with foreign:
            with pytest.raises(ProofError):
                await foreign.proof(id_)

    run(body)


def test_an_event_is_held_to_its_id(run: Run) -> None:
    """Another event than the one asked for, or one without a sequence, is the gateway's fault."""
    gateway = gateway_with(2)
    entry = gateway.chain.entries[0]
    placed = {"concordat-sequence": "0"}

    async def body() -> None:
        async with client_of(gateway) as client:
            gateway.faults[:] = [always(httpx.Response(200, headers=placed, content=entry))]
            with pytest.raises(PeerFault):
                await client.get(entry_of(gateway, 1).id)
            gateway.faults[:] = [always(httpx.Response(200, content=entry))]
            with pytest.raises(PeerFault):
                await client.get(make_entry(gateway.chain.genesis.chain_id, 0, "even").id)

    run(body)


def test_a_wait_is_held_to_what_was_asked(run: Run) -> None:
    """A gateway that does not wait, or whose proof is of another sequence, is at fault."""
    gateway = gateway_with(1)
    opened = make_entry(gateway.chain.genesis.chain_id, 0, "even")
    proof = b64encode(gateway.proof(Sequence(0))).decode()
    pending = Receipt(status="pending")
    moved = Receipt(status="final", sequence=1, proof=proof)

    async def body() -> None:
        async with client_of(gateway) as client:
            gateway.faults[:] = [always(httpx.Response(200, content=encode(Receipts([pending]))))]
            with pytest.raises(PeerFault, match="did not wait"):
                await client.publish(opened, wait="final")
            gateway.faults[:] = [always(httpx.Response(200, content=encode(Receipts([moved]))))]
            with pytest.raises(ProofError, match="another event"):
                await client.publish(opened, wait="proof")

    run(body)


def test_a_log_is_read_in_pages(run: Run) -> None:
    """Pages give every event once and in order, verified, with and without a filter."""
    gateway = gateway_with(30)

    async def body() -> None:
        async with client_of(gateway) as client:
            events = [event async for event in client.events(after=4)]
            assert [event.sequence for event in events] == list(range(5, 30))
            assert all(event.is_verified for event in events)
            evens = [event async for event in client.events(topic="even")]
            assert [event.sequence for event in evens] == list(range(0, 30, 2))
            plain = [event async for event in client.events(verify=False, after=28)]
            assert [(event.sequence, event.is_verified) for event in plain] == [(29, False)]
            assert [event async for event in client.events(after=29)] == []

    run(body)


@pytest.mark.parametrize("cuts", [1, 97, 700, 100_000])
def test_a_subscription_survives_every_cut(run: Run, cuts: int) -> None:
    """Over streams that break again and again each event comes once, in order, verified."""
    gateway = gateway_with(12)
    gateway.cuts = cuts

    async def body() -> None:
        async with client_of(gateway) as client, client.subscribe() as events:
            for number in range(12):
                event = await anext(events)
                assert (event.sequence, event.is_verified) == (number, True)
                assert events.cursor == number
            gateway.chain.grow([entry_of(gateway, 99)])
            for _ in range(3):
                gateway.chain.grow()
            assert (await anext(events)).sequence == 12
            assert events.losses > 0
            assert "cut" in events.last_error

    run(body)
    hosts = [text for text in gateway.requests if "stream" in text]
    assert hosts[0] == "GET /v1/stream?after=-1"
    assert "GET /v1/stream?after=11" in hosts


def test_a_filtered_subscription_only_rises(run: Run) -> None:
    """With a filter only its events come, and the cursor also passes hidden ones."""
    gateway = gateway_with(12)

    async def body() -> None:
        async with client_of(gateway) as client, client.subscribe(topic="even") as events:
            assert [(await anext(events)).sequence for _ in range(6)] == [0, 2, 4, 6, 8, 10]
            gateway.chain.grow([make_entry(gateway.chain.genesis.chain_id, 99, "even")])
            for _ in range(3):
                gateway.chain.grow()
            assert (await anext(events)).sequence == 12

    run(body)
    assert "GET /v1/stream?topic=even&after=11" in gateway.requests


def test_a_subscription_from_now_on(run: Run) -> None:
    """Without a cursor only what comes later is given out."""
    gateway = gateway_with(5)

    async def body() -> None:
        async with client_of(gateway) as client:
            events = client.subscribe(after=None, verify=False)
            with anyio.move_on_after(0.05):
                await anext(events)
            assert events.cursor == 4
            gateway.chain.grow([entry_of(gateway, 99)])
            event = await anext(events)
            assert (event.sequence, event.is_verified) == (5, False)
            await events.aclose()

    run(body)


def test_a_cancelled_step_loses_nothing(run: Run) -> None:
    """A step that is cancelled while its proof is fetched is done again by the next one."""
    gateway = gateway_with(6)
    gateway.cuts = 200  # several chunks an event: the stream goes on behind the lost one
    cancelled: list[str] = []

    async def body() -> None:
        async def answer(request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("proof") and request.url.path not in cancelled:
                cancelled.append(request.url.path)
                scope.cancel()
            await anyio.lowlevel.checkpoint()
            return gateway.answer(request)

        transport = httpx.MockTransport(answer)
        async with AsyncClient("http://a", gateway.chain.genesis, transport=transport) as client:
            taken: list[int] = []
            async with client.subscribe(topic="even") as events:
                while len(taken) < 3:
                    with anyio.CancelScope() as scope:
                        taken.append((await anext(events)).sequence)
            assert taken == [0, 2, 4]

    run(body)
    assert len(cancelled) == 3


def test_a_gateway_that_leaves_events_out_is_left(run: Run) -> None:
    """A gap makes the client turn to another gateway, where it gets what is missing."""
    gateway = gateway_with(8)

    def skip_three(request: httpx.Request) -> httpx.Response | None:
        if request.url.host != "a" or request.url.path != "/v1/stream":
            return None
        blocks = gateway.stream_text(request).split(b"\n\n")
        text = b"\n\n".join(block for block in blocks if not block.startswith(b"id: 3\n"))
        return httpx.Response(200, stream=Chunks([text]))

    gateway.faults.append(skip_three)

    async def body() -> None:
        async with client_of(gateway) as client, client.subscribe() as events:
            assert [(await anext(events)).sequence for _ in range(8)] == list(range(8))
            assert "events 3 to 3 are missing" in events.last_error

    run(body)


def test_a_forged_event_is_never_given_out(run: Run) -> None:
    """An event that the ledger does not hold ends the subscription with ProofError."""
    honest, lying = gateway_with(4), gateway_with(2)
    for nonce in (77, 3):
        lying.chain.grow([entry_of(lying, nonce)])
    for _ in range(3):
        lying.chain.grow()

    def forge(request: httpx.Request) -> httpx.Response | None:
        is_stream = request.url.path == "/v1/stream"
        return (
            httpx.Response(200, stream=Chunks([lying.stream_text(request)])) if is_stream else None
        )

    def prove_another(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith("proof"):
            return None
        sequence = lying.chain.sequence_of(EventId(bytes.fromhex(request.url.path.split("/")[3])))
        assert sequence is not None
        return httpx.Response(200, content=honest.proof(sequence))

    honest.faults += [forge, prove_another]

    async def body() -> None:
        async with client_of(honest) as client:
            for filters in ({}, {"topic": "offering.created"}):
                async with client.subscribe(**filters) as events:  # type: ignore[arg-type]
                    with pytest.raises(ProofError):
                        await anext(events)
                    assert events.cursor == -1

    run(body)


def test_a_subscription_outlives_refusals_that_may_pass(run: Run) -> None:
    """Too many streams, a gateway that is down or shutting down: it goes on elsewhere, later."""
    gateway = gateway_with(1)
    gateway.faults += [
        first(1, lambda _request: problem(RejectCode.OVERLOADED)),
        first(1, lambda _request: problem(HttpCode.TOO_MANY_STREAMS)),
        first(2, lose),
    ]

    async def body() -> None:
        async with client_of(gateway) as client, client.subscribe(verify=False) as events:
            assert (await anext(events)).sequence == 0
            assert events.losses == 4

    run(body)


def test_a_gateway_behind_another_is_left(run: Run) -> None:
    """A gateway that lacks the proof of what another one sent is left; the event comes later."""
    gateway = gateway_with(3)

    def lags(request: httpx.Request) -> httpx.Response | None:
        is_behind = request.url.host == "a" and request.url.path.endswith("proof")
        return problem(HttpCode.EVENT_NOT_FOUND) if is_behind else None

    gateway.faults.append(lags)

    async def body() -> None:
        async with client_of(gateway) as client:
            with pytest.raises(Unavailable, match="does not hold yet"):
                await anext(client.events())
        async with client_of(gateway) as client, client.subscribe() as events:
            assert [(await anext(events)).sequence for _ in range(3)] == [0, 1, 2]
            assert "does not hold yet" in events.last_error

    run(body)


def test_a_refused_subscription_raises(run: Run) -> None:
    """A request that no gateway will ever take is not repeated."""
    gateway = gateway_with(1)
    gateway.faults.append(lambda _request: problem(HttpCode.INVALID_PARAMETER, "no such"))

    async def body() -> None:
        async with client_of(gateway) as client, client.subscribe(verify=False) as events:
            with pytest.raises(Rejected, match="no such"):
                await anext(events)

    run(body)
    assert len(gateway.requests) == 1


def test_verifying_needs_genesis(run: Run) -> None:
    """Without genesis a client refuses to verify rather than doing without."""
    gateway = gateway_with(1)

    async def body() -> None:
        async with AsyncClient("http://a", transport=gateway.transport) as client:
            with pytest.raises(ValueError, match="genesis"):
                client.subscribe()
            with pytest.raises(ValueError, match="genesis"):
                client.events()
            genesis = await client.fetch_genesis()
            assert genesis == gateway.chain.genesis
            event = await anext(aiter(client.events(verify=False)))
            assert event.sequence == 0

    run(body)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b"{}"),
        httpx.Response(200, content=b""),
        httpx.Response(200, content=b'{"receipts":[]}'),
        httpx.Response(200, content=b'{"receipts":[{"status":"final"}]}'),
        httpx.Response(200, content=b'{"receipts":[{"status":"refused","code":"odd"}]}'),
        httpx.Response(200, content=b'{"receipts":[{"status":"pending"}]}'),
        httpx.Response(200, content=b'{"receipts":[{"status":"final","sequence":1,"id":"00"}]}'),
        httpx.Response(200, content=b'{"receipts":[{"status":"final","sequence":1}]}'),
        httpx.Response(
            200, content=b'{"receipts":[{"status":"final","sequence":1,"proof":"AAAA"}]}'
        ),
        httpx.Response(404, content=b"<html>nginx</html>"),
        httpx.Response(307, headers={"location": "http://evil"}),
    ],
)
def test_answers_that_are_none_are_the_gateways_fault(run: Run, answer: httpx.Response) -> None:
    """Whatever a gateway answers, it is what the API promises or PeerFault."""
    gateway = gateway_with(1)
    gateway.faults.append(lambda _request: answer)

    async def body() -> None:
        async with client_of(gateway) as client:
            with pytest.raises(PeerFault):
                await client.publish(entry_of(gateway, 5), wait="proof")
            calls = [client.get(bytes(32)), client.proof(bytes(32)), client.fetch_genesis()]  # type: ignore[arg-type]
            for call in [*calls, client.status(), anext(aiter(client.events()))]:
                with pytest.raises(PeerFault):
                    await call

    run(body)


def test_a_huge_answer_is_cut_off(run: Run) -> None:
    """An answer without end is not held in memory."""
    gateway = gateway_with(1)
    pieces: list[bytes | Exception] = [bytes(2**20)] * (CLIENT_ANSWER_BYTES_MAX // 2**20 + 1)
    gateway.faults.append(lambda _request: httpx.Response(200, stream=Chunks(pieces)))

    async def body() -> None:
        async with client_of(gateway) as client:
            with pytest.raises(PeerFault, match="an answer of more than"):
                await client.fetch_genesis()

    run(body)
