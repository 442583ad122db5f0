"""What comes from outside: status lists, fetched documents; and what lies in the home."""

import gzip
import json
import stat
from base64 import urlsafe_b64encode
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
import httpx
import pytest
from anyio.abc import SocketAttribute
from joserfc import jws as joserfc_jws
from joserfc.jwk import KeySet

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.fetching import (
    HttpFetcher,
    Remembered,
    _public_address,
)
from adapters.credentials.jose import parse_jws, verify_jws
from adapters.credentials.tokens import TokenKeys
from ledger.core.errors import Unavailable
from ledger.core.limits import FETCH_BYTES_MAX, STATUS_LIST_BYTES_MAX
from ledger.io.keystore import KeyFileError
from tests.adapters.credentials.credential_world import (
    ISSUER,
    NOW_MS,
    NOW_S,
    OTHER,
    World,
    did_key,
    employee_v1,
)

URL = "https://issuer.example/status/1"
BITS = bytes([0b0001_0000]) + bytes(15)  # position 3


# --- status lists ---------------------------------------------------------------------------


def encoded(bits: bytes, prefix: str = "u") -> str:
    """Pack a bit list."""
    return prefix + urlsafe_b64encode(gzip.compress(bits)).decode().rstrip("=")


def list_payload(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Give the payload of a status list credential."""
    subject = {"type": "BitstringStatusList", "statusPurpose": "revocation"}
    body = {"issuer": ISSUER, "type": ["VerifiableCredential", "BitstringStatusListCredential"]}
    return body | {"credentialSubject": subject | {"encodedList": encoded(BITS)}} | changes


def with_status(world: World, position: str, **changes: str) -> str:
    """Give a credential with a status entry."""
    payload = employee_v1(did_key(world.holder))
    entry = {
        "id": f"{URL}#{position}",
        "type": "BitstringStatusListEntry",
        "statusPurpose": "revocation",
        "statusListIndex": position,
        "statusListCredential": URL,
    }
    payload["vc"]["credentialStatus"] = entry | changes
    return world.credential(payload)


async def code_of(attempt: Awaitable[object]) -> Refusal | None:
    """Give the code of a refusal, None when there is none."""
    try:
        await attempt
    except AccessRefused as refusal:
        return refusal.code
    return None


@pytest.mark.parametrize("type_", ["BitstringStatusListEntry", "StatusList2021Entry"])
async def test_the_bit_of_a_credential_decides(world: World, type_: str) -> None:
    """The first bit is the leftmost; its neighbours say nothing about it."""
    world.documents[URL] = world.credential(list_payload()).encode()
    checker = world.checker()
    for position, code in (("2", None), ("3", Refusal.REVOKED), ("4", None)):
        token = with_status(world, position, type=type_)
        assert await code_of(checker.credential(token)) is code
    assert world.fetched == [URL]


BOMB = encoded(bytes(STATUS_LIST_BYTES_MAX + 1))
PURPOSE = {"statusPurpose": "revocation"}
BROKEN_LISTS: list[tuple[str, dict[str, Any]]] = [
    ("of another issuer", {"issuer": OTHER}),
    ("out of date", {"validUntil": "2020-01-01T00:00:00Z"}),
    ("expired token", {"exp": NOW_S}),
    ("bomb", {"credentialSubject": PURPOSE | {"encodedList": BOMB}}),
    ("cut off", {"credentialSubject": PURPOSE | {"encodedList": encoded(BITS)[:-12]}}),
    ("no gzip", {"credentialSubject": PURPOSE | {"encodedList": "uAAAA"}}),
    ("no bits", {"credentialSubject": PURPOSE}),
    ("too short", {"credentialSubject": PURPOSE | {"encodedList": encoded(b"")}}),
    ("another purpose", {"credentialSubject": {"statusPurpose": "message", "encodedList": "u"}}),
]


@pytest.mark.parametrize("name, changes", BROKEN_LISTS)
async def test_a_status_list_that_cannot_be_judged_refuses_the_credential(
    world: World, name: str, changes: dict[str, Any]
) -> None:
    """Who revokes must be heard: a broken list is no good news."""
    world.documents[URL] = world.credential(list_payload(**changes)).encode()
    code = await code_of(world.checker().credential(with_status(world, "2")))
    assert code is Refusal.STATUS_UNKNOWN, name


async def test_a_status_list_of_the_largest_size_is_read(world: World) -> None:
    """At the limit a list counts."""
    subject = PURPOSE | {"encodedList": encoded(bytes(STATUS_LIST_BYTES_MAX))}
    world.documents[URL] = world.credential(list_payload(credentialSubject=subject)).encode()
    last = str(STATUS_LIST_BYTES_MAX * 8 - 1)
    assert await code_of(world.checker().credential(with_status(world, last))) is None
    beyond = with_status(world, str(STATUS_LIST_BYTES_MAX * 8))
    assert await code_of(world.checker().credential(beyond)) is Refusal.STATUS_UNKNOWN


async def test_an_unsigned_or_missing_status_list_does_not_pass(world: World) -> None:
    """A list must be signed by the issuer, and must be there."""
    token = with_status(world, "2")
    with pytest.raises(Unavailable):
        await world.checker().credential(token)
    genuine = world.credential(list_payload())
    world.documents[URL] = genuine.rpartition(".")[0].encode() + b"." + b"A" * 86
    assert await code_of(world.checker().credential(token)) is Refusal.STATUS_UNKNOWN


async def test_domes_plain_list_is_understood(world: World) -> None:
    """A nonce in DOME's list is revoked, another one is not."""
    world.documents[URL] = json.dumps([{"nonce": "a"}, "b"]).encode()
    for nonce, code in (("a", Refusal.REVOKED), ("b", Refusal.REVOKED), ("c", None)):
        token = with_status(world, nonce, type="PlainListEntity")
        assert await code_of(world.checker().credential(token)) is code
    world.documents[URL] = b'{"a":1}'
    token = with_status(world, "c", type="PlainListEntity")
    assert await code_of(world.checker().credential(token)) is Refusal.STATUS_UNKNOWN


async def test_a_status_for_another_purpose_says_nothing(world: World) -> None:
    """A message status needs no list."""
    token = with_status(world, "3", statusPurpose="message")
    assert await code_of(world.checker().credential(token)) is None
    assert world.fetched == []


# --- egress ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://8.8.8.8:8443/",
        "https://user@8.8.8.8/",
        "file:///etc/passwd",
        "ftp://8.8.8.8/",
        "//8.8.8.8/",
        "",
        "https://" + "a" * 70_000,
    ],
)
async def test_urls_outside_the_rules_are_not_fetched(url: str) -> None:
    """Other schemes, ports, credentials and private hosts never cause a connection."""
    with pytest.raises(Unavailable):
        await HttpFetcher().fetch(url)


def http_answer(body: bytes, status: str = "200 OK", header: str = "x: y") -> bytes:
    """Give the bytes of an HTTP answer."""
    lines = (f"HTTP/1.1 {status}", f"content-length: {len(body)}", header, "connection: close")
    return "\r\n".join((*lines, "", "")).encode() + body


@pytest.mark.parametrize(
    "url, detail",
    [
        ("http://issuer.example/", "only https"),
        ("https://issuer.example:8443/", "only https"),
        ("https://user@issuer.example/", "only https"),
        ("https://issuer.example/", "not public"),
    ],
)
async def test_one_private_address_among_public_ones_keeps_us_away(
    monkeypatch: pytest.MonkeyPatch, url: str, detail: str
) -> None:
    """A name that also leads inside is refused before any connection."""

    async def resolve(*_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("8.8.8.8", 443)), (0, 0, 0, "", ("10.0.0.1", 443))]

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    with pytest.raises(Unavailable, match=detail):
        await _public_address(httpx.URL(url))


async def test_the_connection_goes_to_the_address_that_was_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The name is resolved once; TLS and Host still carry the name."""
    seen: list[httpx.Request] = []

    async def resolve(*_: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", ("2606:4700::1111", 443))]

    async def send(_: object, request: httpx.Request, **_options: object) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"x"))

    monkeypatch.setattr(anyio, "getaddrinfo", resolve)
    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    assert await HttpFetcher().fetch("https://issuer.example/did.json?a=1") == b"x"
    (request,) = seen
    assert str(request.url) == "https://[2606:4700::1111]/did.json?a=1"
    assert request.extensions["sni_hostname"] == request.headers["host"] == "issuer.example"


async def exchange(answer: bytes) -> bytes | None:
    """Fetch from a configured origin on loopback that answers so; None when it is not taken."""

    async def handle(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
                await stream.send(answer)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra_attributes[SocketAttribute.local_port]()
    origin, body = f"http://127.0.0.1:{port}", None
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, handle)
        with suppress(Unavailable):
            body = await HttpFetcher([origin]).fetch(f"{origin}/keys")
        group.cancel_scope.cancel()
    return body


def fetched(answer: bytes) -> bytes | None:
    """Fetch as the gateway does, under asyncio."""
    return anyio.run(exchange, answer, backend="asyncio")


def test_a_configured_origin_is_exempt_from_address_and_scheme() -> None:
    """The operator's own verifier may be private and plain."""
    assert fetched(http_answer(b"a" * FETCH_BYTES_MAX)) == b"a" * FETCH_BYTES_MAX


CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (FETCH_BYTES_MAX + 1, b"a" * (FETCH_BYTES_MAX + 1))


@pytest.mark.parametrize(
    "name, answer",
    [
        ("too long", http_answer(b"a" * (FETCH_BYTES_MAX + 1))),
        ("too long, unannounced", CHUNKED + CHUNK + b"0\r\n\r\n"),
        ("elsewhere", http_answer(b"", "302 Found", "location: https://issuer.example/")),
        ("missing", http_answer(b"", "404 Not Found")),
        ("packed", http_answer(gzip.compress(b"a" * 10**6), header="content-encoding: gzip")),
        ("no HTTP", b"nonsense\r\n\r\n"),
        ("nothing", b""),
    ],
)
def test_answers_outside_the_rules_are_not_taken(name: str, answer: bytes) -> None:
    """Too long, redirected, missing, packed, or no HTTP: nothing of it is used."""
    assert fetched(answer) is None, name


async def test_the_memory_of_documents_is_bounded(world: World) -> None:
    """Old documents make room for new ones."""
    memory = Remembered(world, world.clock_ms, 1_000, 1_000)
    for number in range(300):
        world.documents[str(number)] = b"x"
        await memory.fetch(str(number))
    assert len(memory._documents) == 256
    await memory.fetch("299")
    assert len(world.fetched) == 300
    await memory.fetch("0")
    assert len(world.fetched) == 301


# --- token keys -----------------------------------------------------------------------------


class Clock:
    """A clock that a test moves."""

    now_ms = NOW_MS

    def __call__(self) -> int:
        """Give the time."""
        return self.now_ms


DAY_MS = 86_400_000


def kids(keys: TokenKeys) -> list[str]:
    """Give the names of the published keys."""
    published: Any = keys.jwks["keys"]
    return [key["kid"] for key in published]


def signer(keys: TokenKeys) -> object:
    """Give the name of the key that signs now."""
    return parse_jws(keys.sign({})).header["kid"]


def test_token_keys_are_kept_for_their_owner_alone(tmp_path: Path) -> None:
    """The file is 0600, is read again, and holds nothing public by accident."""
    path, clock = tmp_path / "keys.json", Clock()
    first = TokenKeys(path, clock)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert kids(TokenKeys(path, clock)) == kids(first)
    token = first.sign({"a": 1})
    public = KeySet.import_key_set(json.loads(json.dumps(first.jwks)))
    assert json.loads(joserfc_jws.deserialize_compact(token, public).payload) == {"a": 1}
    assert all("d" not in key for key in json.loads(json.dumps(first.jwks))["keys"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_token_keys_that_others_can_reach_are_refused(tmp_path: Path, mode: int) -> None:
    """A file that others may read or write is not used."""
    path = tmp_path / "keys.json"
    TokenKeys(path, Clock())
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="600"):
        TokenKeys(path, Clock())


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"\xff", b'{"format":"x","keys":[]}'])
def test_a_broken_key_file_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    """Nothing is overwritten that could still be repaired."""
    path = tmp_path / "keys.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(KeyFileError):
        TokenKeys(path, Clock())
    assert path.read_bytes() == content


def test_keys_rotate_with_an_overlap_on_both_sides(tmp_path: Path) -> None:
    """A new key is published for a day before it signs; the old one until its tokens ended."""
    path, clock = tmp_path / "keys.json", Clock()
    keys = TokenKeys(path, clock)
    (old,) = kids(keys)
    clock.now_ms += 30 * DAY_MS - 1
    keys.rotate()
    assert kids(keys) == [old]
    clock.now_ms += 1
    keys.rotate()
    _, new = kids(keys)
    assert kids(TokenKeys(path, clock)) == [old, new]
    clock.now_ms += DAY_MS - 1
    assert signer(keys) == old
    last = keys.sign({})
    clock.now_ms += 1
    assert signer(keys) == new
    clock.now_ms += 7_200_000 - 1
    keys.rotate()
    verifying = keys.verifying_key(old)
    assert verifying is not None
    verify_jws(parse_jws(last), verifying)
    clock.now_ms += 1
    keys.rotate()
    assert kids(keys) == kids(TokenKeys(path, clock)) == [new]
    assert signer(keys) == new
    assert list(tmp_path.iterdir()) == [path]


def test_keys_of_a_gateway_that_slept_are_replaced(tmp_path: Path) -> None:
    """After a long stop a new key is made, and signs once it was published for a day."""
    path, clock = tmp_path / "keys.json", Clock()
    (old,) = kids(TokenKeys(path, clock))
    clock.now_ms += 400 * DAY_MS
    keys = TokenKeys(path, clock)
    assert (len(kids(keys)), signer(keys)) == (2, old)
    clock.now_ms += DAY_MS + 7_200_000
    keys.rotate()
    assert old not in kids(keys)
