"""A client that behaves as Desmos does towards its DLT adapter, written from the facts alone.

It imports nothing of the adapter. Its broker is a dictionary; its queues are in memory, as Desmos'
are. Where Desmos would end its process, ``DesmosEnds`` is raised.
"""

import json
import re
from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx

from tests.adapters.dlt.desmos_hash import digest, hashlink
from tests.adapters.dlt.endpoint import Endpoint, Received

EVENT_TYPES = json.loads(
    '["individual","organization","catalog","product-offering","product-offering-price",'
    '"product-specification","service-specification","resource-specification","category",'
    '"product-order","product","usage","usageSpecification","applied-customer-bill-rate",'
    '"customer-bill","quote"]'
)
LAUNCHED = ("Launched", "Retired", "Obsolete")
EXEMPT = ("product-order", "quote")
TOKEN = "a machine's token"
NOT_BLANK = ("publisherAddress", "eventType", "entityIDHash", "previousEntityHash")


class DesmosEnds(Exception):  # noqa: N818 - it is what happens
    """Desmos' process would end here."""


@dataclass(frozen=True)
class Audit:
    """One record of the audit."""

    entity_id: str
    entity_hash: str
    entity_hashlink: str
    status: str
    trader: str
    data_location: str = ""


class Queue:
    """A queue in memory, without an end."""

    def __init__(self) -> None:
        self._items: deque[dict[str, Any]] = deque()
        self._filled = anyio.Event()

    def put(self, item: dict[str, Any]) -> None:
        """Add one at the end."""
        self._items.append(item)
        self._filled.set()

    async def get(self) -> dict[str, Any]:
        """Wait for the first one and take it."""
        while not self._items:
            self._filled = anyio.Event()
            await self._filled.wait()
        return self._items.popleft()


@dataclass
class Desmos:
    """One Desmos: an endpoint of its own, an adapter, a broker.

    Attributes:
        adapter: client whose base URL is the adapter's domain.
        trusted: lower-cased Ethereum addresses of the access nodes.
        broker: entities by id, own ones and replicated ones.
        notified: the bodies of the ledger's notifications, in order.
        failed: entities whose publication met nothing but broken connections.
        faults: what was wrong with fetched entities.
    """

    organisation: str
    adapter: httpx.AsyncClient
    endpoint: Endpoint
    trusted: set[str] = field(default_factory=set)
    environment: str = "prd"
    broker: dict[str, dict[str, Any]] = field(default_factory=dict)
    audit: list[Audit] = field(default_factory=list)
    notified: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the queues and answer at the endpoint."""
        self._publications, self._fetches = Queue(), Queue()
        self.endpoint.answer = self._answer

    @property
    def domain(self) -> str:
        """The external domain."""
        return f"http://127.0.0.1:{self.endpoint.port}"

    # --- start ------------------------------------------------------------------------------

    async def start(self) -> bool:
        """Subscribe unless an equal subscription stands; say whether one had to be made."""
        known = await self._subscriptions()
        for item in known:
            if item.get("eventTypes") is None or item.get("notificationEndpoint") is None:
                raise DesmosEnds("NullPointerException")
        mine = (set(EVENT_TYPES), self.endpoint.url)
        if mine in [(set(item["eventTypes"]), item["notificationEndpoint"]) for item in known]:
            return False
        body = {
            "eventTypes": EVENT_TYPES,
            "metadata": [self.environment],
            "notificationEndpoint": self.endpoint.url,
        }
        answer = await self._call("POST", "/api/v1/subscribe", body)
        if answer.is_error:
            raise DesmosEnds(f"subscribe answered {answer.status_code}")
        return True

    async def run(self) -> None:
        """Work through both queues, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._publish_all)
            group.start_soon(self._fetch_all)

    async def _subscriptions(self) -> list[dict[str, Any]]:
        for _ in range(4):
            try:
                answer = await self._call("GET", "/api/v1/subscribe")
            except httpx.TransportError:
                continue
            if not answer.is_success:
                continue
            if not answer.headers["content-type"].startswith("application/json"):
                raise DesmosEnds("UnsupportedMediaTypeException")
            found: list[dict[str, Any]] = answer.json()
            return found
        raise DesmosEnds("no subscriptions after 3 retries")

    async def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        headers = {"accept": "application/json"}
        return await self.adapter.request(method, path, json=body, headers=headers)

    # --- broker to ledger -------------------------------------------------------------------

    def launch(self, entity: dict[str, Any]) -> None:
        """Let the broker hold an entity and notify it."""
        self.broker[entity["id"]] = entity
        self._publications.put({"type": "Notification", "data": [entity]})

    async def _publish_all(self) -> None:
        while True:
            told = await self._publications.get()
            await self.publish(told["data"][0])

    async def publish(self, entity: dict[str, Any]) -> None:
        """Publish what the policies allow and what did not come from the ledger itself."""
        if not may_publish(entity, datetime.now(UTC)):
            return
        id_, entity_hash = entity["id"], digest(json.dumps(entity, ensure_ascii=False))
        taken = self._last(id_, ("RETRIEVED", "DELETED"))
        if taken is not None and taken.entity_hash == entity_hash:
            return
        last = self._last(id_, ("PUBLISHED",), "PRODUCER")
        previous = last.entity_hashlink if last else entity_hash
        link = previous if entity_hash == previous else hashlink(previous, entity_hash)
        location = f"{self.domain}/api/v2/entities/{id_}?hl={link}"
        body = {
            "eventType": entity["type"],
            "iss": "0x" + digest(self.organisation),
            "entityId": "0x" + digest(id_),
            "previousEntityHash": "0x" + previous,
            "dataLocation": location,
            "relevantMetadata": [self.environment],
        }
        for status in ("RECEIVED", "CREATED"):
            self.audit.append(Audit(id_, entity_hash, link, status, "PRODUCER", location))
        for _ in range(4):
            try:
                await self._call(
                    "POST", "/api/v1/publishEvent", body
                )  # the status is not looked at
            except httpx.TransportError:
                continue
            self.audit.append(Audit(id_, entity_hash, link, "PUBLISHED", "PRODUCER", location))
            return
        self.failed.append(id_)

    def _last(self, id_: str, statuses: tuple[str, ...], trader: str = "") -> Audit | None:
        rows = (
            record
            for record in reversed(self.audit)
            if record.entity_id == id_
            and record.status in statuses
            and trader in ("", record.trader)
        )
        return next(rows, None)

    # --- ledger to broker -------------------------------------------------------------------

    async def _fetch_all(self) -> None:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {TOKEN}"}) as http:
            while True:
                await self._fetch(http, await self._fetches.get())

    async def _fetch(self, http: httpx.AsyncClient, told: dict[str, Any]) -> None:
        location, _, link = told["dataLocation"].partition("?hl=")
        try:
            answer = await http.get(location)
        except httpx.TransportError as error:
            self.faults.append(f"{location}: {error}")
            return
        entities = [b64decode(row["value"]).decode() for row in answer.json()]
        wanted = told["entityIDHash"].removeprefix("0x")
        roots = [text for text in entities if digest(json.loads(text)["id"]) == wanted]
        previous = told["previousEntityHash"].removeprefix("0x")
        entity_hash = digest(roots[0])
        expected = entity_hash if link == previous else hashlink(previous, entity_hash)
        if expected != link:
            self.faults.append(f"{location}: the hash differs")
            return
        for text in entities:
            entity = json.loads(text)
            for status in ("RETRIEVED", "PUBLISHED"):
                record = Audit(entity["id"], digest(text), link, status, "CONSUMER", location)
                self.audit.append(record)
            self.broker[entity["id"]] = entity

    # --- the endpoint -----------------------------------------------------------------------

    def _answer(self, request: Received) -> bytes:
        method, target, _ = request.target.split(" ")
        path = urlsplit(target).path
        if (method, path) == ("POST", "/api/v2/notifications/dlt"):
            return self._on_notification(request, path)
        if method == "GET" and path.startswith("/api/v2/entities/"):
            return self._on_fetch(request, path.removeprefix("/api/v2/entities/"))
        return _answered(404, {})

    def _on_notification(self, request: Received, path: str) -> bytes:
        told = json.loads(request.body)
        if (fault := notification_fault(told)) is not None:
            return _answered(400, {"title": "Bad Request", "message": fault, "path": path})
        if told["ethereumAddress"].lower() not in self.trusted:
            refusal = {
                "title": "UnauthorizedDomeParticipantException",
                "message": "Dome Participant not found",
                "path": path,
            }
            return _answered(401, refusal)
        self.notified.append(told)
        self._fetches.put(told)
        return _answered(202, None)

    def _on_fetch(self, request: Received, id_: str) -> bytes:
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _answered(401, {})
        if id_ not in self.broker:
            return _answered(404, {})
        text = json.dumps(self.broker[id_], ensure_ascii=False)
        return _answered(200, [{"value": b64encode(text.encode()).decode()}])


def may_publish(entity: Mapping[str, Any], now: datetime) -> bool:
    """Say whether an entity's state and dates let it be published."""
    state = _value(entity, "lifecycleStatus")
    if entity["type"] not in EXEMPT and state not in LAUNCHED:
        return False
    valid = _value(entity, "validFor") or {}
    start, end = valid.get("startDateTime"), valid.get("endDateTime")
    if start and datetime.fromisoformat(start) > now + timedelta(seconds=2):
        return False
    return not end or datetime.fromisoformat(end) > now


def notification_fault(told: Mapping[str, Any]) -> str | None:
    """Say what Desmos' validation finds wrong with a notification, or None."""
    for name in ("id", "timestamp"):
        if not isinstance(told.get(name), int) or told[name] < 0:
            return f"{name} must be positive or zero"
    for name in (*NOT_BLANK, "ethereumAddress"):
        if not isinstance(told.get(name), str) or not told[name].strip():
            return f"{name} must not be blank"
    if not re.match(r"[a-z]+://[^\s/]+", told.get("dataLocation") or ""):
        return "dataLocation must be a URL"
    metadata = told.get("relevantMetadata")
    if metadata is None or any(not item.strip() for item in metadata):
        return "relevantMetadata must have no blank items"
    return None


def _value(entity: Mapping[str, Any], name: str) -> Any:  # noqa: ANN401 - any JSON
    """Give the value of a property, in NGSI-LD's long form or short."""
    found = entity.get(name)
    return found.get("value", found) if isinstance(found, dict) else found


def _answered(status: int, document: object) -> bytes:
    body = b"" if document is None else json.dumps(document).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
