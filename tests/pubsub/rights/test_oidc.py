"""Access tokens of issuers: good ones grant what the map says, each hostile one has its code."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace

from ledger.core.errors import Unavailable
from ledger.core.limits import JWKS_FRESH_MS, JWKS_KEYS_MAX, JWKS_RETRY_MS, JWKS_STALE_MS_MAX
from pubsub.core.limits import (
    AUTHORIZATION_CHARS_MAX,
    OIDC_GRANT_VALUES_MAX,
    OIDC_KEY_ID_CHARS_MAX,
    OIDC_SUBJECT_CHARS_MAX,
)
from pubsub.core.oidc import Issuer, TokenFault, TokenRefused, Verdict
from pubsub.core.rights import Scope
from pubsub.io.oidc import Clocks, Oidc
from tests.pubsub.rights.oidc_world import (
    ISSUER,
    JWKS_URL,
    NOW_S,
    RSA_KEY,
    URL,
    Private,
    Site,
    claims,
    jwk_of,
    token,
)

EC_KEY = ec.generate_private_key(ec.SECP256R1())
ED_KEY = ed25519.Ed25519PrivateKey.generate()
OTHER_RSA = rsa.generate_private_key(65_537, 2_048)
SHORT_RSA = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - it is to be refused
PUBLIC_PEM = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class World:
    """One issuer, its site, and a clock for both kinds of time."""

    def __init__(self) -> None:
        self.site = Site()
        self.now_ms = NOW_S * 1000
        self.use(ISSUER)

    def use(self, *issuers: Issuer) -> None:
        """Accept these issuers alone."""
        clocks = Clocks(lambda: self.now_ms, lambda: self.now_ms)
        self.oidc = Oidc(issuers, self.site.fetch, clocks)

    async def judge(self, text: str) -> Verdict:
        """Judge a token."""
        return (await self.oidc.judge(text))[1]

    async def fault(self, text: str) -> TokenFault:
        """Give the code with which a token is refused."""
        with pytest.raises(TokenRefused) as refused:
            await self.oidc.judge(text)
        return refused.value.fault


@pytest.fixture
def world() -> World:
    """Give an issuer with one RSA key."""
    return World()


# --- good tokens ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("private", "alg"),
    [(RSA_KEY, "RS256"), (RSA_KEY, "PS256"), (EC_KEY, "ES256"), (ED_KEY, "EdDSA")],
)
async def test_each_algorithm_verifies(world: World, private: Private, alg: str) -> None:
    """A token that its issuer signed with an allowed algorithm says whose it is."""
    world.site.keys = [jwk_of(private, "a")]
    verdict = await world.judge(token(private, alg=alg, kid="a"))
    assert verdict == Verdict("alice", frozenset({Scope.READ}), (), (NOW_S + 330) * 1000)


async def test_values_of_the_claim_grant_together(world: World) -> None:
    """Scopes and topics of all known values are joined; unknown values give nothing."""
    roles = {"roles": ["reader", "partner", "", "nobody"]}
    verdict = await world.judge(token(payload=claims(realm_access=roles)))
    assert verdict.scopes == {Scope.READ, Scope.CONSUME}
    assert verdict.topics == ("dome.private.>",)
    everything = {"roles": ["operator", "partner"]}
    verdict = await world.judge(token(payload=claims(realm_access=everything)))
    assert verdict.topics is None


@pytest.mark.parametrize(
    "value",
    [None, {}, {"roles": None}, {"roles": 7}, {"roles": [{}, 1, None]}, "reader", ["reader"]],
)
async def test_a_claim_of_another_form_grants_nothing(world: World, value: object) -> None:
    """What is not where the path says grants nothing, and is no error."""
    verdict = await world.judge(token(payload=claims(realm_access=value)))
    assert verdict.scopes == frozenset()


async def test_text_is_a_list_with_spaces(world: World) -> None:
    """An OAuth `scope` claim is a list with spaces between."""
    world.use(replace(ISSUER, claim=("scope",)))
    verdict = await world.judge(token(payload=claims(scope="openid partner")))
    assert verdict.scopes == {Scope.READ, Scope.CONSUME}


async def test_audience_may_be_one_of_a_list(world: World) -> None:
    """It suffices that one of our names is among the token's audiences."""
    verdict = await world.judge(token(payload=claims(aud=["x", "other-name"])))
    assert verdict.subject == "alice"


async def test_discovery_finds_the_keys(world: World) -> None:
    """Without a JWKS URL the issuer's own discovery document names it."""
    world.use(replace(ISSUER, jwks_url=None))
    where = f"{URL}/.well-known/openid-configuration"
    document = {"issuer": URL, "jwks_uri": JWKS_URL}
    world.site.documents[where] = json.dumps(document).encode()
    assert (await world.judge(token())).subject == "alice"
    assert world.site.asked == [where, JWKS_URL]


@pytest.mark.parametrize("issuer", ["https://evil.example", URL + "/", None])
async def test_discovery_of_another_issuer_is_not_believed(
    world: World, issuer: str | None
) -> None:
    """A discovery document that names another issuer gives no keys."""
    world.use(replace(ISSUER, jwks_url=None))
    where = f"{URL}/.well-known/openid-configuration"
    document = {"issuer": issuer, "jwks_uri": JWKS_URL}
    world.site.documents[where] = json.dumps(document).encode()
    with pytest.raises(Unavailable):
        await world.judge(token())


# --- hostile tokens -------------------------------------------------------------------------

HUGE = "a" * AUTHORIZATION_CHARS_MAX
HOSTILE: dict[str, tuple[str, TokenFault]] = {
    "alg none": (token(None, alg="none"), TokenFault.ALGORITHM),
    "alg None": (token(None, alg="None"), TokenFault.ALGORITHM),
    "alg none, signature kept": (token(RSA_KEY, alg="none"), TokenFault.ALGORITHM),
    "HS256 with the public key as PEM": (token(PUBLIC_PEM, alg="HS256"), TokenFault.ALGORITHM),
    "HS256 with the modulus": (
        token(jwk_of(RSA_KEY, "")["n"].encode(), alg="HS256"),
        TokenFault.ALGORITHM,
    ),
    "an algorithm that is not allowed": (token(alg="RS384"), TokenFault.ALGORITHM),
    "an algorithm that is no text": (token(header={"alg": ["RS256"]}), TokenFault.ALGORITHM),
    "no signature": (token(None), TokenFault.BAD_SIGNATURE),
    "signed by another key": (token(OTHER_RSA), TokenFault.BAD_SIGNATURE),
    "signed as PS256 with an RS256 key": (token(alg="PS256"), TokenFault.UNKNOWN_KEY),
    "an EC signature under an RSA kid": (token(EC_KEY, alg="ES256"), TokenFault.UNKNOWN_KEY),
    "embedded jwk": (
        token(OTHER_RSA, header={"jwk": jwk_of(OTHER_RSA, "rsa")}),
        TokenFault.KEY_IN_HEADER,
    ),
    "jku": (token(OTHER_RSA, header={"jku": "https://evil.example"}), TokenFault.KEY_IN_HEADER),
    "x5u": (token(OTHER_RSA, header={"x5u": "https://evil.example"}), TokenFault.KEY_IN_HEADER),
    "x5c": (token(OTHER_RSA, header={"x5c": ["MIIB"]}), TokenFault.KEY_IN_HEADER),
    "crit": (token(header={"crit": ["exp"], "exp": 1}), TokenFault.MALFORMED),
    "b64": (token(header={"b64": False}), TokenFault.MALFORMED),
    "kid of a path": (token(kid="../../../../dev/null"), TokenFault.UNKNOWN_KEY),
    "kid of SQL": (token(kid="' OR 1=1 --"), TokenFault.UNKNOWN_KEY),
    "kid of a URL": (token(kid="https://evil.example/key"), TokenFault.UNKNOWN_KEY),
    "kid that is too long": (token(kid="k" * (OIDC_KEY_ID_CHARS_MAX + 1)), TokenFault.MALFORMED),
    "kid as a list": (token(header={"kid": ["rsa"]}), TokenFault.MALFORMED),
    "no kid": (token(kid=None), TokenFault.MALFORMED),
    "another typ": (token(header={"typ": "logout+jwt"}), TokenFault.MALFORMED),
    "wrong iss": (token(payload=claims(iss="https://evil.example")), TokenFault.UNKNOWN_ISSUER),
    "iss with a slash more": (token(payload=claims(iss=URL + "/")), TokenFault.UNKNOWN_ISSUER),
    "no iss": (token(payload=claims(iss=None)), TokenFault.MALFORMED),
    "wrong aud": (token(payload=claims(aud="somebody")), TokenFault.AUDIENCE),
    "aud is a part of ours": (token(payload=claims(aud="concord")), TokenFault.AUDIENCE),
    "no aud": (token(payload=claims(aud=None)), TokenFault.AUDIENCE),
    "aud is an object": (token(payload=claims(aud={"concordat": 1})), TokenFault.AUDIENCE),
    "expired": (token(payload=claims(exp=NOW_S - 30)), TokenFault.EXPIRED),
    "no exp": (token(payload=claims(exp=None)), TokenFault.MALFORMED),
    "exp is text": (token(payload=claims(exp="never")), TokenFault.MALFORMED),
    "exp is true": (token(payload=claims(exp=True)), TokenFault.MALFORMED),
    "exp is huge": (token(payload=claims(exp=10**300)), TokenFault.MALFORMED),
    "nbf": (token(payload=claims(nbf=NOW_S + 31)), TokenFault.NOT_YET_VALID),
    "iat": (token(payload=claims(iat=NOW_S + 31)), TokenFault.NOT_YET_VALID),
    "no sub": (token(payload=claims(sub=None)), TokenFault.MALFORMED),
    "a huge sub": (
        token(payload=claims(sub="s" * (OIDC_SUBJECT_CHARS_MAX + 1))),
        TokenFault.MALFORMED,
    ),
    "too many roles": (
        token(payload=claims(realm_access={"roles": [""] * (OIDC_GRANT_VALUES_MAX + 1)})),
        TokenFault.MALFORMED,
    ),
    "a huge token": (token(payload=claims(sub=HUGE)), TokenFault.MALFORMED),
    "a huge header": (token(header={"x": "h" * 3_000}), TokenFault.MALFORMED),
    "a claim twice": (
        token(payload=json.dumps(claims()).encode()[:-1] + b',"sub":"root"}'),
        TokenFault.MALFORMED,
    ),
    "payload nested without end": (token(payload=b"[" * 5_000), TokenFault.MALFORMED),
    "payload is a list": (token(payload=[claims()]), TokenFault.MALFORMED),
    "payload is not UTF-8": (token(payload=b'{"iss":"\xff"}'), TokenFault.MALFORMED),
    "JSON serialisation": ('{"payload":"","signatures":[]}', TokenFault.MALFORMED),
    "four parts": (token() + ".a", TokenFault.MALFORMED),
    "padding": (token() + "=", TokenFault.MALFORMED),
    "nothing": ("", TokenFault.MALFORMED),
    "not ASCII": ("é.é.é", TokenFault.MALFORMED),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_token_is_refused(world: World, name: str) -> None:
    """Each hostile token is refused with its own stable code, and the good one still is good."""
    text, fault = HOSTILE[name]
    assert await world.fault(text) == fault
    assert (await world.judge(token())).subject == "alice"


@pytest.mark.parametrize("position", range(3))
async def test_every_part_is_covered_by_the_signature(world: World, position: int) -> None:
    """A changed character anywhere makes a token void."""
    parts = token().split(".")
    for index in range(0, len(parts[position]), 7):
        text = parts[position]
        other = "A" if text[index] != "A" else "B"
        changed = [*parts]
        changed[position] = text[:index] + other + text[index + 1 :]
        assert await world.fault(".".join(changed))


async def test_times_are_judged_with_the_leeway(world: World) -> None:
    """A token is good up to the leeway after exp, and from the leeway before nbf."""
    assert (await world.judge(token(payload=claims(exp=NOW_S - 29)))).subject == "alice"
    assert (await world.judge(token(payload=claims(nbf=NOW_S + 30)))).subject == "alice"


# --- hostile and broken key sets -------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"use": "enc"},
        {"alg": "RS512"},
        {"key_ops": ["encrypt"]},
        {"key_ops": "verify"},
        {"d": "AQAB"},
        {"kid": None},
        {"kid": ""},
        {"kty": "oct", "k": "c2VjcmV0"},
        {"kty": "EC"},
        {"n": "AQAB"},
        {"n": jwk_of(SHORT_RSA, "")["n"]},
        {"n": "A" * 100_000},
        {"n": 7},
        {"e": ""},
    ],
)
async def test_unfit_keys_are_not_used(world: World, changes: dict[str, object]) -> None:
    """A key that is not a public signing key of a sound size is as if it were not there."""
    world.site.keys = [{**jwk_of(RSA_KEY, "rsa"), **changes}]
    assert await world.fault(token()) == TokenFault.UNKNOWN_KEY


async def test_an_unfit_key_hides_no_other(world: World) -> None:
    """Of several keys of one name, the one that fits the algorithm counts."""
    world.site.keys = [jwk_of(EC_KEY, "rsa"), {"kty": "?"}, jwk_of(RSA_KEY, "rsa")]
    assert (await world.judge(token())).subject == "alice"
    assert (await world.judge(token(EC_KEY, alg="ES256"))).subject == "alice"


async def test_a_point_that_is_on_no_curve(world: World) -> None:
    """An elliptic curve key whose point is wrong is no key."""
    world.site.keys = [{**jwk_of(EC_KEY, "ec"), "y": "A" * 43}]
    assert await world.fault(token(EC_KEY, alg="ES256", kid="ec")) == TokenFault.UNKNOWN_KEY


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"keys":{}}',
        b'{"keys":[' + b'{"kty":"RSA"},' * 5_000 + b"{}]}",
        b'{"keys":[],"keys":[]}',
        b"[" * 100_000,
    ],
)
async def test_a_document_that_is_no_key_set(world: World, body: bytes) -> None:
    """Broken key sets, and those of thousands of keys, are like an issuer that is down."""
    world.site.documents[JWKS_URL] = body
    with pytest.raises(Unavailable):
        await world.judge(token())


async def test_the_number_of_keys_is_bounded(world: World) -> None:
    """As many keys as the limit says are read, and not one more."""
    filler = [{"kty": "RSA"}] * (JWKS_KEYS_MAX - 1)
    world.site.keys = [*filler, jwk_of(RSA_KEY, "rsa")]
    assert (await world.judge(token())).subject == "alice"
    world.use(ISSUER)
    world.site.keys.append({"kty": "RSA"})
    with pytest.raises(Unavailable):
        await world.judge(token())


# --- when keys are fetched -------------------------------------------------------------------


async def test_unknown_kids_fetch_at_most_once_a_period(world: World) -> None:
    """Whoever sends tokens with random kids makes us fetch once a period, not more."""
    await world.judge(token())
    for number in range(50):
        assert await world.fault(token(kid=f"k{number}")) == TokenFault.UNKNOWN_KEY
    assert len(world.site.asked) == 1
    world.now_ms += JWKS_RETRY_MS
    for number in range(50):
        assert await world.fault(token(kid=f"k{number}")) == TokenFault.UNKNOWN_KEY
    assert len(world.site.asked) == 2


async def test_a_new_key_is_found_after_the_period(world: World) -> None:
    """A key that the issuer rotated in is used as soon as a fetch is allowed."""
    await world.judge(token())
    world.site.keys = [jwk_of(OTHER_RSA, "new")]
    world.now_ms += JWKS_RETRY_MS
    assert (await world.judge(token(OTHER_RSA, kid="new"))).subject == "alice"
    assert await world.fault(token()) == TokenFault.UNKNOWN_KEY  # rotated out


async def test_fresh_keys_are_not_fetched_again(world: World) -> None:
    """Keys are fetched when they are needed and no longer fresh."""
    for _ in range(3):
        await world.judge(token())
    assert len(world.site.asked) == 1
    world.now_ms += JWKS_FRESH_MS
    assert (await world.judge(token(payload=_later(world)))).subject == "alice"
    assert len(world.site.asked) == 2


async def test_an_outage_keeps_the_old_keys_for_a_bounded_time(world: World) -> None:
    """While the issuer is down its last keys hold, but not for ever."""
    await world.judge(token())
    world.site.is_down = True
    world.now_ms += JWKS_STALE_MS_MAX - 1
    assert (await world.judge(token(payload=_later(world)))).subject == "alice"
    world.now_ms += JWKS_RETRY_MS
    with pytest.raises(Unavailable):
        await world.judge(token(payload=_later(world)))
    world.site.is_down = False
    world.now_ms += JWKS_RETRY_MS
    assert (await world.judge(token(payload=_later(world)))).subject == "alice"


async def test_an_issuer_that_is_down_is_not_hammered(world: World) -> None:
    """Failed fetches are not repeated within the period."""
    world.site.is_down = True
    for _ in range(10):
        with pytest.raises(Unavailable):
            await world.judge(token())
    assert len(world.site.asked) == 1


async def test_issuers_do_not_answer_for_each_other(world: World) -> None:
    """A key of one issuer signs no token of another."""
    second = replace(ISSUER, name="second", url="https://second.example", jwks_url=JWKS_URL + "2")
    world.site.documents[JWKS_URL + "2"] = json.dumps({"keys": [jwk_of(EC_KEY, "rsa")]}).encode()
    world.use(ISSUER, second)
    payload = claims(iss="https://second.example")
    assert await world.fault(token(payload=payload)) == TokenFault.UNKNOWN_KEY
    issuer, _ = await world.oidc.judge(token(EC_KEY, payload, alg="ES256"))
    assert issuer.name == "second"


def _later(world: World) -> dict[str, object]:
    """Give claims that are good at the world's time."""
    return claims(exp=world.now_ms // 1000 + 60)
