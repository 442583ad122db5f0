"""Three marketplaces: two access nodes of ours in Desmos mode, and a Desmos-like peer.

Everything that is ours is a real process (validators, gateways, access nodes) on a loopback port of
its own; the peer and the verifier whose tokens all of them show are played by the test, behind real
sockets as well. The nodes speak Desmos' form alone, so whatever arrives came in that form.
"""

import json
import signal
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import httpx
from anyio.abc import TaskGroup, TaskStatus

from adapters.dome.dlt.identity import derived_address
from concordat import testnet
from concordat.config_file import Value
from concordat.free_ports import free_ports
from concordat.process import start_child
from ledger.io.keystore import KeyPurpose, open_key
from pubsub.client.answers import LedgerEvent
from pubsub.client.async_client import AsyncClient
from pubsub.client.identity import Publisher
from tests.adapters.dlt.desmos_hash import digest
from tests.adapters.dlt.endpoint import Endpoint, Received, listening
from tests.adapters.tmf.desmos.desmos_peer import LINES, DesmosPeer
from tests.adapters.tmf.desmos.market_verifier import ISSUER, MACHINE, Verifier
from tests.support.processes import RealNetwork

Json = dict[str, Any]

NORTH, SOUTH, HARBOUR, REGISTRAR = "north", "south", "harbour", "registrar"
MEMBERS: Final = (NORTH, SOUTH, HARBOUR)
WAIT_S: Final = 40
CATALOGUE: Final = "/tmf-api/productCatalogManagement/v4"
POLL_S: Final = 0.05


def did_of(name: str) -> str:
    """Give a member's DID."""
    return f"did:example:{name}"


class MarketPeer(DesmosPeer):
    """The Desmos-like peer, believing the verifier's tokens."""

    verifier: Verifier

    def _answer(self, request: Received) -> bytes:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "Bearer" and self.verifier.gave(token):
            # What it is called in the peer's own tests.
            request.headers["authorization"] = "Bearer a machine's token"
        return super()._answer(request)

    def text(self, id_: str) -> str:
        """Give an entity as its broker holds it."""
        return json.dumps(self.broker[id_], ensure_ascii=False)

    def restart(self) -> None:
        """Begin again with what was in the database: the queues were in memory."""
        self.__post_init__()


class Node:
    """One access node: a process, and what its operator and other Desmoses ask of it."""

    def __init__(self, home: Path, url: str, peer_token: str) -> None:
        self.url = url
        self._home = home
        self._peer_token = peer_token
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.AsyncClient(base_url=url, timeout=WAIT_S, trust_env=False)

    @property
    def log(self) -> str:
        """What all its processes logged."""
        return (self._home / "access-node.log").read_text(errors="replace")

    # --- the process ------------------------------------------------------------------------

    async def start(self) -> None:
        """Start it and wait until it is well."""
        with (self._home / "access-node.log").open("ab") as log:
            arguments = ["access-node", "--home", str(self._home)]
            self._process = start_child(arguments, stdout=log, stderr=log)
        await until(self._is_up, lambda: self.log[-3000:])

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    async def stop(self) -> int:
        """Ask it to end (SIGTERM); give its exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        process, self._process = self._process, None
        return await anyio.to_thread.run_sync(lambda: process.wait(WAIT_S))

    async def close(self) -> None:
        """Leave nothing."""
        if self._process is not None:
            self.kill()
        await self._http.aclose()

    async def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log[-3000:]
        try:
            found = (await self._http.get("/health")).json()
        except httpx.HTTPError:
            return False
        # Desmos' path is the node's own, which says more.
        return found["status"] == "UP" and all(c["status"] == "UP" for c in found["checks"])

    # --- its operator -----------------------------------------------------------------------

    async def call(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401
        """Ask as the operator; give the JSON of a success, or None when it has no body."""
        token = (self._home / "keys" / "access-node-token").read_text().strip()
        headers = {"authorization": f"Bearer {token}"}
        answer = await self._http.request(method, path, headers=headers, json=body)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    async def make(self, resource: str, **document: object) -> Json:
        """Launch an own entity."""
        made = {"version": "1.0", "lifecycleStatus": "Launched"} | document
        found: Json = await self.call("POST", f"{CATALOGUE}/{resource}", made)
        return found

    async def change(self, entity: Json, **members: object) -> Json:
        """Change an own entity."""
        found: Json = await self.call("PATCH", entity["href"], members)
        return found

    async def find(self, resource: str, id_: str) -> Json | None:
        """Give an entity as anybody sees it."""
        answer = await self._http.get(f"{CATALOGUE}/{resource}/{id_}")
        assert answer.status_code in (200, 404), answer.text
        return answer.json() if answer.is_success else None

    async def status(self) -> Json:
        """Give what the node says of replication."""
        found: Json = await self.call("GET", "/replication/v1/status")
        return found

    async def quarantine(self) -> list[Json]:
        """Give what was refused."""
        found = await self.call("GET", "/replication/v1/quarantine")
        rows: list[Json] = found["items"] if isinstance(found, dict) else found
        return rows

    async def audit(self) -> list[Json]:
        """Give the whole audit, in pages as an auditor reads it."""
        records: list[Json] = []
        while True:
            path = f"/backoffice/v2/audit-records?after={len(records)}&limit=50"
            page = await self.call("GET", path)
            assert [row["number"] for row in page] == list(
                range(len(records) + 1, len(records) + len(page) + 1)
            )
            records += [row["record"] for row in page]
            if not page:
                return records

    # --- another Desmos ---------------------------------------------------------------------

    async def offers(self) -> dict[str, Json]:
        """Discover what it has, as a Desmos without any entity does; by id."""
        headers = {
            "authorization": f"Bearer {self._peer_token}",
            "x-issuer": "http://nobody.example",
            "accept": LINES,
            "content-type": LINES,
        }
        answer = await self._http.post("/api/v2/sync/p2p/discovery", content=b"", headers=headers)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-issuer"] == self.url
        rows = [json.loads(line) for line in answer.text.splitlines()]
        return {row["id"]: row for row in rows}

    async def entity(self, id_: str) -> str:
        """Get an entity in NGSI-LD, also one that is shown to the operator alone."""
        rows = await self.call("GET", f"/api/v2/entities/{id_}")
        return b64decode(rows[-1]["value"]).decode()


class Market:
    """All of it, running.

    Attributes:
        north, south: our nodes; harbour: the peer.
        ledger: a client of the ledger that proves what it reads.
    """

    def __init__(
        self, nodes: dict[str, Node], peer: MarketPeer, ledger: AsyncClient, group: TaskGroup
    ) -> None:
        self.nodes = nodes
        self.north, self.south = nodes[NORTH], nodes[SOUTH]
        self.harbour = peer
        self.ledger = ledger
        self._group = group
        self._port = peer.endpoint.port
        self._life = anyio.CancelScope()
        self._buried = anyio.Event()
        self._work = anyio.Event()

    async def start_peer(self) -> None:
        """Start the peer as a Desmos starts; its queues wait for :meth:`let_peer_work`."""
        await self._group.start(self._live)
        assert isinstance(await self.harbour.start(), bool)

    def let_peer_work(self) -> None:
        """Let the peer's queues begin, as after its first synchronisation."""
        self._work.set()

    async def kill_peer(self) -> None:
        """End the peer: nobody listens at its port, and its queues are lost."""
        self._life.cancel()
        await self._buried.wait()

    async def _live(self, *, task_status: TaskStatus[None]) -> None:
        self._buried, self._work = anyio.Event(), anyio.Event()
        with anyio.CancelScope() as self._life:
            async with listening(self._port) as self.harbour.endpoint:
                self.harbour.restart()
                task_status.started()
                await self._work.wait()
                await self.harbour.run()
        self._buried.set()

    async def events(self, id_: str) -> list[LedgerEvent]:
        """Give the events of an entity in the ledger, in order."""
        name = "0x" + digest(id_)
        return [event async for event in self.ledger.events(subject=name)]


@asynccontextmanager
async def market(directory: Path) -> AsyncIterator[Market]:
    """Run it while the block runs."""
    async with anyio.create_task_group() as group, listening() as desk:
        verifier = Verifier(desk)
        async with listening() as drawn:
            port = drawn.port  # of the peer, which begins to listen when it starts
        network = _network(directory, verifier, port)
        with network.running():
            await anyio.to_thread.run_sync(network.wait_ready)
            async with AsyncClient(network.url(0), network.testnet.genesis) as ledger:
                await _list_issuer(network, ledger)
                made = _put_together(network, verifier, Endpoint(port), ledger, group)
                try:
                    yield made
                finally:
                    with anyio.CancelScope(shield=True):
                        for node in made.nodes.values():
                            await node.close()
                    await made.harbour.nodes.aclose()
                    await made.harbour.adapter.aclose()
            assert not network.unexpected_ends()
        group.cancel_scope.cancel()


def _put_together(
    network: RealNetwork,
    verifier: Verifier,
    endpoint: Endpoint,
    ledger: AsyncClient,
    group: TaskGroup,
) -> Market:
    homes = network.testnet.homes
    credential, _ = verifier.machine(did_of(HARBOUR))
    token = verifier.grant(credential)
    nodes = {name: Node(homes[name], _access_url(homes[name]), token) for name in (NORTH, SOUTH)}
    adapter = httpx.AsyncClient(base_url=network.url(2), timeout=WAIT_S, trust_env=False)
    others = httpx.AsyncClient(timeout=WAIT_S, trust_env=False)
    trusted = {f"0x{derived_address(did_of(name)).hex()}" for name in (NORTH, SOUTH)}
    peer = MarketPeer(did_of(HARBOUR), adapter, endpoint, trusted, nodes=others)
    peer.verifier = verifier
    peer.token = token
    return Market(nodes, peer, ledger, group)


# --- what is configured ----------------------------------------------------------------------


def _network(directory: Path, verifier: Verifier, peer_port: int) -> RealNetwork:
    drawn = iter(free_ports(9))
    ports = [testnet.Ports(next(drawn), next(drawn), next(drawn)) for _ in MEMBERS]
    settings: dict[str, dict[str, Value]] = {
        "dlt_adapter": {"enabled": True},
        "access_node": {"environment": "prd"},
        "authorisation": {
            "verifiers": {verifier.url: verifier.url},
            "allowed_origins": verifier.url,
        },
        "desmos": {
            "enabled": True,
            "native_too": False,
            "credential": "machine.jwt",
            "token_url": f"{verifier.url}/oauth/token",
            "verifier": verifier.url,
        },
    }
    plan = testnet.TestnetPlan(
        "market",
        list(zip(MEMBERS, ports, strict=True)),
        [REGISTRAR],
        settings=settings,
        rights={name: ["dome.>"] for name in MEMBERS} | {REGISTRAR: ["ledger.lists.issuers"]},
    )
    made = testnet.create_testnet(directory / "net", plan)
    urls = {
        name: f"http://127.0.0.1:{port.access_node}"
        for name, port in zip(MEMBERS, ports, strict=True)
    } | {HARBOUR: f"http://127.0.0.1:{peer_port}"}
    for name in (NORTH, SOUTH):
        _give_machine(made.homes[name], verifier, name)
        peers = ", ".join(
            f'"{url}" = "{did_of(other)}"' for other, url in urls.items() if other != name
        )
        config = made.homes[name] / "concordat.toml"
        before, section, after = config.read_text().partition("\n[desmos]\n")
        assert after.count("#peers = {}") == 1
        after = after.replace("#peers = {}", f"peers = {{ {peers} }}")
        config.write_text(before + section + after)
    return RealNetwork(directory, made, ports)


def _give_machine(home: Path, verifier: Verifier, name: str) -> None:
    credential, key = verifier.machine(did_of(name))
    (home / "machine.jwt").write_text(credential)
    path = home / "keys" / "machine.pem"
    path.touch(mode=0o600)
    path.write_bytes(key)


def _access_url(home: Path) -> str:
    section = (home / "concordat.toml").read_text().partition("[access_node]")[2]
    line = next(line for line in section.splitlines() if line.startswith("listen = "))
    return "http://" + line.split('"')[1]


async def _list_issuer(network: RealNetwork, ledger: AsyncClient) -> None:
    """Let the ledger's trusted list name the issuer of the machines' credentials."""
    path = network.testnet.publisher_keys[REGISTRAR]
    key = open_key(path, KeyPurpose.PUBLISHER, password=None)
    registrar = Publisher(key.info.owner, key.signer, network.testnet.genesis.chain_id)
    body = json.dumps({"credentialsType": MACHINE}).encode()
    await ledger.trust.put(registrar, "issuers", ISSUER, ("issuer", b""))
    await ledger.trust.put(registrar, "issuers", f"{ISSUER}/m", ("credential", body))


async def until(
    holds: Callable[[], Awaitable[bool]], describe: Callable[[], str] = lambda: ""
) -> None:
    """Wait until something holds."""
    with anyio.move_on_after(WAIT_S):
        while not await holds():  # noqa: ASYNC110 - other processes make it so
            await anyio.sleep(POLL_S)
        return
    raise AssertionError(f"not within {WAIT_S} s: {describe()}")
