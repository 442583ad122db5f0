"""The machine's token: a real authorisation endpoint takes the assertion; tokens are kept."""

from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl

import anyio
import httpx
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from adapters.tmf.desmos.machine import Machine, MachineTokens
from ledger.core.errors import Unavailable
from ledger.core.limits import DESMOS_TOKEN_EARLY_MS
from pubsub.io.egress import EgressError, Errand, Reply
from tests.adapters.credentials.credential_world import (
    BASE,
    ISSUER,
    MANDATOR,
    NOW_MS,
    World,
    did_key,
    machine_v1,
    new_key,
)
from tests.adapters.credentials.test_authorisation import Site
from tests.pubsub.gateway_world import gateway_world

URL = f"{BASE}/oauth/token"


@dataclass
class Verifier:
    """A token endpoint that a test plays."""

    status: int = 200
    answer: bytes = b'{"access_token":"t","expires_in":3600}'
    error: Exception | None = None
    asked: list[Errand] = field(default_factory=list)

    async def run(self, errand: Errand) -> Reply:
        """Answer."""
        self.asked.append(errand)
        await anyio.lowlevel.checkpoint()
        if self.error:
            raise self.error
        number = len(self.asked)
        return Reply(self.status, httpx.Headers(), self.answer.replace(b'"t"', b'"t%d"' % number))


def machine(credential: str = "c.c.c", holder: str = "did:key:z") -> Machine:
    """Give a machine with a key of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    return Machine(MANDATOR, holder, credential, key, URL, BASE)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Give a gateway whose ledger lists one issuer."""
    directory = tmp_path / "gateway"
    directory.mkdir()
    async with gateway_world(directory, with_node=False) as gateway:
        world = World(gateway.chain.store)
        world.list_issuer(ISSUER, "LEARCredentialMachine")
        made = Site(world, tmp_path)
        gateway.app.router.routes.extend(made.authorisation.routes(gateway.gateway))
        made.http = gateway.http
        yield made


async def test_a_verifier_takes_the_assertion(site: Site) -> None:
    """The token that is got speaks for the organisation, and can be got again."""

    class Local:
        """Carries errands to the site."""

        async def run(self, errand: Errand) -> Reply:
            """Send a request."""
            assert errand.url == URL
            form = dict(parse_qsl(errand.body.decode()))
            answer = await site.http.post("/oauth/token", data=form)
            return Reply(answer.status_code, answer.headers, answer.content)

    key = new_key()
    credential = site.world.credential(machine_v1(did_key(key)))
    private = key.private_key
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    asking = Machine(MANDATOR, did_key(key), credential, private, URL, BASE)
    for _ in range(2):
        token = await MachineTokens(asking, Local(), site.world.clock_ms).token()
        access = await site.authorisation.access(token)
        assert access.organisation == f"did:elsi:{MANDATOR}"
        assert access.credential_type == "LEARCredentialMachine"


async def test_a_token_is_used_until_shortly_before_its_end() -> None:
    """One request for each token; many who ask at one time share it."""
    now = [NOW_MS]
    verifier = Verifier()
    tokens = MachineTokens(machine(), verifier, lambda: now[0])
    found: list[str] = []

    async def ask() -> None:
        found.append(await tokens.token())

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)
    now[0] += 3_600_000 - DESMOS_TOKEN_EARLY_MS - 1
    await ask()
    now[0] += 1
    await ask()
    assert found == ["t1"] * 4 + ["t2"]
    assert len(verifier.asked) == 2


@pytest.mark.parametrize(
    "verifier",
    [
        Verifier(status=401),
        Verifier(answer=b"{}"),
        Verifier(answer=b"x"),
        Verifier(answer=b'{"access_token":"","expires_in":1}'),
        Verifier(error=EgressError("no")),
        Verifier(error=Unavailable("no")),
    ],
)
async def test_a_verifier_that_gives_no_token_is_unavailable(verifier: Verifier) -> None:
    """Whatever it answers instead; the next call asks again."""
    tokens = MachineTokens(machine(), verifier, lambda: NOW_MS)
    for count in (1, 2):
        with pytest.raises(Unavailable):
            await tokens.token()
        assert len(verifier.asked) == count


async def test_the_form_is_that_of_a_machine() -> None:
    """The members and the times in milliseconds are Desmos'."""
    verifier = Verifier()
    await MachineTokens(machine(), verifier, lambda: NOW_MS).token()
    form = dict(parse_qsl(verifier.asked[0].body.decode()))
    assert form.keys() == {
        "grant_type",
        "client_id",
        "client_assertion_type",
        "client_assertion",
    }
    assert form["client_id"] == MANDATOR
    payload = form["client_assertion"].split(".")[1]
    claims = msgspec.json.decode(_decoded(payload))
    assert claims["iat"] == NOW_MS
    assert claims["exp"] > NOW_MS
    assert claims["iss"] == claims["sub"] == MANDATOR
    assert claims["aud"] == BASE


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
