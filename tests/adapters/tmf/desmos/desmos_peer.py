"""A Desmos-like peer in full, written from the facts alone: it imports nothing of what it tests.

It adds to the client of the DLT adapter's tests what nodes say to each other: sub-entities,
discovery, negotiation, synchronisation, and the end of an entity.
"""

import json
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx

from tests.adapters.dlt.desmos import (
    TOKEN,
    Audit,
    Desmos,
    _answered,
    _value,
    may_publish,
)
from tests.adapters.dlt.desmos_hash import digest, hashlink
from tests.adapters.dlt.endpoint import Received

LINES = "application/x-ndjson"
ZERO = "0" * 64


@dataclass
class DesmosPeer(Desmos):
    """One Desmos with its HTTP interface for other nodes.

    Attributes:
        nodes: client that reaches the other nodes.
        is_old: writes and reads arrays where newer ones have lines.
        twist: changes what it serves of an entity, when set.
        offered: (issuer, offers) of others' discoveries that were not worked through.
    """

    nodes: httpx.AsyncClient = field(default_factory=httpx.AsyncClient)
    token: str = TOKEN
    is_old: bool = False
    twist: dict[str, dict[str, Any]] = field(default_factory=dict)
    offered: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)

    # --- ledger to broker -------------------------------------------------------------------

    async def _fetch_all(self) -> None:
        while True:
            await self._fetch(self.nodes, await self._fetches.get())

    async def _fetch(self, http: httpx.AsyncClient, told: dict[str, Any]) -> None:
        location, _, link = told["dataLocation"].partition("?hl=")
        answer = await http.get(location, headers=self._headers())
        wanted = told["entityIDHash"].removeprefix("0x")
        if not link:
            ended = [id_ for id_ in self.broker if digest(id_) == wanted]
            if answer.status_code == 404:
                for id_ in ended:
                    del self.broker[id_]
            return
        if answer.status_code != 200:
            self.faults.append(f"{location}: {answer.status_code}")
            return
        texts = [b64decode(row["value"]).decode() for row in answer.json()]
        roots = [text for text in texts if digest(json.loads(text)["id"]) == wanted]
        if not roots:
            self.faults.append(f"{location}: not there")
            return
        previous = told["previousEntityHash"].removeprefix("0x")
        entity_hash = digest(roots[0])
        if (entity_hash if link == previous else hashlink(previous, entity_hash)) != link:
            self.faults.append(f"{location}: the hash differs")
            return
        for text in texts:
            self._keep(text, link, location)

    def _keep(self, text: str, link: str, location: str) -> None:
        entity = json.loads(text)
        for status in ("RETRIEVED", "PUBLISHED"):
            record = Audit(entity["id"], digest(text), link, status, "CONSUMER", location)
            self.audit.append(record)
        self.broker[entity["id"]] = entity

    async def end(self, id_: str) -> None:
        """Delete an own entity, and tell of its end: a location without a link."""
        entity = self.broker.pop(id_)
        last = self._last(id_, ("PUBLISHED",), "PRODUCER")
        assert last is not None
        body = {
            "eventType": entity["type"],
            "iss": "0x" + digest(self.organisation),
            "entityId": "0x" + digest(id_),
            "previousEntityHash": "0x" + last.entity_hashlink,
            "dataLocation": f"{self.domain}/api/v2/entities/{id_}",
            "relevantMetadata": [self.environment],
        }
        answer = await self._call("POST", "/api/v1/publishEvent", body)
        assert answer.status_code == 201, answer.text

    # --- between nodes ----------------------------------------------------------------------

    def offers(self) -> list[dict[str, Any]]:
        """Tell of all entities that the policies let go."""
        now = datetime.now(UTC)
        return [_offer(self, entity) for entity in self.broker.values() if may_publish(entity, now)]

    async def synchronise(self, base: str) -> None:
        """Tell a node what there is here, and take what it has newer."""
        media = "application/json" if self.is_old else LINES
        headers = self._headers(media) | {"x-issuer": self.domain, "content-type": media}
        answer = await self.nodes.post(
            f"{base}/api/v2/sync/p2p/discovery",
            content=self._written(self.offers()),
            headers=headers,
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(media)
        assert answer.headers["x-issuer"] == base
        await self.negotiate(base, self._read(answer.content))

    async def negotiate(self, base: str, offers: list[dict[str, Any]]) -> None:
        """Take from a node what is newer there."""
        now = datetime.now(UTC)
        known = {offer["id"]: offer for offer in offers if _is_newer(self, offer, now)}
        if not known:
            return
        media = "application/json" if self.is_old else LINES
        answer = await self.nodes.post(
            f"{base}/api/v2/sync/p2p/entities",
            json=[{"id": id_} for id_ in known],
            headers=self._headers(media),
        )
        assert answer.status_code == 200, answer.text
        for row in self._read(answer.content):
            text = b64decode(row["value"]).decode()
            offer = known.get(json.loads(text)["id"])
            if offer is not None and digest(text) != offer["hash"]:
                self.faults.append(f"{offer['id']}: the hash differs")
                continue
            self._keep(text, offer["hashlink"] if offer else "", base)

    def _headers(self, accept: str = "application/json") -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}", "accept": accept}

    def _written(self, rows: list[dict[str, Any]]) -> bytes:
        if self.is_old:
            return json.dumps(rows).encode()
        return "".join(f"{json.dumps(row)}\n" for row in rows).encode()

    def _read(self, body: bytes) -> list[dict[str, Any]]:
        if self.is_old:
            rows: list[dict[str, Any]] = json.loads(body)
            return rows
        return [json.loads(line) for line in body.decode().splitlines() if line]

    # --- the endpoint -----------------------------------------------------------------------

    def _answer(self, request: Received) -> bytes:
        method, target, _ = request.target.split(" ")
        if not target.startswith("/api/v2/sync/p2p/"):
            return super()._answer(request)
        assert method == "POST"
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _answered(401, {})
        if target.endswith("/discovery"):
            assert request.headers["content-type"] == LINES
            rows = [json.loads(line) for line in request.body.decode().splitlines()]
            self.offered.append((request.headers["x-issuer"], rows))
            return self._lines(self.offers(), {"x-issuer": self.domain})
        found: dict[str, dict[str, Any]] = {}
        for item in json.loads(request.body):
            found |= self._bundle(item["id"])
        return self._lines([{"value": self._encoded(id_)} for id_ in found], {})

    def _on_fetch(self, request: Received, id_: str) -> bytes:
        id_ = id_.partition("?")[0]
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return _answered(401, {})
        if id_ not in self.broker:
            return _answered(404, {})
        return _answered(200, [{"value": self._encoded(each)} for each in self._bundle(id_)])

    def _bundle(self, id_: str) -> dict[str, dict[str, Any]]:
        """Give an entity, last, and what it is related to."""
        if id_ not in self.broker:
            return {}
        entity = self.broker[id_]
        related: dict[str, dict[str, Any]] = {}
        for attribute in entity.values():
            for row in attribute if isinstance(attribute, list) else [attribute]:
                if isinstance(row, dict) and row.get("type") == "Relationship":
                    related |= self._bundle(row["object"])
        return related | {id_: entity}

    def _encoded(self, id_: str) -> str:
        entity = self.twist.get(id_) or self.broker[id_]
        return b64encode(json.dumps(entity, ensure_ascii=False).encode()).decode()

    def _lines(self, rows: list[dict[str, Any]], headers: dict[str, str]) -> bytes:
        body = self._written(rows)
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        media = "application/json" if self.is_old else LINES
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {media}\r\n{more}content-length: {len(body)}"
        return head.encode() + b"\r\n\r\n" + body


def _offer(peer: DesmosPeer, entity: dict[str, Any]) -> dict[str, Any]:
    """Give the line of one entity."""
    text = json.dumps(entity, ensure_ascii=False)
    last = peer._last(entity["id"], ("PUBLISHED",))
    valid = _value(entity, "validFor") or {}
    return {
        "id": entity["id"],
        "type": entity["type"],
        "version": _value(entity, "version"),
        "lastUpdate": _value(entity, "lastUpdate"),
        "lifecycleStatus": _value(entity, "lifecycleStatus"),
        "validFor": valid.get("startDateTime"),
        "endDateTime": valid.get("endDateTime"),
        "hash": digest(text),
        "hashlink": last.entity_hashlink if last else digest(text),
    }


def _is_newer(peer: DesmosPeer, offer: dict[str, Any], now: datetime) -> bool:
    """Say whether the policies let an offered entity in, and it is unknown or newer."""
    times = {"startDateTime": offer["validFor"], "endDateTime": offer["endDateTime"]}
    stated = {"type": offer["type"], "lifecycleStatus": offer["lifecycleStatus"], "validFor": times}
    if not may_publish(stated, now):
        return False
    if offer["id"] not in peer.broker:
        return True
    mine = _offer(peer, peer.broker[offer["id"]])
    theirs, ours = _numbers(offer["version"]), _numbers(mine["version"])
    if theirs != ours:
        return theirs > ours
    return bool(offer["lastUpdate"]) and offer["lastUpdate"] > (mine["lastUpdate"] or "")


def _numbers(version: str | None) -> list[int]:
    numbers = [int(part) for part in (version or "0").removeprefix("v").split(".")]
    return numbers + [0] * (3 - len(numbers))
