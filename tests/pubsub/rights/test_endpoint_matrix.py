"""Who may call what: every operation of the gateway by every kind of principal.

The table names each operation once, so that a new one without a row fails. What is restricted must
not only be refused by name: no answer to anybody without the grant holds a trace of it.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx
import pytest

from ledger.core.ids import Sequence
from pubsub.core.limits import AUDIT_PAGE_RECORDS
from pubsub.core.rights import Scope
from pubsub.io.api import ENDPOINTS
from pubsub.io.endpoint import Endpoint
from pubsub.io.pipe import PIPE_EXTENSION
from pubsub.io.rights import RightsSettings
from tests.ledger.pruned_world import prune
from tests.pubsub.gateway_world import World, gateway_world, sample
from tests.pubsub.rights.test_principals import add, api_token, settings_of, text_of

RESTRICTED = (
    "catalog.private.>",
    "ledger.lists.issuers",
    "ledger.governance",
    "ledger.participants",
)
ROLES = ("anonymous", "reader", "partner", "restricted", "publisher", "operator")
TOKENS = (
    api_token("reader", Scope.READ),
    api_token(
        "partner", Scope.READ, Scope.CONSUME, Scope.WEBHOOKS, topics=("catalog.private.a.>",)
    ),
    api_token("restricted", Scope.READ, Scope.CONSUME, Scope.WEBHOOKS, topics=RESTRICTED),
    api_token("publisher", Scope.PUBLISH),
    api_token("operator", Scope.OPERATE, topics=None),
)
MARK = "urn:secret:7f3a"
OPEN, PARTNERS, SECRET = (
    sample(0, topic="catalog.open", subject="urn:open"),
    sample(1, topic="catalog.private.a.x", subject="urn:partners"),
    sample(2, topic="catalog.private.b.x", subject=MARK),
)

# What each role gets, in the order of ROLES: let through (yes), refused, or told that there is
# no such event (hidden).
PUBLIC = "yes yes yes yes yes yes"
READ = "yes yes yes yes 403 403"
SECRET_EVENT = "hidden hidden hidden yes 403 403"
WHOLE_LEDGER = "403 403 403 yes 403 403"
RESTRICTED_LIST = "403 403 403 yes 403 403"
PUBLISH = "yes 403 403 403 yes 403"
CONSUME = "401 403 yes yes 403 403"
WEBHOOKS = "401 403 yes yes 403 403"
OPERATE = "401 403 403 403 403 yes"
ROWS: dict[str, str] = {
    "publishEvents": PUBLISH,
    "listEvents": READ,
    "getEvent": SECRET_EVENT,
    "getProof": SECRET_EVENT,
    "getTlogProof": SECRET_EVENT,
    "streamEvents": READ,
    "createConsumer": CONSUME,
    "listConsumers": CONSUME,
    "getConsumer": CONSUME,
    "updateConsumer": CONSUME,
    "deleteConsumer": CONSUME,
    "pauseConsumer": CONSUME,
    "resumeConsumer": CONSUME,
    "fetchEvents": CONSUME,
    "settleEvents": CONSUME,
    "listDeadLetters": CONSUME,
    "replayDeadLetters": CONSUME,
    "deleteDeadLetter": CONSUME,
    "createWebhook": WEBHOOKS,
    "listWebhooks": WEBHOOKS,
    "getWebhook": WEBHOOKS,
    "changeWebhook": WEBHOOKS,
    "deleteWebhook": WEBHOOKS,
    "verifyWebhook": WEBHOOKS,
    "enableWebhook": WEBHOOKS,
    "rotateWebhookKey": WEBHOOKS,
    "pingWebhook": WEBHOOKS,
    "redeliverEvents": WEBHOOKS,
    "listDeliveries": WEBHOOKS,
    "listWebhookDeadLetters": WEBHOOKS,
    "replayWebhookDeadLetters": WEBHOOKS,
    "consentByLink": PUBLIC,
    "consent": PUBLIC,
    "getLists": READ,
    "getListEntries": RESTRICTED_LIST,
    "getListEntry": RESTRICTED_LIST,
    "getListEntryProof": RESTRICTED_LIST,
    "getListEntryRevisions": RESTRICTED_LIST,
    "getParticipants": RESTRICTED_LIST,
    "getParticipant": RESTRICTED_LIST,
    "getParticipantProof": RESTRICTED_LIST,
    "getGovernance": RESTRICTED_LIST,
    "getGovernanceProof": RESTRICTED_LIST,
    "getProposal": RESTRICTED_LIST,
    "getProposalProof": RESTRICTED_LIST,
    "getValidatorsProof": READ,
    "getTopics": READ,
    "getCompleteness": READ,
    "getBlock": READ,
    "getValidators": PUBLIC,
    "getGenesis": PUBLIC,
    "getSnapshot": WHOLE_LEDGER,
    "getSnapshotBlocks": WHOLE_LEDGER,
    "getSnapshotState": WHOLE_LEDGER,
    "getSnapshotLog": WHOLE_LEDGER,
    "getCheckpoint": PUBLIC,
    "getLogPolicy": PUBLIC,
    "getTile": PUBLIC,
    "getEntryBundle": WHOLE_LEDGER,
    "listAudit": OPERATE,
    "getStatus": PUBLIC,
    "getLiveness": PUBLIC,
    "getReadiness": PUBLIC,
    "getMetrics": PUBLIC,
}
QUERIES: Mapping[str, str] = {
    "streamEvents": "after=-1",
    "getSnapshotBlocks": "highest=2",
    "getSnapshotState": f"root={'0' * 64}",
    "getSnapshotLog": "first=0&size=3",
}
PLACES: Mapping[str, str] = {
    "list": "issuers",
    "did": "did:example:x",
    "height": "1",
    "pattern": "x",
    "tile:path": "000.p/3",
    "level": "0",
    "name": "mine",
    "sequence": "2",
    "id:path": "x",
}
BY_NAME = {endpoint.operation.name: endpoint for endpoint in ENDPOINTS}


@dataclass
class Heard:
    """What an application answered before the client left."""

    status: int = 0
    body: bytes = b""

    @property
    def outcome(self) -> str:
        """Say whether it was let through."""
        if self.status in (401, 403):
            return str(self.status)
        is_hidden = self.status == 404 and json.loads(self.body)["code"] == "event_not_found"
        return "hidden" if is_hidden else "yes"


class Pipe:
    """The connection of a stream: keeps what is written, and is lost when its reader leaves."""

    is_blocked = False
    is_lost = False

    def __init__(self, heard: Heard) -> None:
        self.on_lost: Callable[[], None] | None = None
        self._heard = heard

    def write(self, data: bytes) -> None:
        """Take what is written."""
        self._heard.body += data

    def beat(self, data: bytes) -> None:
        """Take a sign of life."""

    async def drained(self) -> None:
        """Never wait."""

    def cut(self) -> None:
        """Leave."""
        if self.on_lost is not None:
            self.on_lost()


async def hear(world: World, endpoint: Endpoint, role: str, id_: str = SECRET.id.hex()) -> Heard:
    """Call an operation as a role; a stream is listened to for a moment."""
    operation, heard, has_asked = endpoint.operation, Heard(), False
    path = operation.path
    for name, value in {**PLACES, "id": id_}.items():
        path = path.replace(f"{{{name}}}", value)
    rows = [(b"host", b"gateway")]
    if role != "anonymous":
        rows.append((b"authorization", f"Bearer {text_of(role)}".encode()))
    scope: dict[str, object] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": operation.method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": QUERIES.get(operation.name, "").encode(),
        "root_path": "",
        "scheme": "http",
        "headers": rows,
        "client": ("127.0.0.1", 1),
        "server": ("gateway", 80),
    }
    pipe = Pipe(heard)
    scope["extensions"] = {PIPE_EXTENSION: {"pipe": pipe}}

    async def receive() -> dict[str, object]:
        nonlocal has_asked
        if has_asked:
            await anyio.sleep_forever()
        has_asked = True
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Mapping[str, object]) -> None:
        if message["type"] == "http.response.start":
            heard.status = int(str(message["status"]))
        else:
            body = message.get("body", b"")
            assert isinstance(body, bytes)
            heard.body += body

    async with anyio.create_task_group() as group:
        if operation.name == "streamEvents":
            group.start_soon(_leave, pipe)
        with anyio.fail_after(5):
            await world.app(scope, receive, send)
        group.cancel_scope.cancel()
    return heard


async def _leave(pipe: Pipe) -> None:
    await anyio.sleep(0.2)
    pipe.cut()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Give a gateway with restricted topics, tokens of all roles, and three events."""
    rights: RightsSettings = settings_of(tmp_path, restricted=RESTRICTED)
    for token in TOKENS:
        add(rights, token)
    async with gateway_world(tmp_path, rights=rights) as running:
        await running.node.extend([event.entry for event in (OPEN, PARTNERS, SECRET)])
        for _ in range(3):
            await running.node.extend()
        yield running


def test_every_operation_has_a_row() -> None:
    """An operation that is new needs a row here, and one that is gone must leave."""
    assert set(ROWS) == set(BY_NAME)


@pytest.mark.parametrize("role", ROLES)
async def test_who_may_call_what(world: World, role: str) -> None:
    """Each role gets from each operation what the table says."""
    expected = {name: row.split(" ")[ROLES.index(role)] for name, row in ROWS.items()}
    heard = {name: (await hear(world, BY_NAME[name], role)).outcome for name in ROWS}
    assert heard == expected


@pytest.mark.parametrize("role", [role for role in ROLES if role != "restricted"])
async def test_no_answer_holds_a_trace_of_what_is_restricted(world: World, role: str) -> None:
    """Whatever is asked for, and by whichever name: no subject, data or entry of the event."""
    entry_hash = SECRET.entry[-64:]  # its signature
    for name, endpoint in BY_NAME.items():
        ids = (SECRET.id.hex(), "2") if "{id}" in endpoint.operation.path else ("",)
        for id_ in ids:
            body = (await hear(world, endpoint, role, id_)).body
            assert MARK.encode() not in body, name
            assert entry_hash not in body, name
            assert entry_hash.hex().encode() not in body, name


async def test_those_with_the_grant_read_it_everywhere(world: World) -> None:
    """The restricted reader gets the event by each way of reading events."""
    for name in ("listEvents", "getEvent", "streamEvents", "getSnapshotLog", "getEntryBundle"):
        assert MARK.encode() in (await hear(world, BY_NAME[name], "restricted")).body, name


async def test_ids_of_forgotten_events_are_told_to_those_who_may_read_all(world: World) -> None:
    """Nobody knows their topics any more: others cannot tell them from ids that never were."""
    await world.node.extend([sample(40).entry])
    assert prune(world.chain.store, 10**9) == 3
    for name in ("getEvent", "getProof", "getTlogProof"):
        unknown = sample(41).id.hex()
        for role, is_told in (("reader", False), ("partner", False), ("restricted", True)):
            never = await hear(world, BY_NAME[name], role, unknown)
            for event in (OPEN, SECRET):
                heard = await hear(world, BY_NAME[name], role, event.id.hex())
                assert (heard.status != never.status) is is_told, (name, role)
    assert (await hear(world, BY_NAME["getEvent"], "reader", "2")).status == 410


async def test_a_partial_grant_opens_its_part(world: World) -> None:
    """A pattern of a restricted topic opens what it names, and not the rest."""
    listed = (await hear(world, BY_NAME["listEvents"], "partner")).body
    assert b"urn:partners" in listed
    assert b"urn:open" in listed
    one = await hear(world, BY_NAME["getEvent"], "partner", PARTNERS.id.hex())
    assert one.outcome == "yes"
    assert b"urn:partners" not in (await hear(world, BY_NAME["listEvents"], "reader")).body
    streamed = (await hear(world, BY_NAME["streamEvents"], "partner")).body
    assert b"urn:partners" in streamed


async def test_the_list_of_lists_leaves_out_what_is_restricted(world: World) -> None:
    """Not even how many entries a restricted list has is told."""
    for role, is_told in (("reader", False), ("restricted", True)):
        document = json.loads((await hear(world, BY_NAME["getLists"], role)).body)
        assert ("issuers" in {row["name"] for row in document["lists"]}) is is_told


@pytest.mark.parametrize(
    ("role", "sequences"), [("partner", [0, 1]), ("restricted", [0, 1, 2])], ids=str
)
async def test_a_consumer_gives_what_its_reader_may_read(
    world: World, role: str, sequences: list[Sequence]
) -> None:
    """Durable consumers pass over what whoever fetches may not read."""
    headers = {"authorization": f"Bearer {text_of(role)}"}
    made = await world.http.post(
        "/v1/consumers", json={"name": "mine", "start": {"policy": "first"}}, headers=headers
    )
    assert made.status_code == httpx.codes.CREATED, made.text
    fetched = await world.http.post(
        "/v1/consumers/mine/fetch", json={"max_events": 10, "wait_ms": 100}, headers=headers
    )
    assert fetched.status_code == httpx.codes.OK, fetched.text
    assert [row["sequence"] for row in fetched.json()["deliveries"]] == sequences
    assert (MARK in fetched.text) is (2 in sequences)


async def test_the_audit_trail_is_paged(world: World) -> None:
    """The newest records come first, and pages have neither gap nor overlap."""
    headers = {"authorization": f"Bearer {text_of('operator')}"}
    numbers: list[int] = []
    query = "?limit=2"
    while query:
        page = (await world.http.get(f"/v1/audit{query}", headers=headers)).json()
        numbers += [row["number"] for row in page["records"]]
        query = "" if page["next"] is None else f"?limit=2&before={page['next']}"
    assert numbers == list(range(len(TOKENS), -1, -1))
    assert len(TOKENS) < AUDIT_PAGE_RECORDS
