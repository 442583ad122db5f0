"""The public API: every name is there, loads only what it needs, and the page about it is true."""

import hmac
import re
import subprocess
import sys
import time
from base64 import b64encode
from functools import partial
from pathlib import Path

import anyio
import httpx
import pytest

import concordat
from ledger.core.errors import DecodeError, ProofError
from ledger.core.ids import Sequence
from ledger.core.proof import encode_bundle
from pubsub.client.async_client import AsyncClient
from pubsub.core.cloudevents import cloudevent_json
from pubsub.core.rights import Scope
from pubsub.io.rights import RightsSettings
from tests.ledger.sample_network import GENESIS
from tests.pubsub.gateway_world import gateway_world, sample
from tests.support.memory_chain import MemoryChain, make_entry, make_genesis
from tests.support.memory_gateway import MemoryGateway
from tests.support.socket_gateway import served

SECRET = bytes(range(32))
KEY = f"whsec_{b64encode(SECRET).decode()}"
PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def gateway_of(count: int) -> MemoryGateway:
    """Give a gateway to a ledger of some events, all provable."""
    chain = MemoryChain()
    entries = [make_entry(chain.genesis.chain_id, n, "dome.offering") for n in range(count)]
    chain.grow(entries)
    for _ in range(3):
        chain.grow()
    return MemoryGateway(chain)


@pytest.mark.parametrize("name", concordat.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """What ``__all__`` promises can be imported and is listed."""
    assert getattr(concordat, name) is not None
    assert name in dir(concordat)


def test_other_names_are_not() -> None:
    """A misspelt name is the usual AttributeError."""
    with pytest.raises(AttributeError, match="Cleint"):
        _ = concordat.Cleint  # type: ignore[attr-defined]


def test_verifying_loads_no_client() -> None:
    """A program that only verifies proofs loads neither an HTTP client nor an event loop."""
    program = (
        "import sys; from concordat import verify, Verifier, read_genesis\n"
        "print([m for m in ('httpx', 'anyio', 'trio', 'asyncio', 'lmdb') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"[]\n"


def test_verify_takes_genesis_in_both_forms() -> None:
    """One call checks a bundle against a genesis or its file, and refuses everything else."""
    gateway = gateway_of(2)
    data, genesis = gateway.proof(Sequence(1)), gateway.chain.genesis
    assert concordat.verify(data, genesis).sequence == 1
    assert concordat.verify(data, genesis.to_json()) == concordat.verify(data, genesis)
    with pytest.raises(ProofError):
        concordat.verify(data, make_genesis(4, "other"))
    for bundle, file in ((data[:-1], genesis.to_json()), (data, b"{}")):
        with pytest.raises(DecodeError):
            concordat.verify(bundle, file)


def test_the_page_about_the_client_is_true(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The examples of docs/client.md run, one after the other, against a gateway."""
    gateway = gateway_of(60)
    file = tmp_path / "genesis.json"
    file.write_bytes(gateway.chain.genesis.to_json())
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) == 11
    with served(gateway) as url:
        names: dict[str, object] = {
            "genesis_file": file,
            "did": "did:web:market.example",
            "seed": bytes([201]) * 32,
            "token": "cct_0123456789",
            "webhook_key": KEY,
            "urls": [url],
            "cursor": -1,
            "encode_bundle": encode_bundle,
        }
        for example in examples:
            exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102 - our own page
        anyio.run(names["follow"])  # type: ignore[arg-type]
    assert names["cursor"] == 100
    printed = capsys.readouterr().out.split("\n")
    assert printed[:2] == [gateway.chain.genesis.chain_id, "60"]
    assert "60 urn:ngsi-ld:product-offering:1" in printed
    assert "refused" not in printed


async def test_the_pages_consumer_consumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The example of durable consumers runs against the real gateway, and settles everything."""
    text = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(async def handle_offerings.*?)```", text, re.DOTALL)
    rights = RightsSettings(anonymous=frozenset(Scope))
    async with gateway_world(tmp_path, rights=rights) as world:
        entries = [sample(number, topic="catalog.offering").entry for number in range(3)]
        for rows in (entries, [], []):
            await world.node.extend(rows)
        transport = httpx.ASGITransport(app=world.app)
        names = {
            "AsyncClient": partial(AsyncClient, transport=transport),
            "urls": ["http://gateway"],
            "genesis": GENESIS,
            "token": None,
        }
        exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102 - our own page
        await names["handle_offerings"]()  # type: ignore[operator]
        shown = (await world.get("/v1/consumers/offerings")).json()
    assert capsys.readouterr().out.count("offering ") == 3
    assert (shown["totals"]["acknowledged"], shown["in_flight"]) == (3, 0)


async def test_the_pages_receiver_receives(capsys: pytest.CaptureFixture[str]) -> None:
    """The example of a receiver takes what is signed with its key, and nothing else."""
    text = PAGE.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(async def take_offerings.*?)```", text, re.DOTALL)
    names: dict[str, object] = {"webhook_key": KEY, "WebhookReceiver": concordat.WebhookReceiver}
    exec(compile(example, str(PAGE), "exec"), names)  # noqa: S102 - our own page
    body = cloudevent_json(sample(0), Sequence(7))
    now_s = int(time.time())
    transport = httpx.ASGITransport(app=names["application"])  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://receiver") as http:
        for key, status in ((SECRET, 204), (bytes(32), 401)):
            mac = hmac.digest(key, b"id1.%d.%b" % (now_s, body), "sha256")
            headers = {
                "content-type": "application/cloudevents+json",
                "webhook-id": "id1",
                "webhook-timestamp": str(now_s),
                "webhook-signature": f"v1,{b64encode(mac).decode()}",
            }
            answer = await http.post("/", content=body, headers=headers)
            assert answer.status_code == status
    assert "delivered 7" in capsys.readouterr().out
