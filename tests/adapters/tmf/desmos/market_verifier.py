"""The verifier of DOME that a test plays: it gives machines access tokens for their credentials.

Written from the facts about Desmos' tokens alone; it imports nothing of what it tests. It also
issues the credentials, as the one issuer that the ledger's trusted list has to name.
"""

import json
import time
from base64 import b64decode, urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from tests.adapters.credentials.credential_world import did_key
from tests.adapters.dlt.endpoint import Endpoint, Received

ISSUER = "did:elsi:VATES-A15456585"
MACHINE = "LEARCredentialMachine"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_S = 3_600


class Verifier:
    """One verifier at an endpoint of its own.

    Attributes:
        url: its name, and where it is.
        granted: the organisations that were given a token, in order.
        refused: why it gave none.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        """Answer at the endpoint."""
        self.url = f"http://127.0.0.1:{endpoint.port}"
        self.granted: list[str] = []
        self.refused: list[str] = []
        self._key = ECKey.generate_key("P-256", {"kid": "v1"}, private=True)
        self._issuer = ECKey.generate_key("P-256", private=True)
        endpoint.answer = self._answer

    def machine(self, organisation: str) -> tuple[str, bytes]:
        """Make a machine of an organisation: its credential and its key, PEM."""
        key = ECKey.generate_key("P-256", private=True)
        now = datetime.now(UTC)
        life = {
            "startDateTime": _text(now - timedelta(days=1)),
            "endDateTime": _text(now + timedelta(days=1)),
        }
        credential = {
            "@context": ["https://www.w3.org/ns/credentials/v2"],
            "id": f"urn:uuid:{uuid4()}",
            "type": ["VerifiableCredential", MACHINE],
            "issuer": ISSUER,
            "validFrom": life["startDateTime"],
            "validUntil": life["endDateTime"],
            "credentialSubject": {
                "mandate": {
                    "life_span": life,
                    "mandatee": {"id": did_key(key), "serviceName": "desmos"},
                    "mandator": {"organizationIdentifier": organisation},
                    "power": [],
                }
            },
        }
        return _sign({"vc": credential, "iss": ISSUER}, self._issuer), key.as_pem(private=True)

    def grant(self, credential: str) -> str:
        """Give an access token for a credential of ours."""
        vc = self._read(credential, self._issuer)["vc"]
        mandate = vc["credentialSubject"]["mandate"]
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": self.url,
            "sub": mandate["mandatee"]["id"],
            "iat": now,
            "exp": now + TOKEN_S,
            "scope": "machine learcredential",
            "vc": vc,
        }
        self.granted.append(mandate["mandator"]["organizationIdentifier"])
        return _sign(claims, self._key, kid="v1")

    def gave(self, token: str) -> bool:
        """Say whether a token is ours and has not ended: all that a Desmos looks at."""
        try:
            claims = self._read(token, self._key)
        except (JoseError, ValueError):
            return False
        return bool(claims["iss"] == self.url and claims["exp"] > time.time())

    def _answer(self, request: Received) -> bytes:
        method, target, _ = request.target.split(" ")
        path = urlsplit(target).path
        if (method, path) == ("POST", "/oauth/token"):
            form = {name: rows[0] for name, rows in parse_qs(request.body.decode()).items()}
            try:
                token = self._exchange(form)
            except (AssertionError, JoseError, KeyError, ValueError) as error:
                self.refused.append(repr(error))
                return _answered(400, {"error": "invalid_client"})
            document = {"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_S}
            return _answered(200, document)
        if path == "/.well-known/openid-configuration":
            return _answered(200, {"issuer": self.url, "jwks_uri": f"{self.url}/oauth/jwks"})
        if path == "/oauth/jwks":
            return _answered(200, {"keys": [self._key.as_dict(private=False)]})
        return _answered(404, {})

    def _exchange(self, form: dict[str, str]) -> str:
        """Hold a client's assertion to the facts; give its token."""
        assert form["grant_type"] == "client_credentials"
        assert form["client_assertion_type"] == ASSERTION
        assertion = form["client_assertion"]
        vp_token = b64decode(_unverified(assertion, 1)["vp_token"], validate=True).decode()
        key = ECKey.import_key(_unverified(vp_token, 0)["jwk"])
        stated, shown = self._read(assertion, key), self._read(vp_token, key)
        now_ms = time.time() * 1000
        assert stated["iss"] == stated["sub"] == form["client_id"]
        assert stated["aud"] == self.url
        assert all(claims["iat"] <= now_ms < claims["exp"] for claims in (stated, shown))
        assert shown["vp"]["type"] == ["VerifiablePresentation"]
        (credential,) = shown["vp"]["verifiableCredential"]
        mandate = self._read(credential, self._issuer)["vc"]["credentialSubject"]["mandate"]
        assert mandate["mandator"]["organizationIdentifier"] == form["client_id"]
        assert mandate["mandatee"]["id"] == shown["vp"]["holder"] == did_key(key)
        return self.grant(credential)

    def _read(self, token: str, key: ECKey) -> dict[str, Any]:
        claims: dict[str, Any] = json.loads(jws.deserialize_compact(token, key).payload)
        return claims


def _sign(claims: dict[str, Any], key: ECKey, **header: str) -> str:
    return jws.serialize_compact(
        {"alg": "ES256", "typ": "JWT"} | header, json.dumps(claims).encode(), key
    )


def _unverified(token: str, part: int) -> dict[str, Any]:
    text = token.split(".")[part]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _answered(status: int, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body
