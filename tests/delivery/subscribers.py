"""The four kinds of subscribers, as a marketplace would write them, at a gateway that dies a lot.

Each runs until cancelled and notes in its ``Record`` what it is given and what it handled. Losing a
connection is part of the game: it is opened again where the subscriber stands.
"""

import json
import random
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import anyio
import httpx
import websockets.asyncio.client as websocket_client
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from tests.delivery.record import Record

__all__ = ["Puller", "follow_sse", "follow_websocket", "make_webhook", "take_webhook"]

_PAUSE_S: Final = 0.2  # after a lost connection
_FORGETS: Final = 0.02  # how often a puller forgets an event, or says that it failed
_FETCH_EVENTS: Final = 20
_LOST: Final = (httpx.HTTPError, WebSocketException, OSError)


async def follow_sse(url: str, http: httpx.AsyncClient, record: Record) -> None:
    """Follow a stream of server-sent events, with the last id as its cursor."""
    cursor = -1
    while True:
        try:
            headers = {"last-event-id": str(cursor)}
            async with http.stream(
                "GET", f"{url}/v1/stream?{_query(record)}", headers=headers
            ) as answer:
                answer.raise_for_status()
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    if name == "data":
                        _note(record, [json.loads(value)])
                    elif name == "id":
                        cursor = int(value)
        except _LOST:
            pass
        await anyio.sleep(_PAUSE_S)


async def follow_websocket(url: str, record: Record) -> None:
    """Follow a WebSocket, with the last message's sequence as its cursor."""
    cursor = -1
    while True:
        target = f"{url.replace('http', 'ws', 1)}/v1/stream?{_query(record)}&after={cursor}"
        try:
            async with websocket_client.connect(
                target, subprotocols=[Subprotocol("cloudevents.json")], compression=None, proxy=None
            ) as socket:
                async for message in socket:
                    event = json.loads(message)
                    _note(record, [event])
                    cursor = int(event["sequence"])
        except _LOST:
            pass
        await anyio.sleep(_PAUSE_S)


class Puller:
    """Pulls from a durable consumer; forgets some events and says of others that they failed."""

    def __init__(self, url: str, http: httpx.AsyncClient, record: Record, seed: int) -> None:
        """Prepare to pull for ``record``."""
        self._url = f"{url}/v1/consumers"
        self._http = http
        self._record = record
        self._random = random.Random(f"puller {seed}")

    async def make(self) -> None:
        """Make the consumer."""
        record = self._record
        document = {
            "name": record.name,
            "interest": _interest(record),
            "start": {"policy": "first"},
            "ack_wait_ms": 2_000,
            "backoff_ms": [200],
            "is_ordered": record.is_ordered,
        }
        answer = await self._http.post(self._url, json=document)
        assert answer.is_success, answer.text

    async def run(self) -> None:
        """Fetch and settle, until cancelled."""
        target = f"{self._url}/{self._record.name}"
        while True:
            try:
                fetch = {"max_events": _FETCH_EVENTS, "wait_ms": 5_000}
                answer = await self._http.post(f"{target}/fetch", json=fetch, timeout=20)
                answer.raise_for_status()
                deliveries = answer.json()["deliveries"]
                if deliveries:
                    await self._settle(target, [row["sequence"] for row in deliveries])
            except _LOST:
                await anyio.sleep(_PAUSE_S)

    async def _settle(self, target: str, sequences: list[int]) -> None:
        record, ack, nak = self._record, list[int](), list[dict[str, int]]()
        for sequence in sequences:
            record.give(sequence)
            draw = self._random.random()
            if draw >= _FORGETS:
                ack.append(sequence)
                record.do(sequence)
            elif draw < _FORGETS / 2:
                nak.append({"sequence": sequence})
            if record.is_ordered and draw < _FORGETS:
                break  # what comes behind it must not be handled before it
        # A settlement whose answer is lost may have been durable: then nothing of it comes again.
        answer = await self._http.post(f"{target}/settle", json={"ack": ack, "nak": nak})
        answer.raise_for_status()
        record.settled |= set(ack) - set(answer.json()["unknown"])


async def make_webhook(
    url: str, http: httpx.AsyncClient, record: Record, sink: str, mode: str
) -> None:
    """Register the endpoint ``sink`` for ``record``."""
    document = {
        "url": sink,
        "interest": _interest(record),
        "start": {"policy": "first"},
        "mode": mode,
        "is_ordered": record.is_ordered,
    }
    answer = await http.post(f"{url}/v1/webhooks", json=document)
    assert answer.is_success, answer.text


def take_webhook(record: Record, headers: Mapping[str, str], body: bytes) -> None:
    """Note the events of a delivery that is answered with success."""
    content_type = headers.get("content-type", "")
    if content_type.startswith("application/cloudevents-batch+json"):
        events = json.loads(body)
    elif content_type.startswith("application/cloudevents+json"):
        events = [json.loads(body)]
    else:
        events = [{"sequence": headers["ce-sequence"]}]
    _note(record, events)


def _note(record: Record, events: Iterable[Mapping[str, Any]]) -> None:
    """Note events that are handled as soon as they are given."""
    for event in events:
        sequence = int(event["sequence"])
        record.give(sequence)
        record.do(sequence)


def _interest(record: Record) -> dict[str, object]:
    return {"topics": record.want.topics, "filters": record.want.filters}


def _query(record: Record) -> str:
    rows = [("topic", topic) for topic in record.want.topics]
    if record.want.filters:
        rows.append(("filter", json.dumps(record.want.filters)))
    return urlencode(rows)
