"""Certificates of compliance: each cause of refusal has its own code; verdicts come in time."""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from adapters.credentials.jose import encode_base64url
from adapters.tmf.caller import OPERATOR
from adapters.tmf.entities.patching import MergePatch
from adapters.tmf.policy.certified import VerdictNeeded, Verdicts
from adapters.tmf.policy.compliance import LABEL, LEVELS, Certificate, Fault, Verdict
from adapters.tmf.policy.profile import Profile, policies_of
from adapters.tmf.refusal import TmfError
from adapters.tmf.replication.core.model import Told
from adapters.tmf.replication.form import Taken
from adapters.tmf.resources.registry import RESOURCES
from adapters.tmf.store.database import Store
from adapters.tmf.trust.acceptance import CertifiedAcceptance
from adapters.tmf.trust.verified import VerifiedStore
from ledger.core.errors import Unavailable
from ledger.core.limits import STATUS_FRESH_MS
from tests.adapters.credentials.credential_world import (
    ISSUER,
    NOW_MS,
    OTHER,
    Authority,
    new_key,
    sign,
    x5c,
)
from tests.adapters.tmf.policy.policy_world import MEMBER, NOW, OTHER_MEMBER, World
from tests.adapters.tmf.trust.certificate_world import (
    CERTIFICATE_ID,
    SPECIFICATION,
    Node,
    certificate,
    node,
)

TOLD = Told("native", "k", "product-offering", "o1", OTHER_MEMBER, 1, b"v", b"")
CERTIFIED = Profile("tmf", MEMBER, needs_certificates=True)
Spoil = Callable[[Node], str]


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Node]:
    """Give a node."""
    with node(tmp_path) as found:
        yield found


async def fault_of(here: Node, token: str) -> Fault | None:
    """Have a token judged."""
    asked = Certificate(SPECIFICATION, token)
    await here.verifier.verify(asked)
    verdict = here.verdicts.of(asked)
    assert verdict is not None
    return verdict.fault


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("place", ["vc", "verifiableCredential"])
async def test_sound_certificate_counts(here: Node, level: str, place: str) -> None:
    """Each level counts, wherever the token holds the credential, sealed with RSA as in DOME."""
    subject = {"id": SPECIFICATION, "gx:labelLevel": level}
    payload = certificate(credentialSubject=subject)
    payload[place] = payload.pop("vc")
    assert await fault_of(here, here.ledger.credential(payload, new_key("RSA"), "RS256")) is None


def changed(**more: Any) -> Spoil:  # noqa: ANN401 - JSON
    """Sign a certificate that says something else."""
    return lambda here: here.ledger.credential(certificate(**more))


def about(**subject: str) -> Spoil:
    """Sign a certificate with another subject."""
    return changed(credentialSubject={"id": SPECIFICATION, "gx:labelLevel": "P"} | subject)


def by_other(here: Node) -> str:
    """Have somebody sign who is not listed."""
    key = new_key()
    chain = x5c(
        here.ledger.middle.leaf(OTHER.removeprefix("did:elsi:"), key),
        here.ledger.middle.certificate,
    )
    return sign(certificate(issuer=OTHER) | {"iss": OTHER}, key, x5c=chain)


def by_stranger(here: Node) -> str:
    """Sign below an authority that nobody trusts."""
    key, root = new_key(), Authority("Stranger")
    leaf = root.leaf(ISSUER.removeprefix("did:elsi:"), key)
    return here.ledger.credential(certificate(), key, x5c=x5c(leaf, root.certificate))


def revoked(here: Node) -> str:
    """Revoke on the ledger."""
    here.ledger.put(
        "revoked-credentials", (CERTIFICATE_ID.removeprefix("urn:uuid:"), "revocation", b"")
    )
    return here.ledger.credential(certificate())


def delisted(here: Node) -> str:
    """Take the right to issue labels away."""
    here.ledger.revoke("issuers", f"{ISSUER}/{LABEL}")
    return here.ledger.credential(certificate())


def with_status(document: bytes) -> Spoil:
    """Name a plain status list."""
    url = "https://certifier.example/status"

    def spoil(here: Node) -> str:
        here.ledger.documents[url] = document
        status = {"type": "PlainListEntity", "statusListIndex": "n-7", "statusListCredential": url}
        return here.ledger.credential(certificate(credentialStatus=status))

    return spoil


def tampered(here: Node) -> str:
    """Change what was signed."""
    first, _, last = here.ledger.credential(certificate()).split(".")
    other = certificate(credentialSubject={"id": SPECIFICATION, "gx:labelLevel": "PP"})
    return f"{first}.{encode_base64url(json.dumps(other).encode())}.{last}"


@pytest.mark.parametrize(
    ("code", "spoil"),
    [
        ("compliance-malformed", lambda _: "not a token"),
        ("compliance-malformed", changed(validUntil=None)),
        ("compliance-subject", about(id="urn:ngsi-ld:product-specification:other")),
        ("compliance-level", about(**{"gx:labelLevel": "XL"})),
        ("compliance-credential-type", changed(type=["VerifiableCredential"])),
        ("compliance-expired", changed(validUntil="2026-01-01T00:00:00Z")),
        ("compliance-not-yet-valid", changed(validFrom="2027-01-01T00:00:00Z")),
        ("compliance-issuer-not-trusted", by_other),
        ("compliance-issuer-not-for-type", delisted),
        ("compliance-certificate", by_stranger),
        ("compliance-certificate", lambda here: sign(certificate(), here.ledger.issuer_key)),
        ("compliance-bad-signature", tampered),
        ("compliance-revoked", revoked),
        ("compliance-revoked", with_status(b'[{"nonce": "n-7"}]')),
        ("compliance-status-unknown", with_status(b"nonsense")),
    ],
)
async def test_each_cause_has_its_code(here: Node, code: str, spoil: Spoil) -> None:
    """What is wrong with a certificate is told by a stable code."""
    fault = await fault_of(here, spoil(here))
    assert fault is not None
    assert fault.code == code


async def test_what_cannot_be_read_now_is_no_verdict(here: Node) -> None:
    """A status list that cannot be fetched says neither yes nor no."""
    status = {
        "type": "PlainListEntity",
        "statusListIndex": "1",
        "statusListCredential": "https://certifier.example/gone",
    }
    asked = Certificate(SPECIFICATION, here.ledger.credential(certificate(credentialStatus=status)))
    with pytest.raises(Unavailable):
        await here.verifier.verify(asked)
    assert here.verdicts.of(asked) is None


async def test_revocation_counts_when_the_verdict_is_old(here: Node) -> None:
    """A verdict holds for a minute, and not beyond; another specification has none."""
    token = here.ledger.credential(certificate())
    asked = Certificate(SPECIFICATION, token)
    assert await fault_of(here, token) is None
    assert here.verdicts.of(Certificate("another", token)) is None
    revoked(here)
    here.ledger.now_ms = NOW_MS + STATUS_FRESH_MS - 1
    assert here.verdicts.of(asked) == Verdict(None, NOW_MS + STATUS_FRESH_MS)
    here.ledger.now_ms += 1
    assert here.verdicts.of(asked) is None
    fault = await fault_of(here, token)
    assert fault is not None
    assert fault.code == "compliance-revoked"


def test_verdicts_are_bounded() -> None:
    """The oldest go first."""
    verdicts = Verdicts(lambda: 0, count_max=2)
    asked = [Certificate("s", str(number)) for number in range(3)]
    for each in asked:
        verdicts.remember(each, Verdict(None, 1))
    assert [verdicts.of(each) is None for each in asked] == [True, False, False]


# --- the policy, with the store -------------------------------------------------------------


def specification(*tokens: object) -> dict[str, Any]:
    """Give a specification with certificates."""
    rows = [{"value": token} for token in tokens]
    return {
        "id": SPECIFICATION,
        "name": "S",
        "productSpecCharacteristic": [
            {"name": "size", "productSpecCharacteristicValue": [{"value": "1"}]},
            {"name": " compliance:vc", "productSpecCharacteristicValue": rows},
        ],
    }


OFFERING = {"id": "o1", "name": "O", "productSpecification": {"id": SPECIFICATION}}


@pytest.fixture
def store(here: Node, tmp_path: Path) -> Iterator[VerifiedStore]:
    """Give a store that has certificates verified."""
    opened = VerifiedStore.open(f"sqlite:///{tmp_path / 'e.sqlite'}", now_ms=lambda: NOW_MS)
    assert isinstance(opened, VerifiedStore)
    opened.verifier = here.verifier
    yield opened
    opened.close()


async def launch(here: Node, store: VerifiedStore) -> None:
    """Launch the offering, as a shell does."""
    entities = World(store, policies_of(CERTIFIED, lambda: NOW, here.verdicts.of)).entities

    def work(opened: Store) -> None:
        with opened.write() as txn:
            changes = MergePatch({"lifecycleStatus": "Launched"})
            entities.patch(txn, OPERATOR, RESOURCES["productOffering"], "o1", changes)

    await store.in_thread(work)


async def test_offering_with_a_certificate_is_launched(here: Node, store: VerifiedStore) -> None:
    """The transaction is begun again with the verdict, and only once for a fresh one."""
    made = World(store, policies_of(CERTIFIED, lambda: NOW, here.verdicts.of))
    token = here.ledger.credential(certificate())
    made.create(OPERATOR, "productSpecification", specification(token))
    made.create(OPERATOR, "productOffering", OFFERING)
    with pytest.raises(VerdictNeeded):
        made.patch(OPERATOR, "productOffering", "o1", lifecycleStatus="Launched")
    await launch(here, store)
    assert made.get(OPERATOR, "productOffering", "o1")["lifecycleStatus"] == "Launched"
    with store.read() as reading:
        assert [change.what for change in reading.history("productOffering", "o1")] == [
            "create",
            "state",
        ]


@pytest.mark.parametrize(
    ("tokens", "code"),
    [
        ((), "compliance-ambiguous"),
        (("a.b.c", "a.b.c"), "compliance-ambiguous"),
        ((7,), "compliance-malformed"),
        (("a.b.c",), "compliance-malformed"),
    ],
)
async def test_launch_without_one_is_refused(
    here: Node, store: VerifiedStore, tokens: tuple[object, ...], code: str
) -> None:
    """403 with the cause; exactly one value counts; nothing is changed."""
    made = World(store, policies_of(CERTIFIED, lambda: NOW, here.verdicts.of))
    made.create(OPERATOR, "productSpecification", specification(*tokens))
    made.create(OPERATOR, "productOffering", OFFERING)
    with pytest.raises(TmfError) as caught:
        await launch(here, store)
    assert (caught.value.code, caught.value.status) == (code, HTTPStatus.FORBIDDEN)
    assert made.get(OPERATOR, "productOffering", "o1")["lifecycleStatus"] == "In study"


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({"id": SPECIFICATION, "name": "S"}, "compliance-missing"),
        (
            {"id": SPECIFICATION, "name": "S"}
            | {"productSpecCharacteristic": [{"name": "Compliance:VC"}, {"name": "compliance:vc"}]},
            "compliance-ambiguous",
        ),
        (None, "compliance-specification"),
    ],
)
def test_replica_of_an_offering_needs_one_too(
    here: Node, store: VerifiedStore, sent: dict[str, Any] | None, code: str
) -> None:
    """Every version that comes launched is judged; drafts and other resources are not."""
    made = World(store, policies_of(CERTIFIED, lambda: NOW, here.verdicts.of))
    if sent is not None:
        made.accept(OTHER_MEMBER, "productSpecification", sent | {"lifecycleStatus": "Launched"})
    made.accept(OTHER_MEMBER, "productOffering", OFFERING)
    with pytest.raises(TmfError) as caught:
        made.accept(OTHER_MEMBER, "productOffering", OFFERING | {"lifecycleStatus": "Launched"})
    assert caught.value.code == code


async def test_verdict_is_found_before_a_replica_is_stored(
    here: Node, store: VerifiedStore
) -> None:
    """A launched offering's certificate is verified once, ahead; what cannot be waits alone."""
    made = World(store, policies_of(CERTIFIED, lambda: NOW, here.verdicts.of))
    token = here.ledger.credential(certificate())
    made.accept(OTHER_MEMBER, "productSpecification", specification(token))
    acceptance = CertifiedAcceptance(store, here.verifier, here.verdicts)
    asked = Certificate(SPECIFICATION, token)
    draft, launched = OFFERING, OFFERING | {"lifecycleStatus": "Launched"}
    await acceptance.accepts(TOLD, Taken("productOffering", "o1", draft))
    assert here.verdicts.of(asked) is None
    await acceptance.accepts(TOLD, Taken("productOffering", "o1", launched))
    verdict = here.verdicts.of(asked)
    assert verdict is not None
    await acceptance.accepts(TOLD, Taken("productOffering", "o1", launched))
    assert here.verdicts.of(asked) is verdict
    made.accept(OTHER_MEMBER, "productOffering", launched)
    assert made.get(OPERATOR, "productOffering", "o1") == launched


async def test_replica_waits_when_its_certificate_cannot_be_verified(
    here: Node, store: VerifiedStore
) -> None:
    """A status list out of reach refuses nothing."""
    url = "https://certifier.example/gone"
    status = {"type": "PlainListEntity", "statusListIndex": "1", "statusListCredential": url}
    made = World(store, policies_of(CERTIFIED, lambda: NOW, here.verdicts.of))
    token = here.ledger.credential(certificate(credentialStatus=status))
    made.accept(OTHER_MEMBER, "productSpecification", specification(token))
    acceptance = CertifiedAcceptance(store, here.verifier, here.verdicts)
    launched = OFFERING | {"lifecycleStatus": "Launched"}
    with pytest.raises(Unavailable):
        await acceptance.accepts(TOLD, Taken("productOffering", "o1", launched))
