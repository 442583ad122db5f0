"""The endpoints of the authorisation and the tokens that they give, in a real gateway."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.jwk import KeySet

from adapters.credentials.access import AccessRefused, Refusal
from adapters.credentials.facade import Authorisation, AuthorisationSettings
from adapters.credentials.verifier import ExternalVerifier
from ledger.core.errors import Unavailable
from tests.adapters.credentials.credential_world import (
    BASE,
    ISSUER,
    MANDATOR,
    NOW_MS,
    NOW_S,
    Key,
    World,
    did_key,
    employee_v1,
    machine_v1,
    new_key,
    presentation,
    sign,
)
from tests.adapters.credentials.test_golden_credentials import document
from tests.ledger.sample_network import ALICE_DID
from tests.pubsub.gateway_world import gateway_world

EBSI = f"{BASE}/authorisation/v4"
VERIFIER = "https://verifier.example"
TRUSTING = "https://trusting.example"
MACHINE_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
DID = "did:ebsi:zvHWX359A3CvfJnCYaAiAde"


class Site:
    """A gateway with its authorisation, over the ledger of a world."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        audiences = frozenset({BASE})
        verifiers = (
            ExternalVerifier(VERIFIER, audiences),
            ExternalVerifier(TRUSTING, audiences, f"{TRUSTING}/keys", rechecks=False),
        )
        self.settings = AuthorisationSettings(
            BASE, directory / "token-keys.json", world.root.pem, verifiers
        )
        self.authorisation = Authorisation(self.settings, world, world.clock_ms)
        self.http: httpx.AsyncClient

    async def token(self, form: dict[str, str], path: str = "/authorisation/v4/token") -> Any:  # noqa: ANN401
        """Ask for a token; give the status and the answer."""
        answer = await self.http.post(path, data=form)
        return answer.status_code, answer.json()

    async def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """Get a document."""
        answer = await self.http.get(path)
        assert answer.status_code == 200
        return answer.json()

    async def refusal(self, token: str) -> Refusal:
        """Give the code that a bearer token is refused with."""
        with pytest.raises(AccessRefused) as caught:
            await self.authorisation.access(token)
        return caught.value.code


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Give a gateway whose ledger lists one issuer."""
    directory = tmp_path / "gateway"
    directory.mkdir()
    async with gateway_world(directory, with_node=False) as gateway:
        world = World(gateway.chain.store)
        world.list_issuer(ISSUER, "LEARCredentialEmployee", "LEARCredentialMachine")
        made = Site(world, tmp_path)
        gateway.app.router.routes.extend(made.authorisation.routes(gateway.gateway))
        made.http = gateway.http
        yield made


def form_for(scope: str, vp_token: str, *, with_credential: bool = False) -> dict[str, str]:
    """Give EBSI's form."""
    descriptor = {"id": f"{scope}_credential", "format": "jwt_vp", "path": "$"}
    submission = {
        "id": "s1",
        "definition_id": f"{scope}_presentation",
        "descriptor_map": [descriptor] if with_credential else [],
    }
    return {
        "grant_type": "vp_token",
        "scope": f"openid {scope}",
        "vp_token": vp_token,
        "presentation_submission": json.dumps(submission),
    }


def register(world: World, key: Key, did: str = DID) -> None:
    """Register a DID with a key."""
    world.put("did-documents", (did, "document", document(did, key, "authentication")))


# --- EBSI -----------------------------------------------------------------------------------


async def test_a_registered_did_gets_a_token_that_opens_its_scope(site: Site) -> None:
    """The answer has EBSI's members; the token verifies against the published keys."""
    key = new_key("secp256k1")
    register(site.world, key)
    vp_token = presentation(key, alg="ES256K", did=DID)
    status, answer = await site.token(form_for("didr_write", vp_token))
    assert status == 200, answer
    assert {"access_token", "token_type", "expires_in", "scope", "id_token"} == answer.keys()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == 7200
    assert answer["scope"] == "openid didr_write"
    keys = KeySet.import_key_set(await site.get("/authorisation/v4/jwks"))
    claims = json.loads(jws.deserialize_compact(answer["access_token"], keys).payload)
    assert claims.pop("jti")
    assert claims == {
        "iss": EBSI,
        "aud": EBSI,
        "sub": DID,
        "scp": "openid didr_write",
        "iat": NOW_S,
        "exp": NOW_S + 7200,
    }
    identity = json.loads(jws.deserialize_compact(answer["id_token"], keys).payload)
    assert (identity["aud"], identity["sub"], identity["nonce"]) == (DID, DID, "n-1")
    access = await site.authorisation.access(answer["access_token"])
    assert (access.organisation, access.subject) == (DID, DID)
    access.need_scope("didr_invite", "didr_write")
    with pytest.raises(AccessRefused) as caught:
        access.need_scope("tir_write")
    assert caught.value.code is Refusal.SCOPE
    assert await site.refusal(answer["id_token"]) is Refusal.AUDIENCE
    assert (await site.token(form_for("didr_write", vp_token)))[1]["error_description"].startswith(
        "replayed"
    )
    site.world.now_ms += 7_200_000
    assert await site.refusal(answer["access_token"]) is Refusal.EXPIRED


async def test_rights_on_the_ledger_decide_about_tir_write(site: Site) -> None:
    """A registered DID gets tir_write only as a listed issuer of a kind that may write."""
    key = new_key()
    register(site.world, key)

    async def attempt(nonce: str) -> Any:  # noqa: ANN401 - JSON
        return await site.token(form_for("tir_write", presentation(key, did=DID, nonce=nonce)))

    status, answer = await attempt("a")
    assert (status, answer["error"]) == (400, "invalid_request")
    assert answer["error_description"].startswith("right:")
    site.world.put("issuers", (DID, "issuer", b""), (f"{DID}/a", "accreditation", b"e30.e30.AA"))
    assert (await attempt("b"))[0] == 400
    site.world.put("issuers", (f"{DID}/a/metadata", "metadata", {"issuerType": "TAO"}))
    assert (await attempt("c"))[0] == 200
    site.world.revoke("issuers", f"{DID}/a")
    assert (await attempt("d"))[0] == 400


async def test_a_did_without_a_right_makes_nobody_look_outside(site: Site) -> None:
    """A stranger's did:web is refused for its right, before its keys are looked for."""
    vp_token = presentation(new_key(), did="did:web:stranger.example")
    status, answer = await site.token(form_for("didr_write", vp_token))
    assert (status, answer["error_description"].split(":")[0]) == (400, "right")
    assert site.world.fetched == []


@pytest.mark.parametrize("kind, alg", [("P-256", "ES256"), ("secp256k1", "ES256K")])
async def test_a_new_did_is_onboarded_by_its_credential(site: Site, kind: str, alg: str) -> None:
    """didr_invite needs the credential, and is for DIDs that are not registered yet."""
    key = new_key(kind)
    site.world.list_issuer(ISSUER, "VerifiableAuthorisationToOnboard")
    onboard = {
        "id": "urn:uuid:onboard",
        "type": ["VerifiableCredential", "VerifiableAuthorisationToOnboard"],
        "issuer": ISSUER,
        "credentialSubject": {"id": DID},
    }
    payload = {"iss": ISSUER, "sub": DID, "exp": NOW_S + 900, "vc": onboard}
    credential = site.world.credential(payload)

    def form(*credentials: str, nonce: str, did: str = DID) -> dict[str, str]:
        vp_token = presentation(key, *credentials, alg=alg, did=did, nonce=nonce)
        return form_for("didr_invite", vp_token, with_credential=True)

    status, answer = await site.token(form(credential, nonce="a"))
    assert (status, answer["expires_in"]) == (200, 900)
    access = await site.authorisation.access(answer["access_token"])
    assert access.organisation == DID
    assert access.scopes == {"openid", "didr_invite"}
    status, answer = await site.token(form(nonce="b"))
    assert answer["error_description"].startswith("credential_type")
    other = "did:ebsi:zsSgDXeYPhZ3AuKhTFneDf1"
    status, answer = await site.token(form(credential, nonce="c", did=other))
    assert answer["error_description"].startswith("holder")
    register(site.world, key)
    status, answer = await site.token(form(credential, nonce="d"))
    assert answer["error_description"].startswith("right")


OTHER_DEFINITION = '{"definition_id":"tir_write_presentation"}'
NEEDLESS_DESCRIPTOR = (
    '{"definition_id":"didr_write_presentation","descriptor_map":[{"id":"didr_write_credential"}]}'
)
FORMS: list[tuple[dict[str, str | None], int, str]] = [
    ({"grant_type": "password"}, 400, "unsupported_grant_type"),
    ({"scope": "didr_write"}, 400, "invalid_scope"),
    ({"scope": "openid"}, 400, "invalid_scope"),
    ({"scope": "openid root"}, 400, "invalid_scope"),
    ({"scope": "openid didr_write tir_write"}, 400, "invalid_scope"),
    ({"vp_token": None}, 400, "invalid_request"),
    ({"vp_token": "x"}, 400, "invalid_request"),
    ({"presentation_submission": None}, 400, "invalid_request"),
    ({"presentation_submission": OTHER_DEFINITION}, 400, "invalid_request"),
    ({"presentation_submission": NEEDLESS_DESCRIPTOR}, 400, "invalid_request"),
    ({"presentation_submission": "[" * 9_000}, 400, "invalid_request"),
]


@pytest.mark.parametrize("changes, status, error", FORMS)
async def test_wrong_forms_are_refused_in_oauths_words(
    site: Site, changes: dict[str, str | None], status: int, error: str
) -> None:
    """Every fault of the form has its error; nothing is remembered of it."""
    key = new_key()
    register(site.world, key)
    form = form_for("didr_write", presentation(key, did=DID))
    wrong = {name: value for name, value in (form | changes).items() if value is not None}
    code, answer = await site.token(wrong)
    assert (code, answer["error"]) == (status, error)
    assert set(answer) == {"error", "error_description"}
    assert (await site.token(form))[0] == 200


async def test_bodies_that_are_no_forms_are_refused(site: Site) -> None:
    """JSON, a field twice, too many fields, too many bytes."""
    answer = await site.http.post("/authorisation/v4/token", json={})
    assert answer.status_code == 415
    headers = {"content-type": "application/x-www-form-urlencoded"}
    for body, status in (
        ("scope=a&scope=b", 400),
        ("&".join(f"a{n}=1" for n in range(17)), 400),
        ("a=" + "b" * 200_000, 413),
        ("scope", 400),
    ):
        answer = await site.http.post("/authorisation/v4/token", content=body, headers=headers)
        assert answer.status_code == status, body[:20]


async def test_definitions_name_what_the_forms_need(site: Site) -> None:
    """Every scope has a definition; an unknown one has none."""
    configuration = await site.get("/authorisation/v4/.well-known/openid-configuration")
    assert configuration["issuer"] == EBSI
    assert configuration["token_endpoint"] == f"{EBSI}/token"
    for scope in configuration["scopes_supported"][1:]:
        path = f"/authorisation/v4/presentation-definitions?scope=openid%20{scope}"
        definition = await site.get(path)
        assert definition["id"] == f"{scope}_presentation"
        ids = [row["id"] for row in definition["input_descriptors"]]
        needs_credential = scope.endswith("_invite") or scope == "tnt_authorise"
        assert ids == ([f"{scope}_credential"] if needs_credential else [])
    answer = await site.http.get("/authorisation/v4/presentation-definitions?scope=openid root")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")


# --- machines of DOME -----------------------------------------------------------------------


def machine_form(
    world: World, key: Key, client: str = MANDATOR, **changes: object
) -> dict[str, str]:
    """Give the form of a machine, with times in milliseconds as Desmos writes them."""
    credential = world.credential(machine_v1(did_key(key)))
    vp_token = presentation(key, credential, aud=None, nonce=None, exp=NOW_MS + 60_000)
    claims = {
        "iss": client,
        "sub": client,
        "aud": BASE,
        "vp_token": b64encode(vp_token.encode()).decode(),
        "iat": NOW_MS,
        "exp": NOW_MS + 600_000,
        "jti": "j1",
    }
    signer = changes.pop("signer", key)
    assert not isinstance(signer, str)
    return {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_assertion_type": MACHINE_ASSERTION,
        "client_assertion": sign(claims | changes, signer),  # type: ignore[arg-type] # a key
    }


async def test_a_machine_gets_a_token_for_its_organisation(site: Site) -> None:
    """The access is that of the mandator, with the powers of the mandate."""
    key = new_key()
    status, answer = await site.token(machine_form(site.world, key), "/oauth/token")
    assert status == 200, answer
    access = await site.authorisation.access(answer["access_token"])
    assert access.organisation == f"did:elsi:{MANDATOR}"
    assert access.subject == did_key(key)
    assert access.credential_type == "LEARCredentialMachine"
    assert access.scopes == {"machine", "learcredential"}
    access.need_power("Onboarding", "Execute")
    keys = KeySet.import_key_set(await site.get("/oauth2/jwks"))
    configuration = await site.get("/.well-known/openid-configuration")
    claims = json.loads(jws.deserialize_compact(answer["access_token"], keys).payload)
    assert claims["iss"] == configuration["issuer"] == BASE
    site.world.put("revoked-credentials", (claims["vc"]["id"], "revocation", b""))
    assert await site.refusal(answer["access_token"]) is Refusal.REVOKED


MACHINES: list[tuple[dict[str, Any], str]] = [
    ({"aud": "https://other.example"}, "audience"),
    ({"exp": NOW_MS}, "expired"),
    ({"iat": NOW_MS - 300_000}, "expired"),
    ({"sub": "VATES-X"}, "malformed"),
    ({"client": "VATES-X"}, "holder"),
    ({"vp_token": "e30.e30.e30"}, "malformed"),
    ({"signer": new_key()}, "bad_signature"),
    ({"jti": None}, "malformed"),
]


@pytest.mark.parametrize("changes, code", MACHINES)
async def test_a_machine_with_one_fault_is_refused(
    site: Site, changes: dict[str, Any], code: str
) -> None:
    """Each fault of the assertion is refused with its code, and burns nothing."""
    key = new_key()
    status, answer = await site.token(machine_form(site.world, key, **changes), "/oauth/token")
    assert status in (400, 401)
    assert answer["error_description"].split(":")[0] == code
    status, _ = await site.token(machine_form(site.world, key), "/oauth/token")
    assert status == 200
    status, answer = await site.token(machine_form(site.world, key), "/oauth/token")
    assert answer["error_description"].startswith("replayed")


# --- bearer tokens of others ----------------------------------------------------------------


def external(world: World, key: Key, issuer: str = VERIFIER, **changes: object) -> str:
    """Give an access token of an external verifier and publish its keys."""
    jwk = dict(key.as_dict(private=False)) | {"kid": "k1"}
    configuration = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
    url = f"{issuer}/.well-known/openid-configuration"
    world.documents[url] = json.dumps(configuration).encode()
    world.documents[f"{issuer}/keys"] = json.dumps({"keys": [jwk]}).encode()
    claims = {
        "iss": issuer,
        "sub": did_key(world.holder),
        "aud": BASE,
        "exp": NOW_S + 60,
        "iat": NOW_S,
        "scope": "openid learcredential tir_write",
        "vc": employee_v1(did_key(world.holder))["vc"],
    }
    return sign(claims | changes, key, kid="k1")


async def test_a_configured_verifiers_token_gives_access(site: Site) -> None:
    """Keys are found by discovery and remembered; the token's end is the access's."""
    key = new_key()
    for _ in range(3):
        access = await site.authorisation.access(external(site.world, key))
    assert access.organisation == f"did:elsi:{MANDATOR}"
    assert access.expires_ms == NOW_MS + 60_000
    assert access.may("ProductOffering", "Create")
    assert access.scopes == {"openid", "learcredential"}
    assert len(site.world.fetched) == 2


EXTERNAL: list[tuple[dict[str, Any], Refusal]] = [
    ({"iss": "https://unknown.example"}, Refusal.UNKNOWN_ISSUER),
    ({"aud": "https://other.example"}, Refusal.AUDIENCE),
    ({"exp": NOW_S}, Refusal.EXPIRED),
    ({"exp": None}, Refusal.MALFORMED),
    ({"nbf": NOW_S + 31}, Refusal.NOT_YET_VALID),
    ({"vc": None}, Refusal.CREDENTIAL_TYPE),
    ({"vc": {"id": "x"}}, Refusal.MALFORMED),
]


@pytest.mark.parametrize("changes, code", EXTERNAL)
async def test_a_verifiers_token_with_one_fault_is_refused(
    site: Site, changes: dict[str, Any], code: Refusal
) -> None:
    """Issuer, audience, time and credential are each held."""
    assert await site.refusal(external(site.world, new_key(), **changes)) is code


async def test_a_verifier_is_believed_only_as_far_as_configured(site: Site) -> None:
    """One that is rechecked cannot let in a revoked credential; one that is trusted can."""
    key = new_key()
    site.world.put("revoked-credentials", (employee_v1("")["vc"]["id"], "revocation", b""))
    assert await site.refusal(external(site.world, key)) is Refusal.REVOKED
    access = await site.authorisation.access(external(site.world, key, TRUSTING))
    assert access.organisation == f"did:elsi:{MANDATOR}"


async def test_an_unknown_key_is_looked_for_again_but_not_often(site: Site) -> None:
    """A rotated key is found after a while; guessing names fetches nothing in between."""
    await site.authorisation.access(external(site.world, new_key()))
    rotated = new_key()
    token = external(site.world, rotated, exp=NOW_S + 600)
    assert await site.refusal(token) is Refusal.BAD_SIGNATURE
    fetched = len(site.world.fetched)
    renamed = sign({"iss": VERIFIER}, rotated, kid="other")
    for _ in range(3):
        assert await site.refusal(renamed) is Refusal.UNKNOWN_KEY
    assert len(site.world.fetched) == fetched
    site.world.now_ms += 31_000
    assert await site.refusal(renamed) is Refusal.UNKNOWN_KEY
    assert len(site.world.fetched) == fetched + 1
    await site.authorisation.access(token)


async def test_a_verifier_that_cannot_be_reached_is_no_refusal(site: Site) -> None:
    """Stale keys serve for an hour; without any the answer is: not now."""
    key = new_key()
    token = external(site.world, key, exp=NOW_S + 9_000)
    site.world.documents.clear()
    with pytest.raises(Unavailable):
        await site.authorisation.access(token)
    token = external(site.world, key, exp=NOW_S + 9_000)
    await site.authorisation.access(token)
    site.world.documents.clear()
    site.world.now_ms += 3_599_999
    await site.authorisation.access(token)
    site.world.now_ms += 1
    with pytest.raises(Unavailable):
        await site.authorisation.access(token)


async def test_a_presentation_is_a_bearer_token_once(site: Site) -> None:
    """A presentation that is addressed to us serves by itself, and only once."""
    token = site.world.credential(employee_v1(did_key(site.world.holder)))
    bearer = presentation(site.world.holder, token)
    access = await site.authorisation.access(bearer)
    assert access.credential_type == "LEARCredentialEmployee"
    assert await site.refusal(bearer) is Refusal.REPLAYED


async def test_our_own_name_needs_our_own_key(site: Site) -> None:
    """A token in our name that somebody else signed is refused."""
    thief = new_key()
    claims = {"iss": EBSI, "aud": EBSI, "sub": ALICE_DID, "exp": NOW_S + 60, "scp": "openid"}
    assert await site.refusal(sign(claims, thief, kid="x")) is Refusal.UNKNOWN_KEY
    kid = (await site.get("/oauth2/jwks"))["keys"][0]["kid"]
    assert await site.refusal(sign(claims, thief, kid=kid)) is Refusal.BAD_SIGNATURE


async def test_before_its_routes_are_mounted_nothing_is_judged(site: Site) -> None:
    """Without a ledger the answer is: not now."""
    with pytest.raises(Unavailable):
        await Authorisation(site.settings, site.world, site.world.clock_ms).access("x")
