"""What a node gives its peers, and to whom: versions, digests, proofs of identity."""

from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from adapters.credentials.access import AccessRefused, Refusal
from adapters.tmf.replication.native import DIGEST_PATH, PATH
from adapters.tmf.replication.outbound import waiting_count
from adapters.tmf.replication.proof import ProofChecker, prove, read_proof
from adapters.tmf.replication.serving import CURRENT_HEADER
from ledger.core.errors import RejectCode
from ledger.core.limits import (
    REPLICATION_PROOF_LIFE_MS,
    REPLICATION_VERSION_KEPT_MS,
    TOKEN_SKEW_MS,
)
from ledger.core.signing import SeedSigner
from tests.adapters.tmf.replication.replication_world import Node, until, world

NOW_MS = 1_790_000_000_000
ASKER, ORIGIN = "did:web:asker.example", "did:web:origin.example"
SIGNER = SeedSigner(b"a" * 32)
ASKED = ("product-offering/x", "aa")


def proof(**changes: object) -> str:
    """Give a sound proof, with some parts changed."""
    sound = {"signer": SIGNER, "iss": ASKER, "aud": ORIGIN, "now_ms": NOW_MS}
    sent = SimpleNamespace(**sound | {"sub": ASKED[0], "version": ASKED[1]} | changes)
    return prove(sent.signer, (sent.iss, sent.aud, sent.sub, sent.version), sent.now_ms)


def check(token: str, now_ms: int = NOW_MS) -> str:
    """Check with the asker's keys; give who asks."""
    return ProofChecker(ORIGIN).check(read_proof(token), [SIGNER.public_key], ASKED, now_ms).iss


@pytest.mark.parametrize("life_ms", [-1_000, 0, REPLICATION_PROOF_LIFE_MS + 1_000])
def test_a_proof_cannot_last_as_long_as_it_likes(
    life_ms: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However it is dated, one that is caught is of use for a minute at most."""
    with monkeypatch.context() as made:
        made.setattr("adapters.tmf.replication.proof.REPLICATION_PROOF_LIFE_MS", life_ms)
        token = proof(now_ms=NOW_MS + TOKEN_SKEW_MS - min(0, life_ms))
    with pytest.raises(AccessRefused) as refused:
        check(token)
    assert refused.value.code is Refusal.EXPIRED


def test_a_sound_proof_names_who_asks_once() -> None:
    """It is taken with the member's key, and not a second time."""
    checker, token = ProofChecker(ORIGIN), read_proof(proof())
    assert checker.check(token, [SIGNER.public_key], ASKED, NOW_MS).iss == ASKER
    with pytest.raises(AccessRefused) as refused:
        checker.check(token, [SIGNER.public_key], ASKED, NOW_MS)
    assert refused.value.code is Refusal.REPLAYED
    assert checker.check(read_proof(proof()), [SIGNER.public_key], ASKED, NOW_MS).iss == ASKER


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aud": "did:web:other.example"}, Refusal.AUDIENCE),
        ({"sub": "product-offering/y"}, Refusal.AUDIENCE),
        ({"version": "ab"}, Refusal.AUDIENCE),
        ({"version": ""}, Refusal.AUDIENCE),
        ({"now_ms": NOW_MS - REPLICATION_PROOF_LIFE_MS}, Refusal.EXPIRED),
        ({"now_ms": NOW_MS + TOKEN_SKEW_MS + 1_000}, Refusal.NOT_YET_VALID),
        ({"signer": SeedSigner(b"b" * 32)}, Refusal.UNKNOWN_KEY),
    ],
)
def test_a_proof_is_for_one_member_request_and_minute(
    changes: dict[str, object], code: Refusal
) -> None:
    """Each part that differs refuses it."""
    with pytest.raises(AccessRefused) as refused:
        check(proof(**changes))
    assert refused.value.code is code


def test_a_proof_is_as_old_and_as_early_as_allowed() -> None:
    """Just before its end, and just within the skew of clocks, it is taken."""
    assert check(proof(now_ms=NOW_MS - REPLICATION_PROOF_LIFE_MS + 1_000)) == ASKER
    assert check(proof(now_ms=NOW_MS + TOKEN_SKEW_MS)) == ASKER


@pytest.mark.parametrize("token", ["", "a.b.c", "eyJhbGciOiJFZERTQSJ9.e30.AAAA"])
def test_what_is_no_proof_is_refused(token: str) -> None:
    """Any text is read to a refusal, never to another error."""
    with pytest.raises(AccessRefused):
        read_proof(token)


def test_a_changed_proof_is_refused() -> None:
    """No part of it can be replaced."""
    header, payload, signature = proof().split(".")
    _, other, _ = proof(iss="did:web:somebody.example").split(".")
    with pytest.raises(AccessRefused) as refused:
        check(f"{header}.{other}.{signature}")
    assert refused.value.code is Refusal.BAD_SIGNATURE
    assert payload != other


async def ask(node: Node, asker: Node, path: str, version: str, **headers: str) -> httpx.Response:
    """Ask a node for a version with a proof of another."""
    subject = path.removeprefix(PATH + "/") if path.startswith(PATH) else "digest"
    asked = (asker.did, node.did, subject, version)
    token = prove(asker.signer, asked, node.clock.now_ms())
    sent = {"authorization": f"Bearer {token}", **headers}
    transport = httpx.ASGITransport(app=node.network.apps[f"{node.did.split(':')[2]}"])
    query = f"?hash={version}" if version else ""
    async with httpx.AsyncClient(transport=transport, base_url=node.origin) as client:
        return await client.get(path + query, headers=sent)


async def test_a_version_is_served_until_long_after_the_next(tmp_path: Path) -> None:
    """A superseded version can be fetched for a day; then the answer names the newer one."""
    async with world(tmp_path) as (one, two):
        id_ = one.create(description="first")
        await until(lambda: len(one.ledger.events_held) == 1)
        old = one.own()[id_]
        one.change(id_, description="second")
        await until(lambda: len(one.ledger.events_held) == 2)
        path, hash_ = f"{PATH}/product-offering/{id_}", sha256(old).hexdigest()
        assert (await ask(one, two, path, hash_)).content == old
        one.clock.ahead_ms += REPLICATION_VERSION_KEPT_MS + 60_000
        one.create()
        await until(lambda: len(one.ledger.events_held) == 3)
        await until(lambda: waiting_count(one.store) == (0, 0))
        gone = await ask(one, two, path, hash_)
        new = one.own()[id_]
        assert gone.status_code == 410
        assert gone.headers[CURRENT_HEADER] == sha256(new).hexdigest()
        assert (await ask(one, two, path, sha256(new).hexdigest())).content == new


async def test_strangers_get_nothing(tmp_path: Path) -> None:
    """Without a proof, with one of somebody unknown, or of a revoked key: 401."""
    async with world(tmp_path) as (one, two):
        id_ = one.create()
        await until(lambda: len(one.ledger.events_held) == 1)
        path, hash_ = f"{PATH}/product-offering/{id_}", sha256(one.own()[id_]).hexdigest()
        nameless = await ask(one, two, path, hash_, authorization="")
        assert (nameless.status_code, nameless.headers["www-authenticate"]) == (401, "Bearer")
        assert nameless.json()["@type"] == "Error"
        assert (await ask(one, two, DIGEST_PATH, "", authorization="")).status_code == 401
        del one.ledger.participants[two.did]
        one.clock.ahead_ms += 120_000
        assert (await ask(one, two, path, hash_)).status_code == 401


@pytest.mark.parametrize(
    ("path", "version", "status"),
    [
        (f"{PATH}/product-offering/urn:nothing", "00" * 32, 404),
        (f"{PATH}/individual/urn:nothing", "00" * 32, 404),
        (f"{PATH}/product-offering/x", "no-hash", 400),
    ],
)
async def test_what_is_not_there_is_said_so(
    tmp_path: Path, path: str, version: str, status: int
) -> None:
    """A name that was never published, and a hash that is none, have their statuses."""
    async with world(tmp_path) as (one, two):
        assert (await ask(one, two, path, version)).status_code == status


@pytest.mark.parametrize("id_", ["urn:x@=()~.-", "urn.x", "h:" + "0" * 64])
async def test_ids_of_any_form_travel(tmp_path: Path, id_: str) -> None:
    """What stands in an id neither breaks the location nor means another entity."""
    async with world(tmp_path) as (one, two):
        one.create(id=id_)
        await until(lambda: two.replicas() == one.own())
        assert list(two.replicas()) == [id_]


async def test_the_digest_changes_with_every_version(tmp_path: Path) -> None:
    """It is the same as long as nothing is published, and 503 while something is on its way."""
    async with world(tmp_path) as (one, two):
        one.create()
        await until(lambda: waiting_count(one.store) == (0, 0))
        first = await ask(one, two, DIGEST_PATH, "")
        assert len(first.content) == 32
        assert (await ask(one, two, DIGEST_PATH, "")).content == first.content
        one.ledger.refuses = RejectCode.TOPIC_FORBIDDEN
        one.create()
        await until(lambda: waiting_count(one.store) == (1, 0))
        assert (await ask(one, two, DIGEST_PATH, "")).status_code == 503
        one.ledger.refuses = None
        await until(lambda: waiting_count(one.store) == (0, 0))
        assert (await ask(one, two, DIGEST_PATH, "")).content != first.content
