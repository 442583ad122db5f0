"""A gateway in memory over a ``MemoryChain``, spoken to through httpx without a socket.

Owns the HTTP API as docs and ``pubsub/core`` fix it, and the ways in which a gateway fails or
lies. A test appends to ``faults``: each is asked first and may answer in the gateway's place.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import msgspec

from ledger.core.errors import RejectCode
from ledger.core.event import open_entry
from ledger.core.ids import EventId, Sequence
from ledger.core.proof import build_bundle, encode_bundle
from ledger.core.topics import TopicPattern
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.documents import Receipt, Receipts
from pubsub.core.entries import split_bulk
from pubsub.core.problems import Code, HttpCode, Refusal
from pubsub.core.sse import cursor_block, event_block, opening_block
from tests.support.memory_chain import MemoryChain

Fault = Callable[[httpx.Request], httpx.Response | None]


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body in given pieces; an exception among them breaks the connection there."""

    def __init__(self, pieces: list[bytes | Exception]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def problem(code: Code, detail: str = "because") -> httpx.Response:
    """Give a problem answer."""
    refusal = Refusal(code, detail)
    body = msgspec.json.encode(refusal.problem("/"))
    return httpx.Response(refusal.status, headers=refusal.headers, content=body)


class MemoryGateway:
    """Answers requests; ``transport`` is what a client is given.

    Attributes:
        requests: (method, path and query) of what was asked, in order.
        cuts: how a stream is cut into chunks.
        lag: how many of the newest events the pages and the stream do not show yet.
    """

    def __init__(self, chain: MemoryChain) -> None:
        self.chain = chain
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.cuts = 700
        self.lag = 0
        self.transport = httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.requests.append(f"{request.method} {request.url.raw_path.decode()}")
        for fault in list(self.faults):
            response = fault(request)
            if response is not None:
                return response
        parts = request.url.path.strip("/").split("/")
        if request.method == "POST":
            return self._publish(request)
        if parts == ["v1", "stream"]:
            return self._stream(request)
        if parts == ["v1", "events"]:
            return self._page(request)
        if parts == ["v1", "genesis"]:
            return httpx.Response(200, content=self.chain.genesis.to_json())
        if parts[:2] == ["v1", "events"]:
            return self._one(EventId(bytes.fromhex(parts[2])), is_proof=parts[-1] == "proof")
        return problem(HttpCode.NOT_FOUND)

    def _publish(self, request: httpx.Request) -> httpx.Response:
        wait = request.url.params.get("wait")
        opened = [open_entry(entry) for entry in split_bulk(request.content)]
        new = [item for item in opened if self.chain.sequence_of(item.id) is None]
        known = {item.id for item in opened} - {item.id for item in new}
        self.chain.grow(new)
        for _ in range(3):
            self.chain.grow()
        receipts = []
        for item in opened:
            sequence = self.chain.sequence_of(item.id)
            assert sequence is not None
            if wait is None:
                receipts.append(
                    Receipt(
                        status="refused",
                        id=item.id.hex(),
                        code=RejectCode.DUPLICATE,
                        duplicate=True,
                        sequence=sequence,
                        height=self.chain.height_of(sequence),
                    )
                    if item.id in known
                    else Receipt(status="pending", id=item.id.hex())
                )
                continue
            receipt = Receipt(
                status="final",
                id=item.id.hex(),
                sequence=sequence,
                height=self.chain.height_of(sequence),
                duplicate=item.id in known,
            )
            if wait == "proof":
                proof = b64encode(self.proof(sequence)).decode()
                receipt = msgspec.structs.replace(receipt, proof=proof)
            receipts.append(receipt)
        body = msgspec.json.encode(Receipts(receipts))
        return httpx.Response(200 if wait else 202, content=body)

    def proof(self, sequence: Sequence) -> bytes:
        """Give the encoded proof of an event that is provable."""
        bundle = build_bundle(self.chain, sequence)
        assert bundle is not None
        return encode_bundle(bundle)

    def _one(self, id_: EventId, *, is_proof: bool) -> httpx.Response:
        sequence = self.chain.sequence_of(id_)
        if sequence is None:
            return problem(HttpCode.EVENT_NOT_FOUND)
        if not is_proof:
            headers = {"concordat-sequence": str(sequence)}
            return httpx.Response(200, headers=headers, content=self.chain.entries[sequence])
        if build_bundle(self.chain, sequence) is None:
            return problem(HttpCode.PROOF_NOT_READY)
        return httpx.Response(200, content=self.proof(sequence))

    def _wanted(self, request: httpx.Request, after: int) -> list[tuple[int, bytes | None]]:
        """Give (sequence, CloudEvent, or None when filtered out) behind ``after``."""
        pattern = TopicPattern(request.url.params.get("topic", ">"))
        rows: list[tuple[int, bytes | None]] = []
        for number in range(after + 1, len(self.chain.entries) - self.lag):
            opened = open_entry(self.chain.entries[number])
            sequence = Sequence(number)
            json = cloudevent_json(opened, sequence, self.chain.height_of(sequence))
            rows.append((number, json if pattern.matches(opened.event.topic) else None))
        return rows

    def _page(self, request: httpx.Request) -> httpx.Response:
        after = int(request.url.params.get("after", -1))
        limit = min(int(request.url.params["limit"]), 7)
        rows = self._wanted(request, after)[:limit]
        headers = {
            "concordat-cursor": str(rows[-1][0] if rows else after),
            "concordat-log-size": str(len(self.chain.entries)),
        }
        texts = [json for _, json in rows if json is not None]
        return httpx.Response(200, headers=headers, content=b"[" + b",".join(texts) + b"]")

    def stream_text(self, request: httpx.Request) -> bytes:
        """Give what a stream says up to the end of the log."""
        newest = len(self.chain.entries) - 1
        after = int(request.url.params.get("after", newest))
        text = opening_block(after)
        for number, json in self._wanted(request, after):
            text += cursor_block(number) if json is None else event_block(number, json)
        return text

    def _stream(self, request: httpx.Request) -> httpx.Response:
        text = self.stream_text(request)
        pieces: list[bytes | Exception] = [
            text[place : place + self.cuts] for place in range(0, len(text), self.cuts)
        ]
        return httpx.Response(200, stream=Chunks([*pieces, httpx.ReadError("cut")]))
