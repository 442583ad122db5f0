"""The whole way of an EBSI client: a presentation for a token, the token for a signed write."""

from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from adapters.credentials.facade import Authorisation, AuthorisationSettings
from adapters.ebsi.facade import EbsiSettings
from adapters.ebsi.identifiers import timestamp_id
from tests.adapters.credentials.credential_world import BASE, presentation
from tests.adapters.credentials.test_authorisation import form_for
from tests.adapters.credentials.test_golden_credentials import document
from tests.adapters.ebsi.ebsi_client import NOW_MS, OTHER, alice, ebsi_world, facade, sign
from tests.adapters.ebsi.ebsi_world import LEGAL, TIMESTAMP, problem

HASH = bytes([8]) * 32


def jwk_of_other() -> ECKey:
    """Give the JSON Web Key of the account that signs transactions too."""
    public = OTHER._key_obj.public_key.to_bytes()
    parts = {"x": public[:32], "y": public[32:], "d": bytes(OTHER.key)}
    encoded = {name: urlsafe_b64encode(part).decode().rstrip("=") for name, part in parts.items()}
    return ECKey.import_key({"kty": "EC", "crv": "secp256k1", **encoded})


async def test_one_key_gets_a_token_and_signs_a_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registered DID's key opens the scope and signs the transaction; no more than that."""
    authorisation = Authorisation(AuthorisationSettings(BASE, tmp_path / "token-keys.json"))
    settings = EbsiSettings(writer=alice, verifier=authorisation)
    async with ebsi_world(tmp_path, monkeypatch, facade(settings)) as ebsi:
        served = ebsi.world
        served.app.router.routes.extend(authorisation.routes(served.gateway))
        key = jwk_of_other()
        ebsi.change(
            "did-documents",
            (LEGAL, "document", document(LEGAL, key, "authentication")),
            (f"{LEGAL}/address/{OTHER.address.lower()}", "address", b""),
        )
        now_s = NOW_MS // 1000
        times = {"iat": now_s, "nbf": now_s, "exp": now_s + 60}
        vp_token = presentation(key, alg="ES256K", did=LEGAL, **times)
        form = form_for("timestamp_write", vp_token)
        answer = await served.http.post("/authorisation/v4/token", data=form)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        call = {"from": OTHER.address, "hashAlgorithmIds": [0], "hashValues": ["0x" + HASH.hex()]}
        built = await ebsi.call(TIMESTAMP, "timestampHashes", call, token)
        sent = await ebsi.send(TIMESTAMP, sign(built.json()["result"], OTHER), token)
        assert sent.status_code == 200, sent.text
        stamp = await ebsi.json(f"{TIMESTAMP}/timestamps/{timestamp_id(HASH)}")
        assert stamp["timestampedBy"] == OTHER.address.lower()
        other = await ebsi.call("/track-and-trace/v1", "createDocument", {}, token)
        assert "requires an access token with the scope 'tnt_create'" in other.text
        broken = await ebsi.call(TIMESTAMP, "timestampHashes", call, token[:-4] + "AAAA")
        assert problem(broken)[:2] == (401, "Unauthorized")
